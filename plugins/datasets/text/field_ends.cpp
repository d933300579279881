#include "field_ends.h"

#include <emmintrin.h>

#include "field_ends_loop.h"

namespace text {
namespace {

class Block {
 public:
  explicit Block(const char* bytes) {
    for (int i = 0; i < 4; ++i) quarters_[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes) + i);
  }
  std::uint64_t equal(char byte) const {
    const __m128i wanted = _mm_set1_epi8(byte);
    return bits([&](__m128i quarter) { return _mm_cmpeq_epi8(quarter, wanted); });
  }
  std::uint64_t high() const {
    return bits([](__m128i quarter) { return quarter; });
  }

 private:
  template <class Map>
  std::uint64_t bits(Map&& map) const {
    std::uint64_t mask = 0;
    for (int i = 0; i < 4; ++i) mask |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm_movemask_epi8(map(quarters_[i])))) << (16 * i);
    return mask;
  }
  __m128i quarters_[4];
};

using Finder = void (*)(std::string_view, char, std::size_t, FieldEnds&);

Finder best_finder() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi")) return &find_field_ends_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")) return &find_field_ends_avx2;
  return &find_field_ends_baseline;
}

}  // namespace

void find_field_ends(std::string_view text, char delimiter, std::size_t most, FieldEnds& result) {
  static const Finder finder = best_finder();
  finder(text, delimiter, most, result);
}

void find_field_ends_baseline(std::string_view text, char delimiter, std::size_t most, FieldEnds& result) {
  find_field_ends_in_blocks<Block>(text, delimiter, most, result);
}

void find_field_ends_reference(std::string_view text, char delimiter, std::size_t most, FieldEnds& result) {
  result = {};
  for (std::size_t at = 0; at < text.size() && result.ends.size() < most; ++at) {
    const char byte = text[at];
    if (byte == delimiter || byte == '\n') result.ends.push_back(static_cast<std::uint32_t>(at));
    result.lines += byte == '\n';
    result.plain = result.plain && static_cast<unsigned char>(byte) < 0x80 && byte != '\r' && byte != '"' && byte != 0;
  }
}

}  // namespace text
