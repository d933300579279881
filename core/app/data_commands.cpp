#include "app/data_commands.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include "app/command.h"
#include "app/data_loader.h"
#include "app/environment.h"
#include "app/output_file.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host.h"
#include "base/json.h"
#include "base/log.h"
#include "data/bad_rows.h"
#include "data/column_names.h"
#include "data/column_values.h"
#include "data/statistics.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

bool is_binary_label(const ColumnInfo& column) { return column.role == ColumnRole::kLabel && column.label_kind == LabelKind::kBinary; }

bool leaks(const ColumnStatistics& column) { return column.label_auc && std::max(*column.label_auc, 1.0 - *column.label_auc) >= kLeakAuc; }

/// At most `most` bytes, and no cut through a character.
std::string shortened(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

/// One element as it stands in a CSV file.
std::string element_text(const ColumnView& column, std::int64_t element) {
  if (column.type != ValueType::kString) {
    std::string text;
    with_numbers(column, [&](auto read) { text = fmt::format("{}", read(element)); });
    return text;
  }
  const std::string_view text = column.string(element);
  if (text.find_first_of(",\"\n\r|") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char character : text) quoted += character == '"' ? "\"\"" : std::string(1, character);
  return quoted + "\"";
}

std::string cell_text(const ColumnView& column, std::int64_t row) {
  if (!column.valid(row)) return "";
  if (!column.is_list()) return element_text(column, row);
  std::string text;
  for (std::int64_t element = column.list_begin(row); element < column.list_begin(row + 1); ++element) {
    if (element > column.list_begin(row)) text += '|';
    text += element_text(column, element);
  }
  return text;
}

void write_csv(ChunkSource& source, const fs::path& path) {
  OutputFile file(path.string(), OutputFile::Existing::kRefuse);
  std::string text;
  for (const ColumnInfo& column : source.columns()) text += (text.empty() ? "" : ",") + column.name;
  text += '\n';
  const auto wanted = all_columns(source);
  std::int64_t rows = 0;
  for (std::int64_t chunk = 0; chunk < source.chunk_count(); ++chunk) {
    const auto data = source.read(chunk, wanted, [](BadRow&& row) { throw DataError(row.source + ": " + row.reason); });
    for (std::int64_t row = 0; row < data->rows(); ++row) {
      for (std::size_t column = 0; column < wanted.size(); ++column) {
        if (column > 0) text += ',';
        text += cell_text(data->columns()[column], row);
      }
      text += '\n';
    }
    rows += data->rows();
    file.write(text);
    text.clear();
  }
  file.finish();
  print(fmt::format("{}  {} rows\n", path.string(), count_text(rows)));
}

}  // namespace

int data_synth_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_loader_options(visible, "synthetic");
  visible.add_options()("rows", options::value<std::int64_t>(), "training rows")("out,o", options::value<std::string>(), "folder to make");
  options::positional_options_description positional;
  positional.add("out", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("data", "synth"), arguments, visible, positional, values)) return kDone;
  if (values.count("out") == 0) throw UsageError("where to? rechost data synth FOLDER");
  if (values.count("rows") != 0) {
    auto settings = values["set"].as<std::vector<std::string>>();
    settings.push_back(fmt::format("data.rows={}", values["rows"].as<std::int64_t>()));
    values.at("set").value() = settings;
  }
  const Loader loader = open_loader(values);
  const fs::path folder = fs::absolute(values["out"].as<std::string>());
  fs::create_directories(folder);
  const auto splits = loader.instance->list_splits();
  std::vector<std::pair<std::string, fs::path>> csv_paths;
  for (const std::string& split : splits) csv_paths.emplace_back(split, folder / (split + ".csv"));
  std::string config;
  for (const std::string& split : splits) {
    const auto source = loader.instance->open(split);
    write_csv(*source, folder / (split + ".csv"));
    if (config.empty()) config = "# Written by rechost data synth; use it with: rechost run --plugin dlrm --config <this file>\n" +
                                  loader_config(*source, "csv", csv_paths);
    if (const auto best = source->best_auc()) print(fmt::format("best reachable auc on {}: {:.4f}\n", split, *best));
  }
  const fs::path config_path = folder / "data.toml";
  write_file_atomically(config_path, config);
  print(fmt::format("{}  configuration to train on it\n", config_path.string()));
  return kDone;
}

