#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace rechost {

/// How a dense feature is brought to a common scale: (value - offset) * factor, with numbers learnt from the training rows.
struct DenseScaling {
  enum class Kind { kNone, kStandardise, kMinMax };

  Kind kind = Kind::kNone;
  double offset = 0.0;
  double factor = 1.0;

  /// "standardise", "min_max"; anything else is kNone.
  static Kind parse(std::string_view text);
  static const char* name(Kind kind);

  /// [rows] bits of floats: NaN, which stands for a missing value until then, becomes `default_value` as it is; the others are scaled.
  void apply(std::span<std::uint32_t> words, float default_value) const;
  void apply(std::uint32_t& word, float default_value) const;
};

/// What is learnt for it. Merged in the order of chunks, so that the sums are the same for any number of threads.
class DenseMoments {
 public:
  /// Adds the values of the rows whose split is `wanted`. [rows] bits of floats, NaN: missing; [rows] splits.
  void add(std::span<const std::uint32_t> words, std::span<const std::uint8_t> splits, std::uint8_t wanted);
  /// Adds the values of later rows.
  void merge(const DenseMoments& later);
  /// A column without values, or of one value, is only shifted.
  DenseScaling scaling(DenseScaling::Kind kind) const;

 private:
  std::int64_t count_ = 0;
  double mean_ = 0.0;
  double squares_ = 0.0;  ///< sum of squared distances to the mean
  double least_ = 0.0;
  double most_ = 0.0;
};

}  // namespace rechost
