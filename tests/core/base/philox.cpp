#include "base/philox.h"

#include <catch2/catch.hpp>

using namespace rechost;

TEST_CASE("philox gives the published numbers") {
  // Random123, kat_vectors: philox4x32 with 10 rounds.
  REQUIRE(Philox(0)(0, 0) == Philox::Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint64_t kOnes = ~std::uint64_t{0};
  REQUIRE(Philox(kOnes)(kOnes, kOnes) == Philox::Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  REQUIRE(Philox(0x299f31d0a4093822)(0x85a308d3243f6a88, 0x0370734413198a2e) ==
          Philox::Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("numbers made from words stay in their ranges") {
  REQUIRE(uniform_float(0) == 0.0f);
  REQUIRE(uniform_float(~0u) < 1.0f);
  REQUIRE(uniform_double(0) == 0.0);
  REQUIRE(uniform_double(~std::uint64_t{0}) < 1.0);
  REQUIRE(uniform_below(~std::uint64_t{0}, 10) == 9);
  REQUIRE(uniform_below(0, 10) == 0);
  const auto [first, second] = normal_pair(0, 0);  // the logarithm's worst case
  REQUIRE(first == Approx(6.6604f).epsilon(1e-4));
  REQUIRE(second == 0.0f);
}

TEST_CASE("seeds for different purposes differ") {
  REQUIRE(derive_seed(1, 0) != derive_seed(1, 1));
  REQUIRE(derive_seed(1, 0) != derive_seed(2, 0));
  REQUIRE(derive_seed(1, 1) == derive_seed(1, 1));
}

TEST_CASE("normal numbers have mean 0 and variance 1") {
  const Philox random(17);
  double sum = 0.0;
  double squares = 0.0;
  constexpr int kBlocks = 50000;
  for (std::uint64_t i = 0; i < kBlocks; ++i) {
    const Philox::Block words = random(i);
    for (const float value : normal_pair(words[0], words[1])) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
  }
  REQUIRE(std::abs(sum / (2 * kBlocks)) < 0.02);
  REQUIRE(squares / (2 * kBlocks) == Approx(1.0).epsilon(0.02));
}
