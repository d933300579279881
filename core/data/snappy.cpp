#include "data/snappy.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace rechost {

namespace {

/// Copies reach back no further than the block in which they stand, as in the reference encoder, so that their offsets have 16 bits.
constexpr std::size_t kBlock = 1 << 16;
constexpr std::size_t kShortest = 4;  ///< a copy is worth it from here on
constexpr int kTableBits = 14;

std::uint32_t word_at(const char* bytes) {
  std::uint32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

void append_number(std::string& packed, std::size_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) packed += static_cast<char>(value >> (8 * i));
}

void append_literal(std::string& packed, std::string_view literal) {
  if (literal.empty()) return;
  const std::size_t length = literal.size() - 1;
  if (length < 60) {
    packed += static_cast<char>(length << 2);
  } else {
    const std::size_t bytes = length < 256 ? 1 : 2;
    packed += static_cast<char>((59 + bytes) << 2);
    append_number(packed, length, bytes);
  }
  packed += literal;
}

void append_copy(std::string& packed, std::size_t offset, std::size_t length) {
  while (length > 0) {
    // A rest of fewer than four could not be written in the short form.
    const std::size_t piece = length > 64 ? (length < 68 ? 60 : 64) : length;
    if (piece >= 4 && piece < 12 && offset < 2048) {
      packed += static_cast<char>(1 | (piece - 4) << 2 | offset >> 8 << 5);
      packed += static_cast<char>(offset);
    } else {
      packed += static_cast<char>(2 | (piece - 1) << 2);
      append_number(packed, offset, 2);
    }
    length -= piece;
  }
}

class BlockPacker {
 public:
  void pack(std::string_view block, std::string& packed) {
    table_.fill(0);
    std::size_t at = 0, literal = 0, misses = 0;
    while (at + kShortest <= block.size()) {
      const std::uint32_t word = word_at(block.data() + at);
      std::uint16_t& slot = table_[word * 0x1e35a7bdu >> (32 - kTableBits)];
      const std::size_t before = slot;
      slot = static_cast<std::uint16_t>(at);
      if (before >= at || word_at(block.data() + before) != word) {
        // The longer nothing is found, the larger the steps: what does not pack costs little.
        at += 1 + misses++ / 32;
        continue;
      }
      std::size_t length = kShortest;
      while (at + length < block.size() && block[before + length] == block[at + length]) ++length;
      append_literal(packed, block.substr(literal, at - literal));
      append_copy(packed, at - before, length);
      at += length;
      literal = at;
      misses = 0;
    }
    append_literal(packed, block.substr(literal));
  }

 private:
  std::array<std::uint16_t, std::size_t{1} << kTableBits> table_{};  // hash of four bytes -> where they were last seen in the block
};

}  // namespace

std::string snappy_packed(std::string_view raw) {
  std::string packed;
  packed.reserve(32 + raw.size() / 2);
  for (std::size_t length = raw.size();; length >>= 7) {
    packed += static_cast<char>((length & 127) | (length > 127 ? 128 : 0));
    if (length <= 127) break;
  }
  BlockPacker packer;
  for (std::size_t at = 0; at < raw.size(); at += kBlock) packer.pack(raw.substr(at, kBlock), packed);
  return packed;
}

}  // namespace rechost
