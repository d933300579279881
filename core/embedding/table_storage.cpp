#include "embedding/table_storage.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/error.h"
#include "base/philox.h"

namespace rechost {
namespace {

constexpr std::int64_t kFloatsPerLine = 16;

/// Values of columns [4 * block, 4 * block + 4).
std::array<float, 4> starting_values(const Initializer& initializer, const Philox& random, std::int64_t row, std::int64_t block) {
  const double a = initializer.a;
  const double b = initializer.b;
  const Philox::Block words = random(static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(block));
  std::array<float, 4> values;
  if (initializer.kind == Initializer::Kind::kUniform) {
    for (std::size_t i = 0; i < 4; ++i) values[i] = static_cast<float>(a + (b - a) * uniform_float(words[i]));
  } else {
    for (std::size_t pair = 0; pair < 2; ++pair) {
      const std::array<float, 2> normal = normal_pair(words[2 * pair], words[2 * pair + 1]);
      values[2 * pair] = static_cast<float>(a + b * normal[0]);
      values[2 * pair + 1] = static_cast<float>(a + b * normal[1]);
    }
  }
  return values;
}

std::size_t storage_bytes(const TableConfig& config, std::int64_t stride) {
  return static_cast<std::size_t>(config.rows) * static_cast<std::size_t>(stride) * sizeof(float);
}

const TableConfig& checked(const TableConfig& config) {
  if (config.rows < 1 || config.dim < 1) {
    fail<ConfigError>("table \"{}\" has {} rows of dim {}; both must be at least 1", config.name, config.rows, config.dim);
  }
  if (config.rows > std::numeric_limits<std::int32_t>::max()) {
    fail<ConfigError>("table \"{}\" has {} rows; at most {} fit one table: hash its ids to fewer rows or split the feature", config.name,
                      config.rows, std::numeric_limits<std::int32_t>::max());
  }
  constexpr std::int64_t kMostFloats = std::int64_t{1} << 24;
  if (config.dim > kMostFloats) fail<ConfigError>("table \"{}\": dim {} is above the limit of {}", config.name, config.dim, kMostFloats);
  return config;
}

}  // namespace

std::int64_t row_stride(std::int64_t floats) {
  if (floats <= kFloatsPerLine) return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(floats)));
  const std::int64_t lines = (floats + kFloatsPerLine - 1) / kFloatsPerLine * kFloatsPerLine;
  if ((lines - floats) * 8 <= floats) return lines;
  return (floats + 3) / 4 * 4;
}

TableStorage::TableStorage(const TableConfig& config)
    : state_floats_(optimizer_state_floats(checked(config).optimizer.kind, config.dim)),
      stride_(row_stride(config.dim + state_floats_)),
      buffer_(storage_bytes(config, stride_), fmt::format("table \"{}\"", config.name)) {}

void TableStorage::fill(const TableConfig& config, std::uint64_t seed, ThreadPool& pool) {
  const OptimizerKind optimizer = config.optimizer.kind;
  const bool accumulates = optimizer == OptimizerKind::kAdagrad || optimizer == OptimizerKind::kRowwiseAdagrad;
  const float state = accumulates ? static_cast<float>(config.optimizer.initial_accumulator) : 0.0f;
  const Philox random(derive_seed(seed, name_seed(config.name)));
  // About a huge page of rows at a time: a page is then touched by one thread.
  const std::int64_t rows_per_chunk =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(HostBuffer::kAlignment / sizeof(float)) / stride_);
  float* const all_rows = rows();
  pool.parallel_for((config.rows + rows_per_chunk - 1) / rows_per_chunk, [&](std::int64_t chunk) {
    const std::int64_t end = std::min(config.rows, (chunk + 1) * rows_per_chunk);
    for (std::int64_t index = chunk * rows_per_chunk; index < end; ++index) {
      float* row = all_rows + index * stride_;
      if (config.initializer.kind == Initializer::Kind::kConstant) {
        std::fill_n(row, config.dim, static_cast<float>(config.initializer.a));
      } else {
        for (std::int64_t column = 0; column < config.dim; column += 4) {
          const std::array<float, 4> values = starting_values(config.initializer, random, config.first_row + index, column / 4);
          std::copy_n(values.begin(), std::min<std::int64_t>(4, config.dim - column), row + column);
        }
      }
      std::fill_n(row + config.dim, state_floats_, state);
      std::fill(row + config.dim + state_floats_, row + stride_, 0.0f);
    }
  });
}

}  // namespace rechost
