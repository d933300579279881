// Dataset plugin "mds": shards in version 2 of the format of MosaicML's StreamingDataset. One shard is one chunk.
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "column_plan.h"
#include "rechost/cxx/dataset.hpp"
#include "rechost/cxx/files.hpp"
#include "shard_data.h"
#include "text/split_paths.h"

namespace mds {
namespace {

using rechost::ChunkBuilder;
using rechost::ColumnBuilder;
using rechost::Config;
using rechost::ConfigError;
using rechost::ReadRequest;

class Mds final : public rechost::Dataset {
 public:
  static std::vector<rechost::Option> options();

  static std::vector<std::string_view> splits(const Config& config) { return text::splits_by_path(config); }

  static std::unique_ptr<rechost::Dataset> open(const Config& config, std::string_view split) {
    const std::string option = text::path_option(config, split);
    return std::make_unique<Mds>(config, option);
  }

  Mds(const Config& config, const std::string& option)
      : index_(read_index(config.get_path(option), option)),
        check_hashes_(config.get_bool("check_hashes")),
        plan_(config, index_, [this](std::size_t column) { return first_count(column); }) {}
  ~Mds() override { rechost::read_ahead(this, {}); }

  const std::vector<rechost::Column>& columns() const override { return plan_.columns(); }
  std::int64_t chunk_count() const override { return static_cast<std::int64_t>(index_.shards.size()); }
  std::int64_t chunk_rows(std::int64_t chunk) const override {
    if (chunk < 0 || chunk >= chunk_count()) throw rechost::Error("there is no chunk " + std::to_string(chunk));
    return index_.shards[static_cast<std::size_t>(chunk)].samples;
  }
  // The index holds sizes and, where the writer made any, hashes of every file.
  std::uint64_t fingerprint() const override { return index_.fingerprint; }

  void read_chunk(const ReadRequest& request, ChunkBuilder& output) const override {
    const auto number = static_cast<std::size_t>(request.chunk());
    const std::int64_t samples = index_.shards[number].samples;
    if (samples == 0) return output.set_rows(0);
    ShardData shard(index_, number, check_hashes_);
    std::vector<ColumnBuilder*> builders;
    for (std::size_t position = 0; position < columns().size(); ++position) {
      builders.push_back(output.column(position));
      if (builders.back() != nullptr) builders.back()->reserve(static_cast<std::size_t>(samples));
    }
    if (const auto stride = shard.stride(); stride && plan_.strided()) {
      const auto decode = [&](const char* first, std::size_t count) { return plan_.decode_strided(first, *stride, count, builders.data()); };
      if (shard.each_piece(decode)) return output.set_rows(samples);
      output.truncate(0);
    }
    std::vector<std::string_view> payloads;
    std::int64_t good_rows = 0;
    for (std::int64_t sample = 0; sample < samples; ++sample) {
      shard.sample(sample, payloads);
      text::Fault fault;
      if (plan_.decode(payloads, builders.data(), fault)) {
        ++good_rows;
        continue;
      }
      output.truncate(good_rows);
      const std::string reason = "sample " + std::to_string(sample) + " of the shard: " + fault.reason;
      request.bad_row({sample, 0, shard.path(), fault.column, reason, shard.bytes_of(sample)});
    }
    output.set_rows(good_rows);
  }

  void show_rows(const ReadRequest& request, std::span<const std::int64_t> rows) const override {
    ShardData shard(index_, static_cast<std::size_t>(request.chunk()), check_hashes_);
    for (const std::int64_t row : rows) request.bad_row({row, 0, shard.path(), {}, {}, shard.bytes_of(row)});
  }

  void prefetch(std::span<const std::int64_t> chunks) const override {
    std::vector<rechost::WantedFile> wanted;
    for (const std::int64_t chunk : chunks) {
      const Shard& shard = index_.shards[static_cast<std::size_t>(chunk)];
      if (shard.samples == 0) continue;
      const ShardFile& file = file_of(shard);
      wanted.push_back({file.path, expectation_of(file, check_hashes_)});
    }
    rechost::read_ahead(this, wanted);
  }

 private:
  std::size_t first_count(std::size_t column) const {
    const auto first = std::find_if(index_.shards.begin(), index_.shards.end(), [](const Shard& each) { return each.samples > 0; });
    ShardData shard(index_, static_cast<std::size_t>(first - index_.shards.begin()), check_hashes_);
    std::vector<std::string_view> payloads;
    shard.sample(0, payloads);
    ArrayView array;
    const std::string reason = view_array(index_.encodings[column], payloads[column], array);
    if (!reason.empty()) throw rechost::DataError("'" + shard.path() + "', sample 0, column '" + index_.names[column] + "': " + reason);
    if (array.count == 0) throw rechost::DataError("'" + shard.path() + "', sample 0, column '" + index_.names[column] + "': an empty array");
    return array.count;
  }

  Index index_;
  bool check_hashes_;
  ColumnPlan plan_;
};

std::vector<rechost::Option> Mds::options() {
  using namespace rechost;
  std::vector<Option> options{
      option_path("path", "folder (a path, s3:, http:) with index.json and its shards, or a folder of such folders"),
      option_path("train_path", "the same as path, where there are other splits"),
      option_path("valid_path", "validation data"),
      option_path("test_path", "test data"),
      option_int("null_integer", INT64_MIN, "this integer stands for a missing id, and alone in an array for none"),
      option_bool("check_hashes", true, "check the hashes that the index has before a shard is used"),
  };
  for (Option& option : text::role_options()) options.push_back(std::move(option));
  return options;
}

}  // namespace
}  // namespace mds

RECHOST_PLUGIN("mds", RECHOST_VERSION, rechost::dataset_module<mds::Mds>("mds", "shards of MosaicML's StreamingDataset"))
