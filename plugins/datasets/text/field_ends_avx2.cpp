#include <immintrin.h>

#include "field_ends_loop.h"

namespace text {
namespace {

class Block {
 public:
  explicit Block(const char* bytes)
      : low_(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes))), high_(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes) + 1)) {}
  std::uint64_t equal(char byte) const {
    const __m256i wanted = _mm256_set1_epi8(byte);
    return bits(_mm256_cmpeq_epi8(low_, wanted), _mm256_cmpeq_epi8(high_, wanted));
  }
  std::uint64_t high() const { return bits(low_, high_); }

 private:
  static std::uint64_t bits(__m256i low, __m256i high) {
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(low)) | static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm256_movemask_epi8(high))) << 32;
  }
  __m256i low_, high_;
};

}  // namespace

void find_field_ends_avx2(std::string_view text, char delimiter, std::size_t most, FieldEnds& result) {
  find_field_ends_in_blocks<Block>(text, delimiter, most, result);
}

}  // namespace text
