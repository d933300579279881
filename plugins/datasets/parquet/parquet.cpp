// Dataset plugin "parquet": Parquet files, read by Arrow's library. One row group is one chunk; of it only the wanted columns are decoded.
#include <algorithm>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "column_decoder.h"
#include "file_set.h"
#include "rechost/cxx/dataset.hpp"
#include "text/split_paths.h"
#include "text/text_file.h"

namespace parquet_loader {
namespace {

using rechost::ChunkBuilder;
using rechost::ColumnBuilder;
using rechost::Config;
using rechost::ConfigError;
using rechost::ReadRequest;

// Rows for which memory is taken ahead; a file that announces more has to show them first.
constexpr std::int64_t kMostReserved = 1 << 22;

class Parquet final : public rechost::Dataset {
 public:
  static std::vector<rechost::Option> options();

  static std::vector<std::string_view> splits(const Config& config) { return text::splits_by_path(config); }

  static std::unique_ptr<rechost::Dataset> open(const Config& config, std::string_view split) {
    const std::string option = text::path_option(config, split);
    return std::make_unique<Parquet>(config, text::files_of(config.get_path(option), option));
  }

  Parquet(const Config& config, const std::vector<std::string>& paths)
      : files_(paths, config.get_bool("bytes_are_text")), separator_(config.get_string("multi_hot_separator")), faults_(files_.chunks().size()) {
    if (separator_.empty()) throw ConfigError("multi_hot_separator must not be empty");
    std::vector<text::SourceColumn> sources;
    for (const Leaf& leaf : files_.leaves()) sources.push_back(leaf.declared);
    plan_ = text::plan_roles(config, sources, paths.front(), [this](std::size_t leaf) { return first_count(leaf); });
    std::vector<std::size_t> selected;
    for (const text::ColumnUse& use : plan_.uses) {
      const auto same_name = [&](const text::SourceColumn& source) { return source.name == sources[use.source].name; };
      if (std::count_if(sources.begin(), sources.end(), same_name) > 1)
        throw rechost::DataError("'" + paths.front() + "' has more than one column '" + sources[use.source].name + "'; give them names of their own");
      selected.push_back(use.source);
    }
    const bool guessed = config.get_string_list("dense").empty() && config.get_string_list("sparse").empty() && config.get_string_list("multi_hot").empty();
    files_.select(selected, guessed);
    for (std::size_t i = 0; i < plan_.uses.size(); ++i) {
      const text::ColumnUse& use = plan_.uses[i];
      const bool ids = use.meaning == text::Meaning::kId || use.meaning == text::Meaning::kText;
      if (ids && !files_.leaf(files_.chunks().front(), i).can_exceed) plan_.columns[use.first_column].dictionary = files_.is_mostly_dictionary(i);
    }
  }

  const std::vector<rechost::Column>& columns() const override { return plan_.columns; }
  std::int64_t chunk_count() const override { return static_cast<std::int64_t>(files_.chunks().size()); }
  std::int64_t chunk_rows(std::int64_t chunk) const override {
    if (chunk < 0 || chunk >= chunk_count()) throw rechost::Error("there is no chunk " + std::to_string(chunk));
    return files_.chunks()[static_cast<std::size_t>(chunk)].rows;
  }
  std::uint64_t fingerprint() const override { return files_.fingerprint(); }
  void prefetch(std::span<const std::int64_t> chunks) const override { files_.read_ahead(chunks); }

  void read_chunk(const ReadRequest& request, ChunkBuilder& output) const override {
    const auto number = static_cast<std::size_t>(request.chunk());
    const Chunk& chunk = files_.chunks()[number];
    std::shared_ptr<const Faults> known = known_faults(number);
    if (known == nullptr) {
      // Which rows are bad must not depend on the columns that are wanted, so the first read looks at all that can hold a bad value.
      known = std::make_shared<const Faults>(decode(chunk, output, {}, true));
      remember(number, known);
      if (!known->empty()) output.truncate(0);
    } else if (known->empty()) {
      decode(chunk, output, {}, false);
    }
    if (!known->empty()) {
      std::vector<bool> left_out(static_cast<std::size_t>(chunk.rows), false);
      for (const Fault& fault : *known) left_out[static_cast<std::size_t>(fault.row)] = true;
      decode(chunk, output, left_out, false);
    }
    for (const Fault& fault : *known)
      request.bad_row({fault.row, chunk.first_row + fault.row + 1, files_.path_of(chunk), fault.column, fault.reason, {}});
    output.set_rows(chunk.rows - static_cast<std::int64_t>(known->size()));
  }

