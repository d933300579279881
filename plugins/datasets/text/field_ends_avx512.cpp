#include <immintrin.h>

#include "field_ends_loop.h"

namespace text {
namespace {

class Block {
 public:
  explicit Block(const char* bytes) : bytes_(_mm512_loadu_si512(bytes)) {}
  std::uint64_t equal(char byte) const { return _mm512_cmpeq_epi8_mask(bytes_, _mm512_set1_epi8(byte)); }
  std::uint64_t high() const { return _mm512_movepi8_mask(bytes_); }

 private:
  __m512i bytes_;
};

}  // namespace

void find_field_ends_avx512(std::string_view text, char delimiter, std::size_t most, FieldEnds& result) {
  find_field_ends_in_blocks<Block>(text, delimiter, most, result);
}

}  // namespace text
