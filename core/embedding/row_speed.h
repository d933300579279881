#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
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

/// With the threads of `pool`; takes some seconds, and 300 MB for as long.
RowSpeed measure_row_speed(const RowKind& kind, ThreadPool& pool);

/// What the rows of a table in a file cost besides what rows in memory do, in nanoseconds for each distinct row of a batch.
struct FileRowSpeed {
  double cached = 0.0;   ///< one that is in the cache
  double in_pages = 0.0;  ///< one that is not, while the system has its page in memory; another row makes room and is written
  double on_disk = 0.0;  ///< the same when its page has to be read
};

/// Of rows of that kind in `directory`, with the threads of `pool`; writes 256 MiB there and takes as long as the disk does. Throws Error as FileRows.
FileRowSpeed measure_file_row_speed(const RowKind& kind, const std::filesystem::path& directory, ThreadPool& pool);

/// How many of the distinct rows of a step that reads `ids` ids, `distinct` of them, will not be among `cached` rows in memory: those read most often by
/// `counts`, as good as a cache can become; without counts (empty) rows are read equally often.
double expected_misses(std::span<const std::int64_t> counts, std::int64_t rows, std::int64_t cached, double ids, double distinct);

}  // namespace rechost
