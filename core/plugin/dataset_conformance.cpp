#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>

#include "data/column_values.h"
#include "plugin/arrow_schema.h"
#include "plugin/check_report.h"
#include "plugin/dataset_instance.h"

namespace rechost {
namespace {

constexpr std::int64_t kMostChunks = 16;
constexpr int kReaders = 4;

/// Mixes bytes into a running sum (FNV-1a).
std::uint64_t mixed(std::uint64_t sum, const void* bytes, std::size_t size) {
  const auto* byte = static_cast<const unsigned char*>(bytes);
  for (std::size_t i = 0; i < size; ++i) sum = (sum ^ byte[i]) * 1099511628211ull;
  return sum;
}

/// Any value as a number; text as its length.
double number_at(const ColumnView& view, std::int64_t element) {
  if (view.type == ValueType::kString) return static_cast<double>(view.string(element).size());
  double number = 0.0;
  with_numbers(view, [&](auto read) { number = static_cast<double>(read(element)); });
  return number;
}

/// Calls `visit` for each element of the column, row by row, leaving out nulls.
template <typename Visit>
void for_each_element(const ColumnView& view, Visit&& visit) {
  for (std::int64_t row = 0; row < view.rows; ++row) {
    if (!view.valid(row)) continue;
    const std::int64_t first = view.is_list() ? view.list_begin(row) : row;
    const std::int64_t last = view.is_list() ? view.list_begin(row + 1) : row + 1;
    for (std::int64_t element = first; element < last; ++element) visit(row, element);
  }
}

/// One number for the content of a column; equal content gives equal sums however it is laid out.
std::uint64_t sum_of(const ColumnView& view) {
  std::uint64_t sum = mixed(14695981039346656037ull, &view.rows, sizeof(view.rows));
  for_each_element(view, [&](std::int64_t row, std::int64_t element) {
    sum = mixed(sum, &row, sizeof(row));
    if (view.type == ValueType::kString) {
      const std::string_view text = view.string(element);
      sum = mixed(sum, text.data(), text.size());
    } else if (view.type == ValueType::kBool) {
      const double value = number_at(view, element);
      sum = mixed(sum, &value, sizeof(value));
    } else {
      sum =
          mixed(sum, static_cast<const char*>(view.values) + static_cast<std::size_t>(view.place(element)) * width_of(view.type), width_of(view.type));
    }
  });
  return sum;
}

/// One split with the sums of its first chunks, by chunk and column.
struct Split {
  std::string name;
  std::unique_ptr<ChunkSource> source;
  std::vector<std::vector<std::uint64_t>> sums;

  std::vector<std::uint32_t> all_columns() const {
    std::vector<std::uint32_t> columns(source->columns().size());
    std::iota(columns.begin(), columns.end(), 0u);
    return columns;
  }
  std::int64_t chunks() const { return std::min(source->chunk_count(), kMostChunks); }
};

std::unique_ptr<ChunkData> read(const Split& split, std::int64_t chunk, std::span<const std::uint32_t> wanted) {
  return split.source->read(chunk, wanted, [](BadRow&&) {});
}

std::vector<std::uint64_t> sums_of(const ChunkData& data) {
  std::vector<std::uint64_t> sums;
  for (const ColumnView& view : data.columns()) sums.push_back(sum_of(view));
  return sums;
}

void require_sums(const Split& split, std::int64_t chunk, std::span<const std::uint32_t> wanted, std::span<const std::uint64_t> found,
                  std::string_view how) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (found[i] == split.sums[static_cast<std::size_t>(chunk)][wanted[i]]) continue;
    fail<PluginError>("chunk {} of \"{}\": column \"{}\" is different {}", chunk, split.name, split.source->columns()[wanted[i]].name, how);
  }
}

void check_values(const ColumnInfo& column, const ColumnView& view, std::int64_t chunk) {
  for_each_element(view, [&](std::int64_t row, std::int64_t element) {
    const double value = number_at(view, element);
    const auto refuse = [&](std::string_view why) {
      fail<PluginError>("chunk {}, row {}: column \"{}\" is {}, {}", chunk, row, column.name, value, why);
    };
    if (column.cardinality && !(value >= 0 && value < static_cast<double>(*column.cardinality))) {
      refuse(fmt::format("outside of its cardinality {}", *column.cardinality));
    }
    if (column.role == ColumnRole::kLabel && !std::isfinite(value)) refuse("a label must be finite");
    if (column.role == ColumnRole::kLabel && column.label_kind == LabelKind::kBinary && value != 0.0 && value != 1.0) {
      refuse("a binary label must be 0 or 1");
    }
    if (column.role == ColumnRole::kWeight && !(value >= 0.0 && std::isfinite(value))) refuse("a weight must be finite and not negative");
  });
}

