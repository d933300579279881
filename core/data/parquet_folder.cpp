#include "data/parquet_folder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <type_traits>

#include <dlfcn.h>

#include "base/error.h"
#include "base/file.h"
#include "data/column_values.h"

namespace rechost {

namespace {

struct Codec {
  std::string_view name;
  int least, most;  // level; none where both are 0
};
constexpr std::array<Codec, 6> kCodecs{{{"none", 0, 0}, {"snappy", 0, 0}, {"lz4", 0, 0}, {"gz", 1, 9}, {"br", 0, 11}, {"zstd", 1, 22}}};

WriteParquet open_writer(const std::filesystem::path& module) {
  // RTLD_LOCAL: not one of Arrow's symbols may meet those of another library. Stays open as long as the process.
  void* const library = dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail("cannot open {}, which writes Parquet and comes with the package rechost-models: {}", module.string(), dlerror());
  void* const function = dlsym(library, kWriteParquet);
  if (function == nullptr) fail("{} is not a module of this rechost that writes Parquet: {}", module.string(), dlerror());
  return reinterpret_cast<WriteParquet>(function);
}

std::uint64_t value_bytes(ValueType type) {
  switch (type) {
    case ValueType::kBool:
    case ValueType::kInt8:
    case ValueType::kUint8: return 1;
    case ValueType::kInt16:
    case ValueType::kUint16: return 2;
    case ValueType::kInt64:
    case ValueType::kFloat64: return 8;
    default: return 4;  // texts: their length
  }
}

/// Looks at one column of a chunk: what each row takes up, and whether the loader would read each value as what it is.
class ColumnCheck {
 public:
  ColumnCheck(const ColumnInfo& info, const ColumnView& view, std::int64_t first_row) : info_(info), view_(view), first_row_(first_row) {}

  /// Adds to bytes[row - begin] for all rows from `begin` on.
  void add_sizes(std::int64_t begin, std::vector<std::uint64_t>& bytes) {
    const std::uint64_t width = value_bytes(info_.type);
    const auto measure = [&](auto&& bytes_of) {
      for (row_ = begin; row_ < view_.rows; ++row_) {
        std::uint64_t& row = bytes[static_cast<std::size_t>(row_ - begin)];
        if (!info_.is_list) {
          row += view_.valid(row_) ? bytes_of(row_) : missing(width);
          continue;
        }
        row += 4;
        if (!view_.valid(row_)) continue;
        for (std::int64_t element = view_.list_begin(row_); element < view_.list_begin(row_ + 1); ++element) row += bytes_of(element);
      }
    };
    if (info_.type == ValueType::kString) return measure([&](std::int64_t element) { return text_bytes(view_.string(element)); });
    with_numbers(view_, [&](auto read) {
      measure([&](std::int64_t element) {
        if constexpr (std::is_floating_point_v<decltype(read(element))>) {
          if (std::isnan(read(element))) refuse("NaN", "because it is read as a missing number");
        }
        return width;
      });
    });
  }

 private:
  [[noreturn]] void refuse(std::string_view value, std::string_view reason) const {
    fail<DataError>("row {}, column '{}': {} cannot be written, {}", first_row_ + row_, info_.name, value, reason);
  }

  std::uint64_t missing(std::uint64_t width) const {
    if (info_.type == ValueType::kString && info_.role != ColumnRole::kSparse) refuse("a missing text", "only ids may be missing");
    return width;
  }

  std::uint64_t text_bytes(std::string_view text) const {
    const bool id = info_.role == ColumnRole::kSparse || info_.role == ColumnRole::kCandidates;
    if (text.empty() && (id || info_.is_list)) refuse("an empty text", "because it is read as a missing id");
    return 4 + text.size();
  }

  const ColumnInfo& info_;
  const ColumnView& view_;
  const std::int64_t first_row_;
  std::int64_t row_ = 0;
};

}  // namespace

ParquetCompression parquet_compression(const std::string& name) {
  const std::size_t colon = name.find(':');
  for (const Codec& codec : kCodecs) {
    if (name.substr(0, colon) != codec.name) continue;
    if (colon == std::string::npos) return {std::string(codec.name), std::nullopt};
    int level = 0;
    const char* const end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + colon + 1, end, level);
    if (error == std::errc{} && stop == end && codec.most > 0 && level >= codec.least && level <= codec.most) return {std::string(codec.name), level};
  }
  fail<ConfigError>("compression '{}': for Parquet it is none, snappy, lz4, gz, gz:1 to gz:9, br, br:0 to br:11, zstd, or zstd:1 to zstd:22", name);
}

void ParquetRows::add_to(ShardRows& other, std::int64_t begin, std::int64_t end) const {
  auto& target = static_cast<ParquetRows&>(other);
  const std::uint64_t moved = target.end_of(target.rows()) - end_of(begin);  // modulo 2^64
  for (std::int64_t row = begin; row < end; ++row) target.ends.push_back(end_of(row + 1) + moved);
  std::int64_t before = 0;  // rows in the slices before
  for (const ChunkSlice& slice : slices) {
    const std::int64_t rows = slice.end - slice.begin;
    const std::int64_t from = std::max(begin - before, std::int64_t{0}), to = std::min(end - before, rows);
    if (from < to) target.slices.push_back({slice.chunk, slice.begin + from, slice.begin + to});
    before += rows;
  }
}

ParquetFolder::ParquetFolder(std::filesystem::path path, std::vector<ColumnInfo> columns, ParquetOptions options, const std::filesystem::path& module)
    : ShardFolder(std::move(path)), columns_(std::move(columns)), options_(std::move(options)), write_(open_writer(module)) {
  if (columns_.empty()) fail<ConfigError>("{}: there is no column to write", this->path().string());
  std::vector<std::string_view> names;
  for (const ColumnInfo& column : columns_) names.push_back(column.name);
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) fail<ConfigError>("two columns are called '{}'", *twice);
}

std::unique_ptr<ShardRows> ParquetFolder::rows_of(const ChunkSource&, std::shared_ptr<const ChunkData> chunk, std::int64_t first_row, std::int64_t begin) const {
  auto rows = std::make_unique<ParquetRows>();
  rows->ends.assign(static_cast<std::size_t>(chunk->rows() - begin), 0);
  for (std::size_t i = 0; i < columns_.size(); ++i) ColumnCheck(columns_[i], chunk->columns()[i], first_row).add_sizes(begin, rows->ends);
  std::uint64_t end = 0;
  for (std::uint64_t& each : rows->ends) each = end += each;
  const std::int64_t last = chunk->rows();
  if (begin < last) rows->slices.push_back({std::move(chunk), begin, last});
  return rows;
}

Shard ParquetFolder::write(const ShardRows& gathered, std::int64_t number, std::int64_t first_row) const {
  Shard shard{.number = number, .first_row = first_row, .rows = gathered.rows(), .file = fmt::format("shard.{:05}.parquet", number)};
  std::string file;
  write_(columns_, static_cast<const ParquetRows&>(gathered).slices, options_.compression, file);
  write_file(shard, file);
  return shard;
}

void ParquetFolder::finish(std::span<const Shard>) const { write_file_atomically(path() / finished_by(), ""); }

}  // namespace rechost