namespace {

/// The first rows of a split, as far as the first chunk has them, and what the loader says of its columns.
struct Glance {
  std::int64_t rows = 0;
  std::unique_ptr<ChunkData> data;
  std::int64_t bad_rows = 0;
  std::vector<BadRow> first_bad_rows;
};

Glance glance_at(ChunkSource& source) {
  constexpr std::size_t kShownBadRows = 5;
  Glance glance;
  for (std::int64_t chunk = 0; chunk < source.chunk_count(); ++chunk) glance.rows += source.chunk_rows(chunk);
  if (source.chunk_count() == 0) return glance;
  glance.data = source.read(0, all_columns(source), [&](BadRow&& row) {
    ++glance.bad_rows;
    if (glance.first_bad_rows.size() < kShownBadRows) glance.first_bad_rows.push_back(std::move(row));
  });
  return glance;
}

Json glance_json(const std::string& split, const ChunkSource& source, const Glance& glance, std::int64_t shown_rows) {
  Json entry = Json::object();
  entry["split"] = split;
  entry["rows"] = glance.rows;
  entry["chunks"] = source.chunk_count();
  entry["bad_rows_in_first_chunk"] = glance.bad_rows;
  entry["columns"] = Json::array();
  for (std::size_t column = 0; column < source.columns().size(); ++column) {
    const ColumnInfo& info = source.columns()[column];
    Json described = Json::object();
    described["column"] = info.name;
    described["role"] = name_of(info.role);
    described["type"] = name_of(info.type);
    described["list"] = info.is_list;
    described["nullable"] = info.nullable;
    described["entity"] = info.entity;
    described["cardinality"] = info.cardinality ? Json(*info.cardinality) : Json(nullptr);
    described["first_values"] = Json::array();
    for (std::int64_t row = 0; glance.data != nullptr && row < std::min(shown_rows, glance.data->rows()); ++row) {
      const ColumnView& view = glance.data->columns()[column];
      described["first_values"].push_back(view.valid(row) ? Json(cell_text(view, row)) : Json(nullptr));
    }
    entry["columns"].push_back(std::move(described));
  }
  return entry;
}

}  // namespace

int data_inspect_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_loader_options(visible, nullptr);
  visible.add_options()("rows", options::value<std::int64_t>()->default_value(5), "how many rows to show");
  add_output_option(visible);
  options::variables_map values;
  if (!parse_arguments(find_command("data", "inspect"), arguments, visible, {}, values)) return kDone;
  const bool json = wants_json(values);
  const auto shown_rows = values["rows"].as<std::int64_t>();
  const Loader loader = open_loader(values);
  for (const std::string& split : loader.instance->list_splits()) {
    const auto source = loader.instance->open(split);
    const Glance glance = glance_at(*source);
    for (const BadRow& row : glance.first_bad_rows) log_warning("{}", describe(split, row));
    if (glance.bad_rows > static_cast<std::int64_t>(glance.first_bad_rows.size())) {
      log_warning("{}: {} bad rows in the first chunk; rechost data verify lists all", split, count_text(glance.bad_rows));
    }
    if (json) {
      print(json_line(glance_json(split, *source, glance, shown_rows)) + "\n");
      continue;
    }
    print(fmt::format("split {}: {} rows in {} chunks\n", split, count_text(glance.rows), count_text(source->chunk_count())));
    print(fmt::format("  {:<20} {:<10} {:<10} {:<6} first rows\n", "column", "role", "type", "entity"));
    for (std::size_t column = 0; column < source->columns().size(); ++column) {
      const ColumnInfo& info = source->columns()[column];
      std::string shown;
      for (std::int64_t row = 0; glance.data != nullptr && row < std::min(shown_rows, glance.data->rows()); ++row) {
        const std::string cell = cell_text(glance.data->columns()[column], row);
        shown += (row == 0 ? "" : "  ") + (cell.empty() ? "-" : shortened(cell, 40));
      }
      const std::string type = fmt::format("{}{}{}", info.is_list ? "list " : "", name_of(info.type), info.nullable ? "?" : "");
      print(fmt::format("  {:<20} {:<10} {:<10} {:<6} {}{}\n", info.name, name_of(info.role), type, info.entity,
                        info.cardinality ? fmt::format("[0, {})  ", *info.cardinality) : "", shown));
    }
  }
  return kDone;
}

