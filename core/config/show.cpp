#include "config/show.h"

#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "config/description.h"

namespace rechost {
namespace {

using Json = nlohmann::ordered_json;

ConfigNode to_node(const KeyDescription::Target& target) {
  ConfigNode node;
  std::visit(
      [&]<typename Value>(const Value* value) {
        if constexpr (std::is_same_v<Value, std::vector<std::int64_t>> || std::is_same_v<Value, std::vector<double>>) {
          ConfigNode::Array array;
          for (const auto element : *value) array.push_back(ConfigNode{.value = element, .origin = {}, .typed = {}});
          node.value = std::move(array);
        } else {
          node.value = *value;
        }
      },
      target);
  return node;
}

/// Text that begins a replacement must not do so when it is read again.
std::string without_variables(std::string text) {
  for (std::size_t position = 0; (position = text.find("${", position)) != std::string::npos; position += 3) text.insert(position, "$");
  return text;
}

class Writer {
 public:
  Writer(const Config& config, ShowOrigins origins) : origins_(config.origins), show_origins_(origins == ShowOrigins::kYes) {}

  void section(const SectionDescription& section, const std::string& path) {
    if (!section.keys.empty() || section.options != nullptr) {
      header(path);
      for (const KeyDescription& key : section.keys) {
        const auto origin = origins_.find(join_key(path, key.name));
        line(key.name, to_node(key.target), origin == origins_.end() ? "default" : origin->second);
      }
      if (section.options != nullptr) lines(*section.options);
    }
    for (const SectionDescription& child : section.sections) this->section(child, join_key(path, child.name));
    for (const SectionDescription::Patterns& each : section.pattern_sections) patterns(each, join_key(path, each.name));
  }

  void patterns(const SectionDescription::Patterns& patterns, const std::string& path) {
    for (const auto& [pattern, node] : *patterns.given) {
      header(join_key(path, pattern));
      lines(node);
    }
  }

  std::string take() { return std::move(text_); }

 private:
  void header(const std::string& path) { text_ += fmt::format("{}[{}]\n", text_.empty() ? "" : "\n", path); }

  void lines(const ConfigNode& table) {
    if (!table.is_table()) return;
    for (const auto& [name, node] : table.table()) line(name, node, node.origin);
  }

  void line(const std::string& name, const ConfigNode& node, const std::string& origin) {
    text_ += fmt::format("{} = {}", key_text(name), without_variables(node.text()));
    if (show_origins_ && !origin.empty()) {
      text_ += "  # ";
      // A file may be called anything; a line break or control character would end or break the comment.
      for (const char c : origin) text_ += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
    }
    text_ += '\n';
  }

  const std::map<std::string, std::string, std::less<>>& origins_;
  bool show_origins_;
  std::string text_;
};

/// The same walk as the writer's, with full keys.
struct Values {
  std::vector<std::pair<std::string, std::string>> list;

  void section(const SectionDescription& section, const std::string& path) {
    for (const KeyDescription& key : section.keys) add(join_key(path, key.name), to_node(key.target));
    if (section.options != nullptr) add(path, *section.options);
    for (const SectionDescription& child : section.sections) this->section(child, join_key(path, child.name));
    for (const SectionDescription::Patterns& patterns : section.pattern_sections) {
      for (const auto& [pattern, node] : *patterns.given) add(join_key(join_key(path, patterns.name), pattern), node);
    }
  }

  void add(const std::string& key, const ConfigNode& node) {
    if (node.is_table()) {
      for (const auto& [name, child] : node.table()) add(join_key(key, name), child);
      return;
    }
    const auto* text = std::get_if<std::string>(&node.value);
    list.emplace_back(key, text != nullptr ? *text : node.text());
  }
};

Json schema_of(const KeyDescription& key) {
  Json schema;
  schema["description"] = key.doc;
  std::visit(
      [&]<typename Value>(const Value* value) {
        Json* constrained = &schema;
        if constexpr (std::is_same_v<Value, bool>) {
          schema["type"] = "boolean";
        } else if constexpr (std::is_same_v<Value, std::int64_t>) {
          schema["type"] = "integer";
        } else if constexpr (std::is_same_v<Value, double>) {
          schema["type"] = "number";
        } else if constexpr (std::is_same_v<Value, std::string>) {
          schema["type"] = "string";
        } else {
          schema["type"] = "array";
          schema["items"]["type"] = std::is_same_v<Value, std::vector<double>> ? "number" : "integer";
          constrained = &schema["items"];
        }
        if (key.minimum) (*constrained)["minimum"] = *key.minimum;
        if (key.maximum) (*constrained)["maximum"] = *key.maximum;
        if (!key.choices.empty()) schema["enum"] = key.choices;
        schema["default"] = *value;
      },
      key.target);
  return schema;
}

Json schema_of(const SectionDescription& section) {
  Json schema;
  schema["type"] = "object";
  schema["properties"] = Json::object();
  for (const KeyDescription& key : section.keys) schema["properties"][key.name] = schema_of(key);
  for (const SectionDescription& child : section.sections) schema["properties"][child.name] = schema_of(child);
  for (const SectionDescription::Patterns& patterns : section.pattern_sections) {
    Json table;
    table["type"] = "object";
    table["additionalProperties"] = schema_of(*patterns.section);
    schema["properties"][patterns.name] = std::move(table);
  }
  schema["additionalProperties"] = section.options != nullptr;
  return schema;
}

}  // namespace

std::string show_config(const Config& config, ShowOrigins origins) {
  Config copy = config;  // describe() hands out pointers, so it wants an object that may change
  SectionDescription root;
  copy.describe(root);
  Writer writer(config, origins);
  for (const SectionDescription& section : root.sections) writer.section(section, section.name);
  for (const SectionDescription::Patterns& patterns : root.pattern_sections) writer.patterns(patterns, patterns.name);
  return writer.take();
}

std::vector<std::pair<std::string, std::string>> config_values(const Config& config) {
  Config copy = config;  // as in show_config()
  SectionDescription root;
  copy.describe(root);
  Values values;
  for (const SectionDescription& section : root.sections) values.section(section, section.name);
  for (const SectionDescription::Patterns& patterns : root.pattern_sections) {
    for (const auto& [pattern, node] : *patterns.given) values.add(join_key(patterns.name, pattern), node);
  }
  return std::move(values.list);
}

std::string config_schema() {
  Config config;
  SectionDescription root;
  config.describe(root);
  Json schema = schema_of(root);
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = "rechost configuration";
  // Only files may include others; the key is gone once they are merged.
  schema["properties"]["include"] = {
      {"description", "files to read first, relative to this one"}, {"type", "array"}, {"items", {{"type", "string"}}}};
  return schema.dump(2);
}

}  // namespace rechost