std::string read_all(Split& split) {
  const std::vector<std::uint32_t> columns = split.all_columns();
  std::int64_t rows = 0;
  for (std::int64_t chunk = 0; chunk < split.chunks(); ++chunk) {
    const auto data = read(split, chunk, columns);
    rows += data->rows();
    for (std::size_t i = 0; i < columns.size(); ++i) check_values(split.source->columns()[i], data->columns()[i], chunk);
    split.sums.push_back(sums_of(*data));
  }
  return fmt::format("{} rows in {} of {} chunks", rows, split.chunks(), split.source->chunk_count());
}

std::string check_projections(const Split& split) {
  std::vector<std::uint32_t> reversed = split.all_columns();
  std::reverse(reversed.begin(), reversed.end());
  for (std::int64_t chunk = 0; chunk < std::min<std::int64_t>(split.chunks(), 2); ++chunk) {
    require_sums(split, chunk, reversed, sums_of(*read(split, chunk, reversed)), "when columns are asked for in reverse");
    for (const std::uint32_t column : reversed) {
      const std::uint32_t one[] = {column};
      require_sums(split, chunk, one, sums_of(*read(split, chunk, one)), "when asked for alone");
    }
    read(split, chunk, {});
  }
  return "";
}

std::string check_concurrency(const Split& split) {
  const std::vector<std::uint32_t> columns = split.all_columns();
  std::mutex mutex;
  std::exception_ptr failure;
  std::vector<std::thread> readers;
  for (int reader = 0; reader < kReaders; ++reader) {
    readers.emplace_back([&, reader] {
      try {
        // Each begins elsewhere, so that now the same and now different chunks are read at once.
        for (std::int64_t i = 0; i < split.chunks(); ++i) {
          const std::int64_t chunk = (i + reader) % split.chunks();
          require_sums(split, chunk, columns, sums_of(*read(split, chunk, columns)), "when several threads read");
        }
      } catch (...) {
        const std::scoped_lock lock(mutex);
        failure = std::current_exception();
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  if (failure != nullptr) std::rethrow_exception(failure);
  return fmt::format("{} threads", kReaders);
}

std::string check_opened_again(const DatasetInstance& dataset, const Split& split) {
  Split again{.name = split.name, .source = dataset.open(split.name), .sums = {}};
  if (again.source->fingerprint() != split.source->fingerprint())
    fail<PluginError>("the fingerprint is another one though nothing changed");
  if (again.source->chunk_count() != split.source->chunk_count()) fail<PluginError>("the number of chunks is another one");
  const std::vector<std::uint32_t> columns = again.all_columns();
  if (again.chunks() > 0) require_sums(split, 0, columns, sums_of(*read(again, 0, columns)), "when opened a second time");
  return "";
}

}  // namespace

void check_dataset(const Module& module, const ConfigNode& given, CheckReport& report) {
  std::optional<DatasetInstance> dataset;
  std::vector<std::string> names;
  const bool usable = report.run("options are accepted", [&] {
    dataset.emplace(module, ModuleOptions(module, given, {.section = "data", .seed = 1, .threads = 1, .lookup = {}}));
    return fmt::format("{} options", module.options().size());
  }) && report.run("list_splits", [&] {
    names = dataset->list_splits();
    return fmt::format("{}", fmt::join(names, ", "));
  });
  if (!usable) return;
  for (const std::string& name : names) {
    Split split{.name = name, .source = {}, .sums = {}};
    const auto titled = [&](std::string_view check) { return fmt::format("{}: {}", name, check); };
    const bool read = report.run(titled("opens"), [&] {
      split.source = dataset->open(name);
      return fmt::format("{} columns", split.source->columns().size());
    }) && report.run(titled("chunks hold what is declared"), [&] { return read_all(split); });
    if (!read) continue;
    report.run(titled("any columns in any order"), [&] { return check_projections(split); });
    report.run(titled("several threads at once"), [&] { return check_concurrency(split); });
    report.run(titled("opens again the same"), [&] { return check_opened_again(*dataset, split); });
  }
}

}  // namespace rechost
