#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/philox.h"
#include "bench/arguments.h"
#include "kernels/optimizer.h"
#include "kernels/row_precision.h"

namespace rechost::bench {

constexpr std::size_t kFeatures = 26;

struct Options : Arguments {
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::int64_t batch = 2048;
  std::int64_t rows = 1000000;
  double memory_gib = 4.0;
};

/// What has to be made anew for each.
struct TableLayout {
  OptimizerKind optimizer = OptimizerKind::kRowwiseAdagrad;
  std::int64_t dim = 16;
  std::size_t tables = kFeatures;  ///< fewer than features: neighbours share one
  RowPrecision precision = RowPrecision::kFp32;

  std::size_t table_of(std::size_t feature) const { return feature * tables / kFeatures; }
  bool shared() const { return tables < kFeatures; }
  /// FBGEMM has no Adam for the CPU.
  bool has_peer() const { return optimizer != OptimizerKind::kAdam; }
  /// How many times FBGEMM's speed an update is to reach: most where it uses its scalar path.
  double update_target() const { return shared() || precision != RowPrecision::kFp32 ? 4.0 : optimizer == OptimizerKind::kSgd ? 2.0 : 3.0; }
};
constexpr double kLookupTarget = 1.3;
constexpr double kLimitTarget = 0.7;

struct Point {
  std::int64_t ids_per_sample = 1;
  bool zipf = false;

  std::string name(const TableLayout& layout) const {
    const std::string precision = layout.precision == RowPrecision::kFp32 ? "" : fmt::format("/{}", row_precision_name(layout.precision));
    return fmt::format("{}{}/D{}/L{}/{}{}", optimizer_name(layout.optimizer), precision, layout.dim, ids_per_sample, zipf ? "zipf1.05" : "uniform",
                       layout.shared() ? "/shared" : "");
  }
};

inline std::vector<TableLayout> table_layouts() {
  std::vector<TableLayout> layouts;
  for (const OptimizerKind optimizer : {OptimizerKind::kRowwiseAdagrad, OptimizerKind::kSgd, OptimizerKind::kAdagrad, OptimizerKind::kAdam}) {
    for (const std::int64_t dim : {16, 64, 128}) layouts.push_back({optimizer, dim});
    if (optimizer == OptimizerKind::kRowwiseAdagrad) layouts.push_back({optimizer, 64, kFeatures / 2});
  }
  for (const std::int64_t dim : {16, 64, 128}) layouts.push_back({OptimizerKind::kRowwiseAdagrad, dim, kFeatures, RowPrecision::kFp16});
  for (const OptimizerKind optimizer : {OptimizerKind::kSgd, OptimizerKind::kAdagrad}) layouts.push_back({optimizer, 64, kFeatures, RowPrecision::kFp16});
  return layouts;
}

inline std::vector<Point> points_of(const TableLayout& layout) {
  if (layout.shared()) return {{10, false}, {10, true}};
  return {{1, false}, {1, true}, {10, false}, {10, true}};
}

/// Ids of rank r with probability proportional to r^-1.05, by the inverse of the continuous distribution, scattered over the table.
inline std::int32_t zipf_id(double uniform, std::int64_t rows) {
  constexpr double kExponent = 1.05;
  const double last = std::pow(static_cast<double>(rows), 1.0 - kExponent);
  const double rank = std::pow(1.0 - uniform * (1.0 - last), 1.0 / (1.0 - kExponent)) - 1.0;
  const auto whole = std::min<std::uint64_t>(static_cast<std::uint64_t>(rank), static_cast<std::uint64_t>(rows - 1));
  return static_cast<std::int32_t>(whole * 0x9E3779B97F4A7C15ull % static_cast<std::uint64_t>(rows));
}

/// Ids of the features for one step.
using StepIds = std::vector<std::vector<std::int32_t>>;

/// Others at each call: a row must not be in the cache because the last step left it there.
class IdSource {
 public:
  StepIds next(const Point& point, std::int64_t count, std::int64_t rows) {
    StepIds columns(kFeatures);
    for (auto& column : columns) {
      for (std::int64_t i = 0; i < count; ++i) {
        const std::uint64_t word = random_.word64(counter_++);
        column.push_back(point.zipf ? zipf_id(uniform_double(word), rows) : static_cast<std::int32_t>(uniform_below(word, static_cast<std::uint64_t>(rows))));
      }
    }
    return columns;
  }

 private:
  const Philox random_{42};
  std::uint64_t counter_ = 0;
};

}  // namespace rechost::bench
