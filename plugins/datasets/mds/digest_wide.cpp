// Hashes with 64-bit words, and BLAKE2s, whose words have 32: SHA-384, SHA-512 (FIPS 180-4), SHA-3 (FIPS 202), BLAKE2 (RFC 7693).
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "digest.h"

namespace mds {
namespace {

// The first fractional bits of the cube roots of the first 80 primes.
constexpr std::array<std::uint64_t, 80> kShaRounds{
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};
// Of the square roots of the first 8 primes, and of the next 8.
constexpr std::array<std::uint64_t, 8> kSquareRoots{0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
constexpr std::array<std::uint64_t, 8> kNextSquareRoots{0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17, 0x152fecd8f70e5939, 0x67332667ffc00b31, 0x8eb44a8768581511, 0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4};

constexpr std::array<std::uint64_t, 24> kKeccakRounds{
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

template <class Word>
std::string hexadecimal(const Word* words, std::size_t bytes, bool big_endian) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) {
    const std::size_t in_word = i % sizeof(Word);
    const auto byte = static_cast<unsigned>(words[i / sizeof(Word)] >> (8 * (big_endian ? sizeof(Word) - 1 - in_word : in_word))) & 255u;
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::uint64_t big_endian(const char* at) {
  std::uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap64(value);
}

void add_sha_block(std::array<std::uint64_t, 8>& state, const char* block) {
  std::array<std::uint64_t, 80> schedule;
  for (std::size_t i = 0; i < 16; ++i) schedule[i] = big_endian(block + 8 * i);
  for (std::size_t i = 16; i < 80; ++i) {
    const std::uint64_t early = schedule[i - 15], late = schedule[i - 2];
    schedule[i] = schedule[i - 16] + (std::rotr(early, 1) ^ std::rotr(early, 8) ^ early >> 7) + schedule[i - 7] +
                  (std::rotr(late, 19) ^ std::rotr(late, 61) ^ late >> 6);
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (std::size_t i = 0; i < 80; ++i) {
    const std::uint64_t first = h + (std::rotr(e, 14) ^ std::rotr(e, 18) ^ std::rotr(e, 41)) + ((e & f) ^ (~e & g)) + kShaRounds[i] + schedule[i];
    const std::uint64_t second = (std::rotr(a, 28) ^ std::rotr(a, 34) ^ std::rotr(a, 39)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
  }
  state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e, state[5] + f, state[6] + g, state[7] + h};
}

// Blocks of 128 bytes, the last ones padded with 0x80, zeros and the length in bits.
std::string sha_digest(std::array<std::uint64_t, 8> state, std::string_view bytes, std::size_t size) {
  const std::size_t whole = bytes.size() / 128 * 128;
  for (std::size_t at = 0; at < whole; at += 128) add_sha_block(state, bytes.data() + at);
  std::array<char, 256> tail{};
  const std::size_t left = bytes.size() - whole;
  std::copy_n(bytes.data() + whole, left, tail.data());
  tail[left] = '\x80';
  const std::size_t end = left < 112 ? 128 : 256;
  const std::uint64_t bits = __builtin_bswap64(std::uint64_t{bytes.size()} * 8);
  std::memcpy(tail.data() + end - 8, &bits, 8);
  for (std::size_t at = 0; at < end; at += 128) add_sha_block(state, tail.data() + at);
  return hexadecimal(state.data(), size, true);
}

void permute(std::array<std::uint64_t, 25>& lanes) {
  for (const std::uint64_t constant : kKeccakRounds) {
    std::array<std::uint64_t, 5> parity;
    for (std::size_t x = 0; x < 5; ++x) parity[x] = lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20];
    for (std::size_t i = 0; i < 25; ++i) lanes[i] ^= parity[(i + 4) % 5] ^ std::rotl(parity[(i + 1) % 5], 1);
    // Rotation and new place of each lane follow one path through all but the first.
    std::size_t x = 1, y = 0;
    std::uint64_t moved = lanes[1];
    for (int step = 1; step <= 24; ++step) {
      const std::size_t next = (2 * x + 3 * y) % 5;
      x = std::exchange(y, next);
      moved = std::exchange(lanes[x + 5 * y], std::rotl(moved, step * (step + 1) / 2 % 64));
    }
    for (std::size_t row = 0; row < 25; row += 5) {
      std::array<std::uint64_t, 5> old;
      std::copy_n(lanes.begin() + static_cast<std::ptrdiff_t>(row), 5, old.begin());
      for (std::size_t i = 0; i < 5; ++i) lanes[row + i] = old[i] ^ (~old[(i + 1) % 5] & old[(i + 2) % 5]);
    }
    lanes[0] ^= constant;
  }
}

std::string keccak_digest(std::string_view bytes, std::size_t size) {
  std::array<std::uint64_t, 25> lanes{};
  const std::size_t rate = 200 - 2 * size;
  std::array<char, 200> block;
  for (bool last = false; !last; bytes.remove_prefix(std::min(rate, bytes.size()))) {
    last = bytes.size() < rate;
    block.fill(0);
    std::copy_n(bytes.data(), std::min(rate, bytes.size()), block.data());
    if (last) {
      block[bytes.size()] = 6;
      block[rate - 1] = static_cast<char>(block[rate - 1] | '\x80');
    }
    for (std::size_t i = 0; i < rate / 8; ++i) {
      std::uint64_t lane;
      std::memcpy(&lane, block.data() + 8 * i, 8);
      lanes[i] ^= lane;
    }
    permute(lanes);
  }
  return hexadecimal(lanes.data(), size, false);
}

// BLAKE2b (64-bit words, 12 rounds) and BLAKE2s (32-bit words, 10 rounds), without a key, digests of full length.
template <class Word>
std::string blake_digest(std::string_view bytes, std::array<Word, 8> initial, int rounds, std::array<int, 4> turns) {
  static constexpr std::uint8_t kOrder[10][16] = {
      {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
      {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
      {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
      {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
      {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};
  constexpr std::size_t kBlock = 16 * sizeof(Word);
  std::array<Word, 8> state = initial;
  state[0] ^= static_cast<Word>(0x01010000u ^ (8 * sizeof(Word)));
  std::uint64_t added = 0;
  for (bool last = false; !last;) {
    last = bytes.size() <= kBlock;
    std::array<Word, 16> message{};
    const std::size_t size = std::min(kBlock, bytes.size());
    if (size > 0) std::memcpy(message.data(), bytes.data(), size);
    bytes.remove_prefix(size);
    added += size;
    std::array<Word, 16> v;
    std::copy(state.begin(), state.end(), v.begin());
    std::copy(initial.begin(), initial.end(), v.begin() + 8);
    v[12] ^= static_cast<Word>(added);
    if constexpr (sizeof(Word) == 4) v[13] ^= static_cast<Word>(added >> 32);
    if (last) v[14] = ~v[14];
    for (int round = 0; round < rounds; ++round) {
      const std::uint8_t* const order = kOrder[round % 10];
      const auto mix = [&](std::size_t a, std::size_t b, std::size_t c, std::size_t d, std::size_t pair) {
        v[a] += v[b] + message[order[2 * pair]];
        v[d] = std::rotr(static_cast<Word>(v[d] ^ v[a]), turns[0]);
        v[c] += v[d];
        v[b] = std::rotr(static_cast<Word>(v[b] ^ v[c]), turns[1]);
        v[a] += v[b] + message[order[2 * pair + 1]];
        v[d] = std::rotr(static_cast<Word>(v[d] ^ v[a]), turns[2]);
        v[c] += v[d];
        v[b] = std::rotr(static_cast<Word>(v[b] ^ v[c]), turns[3]);
      };
      for (std::size_t i = 0; i < 4; ++i) mix(i, 4 + i, 8 + i, 12 + i, i);
      for (std::size_t i = 0; i < 4; ++i) mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, 4 + i);
    }
    for (std::size_t i = 0; i < 8; ++i) state[i] ^= v[i] ^ v[i + 8];
  }
  return hexadecimal(state.data(), 8 * sizeof(Word), false);
}

}  // namespace

std::optional<std::string> wide_digest_of(std::string_view name, std::string_view bytes) {
  if (name == "sha512") return sha_digest(kSquareRoots, bytes, 64);
  if (name == "sha384") return sha_digest(kNextSquareRoots, bytes, 48);
  if (name == "sha3_224") return keccak_digest(bytes, 28);
  if (name == "sha3_256") return keccak_digest(bytes, 32);
  if (name == "sha3_384") return keccak_digest(bytes, 48);
  if (name == "sha3_512") return keccak_digest(bytes, 64);
  if (name == "blake2b") return blake_digest<std::uint64_t>(bytes, kSquareRoots, 12, {32, 24, 16, 63});
  if (name == "blake2s") {
    std::array<std::uint32_t, 8> roots;
    for (std::size_t i = 0; i < 8; ++i) roots[i] = static_cast<std::uint32_t>(kSquareRoots[i] >> 32);
    return blake_digest<std::uint32_t>(bytes, roots, 10, {16, 12, 8, 7});
  }
  return std::nullopt;
}

}  // namespace mds
