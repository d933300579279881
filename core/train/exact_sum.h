#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace rechost {

/// Sum of doubles without rounding until the end: the result does not depend on the order of the terms, nor on how they were spread over
/// threads or ranks. A fixed-point number wide enough for every double, in 32-bit digits held in 64-bit words so that carries can wait.
/// Neal, "Fast Exact Summation Using Small and Large Superaccumulators", arXiv:1505.05571.
class ExactSum {
 public:
  /// NaN and infinities are counted, not added: see finite().
  void add(double term);
  void add(const ExactSum& other);

  /// The exact sum, rounded once.
  double value() const;

  /// False when a term was NaN or infinite; value() is then that of the other terms.
  bool finite() const { return !tainted_; }

  /// For sending: pack into 64-bit words (exactly kWords), and back.
  static constexpr std::size_t kWords = 70;
  void pack(std::span<std::int64_t, kWords> words) const;
  static ExactSum unpack(std::span<const std::int64_t, kWords> words);

 private:
  static constexpr std::size_t kDigits = kWords - 1;
  void carry();

  std::array<std::int64_t, kDigits> digits_{};
  std::uint32_t adds_since_carry_ = 0;
  bool tainted_ = false;
};

}  // namespace rechost
