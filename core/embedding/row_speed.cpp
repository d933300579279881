#include "embedding/row_speed.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "base/cache_line.h"
#include "base/error.h"
#include "base/philox.h"
#include "base/time.h"
#include "embedding/engine.h"
#include "embedding/file_rows.h"
#include "embedding/prepared_ids.h"
#include "embedding/table_storage.h"

namespace rechost {
namespace {

/// Tables in the nearest cache, in the cache that cores share, and in memory.
constexpr double kTableBytes[] = {1 << 20, 1 << 24, 1 << 28};
/// A batch's rows of one table.
constexpr std::int64_t kIds = 4096;
constexpr std::int64_t kTables = 8;
constexpr int kRounds = 3;
/// What the model's work between a lookup and an update drives from the caches of a core, at a large and at a small batch.
constexpr std::size_t kMuchBetween = 32 << 20;
constexpr std::size_t kLittleBetween = 2 << 20;

TableConfig table_of(const RowKind& kind, std::int64_t rows) {
  TableConfig table;
  table.name = "calibration";
  table.rows = rows;
  table.dim = kind.dim;
  table.precision = kind.precision;
  table.initializer = {Initializer::Kind::kConstant, 0.01, 0.0};
  table.optimizer.kind = kind.optimizer;
  return table;
}

/// Reads a byte of each cache line.
void pass_over(const std::vector<char>& room) {
  int sum = 0;
  for (std::size_t at = 0; at < room.size(); at += kCacheLineBytes) sum += room[at];
  volatile int kept = sum;
  static_cast<void>(kept);
}

/// Some tables that a model reads one id a sample of, as one block, and a few batches of ids for them.
class Bench {
 public:
  /// Each table has `rows` rows, of which ids are drawn.
  Bench(const RowKind& kind, std::int64_t rows, std::int64_t ids, std::int64_t batches, std::size_t between, ThreadPool& pool)
      : pool_(pool), between_(between, 1), engine_(std::vector<TableConfig>(static_cast<std::size_t>(kTables), table_of(kind, rows)), lookups(), {block()}, 1, pool), prepared_(static_cast<std::size_t>(batches)) {
    const Philox random(derive_seed(7, static_cast<std::uint64_t>(rows)));
    std::uint64_t drawn = 0;
    for (PreparedIds& batch : prepared_) {
      std::vector<std::vector<std::int32_t>> columns(kTables);
      std::vector<IdColumnView> views;
      for (std::vector<std::int32_t>& column : columns) {
        for (std::int64_t i = 0; i < ids; ++i) column.push_back(static_cast<std::int32_t>(random(drawn++)[0] % static_cast<std::uint64_t>(rows)));
        views.push_back({.ids = column, .offsets = {}, .rows = ids, .name = "calibration"});
      }
      engine_.prepare(views, batch, pool);
    }
    for (std::size_t t = 0; t < kTables; ++t) distinct_ += static_cast<double>(engine_.unique_rows(prepared_.front(), t).size());
    outputs_.resize(static_cast<std::size_t>(kTables * ids * kind.dim), 0.0F);
    gradients_.resize(outputs_.size(), 1e-3F);
  }

  double ids() const { return static_cast<double>(outputs_.size()) / static_cast<double>(engine_.table(0).dim); }
  double distinct() const { return distinct_; }  ///< rows of a batch

  /// Nanoseconds for a batch as a step finds the caches; the median, as what disturbs now and then makes it longer.
  double lookup() {
    float* const outputs[] = {outputs_.data()};
    return usual([&](const PreparedIds& batch) { engine_.forward(batch, outputs, pool_); });
  }
  double update() {
    const float* const gradients[] = {gradients_.data()};
    EmbeddingEngine::UpdateSettings settings;
    return usual([&](const PreparedIds& batch) { engine_.update(batch, gradients, settings, pool_); });
  }

