#include "plugin/arrow_schema.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "base/error.h"

namespace rechost {
namespace {

using Metadata = std::map<std::string, std::string, std::less<>>;

/// int32 count, then for each pair int32 length and bytes of the key, int32 length and bytes of the value; all in native order.
Metadata read_metadata(const char* bytes, const std::string& label) {
  Metadata metadata;
  if (bytes == nullptr) return metadata;
  const auto read_int = [&] {
    std::int32_t value;
    std::memcpy(&value, bytes, sizeof(value));
    bytes += sizeof(value);
    if (value < 0) fail<PluginError>("{}: metadata has the length {}", label, value);
    return value;
  };
  const auto read_text = [&] {
    const std::int32_t size = read_int();
    std::string text(bytes, static_cast<std::size_t>(size));
    bytes += size;
    return text;
  };
  for (std::int32_t left = read_int(); left > 0; --left) {
    std::string key = read_text();
    metadata[std::move(key)] = read_text();
  }
  return metadata;
}

template <typename Value>
Value choose(const Metadata& metadata, std::string_view key, const std::vector<std::pair<std::string_view, Value>>& choices,
             std::optional<Value> otherwise, const std::string& label) {
  const auto found = metadata.find(key);
  if (found == metadata.end() && otherwise) return *otherwise;
  if (found == metadata.end()) fail<PluginError>("{}: has no metadata {}", label, key);
  std::string names;
  for (const auto& [name, value] : choices) {
    if (found->second == name) return value;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
  }
  fail<PluginError>("{}: {} is \"{}\", not one of {}", label, key, found->second, names);
}

std::optional<ValueType> fixed_type(std::string_view format) {
  static constexpr std::pair<char, ValueType> kTypes[] = {{'b', ValueType::kBool},   {'c', ValueType::kInt8},   {'s', ValueType::kInt16},
                                                          {'i', ValueType::kInt32},  {'l', ValueType::kInt64},  {'C', ValueType::kUint8},
                                                          {'S', ValueType::kUint16}, {'I', ValueType::kUint32}, {'f', ValueType::kFloat32},
                                                          {'g', ValueType::kFloat64}};
  if (format.size() != 1) return std::nullopt;
  for (const auto& [letter, type] : kTypes) {
    if (format[0] == letter) return type;
  }
  return std::nullopt;
}

bool is_integer(ValueType type) { return type >= ValueType::kInt8 && type <= ValueType::kUint32; }
bool is_number(ValueType type) { return type != ValueType::kString; }

ArrowLayout::Text text_width(std::string_view format) {
  if (format == "u" || format == "z") return ArrowLayout::Text::kOffsets32;
  if (format == "U") return ArrowLayout::Text::kOffsets64;
  return ArrowLayout::Text::kNone;
}

/// The type of plain values.
void read_value_type(const ArrowSchema& schema, ArrowLayout& layout, const std::string& label) {
  const std::string_view format = schema.format == nullptr ? "" : schema.format;
  layout.text = text_width(format);
  const std::optional<ValueType> fixed = fixed_type(format);
  if (schema.dictionary != nullptr) {
    const std::string_view values = schema.dictionary->format == nullptr ? "" : schema.dictionary->format;
    const std::optional<ValueType> entries = fixed_type(values);
    layout.text = text_width(values);
    const bool understood = layout.text != ArrowLayout::Text::kNone || (entries && is_integer(*entries));
    if (!fixed || !is_integer(*fixed) || !understood) {
      fail<PluginError>("{}: a dictionary from \"{}\" to \"{}\"; only integers to text or to integers are understood", label, format, values);
    }
    layout.dictionary_index = fixed;
    layout.value = entries.value_or(ValueType::kString);
  } else if (layout.text != ArrowLayout::Text::kNone) {
    layout.value = ValueType::kString;
  } else if (fixed) {
    layout.value = *fixed;
  } else {
    fail<PluginError>("{}: the Arrow format \"{}\" is not understood; use f g c s i l C S I b u U z, or lists of these", label, format);
  }
}

ArrowLayout read_layout(const ArrowSchema& schema, const std::string& label) {
  ArrowLayout layout;
  const std::string_view format = schema.format == nullptr ? "" : schema.format;
  if (format == "+l" || format == "+L") {
    layout.lists = format == "+l" ? ArrowLayout::Lists::kOffsets32 : ArrowLayout::Lists::kOffsets64;
    if (schema.n_children != 1 || schema.children == nullptr || schema.children[0] == nullptr) {
      fail<PluginError>("{}: a list with {} children", label, schema.n_children);
    }
    read_value_type(*schema.children[0], layout, label);
  } else {
    read_value_type(schema, layout, label);
  }
  return layout;
}

/// What a column may be depends on its role.
void check_role(const ColumnInfo& column, const std::string& label) {
  const auto refuse = [&](std::string_view reason) { fail<PluginError>("{}: {}", label, reason); };
  switch (column.role) {
    case ColumnRole::kDense:
      if (!is_number(column.type) || column.is_list) refuse("a dense column must be one number per row");
      break;
    case ColumnRole::kLabel:
      if (!is_number(column.type) || column.is_list) refuse("a label column must be one number per row");
      break;
    case ColumnRole::kWeight:
      if (!is_number(column.type) || column.is_list) refuse("a weight column must be one number per row");
      break;
    case ColumnRole::kTime:
      if (!is_number(column.type) || column.is_list) refuse("a time column must be one number per row");
      break;
    case ColumnRole::kId:
      if (column.is_list && is_number(column.type)) break;  // weights of the ids of another list
      [[fallthrough]];
    case ColumnRole::kSparse:
    case ColumnRole::kCandidates:
      if (!is_integer(column.type) && column.type != ValueType::kString) refuse("a column of ids must hold integers or text");
      break;
  }
  if (column.cardinality && !is_integer(column.type)) refuse("rechost.cardinality is only for integers");
}

ColumnInfo read_column(const ArrowSchema& schema, const ArrowLayout& layout, const std::string& label) {
  const Metadata metadata = read_metadata(schema.metadata, label);
  ColumnInfo column;
  column.name = schema.name;
  column.type = layout.value;
  column.is_list = layout.lists != ArrowLayout::Lists::kNone;
  const ArrowSchema& values = column.is_list ? *schema.children[0] : schema;
  column.is_binary = values.format != nullptr && std::string_view(values.format) == "z";
  column.nullable = (schema.flags & ARROW_FLAG_NULLABLE) != 0;
  column.role = choose<ColumnRole>(metadata, RH_ROLE_KEY,
                                   {{"dense", ColumnRole::kDense},
                                    {"sparse", ColumnRole::kSparse},
                                    {"label", ColumnRole::kLabel},
                                    {"weight", ColumnRole::kWeight},
                                    {"id", ColumnRole::kId},
                                    {"time", ColumnRole::kTime},
                                    {"candidates", ColumnRole::kCandidates}},
                                   std::nullopt, label);
  column.label_kind =
      choose<LabelKind>(metadata, RH_LABEL_KIND_KEY,
                        {{"binary", LabelKind::kBinary}, {"regression", LabelKind::kRegression}, {"multiclass", LabelKind::kMulticlass}},
                        LabelKind::kBinary, label);
  column.entity = choose<std::string>(metadata, RH_ENTITY_KEY, {{"user", "user"}, {"item", "item"}, {"", ""}}, "", label);
  column.is_key = choose<bool>(metadata, RH_IS_KEY_KEY, {{"1", true}, {"0", false}}, false, label);
  if (const auto found = metadata.find(RH_CARDINALITY_KEY); found != metadata.end()) {
    std::int64_t value = 0;
    const char* end = found->second.data() + found->second.size();
    const auto [stop, error] = std::from_chars(found->second.data(), end, value);
    if (error != std::errc{} || stop != end || value < 1) {
      fail<PluginError>("{}: {} is \"{}\", not a positive integer", label, RH_CARDINALITY_KEY, found->second);
    }
    column.cardinality = value;
  }
  check_role(column, label);
  return column;
}

}  // namespace

std::size_t width_of(ValueType type) {
  static constexpr std::array<std::size_t, 11> kWidths = {0, 1, 2, 4, 8, 1, 2, 4, 4, 8, 0};
  return kWidths[static_cast<std::size_t>(type)];
}

ArrowColumns read_arrow_schema(const ArrowSchema& schema) {
  const std::string_view format = schema.format == nullptr ? "" : schema.format;
  if (format != "+s") fail<PluginError>("schema: the format is \"{}\", not \"+s\" (a struct of columns)", format);
  if (schema.n_children < 1 || schema.children == nullptr) fail<PluginError>("schema: has no columns");
  ArrowColumns result;
  for (std::int64_t i = 0; i < schema.n_children; ++i) {
    const ArrowSchema* child = schema.children[i];
    if (child == nullptr) fail<PluginError>("schema: column {} is null", i);
    if (child->name == nullptr || child->name[0] == '\0') fail<PluginError>("schema: column {} has no name", i);
    const std::string label = fmt::format("schema: column \"{}\"", child->name);
    const bool known =
        std::any_of(result.columns.begin(), result.columns.end(), [&](const ColumnInfo& one) { return one.name == child->name; });
    if (known) fail<PluginError>("{}: is there twice", label);
    result.layouts.push_back(read_layout(*child, label));
    result.columns.push_back(read_column(*child, result.layouts.back(), label));
  }
  const Metadata metadata = read_metadata(schema.metadata, "schema");
  if (const auto found = metadata.find(RH_BEST_AUC_KEY); found != metadata.end()) {
    double value = 0.0;
    const char* end = found->second.data() + found->second.size();
    const auto [stop, error] = std::from_chars(found->second.data(), end, value);
    if (error != std::errc{} || stop != end || !(value >= 0.0 && value <= 1.0)) {
      fail<PluginError>("schema: {} is \"{}\", not a number from 0 to 1", RH_BEST_AUC_KEY, found->second);
    }
    result.best_auc = value;
  }
  return result;
}

}  // namespace rechost
