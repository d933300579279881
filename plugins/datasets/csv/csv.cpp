// Dataset plugin "csv": tables in text files, with columns picked by name.
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "column_plan.h"
#include "rechost/cxx/dataset.hpp"
#include "text/decode_chunk.h"
#include "text/entities.h"
#include "text/split_paths.h"

namespace csv {
namespace {

using rechost::ChunkBuilder;
using rechost::ColumnBuilder;
using rechost::Config;
using rechost::ConfigError;
using rechost::ReadRequest;

text::RowFormat row_format(const Config& config) {
  text::RowFormat format;
  format.delimiter = config.get_string("delimiter");
  if (format.delimiter.empty() || format.delimiter.find('"') != std::string::npos || format.delimiter.find('\n') != std::string::npos)
    throw ConfigError("delimiter must be a text without quotes and line ends, such as \",\" or \"\\t\"");
  format.quoted = config.get_bool("quoted");
  format.header_lines = config.get_bool("header") ? 1 : 0;
  return format;
}

// Names of the fields: from the header, which must be the same in all files, or from the options.
std::vector<std::string> field_names(const Config& config, const std::vector<std::string>& paths) {
  const std::vector<std::string>& given = config.get_string_list("columns");
  if (!config.get_bool("header")) {
    if (given.empty()) throw ConfigError("header = false needs columns: the names of the fields, in order");
    return given;
  }
  if (!given.empty()) throw ConfigError("columns is for files without a header: set header = false, or leave columns out");
  const text::RowFormat format = row_format(config);
  std::string first;
  const text::FilesAhead ahead(paths);
  for (const std::string& path : paths) {
    const std::string header = text::head_of(path, format, 1).at(0);
    if (path == paths.front()) first = header;
    if (header != first) throw rechost::DataError("'" + path + "' and '" + paths.front() + "' do not have the same header");
  }
  text::FieldSplitter splitter(format);
  // The splitter looks a little past the end of what it splits.
  const std::string padded = first + std::string(16, '\0');
  if (!splitter.split({padded.data(), first.size()})) throw rechost::DataError("'" + paths.front() + "', header: " + splitter.error());
  if (const std::string objection = text::objection_to_record(first); !objection.empty())
    throw rechost::DataError("'" + paths.front() + "', header: " + objection);
  return {splitter.fields().begin(), splitter.fields().end()};
}

class Csv final : public rechost::Dataset {
 public:
  static std::vector<rechost::Option> options();

  static std::vector<std::string_view> splits(const Config& config) { return text::splits_by_path(config); }

  static std::unique_ptr<rechost::Dataset> open(const Config& config, std::string_view split) {
    const std::string option = text::path_option(config, split);
    return std::make_unique<Csv>(config, text::files_of(config.get_path(option), option));
  }

  Csv(const Config& config, const std::vector<std::string>& paths)
      : plan_(config, field_names(config, paths), paths.front()), source_(paths, row_format(config), config.get_int("chunk_rows")) {}

  const std::vector<rechost::Column>& columns() const override { return plan_.columns(); }
  std::int64_t chunk_count() const override { return source_.chunk_count(); }
  std::int64_t chunk_rows(std::int64_t chunk) const override { return source_.chunk_rows(chunk); }
  std::uint64_t fingerprint() const override { return source_.fingerprint(); }
  void prefetch(std::span<const std::int64_t> chunks) const override { source_.read_ahead(chunks); }

  void read_chunk(const ReadRequest& request, ChunkBuilder& output) const override {
    std::vector<ColumnBuilder*> builders;
    for (std::size_t position = 0; position < columns().size(); ++position) {
      builders.push_back(output.column(position));
      if (builders.back() != nullptr) builders.back()->reserve(static_cast<std::size_t>(chunk_rows(request.chunk())));
    }
    text::decode_chunk(source_, request, output, [&](const std::vector<std::string_view>& fields, text::Fault& fault) {
      return plan_.decode(fields, builders.data(), fault);
    });
  }

  void show_rows(const ReadRequest& request, std::span<const std::int64_t> rows) const override { text::show_rows(source_, request, rows); }

 private:
  ColumnPlan plan_;
  text::RowSource source_;
};

std::vector<rechost::Option> Csv::options() {
  using namespace rechost;
  std::vector<Option> options{
      option_path("path", "file, folder or pattern (part-*.csv.gz), also s3:, a file also http:; plain, gzip or zstd"),
      option_path("train_path", "the same as path, where there are other splits"),
      option_path("valid_path", "validation data"),
      option_path("test_path", "test data"),
      option_string("delimiter", ",", "what stands between fields"),
      option_bool("quoted", true, "fields may stand in double quotes (RFC 4180)"),
      option_bool("header", true, "the first line of each file names its fields"),
      option_string_list("columns", {}, "header = false: the names of the fields, in order"),
      option_string_list("label", {"label"}, "label columns, each with its own kind if need be (\"price:regression\"); [] = none, for prediction"),
      option_string("label_kind", "binary", "what labels without a kind of their own are").choices({"binary", "regression", "multiclass"}),
      option_string_list("dense", {}, "columns with numbers"),
      option_string_list("sparse", {}, "columns with one id"),
      option_string_list("multi_hot", {}, "columns with any number of ids"),
      option_string("multi_hot_separator", "|", "what stands between the ids of a multi_hot column, and the numbers of id_weights"),
      option_string_list("id_weights", {}, "columns with a number for each id of a multi_hot column: see features.<name>.weights"),
      option_string_list("integer", {}, "which of the sparse, multi_hot and id columns hold integers; the others are texts"),
      option_string("weight", "", "column with the weight of the row"),
      option_string("time", "", "column with the time, an integer"),
      option_string_list("id", {}, "columns that are carried along and not learned from"),
      option_string_list("null_values", {""}, "texts that stand for a missing value"),
      option_int("chunk_rows", 65'536, "rows decoded at once").range(1, 1 << 24),
  };
  for (Option& option : text::entity_options()) options.push_back(std::move(option));
  return options;
}

}  // namespace
}  // namespace csv

RECHOST_PLUGIN("csv", RECHOST_VERSION, rechost::dataset_module<csv::Csv>("csv", "tables in text files, with columns picked by name"))