 private:
  static std::vector<LookupConfig> lookups() {
    std::vector<LookupConfig> all;
    for (std::size_t t = 0; t < kTables; ++t) all.push_back({.table = t, .id_column = t, .pooling = Pooling::kSum});
    return all;
  }
  static BlockConfig block() {
    BlockConfig all;
    for (std::size_t t = 0; t < kTables; ++t) all.lookups.push_back(t);
    return all;
  }

  template <typename Body>
  double usual(const Body& body) {
    std::vector<double> times;
    for (int round = 0; round <= kRounds; ++round) {
      for (const PreparedIds& batch : prepared_) {
        pool_.parallel_for(pool_.size(), [&](std::int64_t) { pass_over(between_); });
        const auto begin = std::chrono::steady_clock::now();
        body(batch);
        if (round > 0) times.push_back(1e9 * seconds_since(begin));  // the first warms up
      }
    }
    const auto middle = times.begin() + std::ssize(times) / 2;
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
  }

  ThreadPool& pool_;
  std::vector<char> between_;
  EmbeddingEngine engine_;
  std::vector<PreparedIds> prepared_;
  double distinct_ = 0.0;
  std::vector<float> outputs_;
  std::vector<float> gradients_;
};

}  // namespace

double RowSpeed::between(double bytes, double Point::*cost) const {
  const auto above = std::find_if(points.begin(), points.end(), [&](const Point& point) { return point.bytes >= bytes; });
  if (above == points.begin()) return points.front().*cost;
  if (above == points.end()) return points.back().*cost;
  const Point& below = *(above - 1);
  const double share = std::log(bytes / below.bytes) / std::log(above->bytes / below.bytes);
  return below.*cost + share * ((*above).*cost - below.*cost);
}

Json RowSpeed::to_json() const {
  Json json = Json::object();
  json["points"] = Json::array();
  for (const Point& point : points) json["points"].push_back({point.bytes, point.lookup, point.update});
  json["repeated"] = {repeated_lookup, repeated_update};
  json["table"] = {table_lookup, table_update};
  return json;
}

RowSpeed RowSpeed::from_json(const Json& json) {
  RowSpeed speed;
  for (const Json& point : json.at("points")) speed.points.push_back({point.at(0), point.at(1), point.at(2)});
  if (speed.points.empty()) fail("a speed of rows without a point");
  speed.repeated_lookup = json.at("repeated").at(0);
  speed.repeated_update = json.at("repeated").at(1);
  speed.table_lookup = json.at("table").at(0);
  speed.table_update = json.at("table").at(1);
  return speed;
}

RowSpeed measure_row_speed(const RowKind& kind, ThreadPool& pool) {
  RowSpeed speed;
  const auto row_bytes = static_cast<double>(table_bytes(table_of(kind, 1)).memory);
  {
    // One row for all: nothing but what a call costs.
    Bench calls(kind, 1, 1, 16, kLittleBetween, pool);
    speed.table_lookup = calls.lookup() / kTables;
    speed.table_update = calls.update() / kTables;
  }
  {
    constexpr std::int64_t kHotRows = 16;
    Bench hot(kind, kHotRows, kIds, 4, kMuchBetween, pool);
    speed.repeated_lookup = std::max(0.0, hot.lookup() - kTables * speed.table_lookup) / hot.ids();
    speed.repeated_update = std::max(0.0, hot.update() - kTables * speed.table_update) / hot.ids();
  }
  for (const double bytes : kTableBytes) {
    const auto rows = std::max<std::int64_t>(kIds / 4, static_cast<std::int64_t>(bytes / row_bytes) / kTables);
    // Enough batches that the rows of one are no longer near when its turn comes again.
    const auto batches = std::clamp<std::int64_t>(2 * rows / kIds, 2, 32);
    Bench bench(kind, rows, kIds, batches, kMuchBetween, pool);
    const double repeated = bench.ids() - bench.distinct();
    RowSpeed::Point point;
    point.bytes = static_cast<double>(rows * kTables) * row_bytes;
    point.lookup = std::max(0.0, bench.lookup() - kTables * speed.table_lookup - repeated * speed.repeated_lookup) / bench.distinct();
    point.update = std::max(0.0, bench.update() - kTables * speed.table_update - repeated * speed.repeated_update) / bench.distinct();
    speed.points.push_back(point);
  }
  return speed;
}

FileRowSpeed measure_file_row_speed(const RowKind& kind, const std::filesystem::path& directory, ThreadPool& pool) {
  constexpr std::int64_t kFileBytes = 1 << 28;
  const TableConfig row = table_of(kind, 1);
  const std::int64_t stride = row_stride(value_floats(row) + optimizer_state_floats(kind.optimizer, kind.dim));
  const std::int64_t rows = std::max<std::int64_t>(4 * kIds, kFileBytes / (stride * static_cast<std::int64_t>(sizeof(float))));
  FileRows file(directory, row.name, rows, stride, kIds);
  const std::vector<float> values(static_cast<std::size_t>(kIds * stride), 0.01F);
  for (std::int64_t i = 0; i < rows; i += kIds) file.write(i, std::min(kIds, rows - i), values.data());
  const Philox random(11);
  std::uint64_t drawn = 0;
  std::vector<std::int32_t> slots(static_cast<std::size_t>(kIds));
  const auto draw = [&] {
    std::vector<std::int32_t> batch;
    for (std::int64_t i = 0; i < kIds; ++i) batch.push_back(static_cast<std::int32_t>(random(drawn++)[0] % static_cast<std::uint64_t>(rows)));
    std::sort(batch.begin(), batch.end());
    batch.erase(std::unique(batch.begin(), batch.end()), batch.end());
    return batch;
  };
  const auto use = [&](const std::vector<std::int32_t>& batch) {
    const auto begin = std::chrono::steady_clock::now();
    file.expect(batch);
    file.find(batch, slots.data());
    file.load(pool);
    const double each = 1e9 * seconds_since(begin) / static_cast<double>(batch.size());
    file.mark_changed(std::span(slots).first(batch.size()));
    return each;
  };
  FileRowSpeed speed;
  use(draw());
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<std::int32_t> batch = draw();
    const double in_pages = use(batch);
    const double cached = use(batch);
    file.forget_pages();
    const double on_disk = use(draw());
    if (round == 0 || in_pages < speed.in_pages) speed.in_pages = in_pages;
    if (round == 0 || cached < speed.cached) speed.cached = cached;
    if (round == 0 || on_disk < speed.on_disk) speed.on_disk = on_disk;
  }
  return speed;
}

double expected_misses(std::span<const std::int64_t> counts, std::int64_t rows, std::int64_t cached, double ids, double distinct) {
  if (cached >= rows || ids <= 0.0) return 0.0;
  double total = 0.0;
  for (const std::int64_t count : counts) total += static_cast<double>(count);
  if (total == 0.0) return distinct * (1.0 - static_cast<double>(cached) / static_cast<double>(rows));
  std::vector<std::int64_t> sorted(counts.begin(), counts.end());
  const auto kept = sorted.begin() + std::min<std::ptrdiff_t>(cached, std::ssize(sorted));
  std::nth_element(sorted.begin(), kept, sorted.end(), std::greater<>());
  // A row that a part p of all ids reads is in a batch of n of them with 1 - (1 - p)^n.
  const auto in_batch = [&](std::int64_t count) { return -std::expm1(ids * std::log1p(-std::min(1.0 - 1e-12, static_cast<double>(count) / total))); };
  double all = 0.0;
  double missing = 0.0;
  for (auto at = sorted.begin(); at != sorted.end(); ++at) {
    all += in_batch(*at);
    if (at >= kept) missing += in_batch(*at);
  }
  return all > 0.0 ? distinct * missing / all : 0.0;
}

}  // namespace rechost
