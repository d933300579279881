#include "config/parse.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/nearest_name.h"
#include "config/description.h"

namespace rechost {
namespace {

using Origins = std::map<std::string, std::string, std::less<>>;

/// `"abc" (a string)`: a value in a message.
std::string described(const ConfigNode& node) {
  return node.is_table() || std::holds_alternative<ConfigNode::Array>(node.value) ? std::string(node.kind())
                                                                                  : fmt::format("{} ({})", node.text(), node.kind());
}

/// Writes a value into a key's target, or says why not.
class Assignment {
 public:
  Assignment(const KeyDescription& key, const std::string& full_key, const ConfigNode& node)
      : key_(key), full_key_(full_key), node_(node) {}

  void operator()(bool* target) const {
    const auto* value = std::get_if<bool>(&node_.value);
    if (value == nullptr) wrong_type("true or false");
    *target = *value;
  }
  void operator()(std::int64_t* target) const {
    const auto* value = std::get_if<std::int64_t>(&node_.value);
    if (value == nullptr) wrong_type("an integer");
    check_range(static_cast<double>(*value));
    *target = *value;
  }
  void operator()(double* target) const {
    const auto* integer = std::get_if<std::int64_t>(&node_.value);
    const auto* real = std::get_if<double>(&node_.value);
    if (integer == nullptr && real == nullptr) wrong_type("a number");
    const double value = real != nullptr ? *real : static_cast<double>(*integer);
    check_range(value);
    *target = value;
  }
  void operator()(std::string* target) const {
    const auto* value = std::get_if<std::string>(&node_.value);
    if (value == nullptr && node_.typed.empty()) wrong_type("a string");
    const std::string& text = value != nullptr ? *value : node_.typed;
    if (!key_.choices.empty() && std::find(key_.choices.begin(), key_.choices.end(), text) == key_.choices.end()) {
      fail<ConfigError>("{}{}: \"{}\" is not one of {}", at(node_), full_key_, text, choices());
    }
    *target = text;
  }
  void operator()(std::vector<std::int64_t>* target) const {
    const auto* array = std::get_if<ConfigNode::Array>(&node_.value);
    std::vector<std::int64_t> values;
    for (const ConfigNode& element : array != nullptr ? *array : ConfigNode::Array{}) {
      if (const auto* value = std::get_if<std::int64_t>(&element.value)) {
        check_range(static_cast<double>(*value));
        values.push_back(*value);
      }
    }
    if (array == nullptr || values.size() != array->size()) {
      fail<ConfigError>("{}{}: expected a list of integers such as [10, 20], got {}", at(node_), full_key_, node_.text());
    }
    *target = std::move(values);
  }
  void operator()(std::vector<double>* target) const {
    const auto* array = std::get_if<ConfigNode::Array>(&node_.value);
    std::vector<double> values;
    for (const ConfigNode& element : array != nullptr ? *array : ConfigNode::Array{}) {
      const auto* integer = std::get_if<std::int64_t>(&element.value);
      const auto* real = std::get_if<double>(&element.value);
      if (integer == nullptr && real == nullptr) break;
      values.push_back(real != nullptr ? *real : static_cast<double>(*integer));
      check_range(values.back());
    }
    if (array == nullptr || values.size() != array->size()) {
      fail<ConfigError>("{}{}: expected a list of numbers such as [0.5, 10], got {}", at(node_), full_key_, node_.text());
    }
    *target = std::move(values);
  }

 private:
  [[noreturn]] void wrong_type(std::string_view expected) const {
    fail<ConfigError>("{}{}: expected {}, got {}", at(node_), full_key_, expected, described(node_));
  }

  void check_range(double value) const {
    // Written so that "not a number" is outside of every range.
    const bool above = !key_.minimum || value >= *key_.minimum;
    const bool below = !key_.maximum || value <= *key_.maximum;
    if (above && below) return;
    if (key_.maximum) {
      fail<ConfigError>("{}{}: {} is not between {} and {}", at(node_), full_key_, node_.text(), *key_.minimum, *key_.maximum);
    }
    fail<ConfigError>("{}{}: {} is less than {}", at(node_), full_key_, node_.text(), *key_.minimum);
  }

  std::string choices() const {
    std::string text;
    for (const std::string& choice : key_.choices) {
      if (!choice.empty()) text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", choice);
    }
    return text;
  }

