#include "embedding/table_storage.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <span>
#include <vector>

#include "base/cache_line.h"
#include "base/error.h"
#include "base/philox.h"

namespace rechost {
namespace {

/// A huge page of them: one thread then touches it first.
constexpr auto kFloatsAtOnce = static_cast<std::int64_t>(HostBuffer::kAlignment / sizeof(float));

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

void draw_row(const Initializer& initializer, const Philox& random, std::int64_t row, std::int64_t first_column, std::span<float> values) {
  for (std::size_t column = 0; column < values.size(); column += 4) {
    const std::array<float, 4> drawn = starting_values(initializer, random, row, first_column / 4 + static_cast<std::int64_t>(column / 4));
    std::copy_n(drawn.begin(), std::min<std::size_t>(4, values.size() - column), values.begin() + static_cast<std::ptrdiff_t>(column));
  }
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

std::int64_t value_floats(const TableConfig& table) { return row_value_floats(table.precision, table.dim); }

std::int64_t row_stride(std::int64_t floats) {
  if (floats <= kFloatsPerLine) return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(floats)));
  const std::int64_t lines = (floats + kFloatsPerLine - 1) / kFloatsPerLine * kFloatsPerLine;
  if ((lines - floats) * 8 <= floats) return lines;
  return (floats + 3) / 4 * 4;
}

std::int64_t cached_rows(const TableConfig& config) {
  constexpr std::int64_t kShare = 16;
  return std::clamp<std::int64_t>(config.cached_rows > 0 ? config.cached_rows : config.rows / kShare, 1, config.rows);
}

std::int64_t row_bytes(const TableConfig& config) {
  const std::int64_t floats = value_floats(config) + optimizer_state_floats(config.optimizer.kind, config.dim);
  return row_stride(floats) * static_cast<std::int64_t>(sizeof(float));
}

TableBytes table_bytes(const TableConfig& config) {
  const std::int64_t stride = row_bytes(checked(config)) / static_cast<std::int64_t>(sizeof(float));
  const std::uint64_t all = storage_bytes(config, stride);
  if (!config.in_file()) return {.memory = all, .file = 0};
  return {.memory = FileRows::memory_bytes(config.rows, stride, cached_rows(config)), .file = all};
}

TableStorage::TableStorage(const TableConfig& config)
    : dim_(checked(config).dim),
      precision_(config.precision),
      value_floats_(rechost::value_floats(config)),
      state_floats_(optimizer_state_floats(config.optimizer.kind, config.dim)),
      stride_(row_stride(value_floats_ + state_floats_)),
      buffer_(config.in_file() ? 0 : storage_bytes(config, stride_), fmt::format("table \"{}\"", config.name)) {
  if (config.in_file()) file_ = std::make_unique<FileRows>(config.file_directory, config.name, config.rows, stride_, cached_rows(config));
}

/// Fills rows with their starting values and state. One for each thread.
class TableStorage::RowStarter {
 public:
  RowStarter(const TableConfig& config, std::uint64_t seed)
      : config_(config),
        random_(derive_seed(seed, name_seed(config.name))),
        values_(static_cast<std::size_t>(config.dim), static_cast<float>(config.initializer.a)) {
    const OptimizerKind optimizer = config.optimizer.kind;
    const bool accumulates = optimizer == OptimizerKind::kAdagrad || optimizer == OptimizerKind::kRowwiseAdagrad;
    state_ = accumulates ? static_cast<float>(config.optimizer.initial_accumulator) : 0.0f;
  }

  void start(const TableStorage& storage, float* row, std::int64_t number) {
    if (config_.initializer.kind != Initializer::Kind::kConstant) draw_row(config_.initializer, random_, number, config_.first_column, values_);
    std::fill_n(row, storage.stride_, 0.0f);
    if (narrow_values(config_.precision, values_.data(), config_.dim, row) < config_.dim) {
      fail<ConfigError>("table \"{}\": its starting values go beyond {}, the largest of {}; use a smaller init_scale, or bf16 or fp32", config_.name,
                        largest_value(config_.precision), row_precision_name(config_.precision));
    }
    std::fill_n(row + storage.value_floats_, storage.state_floats_, state_);
  }

 private:
  const TableConfig& config_;
  Philox random_;
  std::vector<float> values_;
  float state_ = 0.0f;
};

template <bool kChange, typename Use>
void TableStorage::for_each_part(std::int64_t first, std::int64_t count, const Use& use) const {
  if (!file_) {
    use(first, count, const_cast<float*>(rows()) + first * stride_);
    return;
  }
  const std::int64_t rows_at_once = std::min(count, std::max<std::int64_t>(1, kFloatsAtOnce / stride_));
  std::vector<float> copy(static_cast<std::size_t>(rows_at_once * stride_));
  for (const std::int64_t end = first + count; first < end; first += rows_at_once) {
    const std::int64_t part = std::min(rows_at_once, end - first);
    file_->read(first, part, copy.data());
    use(first, part, copy.data());
    if constexpr (kChange) file_->write(first, part, copy.data());
  }
}

void TableStorage::fill(const TableConfig& config, std::uint64_t seed, ThreadPool& pool) {
  const std::int64_t rows_per_chunk = std::max<std::int64_t>(1, kFloatsAtOnce / stride_);
  pool.parallel_for((config.rows + rows_per_chunk - 1) / rows_per_chunk, [&](std::int64_t chunk) {
    RowStarter starter(config, seed);
    const std::int64_t begin = chunk * rows_per_chunk;
    for_each_part<true>(begin, std::min(rows_per_chunk, config.rows - begin), [&](std::int64_t first, std::int64_t count, float* rows) {
      for (std::int64_t i = 0; i < count; ++i) starter.start(*this, rows + i * stride_, config.number_of(first + i));
    });
  });
}

void TableStorage::start_rows(const TableConfig& config, std::uint64_t seed, std::span<const std::int32_t> rows, std::span<const std::int64_t> numbers) {
  RowStarter starter(config, seed);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for_each_part<true>(rows[i], 1, [&](std::int64_t, std::int64_t, float* row) { starter.start(*this, row, numbers[i]); });
  }
}

void TableStorage::read(std::int64_t first, std::int64_t count, float* rows, float* state) const {
  for_each_part<false>(first, count, [&](std::int64_t part, std::int64_t part_count, const float* row) {
    for (std::int64_t i = part - first; i < part - first + part_count; ++i, row += stride_) {
      if (rows != nullptr) widen_values(precision_, row, dim_, rows + i * dim_);
      if (state != nullptr) std::copy_n(row + value_floats_, state_floats_, state + i * state_floats_);
    }
  });
}

std::int64_t TableStorage::write(std::int64_t first, std::int64_t count, const float* rows, const float* state) {
  std::int64_t written = 0;
  for_each_part<true>(first, count, [&](std::int64_t part, std::int64_t part_count, float* row) {
    for (std::int64_t i = part - first; i < part - first + part_count && written == i; ++i, row += stride_) {
      if (rows != nullptr && narrow_values(precision_, rows + i * dim_, dim_, row) < dim_) return;
      if (state != nullptr) std::copy_n(state + i * state_floats_, state_floats_, row + value_floats_);
      ++written;
    }
  });
  return written;
}

}  // namespace rechost
