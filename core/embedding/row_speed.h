#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"
#include "base/thread_pool.h"
#include "kernels/optimizer.h"
#include "kernels/row_precision.h"

namespace rechost {

/// Rows that cost the same.
struct RowKind {
  std::int64_t dim = 0;
  OptimizerKind optimizer = OptimizerKind::kSgd;
  RowPrecision precision = RowPrecision::kFp32;
};

/// What looking up and updating rows of one kind costs on this machine, in nanoseconds, measured with the engine itself.
struct RowSpeed {
  /// Distinct rows all over tables that take so much memory together.
  struct Point {
    double bytes = 0.0;
    double lookup = 0.0;
    double update = 0.0;
  };
  std::vector<Point> points;  ///< bytes ascending
  // An id whose row the batch has read before: the row is near, the gradient is one more to add up.
  double repeated_lookup = 0.0;
  double repeated_update = 0.0;
  // For each table and step, whatever the batch.
  double table_lookup = 0.0;
  double table_update = 0.0;

  /// Between the points, and flat beyond them.
  double lookup(double bytes) const { return between(bytes, &Point::lookup); }
  double update(double bytes) const { return between(bytes, &Point::update); }

  Json to_json() const;
  /// Throws Error when it is none.
  static RowSpeed from_json(const Json& json);

 private:
  double between(double bytes, double Point::*cost) const;
};

/// With the threads of `pool`; takes about a second, and 300 MB for as long.
RowSpeed measure_row_speed(const RowKind& kind, ThreadPool& pool);

}  // namespace rechost
