#include "config/node.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace rechost {
namespace {

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        result += "\\\"";
        break;
      case '\\':
        result += "\\\\";
        break;
      case '\n':
        result += "\\n";
        break;
      case '\t':
        result += "\\t";
        break;
      case '\r':
        result += "\\r";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          result += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
        } else {
          result += c;
        }
    }
  }
  return result + '"';
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);  // the shortest digits that read back to the same number
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

struct Text {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return float_text(value); }
  std::string operator()(const std::string& value) const { return quoted(value); }
  std::string operator()(const ConfigNode::Array& array) const {
    std::string result = "[";
    for (const ConfigNode& element : array) {
      if (result.size() > 1) result += ", ";
      result += element.text();
    }
    return result + "]";
  }
  std::string operator()(const ConfigNode::Table& table) const {
    if (table.empty()) return "{}";
    std::string result = "{ ";
    for (const auto& [key, child] : table) {
      if (result.size() > 2) result += ", ";
      result += key_text(key) + " = " + child.text();
    }
    return result + " }";
  }
};

}  // namespace

const ConfigNode* ConfigNode::find(std::string_view key) const {
  if (!is_table()) return nullptr;
  const auto found = table().find(key);
  return found == table().end() ? nullptr : &found->second;
}

std::string ConfigNode::text() const { return std::visit(Text{}, value); }

std::string_view ConfigNode::kind() const {
  static constexpr std::string_view kKinds[] = {"a table", "a list", "true or false", "an integer", "a number", "a string"};
  return kKinds[value.index()];
}

std::string key_text(std::string_view name) {
  const bool bare = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return bare ? std::string(name) : quoted(name);
}

std::string join_key(std::string_view table, std::string_view name) {
  return table.empty() ? key_text(name) : fmt::format("{}.{}", table, key_text(name));
}

}  // namespace rechost