  const KeyDescription& key_;
  const std::string& full_key_;
  const ConfigNode& node_;
};

std::vector<std::string> names_in(const SectionDescription& section) {
  std::vector<std::string> names;
  for (const KeyDescription& key : section.keys) names.push_back(key.name);
  for (const SectionDescription& child : section.sections) names.push_back(child.name);
  for (const auto& patterns : section.pattern_sections) names.push_back(patterns.name);
  return names;
}

template <typename Named>
const Named* find_named(const std::vector<Named>& all, std::string_view name) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Named& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

void require_table(const ConfigNode& node, const std::string& path) {
  if (!node.is_table()) fail<ConfigError>("{}{} is a section [{}] with keys, got {}", at(node), path, path, described(node));
}

void fill_patterns(const SectionDescription::Patterns& patterns, const std::string& path, const ConfigNode& table);

/// Takes the values of one table. `origins` may be null.
void fill(const SectionDescription& section, const std::string& path, const ConfigNode& table, Origins* origins) {
  for (const auto& [name, node] : table.table()) {
    const std::string full_key = join_key(path, name);
    if (const KeyDescription* key = find_named(section.keys, name)) {
      std::visit(Assignment(*key, full_key, node), key->target);
      if (origins != nullptr) (*origins)[full_key] = node.origin;
    } else if (const SectionDescription* child = find_named(section.sections, name)) {
      require_table(node, full_key);
      fill(*child, full_key, node, origins);
    } else if (const auto* patterns = find_named(section.pattern_sections, name)) {
      fill_patterns(*patterns, full_key, node);
    } else if (section.options != nullptr) {
      section.options->table().emplace(name, node);
    } else {
      fail<ConfigError>("{}unknown key {}{}", at(node), full_key, suggestion(name, names_in(section)));
    }
  }
}

/// `path`: the full key of the table of patterns.
void fill_patterns(const SectionDescription::Patterns& patterns, const std::string& path, const ConfigNode& table) {
  require_table(table, path);
  for (const auto& [pattern, node] : table.table()) {
    const std::string full_key = join_key(path, pattern);
    require_table(node, full_key);
    fill(*patterns.section, full_key, node, nullptr);
    patterns.given->emplace(pattern, node);
  }
}

/// A key at the top of the file that no section is called like.
[[noreturn]] void unknown_section(const SectionDescription& root, const std::string& name, const ConfigNode& node) {
  if (node.is_table()) fail<ConfigError>("{}unknown section [{}]{}", at(node), key_text(name), suggestion(name, names_in(root)));
  for (const SectionDescription& section : root.sections) {
    if (find_named(section.keys, name) != nullptr) {
      fail<ConfigError>("{}unknown key {} outside of a section (did you mean \"{}.{}\"?)", at(node), key_text(name), section.name, name);
    }
  }
  fail<ConfigError>("{}unknown key {} outside of a section{}", at(node), key_text(name), suggestion(name, names_in(root)));
}

/// The patterns that match, weakest first: by how much of the name they spell out, the name itself last.
std::vector<const ConfigNode*> matching(const std::map<std::string, ConfigNode>& given, std::string_view name) {
  std::vector<std::tuple<bool, std::ptrdiff_t, const ConfigNode*>> found;
  for (const auto& [pattern, node] : given) {
    if (!pattern_matches(pattern, name)) continue;
    const std::ptrdiff_t stars = std::count(pattern.begin(), pattern.end(), '*');
    found.emplace_back(stars == 0, static_cast<std::ptrdiff_t>(pattern.size()) - stars, &node);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  std::vector<const ConfigNode*> nodes;
  for (const auto& [exact, length, node] : found) nodes.push_back(node);
  return nodes;
}

template <typename Section>
Section merged(const std::map<std::string, ConfigNode>& given, std::string_view name, std::string_view section_name) {
  Section result;
  SectionDescription description;
  result.describe(description);
  for (const ConfigNode* node : matching(given, name)) fill(description, join_key(section_name, name), *node, nullptr);
  return result;
}

void check_matched(const std::map<std::string, ConfigNode>& given, std::span<const std::string> names, std::string_view section,
                   std::string_view noun) {
  for (const auto& [pattern, node] : given) {
    const bool matched = std::any_of(names.begin(), names.end(), [&, &pattern = pattern](const std::string& name) { return pattern_matches(pattern, name); });
    if (!matched) {
      fail<ConfigError>("{}[{}] matches no {} of this run{}", at(node), join_key(section, pattern), noun, suggestion(pattern, names));
    }
  }
}

}  // namespace

Config parse_config(const ConfigNode& document) {
  Config config;
  config.model.options.value = ConfigNode::Table{};
  config.data.options.value = ConfigNode::Table{};
  SectionDescription root;
  config.describe(root);
  for (const auto& [name, node] : document.table()) {
    if (const SectionDescription* section = find_named(root.sections, name)) {
      require_table(node, name);
      fill(*section, name, node, &config.origins);
    } else if (const auto* patterns = find_named(root.pattern_sections, name)) {
      fill_patterns(*patterns, name, node);
    } else {
      unknown_section(root, name, node);
    }
  }
  return config;
}

Config load_config(const ConfigLayers& layers) { return parse_config(load_document(layers)); }

bool pattern_matches(std::string_view pattern, std::string_view name) {
  // Greedy with one point of return: after a later `*`, an earlier one never needs to take more.
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

FeatureSection feature_settings(const Config& config, std::string_view name) {
  return merged<FeatureSection>(config.features, name, "features");
}

std::vector<std::string> derived_features(const Config& config) {
  std::vector<std::string> names;
  for (const auto& [pattern, node] : config.features) {
    const auto source = node.table().find("source");
    if (source == node.table().end()) continue;
    if (pattern.find('*') != std::string::npos) {
      fail<ConfigError>("{}features.{}.source: a pattern names no feature; write one [features.<name>] for each", at(source->second), pattern);
    }
    names.push_back(pattern);
  }
  return names;
}

TableSection table_settings(const Config& config, std::string_view name) { return merged<TableSection>(config.tables, name, "tables"); }

StreamSection stream_settings(const DataSection& data, std::string_view name) {
  StreamSection result;
  SectionDescription description;
  result.describe(description);
  description.options = &result.options;
  if (const auto found = data.streams.find(std::string(name)); found != data.streams.end()) {
    fill(description, join_key("data.streams", name), found->second, nullptr);
  }
  return result;
}

void check_patterns(const Config& config, std::span<const std::string> features, std::span<const std::string> tables) {
  check_matched(config.features, features, "features", "feature");
  check_matched(config.tables, tables, "tables", "table");
}

}  // namespace rechost