  void show_rows(const ReadRequest& request, std::span<const std::int64_t> rows) const override {
    const auto& chunk = files_.chunks().at(static_cast<std::size_t>(request.chunk()));
    for (const std::int64_t row : rows) request.bad_row({row, chunk.first_row + row + 1, files_.path_of(chunk), {}, {}, {}});
  }

 private:
  using Faults = std::vector<Fault>;  // one for each bad row, in their order

  std::shared_ptr<const Faults> known_faults(std::size_t chunk) const {
    const std::lock_guard lock(mutex_);
    return faults_[chunk];
  }
  void remember(std::size_t chunk, const std::shared_ptr<const Faults>& faults) const {
    const std::lock_guard lock(mutex_);
    faults_[chunk] = faults;
  }

  // Decodes the wanted columns into `output`, with `check` also looks at the others that can hold a bad value. Returns the bad rows.
  Faults decode(const Chunk& chunk, ChunkBuilder& output, const std::vector<bool>& left_out, bool check) const {
    Faults faults;
    files_.read(chunk, [&](parquet::RowGroupReader& group, std::string& column) {
      for (std::size_t i = 0; i < plan_.uses.size(); ++i) {
        const text::ColumnUse& use = plan_.uses[i];
        const Leaf& leaf = files_.leaf(chunk, i);
        std::vector<ColumnBuilder*> builders;
        bool wanted = false;
        for (std::size_t k = 0; k < use.column_count; ++k) {
          builders.push_back(output.column(use.first_column + k));
          if (builders.back() != nullptr) builders.back()->reserve(static_cast<std::size_t>(std::min(chunk.rows, kMostReserved)));
          wanted = wanted || builders.back() != nullptr;
        }
        if (!wanted && !(check && can_fail(leaf, use.meaning))) continue;
        column = leaf.declared.name;
        ColumnDecoder decoder(use, &plan_.columns[use.first_column], leaf, separator_, std::move(builders), left_out);
        const std::int64_t rows = decoder.decode(group, faults);
        if (rows != chunk.rows)
          throw parquet::ParquetException("it has " + std::to_string(rows) + " rows, the row group " + std::to_string(chunk.rows));
      }
      column.clear();
    });
    // The first column with an objection speaks for the row.
    std::stable_sort(faults.begin(), faults.end(), [](const Fault& a, const Fault& b) { return a.row < b.row; });
    faults.erase(std::unique(faults.begin(), faults.end(), [](const Fault& a, const Fault& b) { return a.row == b.row; }), faults.end());
    return faults;
  }

  // Number of values in the first array of the first file that is not empty.
  std::size_t first_count(std::size_t position) const {
    const Leaf& leaf = files_.leaves()[position];
    std::size_t count = 0;
    for (const Chunk& chunk : files_.chunks()) {
      if (chunk.file != 0 || count > 0) break;
      files_.read(chunk, [&](parquet::RowGroupReader& group, std::string& column) {
        column = leaf.declared.name;
        LeafReader<double> reader(group, leaf);
        for (bool more = true; more && reader.next();)
          for (std::size_t entry = 0; entry < reader.size() && more; ++entry) {
            more = count == 0 || !reader.begins_row(entry);
            if (more) count += reader.has_element(entry);
          }
      });
    }
    if (count == 0)
      throw rechost::DataError("'" + files_.path_of(Chunk{}) + "', column '" + leaf.declared.name +
                               "': no row holds an array, so that its length is not known; leave the column out of dense");
    return count;
  }

  FileSet files_;
  std::string separator_;
  text::RolePlan plan_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const Faults>> faults_;  // [chunks], null until the chunk has been read
};

std::vector<rechost::Option> Parquet::options() {
  using namespace rechost;
  std::vector<Option> options{
      option_path("path", "file, folder or pattern (part-*.parquet), also s3:, a file also http:"),
      option_path("train_path", "the same as path, where there are other splits"),
      option_path("valid_path", "validation data"),
      option_path("test_path", "test data"),
      option_bool("bytes_are_text", false, "byte arrays that do not say what they hold are texts, as old writers leave them"),
  };
  for (Option& option : text::role_options()) options.push_back(std::move(option));
  return options;
}

}  // namespace
}  // namespace parquet_loader

RECHOST_PLUGIN("parquet", RECHOST_VERSION, rechost::dataset_module<parquet_loader::Parquet>("parquet", "Parquet files"))
