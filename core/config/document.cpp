#include "config/document.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include <toml++/toml.h>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::string_view kEnvironmentPrefix = "RECHOST_";
constexpr std::string_view kEnvironmentSeparator = "__";

/// The origin of values that have no file.
struct Origin {
  std::string file;  ///< "configs/dlrm.toml": the line is added
  std::string text;  ///< or the whole text, when `file` is empty

  std::string at_line(const toml::source_region& source) const {
    return file.empty() ? text : fmt::format("{}:{}", file, source.begin.line);
  }
};

ConfigNode convert(const toml::node& node, const Origin& origin) {
  ConfigNode result;
  result.origin = origin.at_line(node.source());
  switch (node.type()) {
    case toml::node_type::table: {
      ConfigNode::Table table;
      for (const auto& [key, child] : *node.as_table()) table.emplace(std::string(key.str()), convert(child, origin));
      result.value = std::move(table);
      break;
    }
    case toml::node_type::array: {
      ConfigNode::Array array;
      for (const toml::node& child : *node.as_array()) array.push_back(convert(child, origin));
      result.value = std::move(array);
      break;
    }
    case toml::node_type::string:
      result.value = node.as_string()->get();
      break;
    case toml::node_type::integer:
      result.value = node.as_integer()->get();
      break;
    case toml::node_type::floating_point:
      result.value = node.as_floating_point()->get();
      break;
    case toml::node_type::boolean:
      result.value = node.as_boolean()->get();
      break;
    default:
      fail<ConfigError>("{}: dates and times are not used in configurations; put it in quotes", result.origin);
  }
  return result;
}

/// The stronger layer's tables are merged key by key; anything else replaces what was there.
void merge(ConfigNode& target, ConfigNode&& stronger) {
  if (!target.is_table() || !stronger.is_table()) {
    target = std::move(stronger);
    return;
  }
  for (auto& [key, child] : stronger.table()) {
    const auto [place, inserted] = target.table().try_emplace(key);
    if (inserted) {
      place->second = std::move(child);
    } else {
      merge(place->second, std::move(child));
    }
  }
  if (!stronger.origin.empty()) target.origin = std::move(stronger.origin);
}

bool is_name_character(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/// `where` and `key` are for messages only.
std::string replaced(std::string_view text, std::string_view where, std::string_view key, const VariableLookup& lookup) {
  std::string result;
  for (std::size_t position = 0; position < text.size();) {
    const std::string_view rest = text.substr(position);
    if (rest.substr(0, 3) == "$${") {
      result += "${";
      position += 3;
    } else if (rest.substr(0, 2) == "${") {
      const std::size_t end = rest.find('}');
      const std::string_view name = rest.substr(2, end == std::string_view::npos ? 0 : end - 2);
      bool well_formed = !name.empty();
      for (std::size_t i = 0; i < name.size(); ++i) well_formed = well_formed && is_name_character(name[i], i == 0);
      if (!well_formed) {
        fail<ConfigError>("{}{}: \"{}\" has a ${{ that is not a ${{NAME}}; write $${{ where ${{ itself is meant", where, key, text);
      }
      const std::optional<std::string> value = lookup ? lookup(name) : std::nullopt;
      if (!value) {
        fail<ConfigError>("{}{}: the environment variable {} is not set; set it, or write the value itself", where, key, name);
      }
      result += *value;
      position += end + 1;
    } else {
      result += text[position++];
    }
  }
  return result;
}

/// Reads files with what they include.
class FileReader {
 public:
  explicit FileReader(const VariableLookup& lookup) : lookup_(lookup) {}

  ConfigNode read(const std::filesystem::path& file, const std::string& asked_by) {
    std::error_code ignored;
    const std::filesystem::path identity = std::filesystem::weakly_canonical(file, ignored);
    if (std::find(open_.begin(), open_.end(), identity) != open_.end()) {
      fail<ConfigError>("{}include of {} goes round in a circle: {}", asked_by, file.string(), circle(identity));
    }
    open_.push_back(identity);
    ConfigNode document = parse(file, asked_by);
    ConfigNode merged;
    merged.value = ConfigNode::Table{};
    const auto include = document.table().find("include");
    if (include != document.table().end()) {
      const ConfigNode list = include->second;
      document.table().erase(include);
      for (const std::string& name : included(list)) merge(merged, read((file.parent_path() / name).lexically_normal(), at(list)));
    }
    merge(merged, std::move(document));
    open_.pop_back();
    return merged;
  }

 private:
  static ConfigNode parse(const std::filesystem::path& file, const std::string& asked_by) {
    std::ifstream stream(file, std::ios::binary);
    std::error_code ignored;
    if (!stream || std::filesystem::is_directory(file, ignored)) {
      fail<ConfigError>("{}cannot read the configuration file {}: {}", asked_by, file.string(),
                        std::filesystem::exists(file, ignored) ? "not a readable file" : "there is no such file");
    }
    const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    try {
      return convert(toml::parse(text, file.string()), Origin{.file = file.string(), .text = {}});
    } catch (const toml::parse_error& error) {
      fail<ConfigError>("{}:{}:{}: {}", file.string(), error.source().begin.line, error.source().begin.column, error.description());
    }
  }

  std::vector<std::string> included(const ConfigNode& list) const {
    std::vector<std::string> names;
    const auto* array = std::get_if<ConfigNode::Array>(&list.value);
    if (array != nullptr) {
      for (const ConfigNode& element : *array) {
        if (const auto* name = std::get_if<std::string>(&element.value)) names.push_back(replaced(*name, at(list), "include", lookup_));
      }
    }
    if (array == nullptr || names.size() != array->size()) {
      fail<ConfigError>("{}include: expected a list of file names such as [\"base.toml\"], got {}", at(list), list.text());
    }
    return names;
  }

  std::string circle(const std::filesystem::path& identity) const {
    std::string text;
    for (auto step = std::find(open_.begin(), open_.end(), identity); step != open_.end(); ++step) {
      text += step->filename().string() + " -> ";
    }
    return text + identity.filename().string();
  }

  const VariableLookup& lookup_;
  std::vector<std::filesystem::path> open_;
};

/// A value that the user typed outside of a file: TOML where it is TOML, else the bare text.
ConfigNode typed_value(std::string_view text, const std::string& origin) {
  ConfigNode result;
  try {
    result = parse_value(text, origin);
  } catch (const ConfigError&) {
    result.value = std::string(text);
    result.origin = origin;
  }
  result.typed = text;
  return result;
}

/// Wraps `value` in tables: {"run", "seed"} -> { run = { seed = value } }.
ConfigNode nested(const std::vector<std::string>& path, ConfigNode value) {
  for (auto key = path.rbegin(); key != path.rend(); ++key) {
    ConfigNode outer;
    outer.origin = value.origin;
    ConfigNode::Table table;
    table.emplace(*key, std::move(value));
    outer.value = std::move(table);
    value = std::move(outer);
  }
  return value;
}

/// `features."c.1".kind=sparse` -> the keys; what follows `=` is left in `value`.
std::vector<std::string> split_setting(std::string_view setting, std::string_view& value) {
  std::vector<std::string> keys(1);
  char quote = 0;
  for (std::size_t i = 0; i < setting.size(); ++i) {
    const char c = setting[i];
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        keys.back() += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '.') {
      keys.emplace_back();
    } else if (c == '=') {
      value = setting.substr(i + 1);
      if (std::find(keys.begin(), keys.end(), "") != keys.end()) break;
      return keys;
    } else {
      keys.back() += c;
    }
  }
  fail<ConfigError>("--set {}: expected section.key=value, such as --set run.seed=7", setting);
}

