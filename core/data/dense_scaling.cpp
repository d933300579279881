#include "data/dense_scaling.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace rechost {

DenseScaling::Kind DenseScaling::parse(std::string_view text) {
  for (const Kind kind : {Kind::kStandardise, Kind::kMinMax}) {
    if (text == name(kind)) return kind;
  }
  return Kind::kNone;
}

const char* DenseScaling::name(Kind kind) {
  switch (kind) {
    case Kind::kNone: return "none";
    case Kind::kStandardise: return "standardise";
    case Kind::kMinMax: return "min_max";
  }
  return "";
}

void DenseScaling::apply(std::uint32_t& word, float default_value) const {
  const auto value = std::bit_cast<float>(word);
  word = std::bit_cast<std::uint32_t>(std::isnan(value) ? default_value : static_cast<float>((static_cast<double>(value) - offset) * factor));
}

void DenseScaling::apply(std::span<std::uint32_t> words, float default_value) const {
  for (std::uint32_t& word : words) apply(word, default_value);
}

void DenseMoments::add(std::span<const std::uint32_t> words, std::span<const std::uint8_t> splits, std::uint8_t wanted) {
  DenseMoments chunk;
  double sum = 0.0;
  const auto for_each = [&](auto&& body) {
    for (std::size_t row = 0; row < words.size(); ++row) {
      const auto value = static_cast<double>(std::bit_cast<float>(words[row]));
      if (splits[row] == wanted && !std::isnan(value)) body(value);
    }
  };
  for_each([&](double value) {
    chunk.least_ = chunk.count_ == 0 ? value : std::min(chunk.least_, value);
    chunk.most_ = chunk.count_ == 0 ? value : std::max(chunk.most_, value);
    ++chunk.count_;
    sum += value;
  });
  if (chunk.count_ == 0) return;
  chunk.mean_ = sum / static_cast<double>(chunk.count_);
  for_each([&](double value) { chunk.squares_ += (value - chunk.mean_) * (value - chunk.mean_); });
  merge(chunk);
}

/// Chan, Golub, LeVeque 1979: exact in reals, and no large sums that cancel.
void DenseMoments::merge(const DenseMoments& later) {
  if (later.count_ == 0) return;
  if (count_ == 0) {
    *this = later;
    return;
  }
  const auto left = static_cast<double>(count_);
  const auto right = static_cast<double>(later.count_);
  const double distance = later.mean_ - mean_;
  squares_ += later.squares_ + distance * distance * left * right / (left + right);
  mean_ += distance * right / (left + right);
  least_ = std::min(least_, later.least_);
  most_ = std::max(most_, later.most_);
  count_ += later.count_;
}

DenseScaling DenseMoments::scaling(DenseScaling::Kind kind) const {
  DenseScaling made{kind, 0.0, 1.0};
  if (kind == DenseScaling::Kind::kNone || count_ == 0) return made;
  const bool standardise = kind == DenseScaling::Kind::kStandardise;
  const double width = standardise ? std::sqrt(squares_ / static_cast<double>(count_)) : most_ - least_;
  made.offset = standardise ? mean_ : least_;
  if (width > 0.0) made.factor = 1.0 / width;
  return made;
}

}  // namespace rechost