namespace {

Json statistics_json(const std::string& split, const ColumnStatistics& column) {
  Json entry = Json::object();
  entry["split"] = split;
  entry["column"] = column.column.name;
  entry["role"] = name_of(column.column.role);
  entry["type"] = name_of(column.column.type);
  entry["rows"] = column.rows;
  entry["missing_share"] = column.missing_share();
  entry["distinct"] = column.distinct;
  entry["distinct_is_exact"] = column.distinct_is_exact;
  if (column.column.is_list) {
    entry["elements"] = column.elements;
    entry["longest_list"] = column.longest_list;
  }
  if (column.is_number()) {
    entry["min"] = column.minimum;
    entry["mean"] = column.mean;
    entry["max"] = column.maximum;
    entry["not_finite"] = column.not_finite;
  }
  if (is_binary_label(column.column)) entry["label_rate"] = column.mean;
  entry["label_auc"] = column.label_auc ? Json(*column.label_auc) : Json(nullptr);
  entry["leak"] = leaks(column);
  Json top = Json::array();
  for (const auto& [value, count] : column.top_values) top.push_back(Json::array({value, count}));
  entry["top_values"] = std::move(top);
  entry["top_shares"] = Json::object();
  std::int64_t size = 1;
  for (const double share : column.top_shares) {
    entry["top_shares"][std::to_string(size)] = share;
    size *= 10;
  }
  return entry;
}

/// "12% 48% 93%": what the 1, 10, 100, ... most frequent values have of all.
std::string skew_text(const ColumnStatistics& column) {
  std::string text;
  for (const double share : column.top_shares) text += fmt::format("{}{:.0f}%", text.empty() ? "" : " ", 100 * share);
  return text;
}

void print_statistics(const std::string& split, const SplitStatistics& statistics) {
  print(fmt::format("split {}: {} rows, {} could not be read\n", split, count_text(statistics.rows), count_text(statistics.bad_rows)));
  print(fmt::format("  {:<20} {:<8} {:>8} {:>12}  {:>12} {:>12} {:>12} {:>6}  {:<28}  {}\n", "column", "role", "missing", "distinct", "min", "mean", "max", "auc",
                    "share of top 1 10 100 ...", "most frequent"));
  for (const ColumnStatistics& column : statistics.columns) {
    std::string top;
    for (std::size_t i = 0; i < std::min<std::size_t>(column.top_values.size(), 3); ++i) {
      top += fmt::format("{} ({})  ", shortened(column.top_values[i].first, 24), count_text(column.top_values[i].second));
    }
    const auto number = [&](double value) { return column.is_number() ? fmt::format("{:.6g}", value) : std::string("-"); };
    print(fmt::format("  {:<20} {:<8} {:>7.2f}% {:>12}  {:>12} {:>12} {:>12} {:>6}  {:<28}  {}\n", column.column.name, name_of(column.column.role),
                      100 * column.missing_share(), (column.distinct_is_exact ? "" : ">") + count_text(column.distinct), number(column.minimum),
                      number(column.mean), number(column.maximum), column.label_auc ? fmt::format("{:.3f}", *column.label_auc) : "-", skew_text(column), top));
  }
  for (const ColumnStatistics& column : statistics.columns) {
    if (is_binary_label(column.column)) print(fmt::format("  label {}: {:.2f}% positive\n", column.column.name, 100 * column.mean));
    if (leaks(column)) {
      print(fmt::format("  leak? {} alone tells the label with auc {:.3f}: is it known before the label is?\n", column.column.name, *column.label_auc));
    }
  }
}

}  // namespace

int data_stats_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_loader_options(visible, nullptr);
  visible.add_options()("rows", options::value<std::int64_t>()->default_value(0), "look at no more than this many rows; 0: all");
  add_output_option(visible);
  options::variables_map values;
  if (!parse_arguments(find_command("data", "stats"), arguments, visible, {}, values)) return kDone;
  const bool json = wants_json(values);
  const Loader loader = open_loader(values);
  ThreadPool pool(usable_cores());
  StatisticsOptions statistics_options;
  statistics_options.max_rows = values["rows"].as<std::int64_t>();
  for (const std::string& split : loader.instance->list_splits()) {
    const auto source = loader.instance->open(split);
    const SplitStatistics statistics = compute_statistics(*source, statistics_options, pool);
    if (!json) {
      print_statistics(split, statistics);
      continue;
    }
    for (const ColumnStatistics& column : statistics.columns) print(json_line(statistics_json(split, column)) + "\n");
  }
  return kDone;
}

}  // namespace rechost::app
