#include "digest.h"

#include <xxhash.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace mds {
namespace {

std::string hexadecimal(const unsigned char* bytes, std::size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

// SHA-1, SHA-256 and MD5 share their framing: blocks of 64 bytes, the last ones padded with 0x80, zeros and the length in bits.
template <class State>
std::string framed_digest(std::string_view bytes) {
  State state;
  const std::size_t whole = bytes.size() / 64;
  for (std::size_t block = 0; block < whole; ++block) state.add(reinterpret_cast<const unsigned char*>(bytes.data()) + block * 64);
  std::array<unsigned char, 128> tail{};
  const std::size_t left = bytes.size() - whole * 64;
  if (left > 0) std::memcpy(tail.data(), bytes.data() + whole * 64, left);
  tail[left] = 0x80;
  const std::size_t end = left < 56 ? 64 : 128;
  const std::uint64_t bits = std::uint64_t{bytes.size()} * 8;
  for (std::size_t i = 0; i < 8; ++i) tail[end - 8 + i] = static_cast<unsigned char>(bits >> (State::kBigEndian ? 56 - 8 * i : 8 * i));
  for (std::size_t at = 0; at < end; at += 64) state.add(tail.data() + at);
  std::string text;
  for (std::uint32_t word : state.words) {
    // The digits of a word are those of its bytes, in the order that the digest writes them.
    unsigned char word_bytes[4];
    for (std::size_t i = 0; i < 4; ++i) word_bytes[i] = static_cast<unsigned char>(word >> (State::kBigEndian ? 24 - 8 * i : 8 * i));
    text += hexadecimal(word_bytes, 4);
  }
  return text;
}

std::uint32_t big_endian(const unsigned char* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}

// FIPS 180-4, section 6.1.
struct ShaOne {
  static constexpr bool kBigEndian = true;
  std::array<std::uint32_t, 5> words{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};

  void add(const unsigned char* block) {
    std::array<std::uint32_t, 80> schedule;
    for (std::size_t i = 0; i < 16; ++i) schedule[i] = big_endian(block + 4 * i);
    for (std::size_t i = 16; i < 80; ++i)
      schedule[i] = std::rotl(schedule[i - 3] ^ schedule[i - 8] ^ schedule[i - 14] ^ schedule[i - 16], 1);
    auto [a, b, c, d, e] = words;
    for (std::size_t i = 0; i < 80; ++i) {
      const std::uint32_t mixed = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                                  : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                                  : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                           : (b ^ c ^ d) + 0xca62c1d6;
      const std::uint32_t next = std::rotl(a, 5) + mixed + e + schedule[i];
      e = d, d = c, c = std::rotl(b, 30), b = a, a = next;
    }
    words = {words[0] + a, words[1] + b, words[2] + c, words[3] + d, words[4] + e};
  }
};

// FIPS 180-4, section 6.2. Its constants are the fractions of the cube roots of the first 64 primes.
struct ShaTwo {
  static constexpr bool kBigEndian = true;
  std::array<std::uint32_t, 8> words{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

  static const std::array<std::uint32_t, 64>& constants() {
    static const std::array<std::uint32_t, 64> table = [] {
      std::array<std::uint32_t, 64> made{};
      std::size_t count = 0;
      for (unsigned candidate = 2; count < made.size(); ++candidate) {
        bool prime = true;
        for (unsigned divisor = 2; divisor * divisor <= candidate; ++divisor) prime = prime && candidate % divisor != 0;
        if (!prime) continue;
        const long double root = std::cbrt(static_cast<long double>(candidate));
        made[count++] = static_cast<std::uint32_t>((root - std::floor(root)) * 4294967296.0L);
      }
      return made;
    }();
    return table;
  }

  void add(const unsigned char* block) {
    std::array<std::uint32_t, 64> schedule;
    for (std::size_t i = 0; i < 16; ++i) schedule[i] = big_endian(block + 4 * i);
    for (std::size_t i = 16; i < 64; ++i) {
      const std::uint32_t early = schedule[i - 15], late = schedule[i - 2];
      schedule[i] = schedule[i - 16] + (std::rotr(early, 7) ^ std::rotr(early, 18) ^ early >> 3) + schedule[i - 7] +
                    (std::rotr(late, 17) ^ std::rotr(late, 19) ^ late >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = words;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t first = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + constants()[i] + schedule[i];
      const std::uint32_t second = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
    }
    words = {words[0] + a, words[1] + b, words[2] + c, words[3] + d, words[4] + e, words[5] + f, words[6] + g, words[7] + h};
  }
};

// Other initial words: the second halves of those of SHA-384. One word of the digest is left out.
struct ShaTwoShort : ShaTwo {
  ShaTwoShort() { words = {0xc1059ed8, 0x367cd507, 0x3070dd17, 0xf70e5939, 0xffc00b31, 0x68581511, 0x64f98fa7, 0xbefa4fa4}; }
};

// RFC 1321. Its constants are 2^32 |sin(i + 1)|.
struct MessageDigest {
  static constexpr bool kBigEndian = false;
  std::array<std::uint32_t, 4> words{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

  static const std::array<std::uint32_t, 64>& constants() {
    static const std::array<std::uint32_t, 64> table = [] {
      std::array<std::uint32_t, 64> made{};
      for (std::size_t i = 0; i < made.size(); ++i)
        made[i] = static_cast<std::uint32_t>(std::fabs(std::sin(static_cast<double>(i + 1))) * 4294967296.0);
      return made;
    }();
    return table;
  }

  void add(const unsigned char* block) {
    static constexpr int kTurns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    std::array<std::uint32_t, 16> message;
    std::memcpy(message.data(), block, 64);
    auto [a, b, c, d] = words;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::size_t round = i / 16;
      const std::uint32_t mixed = round == 0   ? ((b & c) | (~b & d))
                                  : round == 1 ? ((d & b) | (~d & c))
                                  : round == 2 ? (b ^ c ^ d)
                                               : (c ^ (b | ~d));
      static constexpr std::size_t kStep[4] = {1, 5, 3, 7}, kStart[4] = {0, 1, 5, 0};
      const std::uint32_t sum = a + mixed + constants()[i] + message[(kStep[round] * i + kStart[round]) % 16];
      a = d, d = c, c = b, b = b + std::rotl(sum, kTurns[round][i % 4]);
    }
    words = {words[0] + a, words[1] + b, words[2] + c, words[3] + d};
  }
};

}  // namespace

std::optional<std::string> digest_of(std::string_view name, std::string_view bytes) {
  if (name == "sha1") return framed_digest<ShaOne>(bytes);
  if (name == "sha256") return framed_digest<ShaTwo>(bytes);
  if (name == "md5") return framed_digest<MessageDigest>(bytes);
  if (name == "xxh32") {
    XXH32_canonical_t canonical;
    XXH32_canonicalFromHash(&canonical, XXH32(bytes.data(), bytes.size(), 0));
    return hexadecimal(canonical.digest, sizeof canonical.digest);
  }
  if (name == "xxh64" || name == "xxh3_64") {
    XXH64_canonical_t canonical;
    XXH64_canonicalFromHash(&canonical, name == "xxh64" ? XXH64(bytes.data(), bytes.size(), 0) : XXH3_64bits(bytes.data(), bytes.size()));
    return hexadecimal(canonical.digest, sizeof canonical.digest);
  }
  if (name == "xxh128" || name == "xxh3_128") {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
    return hexadecimal(canonical.digest, sizeof canonical.digest);
  }
  if (name == "sha224") return framed_digest<ShaTwoShort>(bytes).substr(0, 56);
  return wide_digest_of(name, bytes);
}

}  // namespace mds
