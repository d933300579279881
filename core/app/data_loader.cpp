#include "app/data_loader.h"

#include "app/command.h"
#include "app/environment.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/host.h"
#include "config/parse.h"

namespace rechost::app {

namespace options = boost::program_options;

namespace {

/// A TOML basic string.
std::string toml_text(std::string_view text) {
  std::string quoted = "\"";
  for (const char character : text) {
    if (static_cast<unsigned char>(character) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(character));
      continue;
    }
    if (character == '"' || character == '\\') quoted += '\\';
    quoted += character;
  }
  return quoted + '"';
}

template <typename Wanted>
std::string names_of(const ChunkSource& source, Wanted&& wanted) {
  std::string list;
  for (const ColumnInfo& column : source.columns()) {
    if (wanted(column)) list += (list.empty() ? "" : ", ") + toml_text(column.name);
  }
  return "[" + list + "]";
}

std::string label_names(const ChunkSource& source) {
  std::string list;
  for (const ColumnInfo& column : source.columns()) {
    if (column.role != ColumnRole::kLabel) continue;
    const char* kind = column.label_kind == LabelKind::kRegression ? ":regression" : column.label_kind == LabelKind::kMulticlass ? ":multiclass" : "";
    list += (list.empty() ? "" : ", ") + toml_text(column.name + kind);
  }
  return "[" + list + "]";
}

}  // namespace

void add_loader_options(options::options_description& visible, const char* default_plugin) {
  auto* plugin = options::value<std::string>();
  if (default_plugin != nullptr) plugin->default_value(default_plugin);
  visible.add_options()("plugin,p", plugin, "dataset loader: synthetic, criteo, ratings, csv, mds, parquet or a plugin file")(
      "config,c", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "take [data] from a configuration file")(
      "set,s", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "an option of the loader, such as data.path=clicks.tsv");
}

Loader open_loader(const options::variables_map& values) {
  auto settings = values["set"].as<std::vector<std::string>>();
  if (values.count("plugin") != 0) settings.insert(settings.begin(), fmt::format("data.plugin=\"{}\"", values["plugin"].as<std::string>()));
  const ConfigLayers layers = config_layers(values["config"].as<std::vector<std::string>>(), settings);
  Loader loader;
  loader.config = load_config(layers);
  if (loader.config.data.plugin.empty()) throw UsageError("which loader? --plugin NAME or --config FILE");
  loader.instance = load_dataset(loader.config, {.plugin_path = plugin_directories(), .lookup = layers.lookup, .threads = usable_cores()});
  return loader;
}

std::vector<std::uint32_t> all_columns(const ChunkSource& source) {
  std::vector<std::uint32_t> wanted(source.columns().size());
  for (std::uint32_t i = 0; i < wanted.size(); ++i) wanted[i] = i;
  return wanted;
}

std::string loader_config(const ChunkSource& source, std::string_view plugin, std::span<const std::pair<std::string, std::filesystem::path>> splits) {
  std::string text = fmt::format("[data]\nplugin = {}\n", toml_text(plugin));
  for (const auto& [split, path] : splits) text += fmt::format("{} = {}\n", split == "all" ? "path" : split + "_path", toml_text(path.string()));
  text += "label = " + label_names(source) + "\n";
  text += "dense = " + names_of(source, [](const ColumnInfo& column) { return column.role == ColumnRole::kDense; }) + "\n";
  text += "sparse = " + names_of(source, [](const ColumnInfo& column) { return column.role == ColumnRole::kSparse && !column.is_list; }) + "\n";
  text += "multi_hot = " + names_of(source, [](const ColumnInfo& column) { return column.role == ColumnRole::kSparse && column.is_list; }) + "\n";
  text += "id = " + names_of(source, [](const ColumnInfo& column) { return column.role == ColumnRole::kId && !column.is_list; }) + "\n";
  const std::string weights = names_of(source, [](const ColumnInfo& column) { return column.role == ColumnRole::kId && column.is_list; });
  if (weights != "[]") text += "id_weights = " + weights + "\n";
  // The items to choose from belong to the item by what they are.
  const auto of_entity = [&](const char* entity) {
    return names_of(source, [=](const ColumnInfo& column) { return column.entity == entity && column.role != ColumnRole::kCandidates; });
  };
  text += "user_columns = " + of_entity("user") + "\n";
  text += "item_columns = " + of_entity("item") + "\n";
  for (const ColumnInfo& column : source.columns()) {
    if (column.is_key) text += fmt::format("{}_key = {}\n", column.entity, toml_text(column.name));
    if (column.role == ColumnRole::kWeight) text += fmt::format("weight = {}\n", toml_text(column.name));
    if (column.role == ColumnRole::kTime) text += fmt::format("time = {}\n", toml_text(column.name));
    if (column.role == ColumnRole::kCandidates) text += fmt::format("candidates = {}\n", toml_text(column.name));
  }
  return text;
}

}  // namespace rechost::app