/// RECHOST_OPTIMIZER__SPARSE__LR -> {"optimizer", "sparse", "lr"}; empty for a variable that is not meant for the configuration.
std::vector<std::string> split_variable(const std::string& name) {
  std::vector<std::string> keys;
  if (name.compare(0, kEnvironmentPrefix.size(), kEnvironmentPrefix) != 0) return keys;
  std::string rest = name.substr(kEnvironmentPrefix.size());
  if (rest.find(kEnvironmentSeparator) == std::string::npos) return keys;
  std::transform(rest.begin(), rest.end(), rest.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (std::size_t begin = 0;;) {
    const std::size_t end = rest.find(kEnvironmentSeparator, begin);
    keys.push_back(rest.substr(begin, end == std::string::npos ? end : end - begin));
    if (keys.back().empty()) fail<ConfigError>("{}: expected RECHOST_<SECTION>__<KEY>, such as RECHOST_RUN__SEED", name);
    if (end == std::string::npos) return keys;
    begin = end + kEnvironmentSeparator.size();
  }
}

}  // namespace

std::string at(const ConfigNode& node) {
  const bool is_default = node.origin.empty() || node.origin == "default" || node.origin == "plugin default";
  return is_default ? "" : node.origin + ": ";
}

ConfigNode parse_value(std::string_view text, std::string_view origin) {
  try {
    const toml::table table = toml::parse(fmt::format("value = {}", text));
    // A line break in the text could begin a second key.
    if (table.size() == 1) return convert(*table.get("value"), Origin{.file = {}, .text = std::string(origin)});
    fail<ConfigError>("{}: {} is not one value", origin, text);
  } catch (const toml::parse_error& error) {
    fail<ConfigError>("{}: {} is not a TOML value: {}", origin, text, error.description());
  }
}

void replace_variables(ConfigNode& node, std::string_view key, const VariableLookup& lookup) {
  if (auto* text = std::get_if<std::string>(&node.value)) {
    *text = replaced(*text, at(node), key, lookup);
  } else if (auto* array = std::get_if<ConfigNode::Array>(&node.value)) {
    for (std::size_t i = 0; i < array->size(); ++i) replace_variables((*array)[i], fmt::format("{}[{}]", key, i), lookup);
  } else if (node.is_table()) {
    for (auto& [name, child] : node.table()) replace_variables(child, join_key(key, name), lookup);
  }
}

ConfigNode load_document(const ConfigLayers& layers) {
  ConfigNode document;
  document.value = ConfigNode::Table{};
  FileReader reader(layers.lookup);
  for (const std::filesystem::path& file : layers.files) merge(document, reader.read(file, ""));
  for (const ConfigLayers::Variable& variable : layers.environment) {
    const std::vector<std::string> keys = split_variable(variable.name);
    if (!keys.empty()) merge(document, nested(keys, typed_value(variable.value, variable.name)));
  }
  for (const std::string& setting : layers.settings) {
    std::string_view value;
    const std::vector<std::string> keys = split_setting(setting, value);
    merge(document, nested(keys, typed_value(value, "--set")));
  }
  replace_variables(document, "", layers.lookup);
  return document;
}

}  // namespace rechost
