// Where the fields of many records end, found in one pass.
#ifndef RECHOST_TEXT_FIELD_ENDS_H
#define RECHOST_TEXT_FIELD_ENDS_H

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace text {

// What find_field_ends() saw up to where it stopped.
struct FieldEnds {
  std::vector<std::uint32_t> ends;  // positions of delimiters and line ends, ascending
  std::size_t lines = 0;            // how many of them are line ends
  bool plain = true;                // ASCII without a carriage return, a quote or a zero
};

// Appends the first `most` positions (fewer where the text ends) of `delimiter` or a line end to `result.ends`, which is cleared before.
// `text` is shorter than 4 GiB, and 64 bytes past its end must be readable. `plain` may also speak of bytes after the last end.
void find_field_ends(std::string_view text, char delimiter, std::size_t most, FieldEnds& result);

// The same: every byte looked at alone; for processors with AVX2; for those with AVX-512. For tests; find_field_ends() picks.
void find_field_ends_reference(std::string_view text, char delimiter, std::size_t most, FieldEnds& result);
void find_field_ends_baseline(std::string_view text, char delimiter, std::size_t most, FieldEnds& result);
void find_field_ends_avx2(std::string_view text, char delimiter, std::size_t most, FieldEnds& result);
void find_field_ends_avx512(std::string_view text, char delimiter, std::size_t most, FieldEnds& result);

}  // namespace text

#endif  // RECHOST_TEXT_FIELD_ENDS_H
