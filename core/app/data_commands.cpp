#include "app/data_commands.h"

#include <filesystem>
#include <memory>

#include "app/command.h"
#include "app/data_loader.h"
#include "app/environment.h"
#include "app/output_file.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "data/statistics.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

const char* role_text(ColumnRole role) {
  switch (role) {
    case ColumnRole::kDense:
      return "dense";
    case ColumnRole::kSparse:
      return "sparse";
    case ColumnRole::kLabel:
      return "label";
    case ColumnRole::kWeight:
      return "weight";
    case ColumnRole::kId:
      return "id";
    case ColumnRole::kTime:
      return "time";
    case ColumnRole::kCandidates:
      return "candidates";
  }
  return "";
}

/// One element as it stands in a CSV file.
std::string element_text(const ColumnView& column, std::int64_t element) {
  const auto at = [&](auto type) { return static_cast<const decltype(type)*>(column.values)[element]; };
  switch (column.type) {
    case ValueType::kBool: {
      const std::int64_t bit = column.value_offset + element;
      return (static_cast<const std::uint8_t*>(column.values)[bit >> 3] >> (bit & 7) & 1) != 0 ? "1" : "0";
    }
    case ValueType::kInt8:
      return std::to_string(at(std::int8_t{}));
    case ValueType::kInt16:
      return std::to_string(at(std::int16_t{}));
    case ValueType::kInt32:
      return std::to_string(at(std::int32_t{}));
    case ValueType::kInt64:
      return std::to_string(at(std::int64_t{}));
    case ValueType::kUint8:
      return std::to_string(at(std::uint8_t{}));
    case ValueType::kUint16:
      return std::to_string(at(std::uint16_t{}));
    case ValueType::kUint32:
      return std::to_string(at(std::uint32_t{}));
    case ValueType::kFloat32:
      return fmt::format("{}", at(float{}));
    case ValueType::kFloat64:
      return fmt::format("{}", at(double{}));
    case ValueType::kString: {
      const std::string_view text = column.string(element);
      if (text.find_first_of(",\"\n\r|") == std::string_view::npos) return std::string(text);
      std::string quoted = "\"";
      for (const char character : text) quoted += character == '"' ? "\"\"" : std::string(1, character);
      return quoted + "\"";
    }
  }
  return "";
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

int data_inspect_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_loader_options(visible, nullptr);
  visible.add_options()("rows", options::value<std::int64_t>()->default_value(5), "how many rows to show");
  options::variables_map values;
  if (!parse_arguments(find_command("data", "inspect"), arguments, visible, {}, values)) return kDone;
  const Loader loader = open_loader(values);
  for (const std::string& split : loader.instance->list_splits()) {
    const auto source = loader.instance->open(split);
    std::int64_t rows = 0;
    for (std::int64_t chunk = 0; chunk < source->chunk_count(); ++chunk) rows += source->chunk_rows(chunk);
    print(fmt::format("split {}: {} rows in {} chunks\n", split, count_text(rows), count_text(source->chunk_count())));
    const auto wanted = all_columns(*source);
    const auto data = source->chunk_count() == 0 ? nullptr : source->read(0, wanted, [](BadRow&& row) {
      log_warning("{}:{}: {}: {}", row.source, row.line, row.column, row.reason);
    });
    for (std::size_t column = 0; column < wanted.size(); ++column) {
      const ColumnInfo& info = source->columns()[column];
      std::string shown;
      for (std::int64_t row = 0; data != nullptr && row < std::min(values["rows"].as<std::int64_t>(), data->rows()); ++row) {
        const std::string cell = cell_text(data->columns()[column], row);
        shown += (row == 0 ? "" : "  ") + (cell.empty() ? "-" : cell.substr(0, 40));
      }
      print(fmt::format("  {:<20} {:<10} {:<5} {}{}\n", info.name, role_text(info.role), info.entity,
                        info.cardinality ? fmt::format("[0, {})  ", *info.cardinality) : "", shown));
    }
  }
  return kDone;
}

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
      print(fmt::format("split {}: {} rows, {} could not be read\n", split, count_text(statistics.rows), count_text(statistics.bad_rows)));
      print(fmt::format("  {:<20} {:<8} {:>8} {:>12}  {:>12} {:>12} {:>12}  {}\n", "column", "role", "missing", "distinct", "min", "mean", "max", "most frequent"));
    }
    for (const ColumnStatistics& column : statistics.columns) {
      if (json) {
        Json entry = Json::object();
        entry["split"] = split;
        entry["column"] = column.column.name;
        entry["role"] = role_text(column.column.role);
        entry["rows"] = column.rows;
        entry["missing_share"] = column.missing_share();
        entry["distinct"] = column.distinct;
        entry["distinct_is_exact"] = column.distinct_is_exact;
        if (column.is_number()) {
          entry["min"] = column.minimum;
          entry["mean"] = column.mean;
          entry["max"] = column.maximum;
        }
        Json top = Json::array();
        for (const auto& [value, count] : column.top_values) top.push_back(Json::array({value, count}));
        entry["top_values"] = std::move(top);
        print(json_line(entry) + "\n");
        continue;
      }
      std::string top;
      for (std::size_t i = 0; i < std::min<std::size_t>(column.top_values.size(), 3); ++i) {
        top += fmt::format("{} ({})  ", column.top_values[i].first.substr(0, 24), count_text(column.top_values[i].second));
      }
      const auto number = [&](double value) { return column.is_number() ? fmt::format("{:.6g}", value) : std::string("-"); };
      print(fmt::format("  {:<20} {:<8} {:>7.2f}% {:>12}  {:>12} {:>12} {:>12}  {}\n", column.column.name, role_text(column.column.role),
                        100 * column.missing_share(), (column.distinct_is_exact ? "" : ">") + count_text(column.distinct), number(column.minimum),
                        number(column.mean), number(column.maximum), top));
    }
  }
  return kDone;
}

}  // namespace rechost::app
