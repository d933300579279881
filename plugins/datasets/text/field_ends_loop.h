// The loop of find_field_ends(), over blocks of 64 bytes, for any set of vector instructions.
#ifndef RECHOST_TEXT_FIELD_ENDS_LOOP_H
#define RECHOST_TEXT_FIELD_ENDS_LOOP_H

#include <bit>
#include <cstdint>

#include "field_ends.h"

namespace text {

// Block(bytes) loads 64 bytes. equal(byte) and high() have a bit for each: is it `byte`, is it beyond ASCII.
template <class Block>
void find_field_ends_in_blocks(std::string_view text, char delimiter, std::size_t most, FieldEnds& result) {
  constexpr std::size_t kBlock = 64;
  // Room for one block more than wanted: positions are written eight at a time.
  result.ends.resize(most + kBlock + 8);
  std::uint32_t* const ends = result.ends.data();
  std::size_t count = 0, lines = 0;
  std::uint64_t odd = 0;
  for (std::size_t at = 0; at < text.size() && count < most; at += kBlock) {
    const Block block(text.data() + at);
    const std::size_t left = text.size() - at;
    const std::uint64_t inside = left >= kBlock ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
    const std::uint64_t line_ends = block.equal('\n') & inside;
    std::uint64_t hits = (block.equal(delimiter) & inside) | line_ends;
    odd |= (block.high() | block.equal('\r') | block.equal('"') | block.equal('\0')) & inside;
    const auto found = static_cast<std::size_t>(std::popcount(hits));
    // How many there are in a block is hard to guess for a processor, so they are taken in groups, and what is written too much is
    // overwritten by the next block.
    std::uint32_t* to = ends + count;
    const auto base = static_cast<std::uint32_t>(at);
    for (std::size_t taken = 0; taken < found; taken += 8) {
      for (int i = 0; i < 8; ++i) {
        *to++ = base + static_cast<std::uint32_t>(std::countr_zero(hits));
        hits &= hits - 1;
      }
    }
    count += found;
    lines += static_cast<std::size_t>(std::popcount(line_ends));
  }
  for (; count > most; --count) lines -= text[ends[count - 1]] == '\n';
  result.ends.resize(count);
  result.lines = lines;
  result.plain = odd == 0;
}

}  // namespace text

#endif  // RECHOST_TEXT_FIELD_ENDS_LOOP_H
