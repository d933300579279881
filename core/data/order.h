#pragma once

#include <cstdint>

namespace rechost {

/// A bijection of [0, size) that needs no memory: a four-round Feistel network on the next even power of two, walked until the value
/// falls inside ("cycle walking"; Black & Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). Different for each key.
class Permutation {
 public:
  Permutation(std::uint64_t size, std::uint64_t key);
  std::uint64_t operator()(std::uint64_t index) const;
  std::uint64_t size() const { return size_; }

 private:
  std::uint64_t size_;
  std::uint64_t key_;
  int half_bits_;
};

}  // namespace rechost
