#include "plugin/options.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/nearest_name.h"
#include "config/description.h"
#include "config/sections.h"
#include "plugin/host_table.h"
#include "plugin/library.h"

namespace rechost {
namespace {

constexpr std::string_view kDefaultOrigin = "plugin default";

bool is_list(OptionType type) { return type >= OptionType::kIntList; }

OptionType element_type(OptionType type) {
  switch (type) {
    case OptionType::kIntList:
      return OptionType::kInt;
    case OptionType::kFloatList:
      return OptionType::kFloat;
    case OptionType::kStringList:
      return OptionType::kString;
    default:
      return type;
  }
}

std::uint32_t type_number(OptionType type) { return static_cast<std::uint32_t>(type) + RH_OPTION_BOOL; }

/// What is wrong with one value that is not a list: "expected an integer, got "x" (a string)"; "" when nothing is.
std::string scalar_problem(const OptionInfo& option, const ConfigNode& value) {
  const OptionType type = element_type(option.type);
  const auto wrong = [&](std::string_view expected) {
    return fmt::format("expected {}, got {} ({})", expected, value.text(), value.kind());
  };
  double number = 0.0;
  if (type == OptionType::kBool) {
    if (!std::holds_alternative<bool>(value.value)) return wrong("true or false");
  } else if (type == OptionType::kString || type == OptionType::kPath) {
    const auto* text = std::get_if<std::string>(&value.value);
    if (text == nullptr) return wrong("a string");
    if (option.choices.empty() || std::find(option.choices.begin(), option.choices.end(), *text) != option.choices.end()) return "";
    std::string choices;
    for (const std::string& choice : option.choices) choices += fmt::format("{}\"{}\"", choices.empty() ? "" : ", ", choice);
    return fmt::format("\"{}\" is not one of {}", *text, choices);
  } else if (const auto* integer = std::get_if<std::int64_t>(&value.value)) {
    number = static_cast<double>(*integer);
  } else if (const auto* real = std::get_if<double>(&value.value); real != nullptr && type == OptionType::kFloat) {
    number = *real;
  } else {
    return wrong(type == OptionType::kInt ? "an integer" : "a number");
  }
  // Written so that "not a number" is outside of every range.
  if (option.minimum && !(number >= *option.minimum && number <= *option.maximum)) {
    return fmt::format("{} is not between {} and {}", value.text(), *option.minimum, *option.maximum);
  }
  return "";
}

/// "" when the value fits the option.
std::string value_problem(const OptionInfo& option, const ConfigNode& value) {
  if (!is_list(option.type)) return scalar_problem(option, value);
  const auto* array = std::get_if<ConfigNode::Array>(&value.value);
  if (array == nullptr) return fmt::format("expected a {}, got {} ({})", name_of(option.type), value.text(), value.kind());
  for (const ConfigNode& element : *array) {
    const std::string problem = scalar_problem(option, element);
    if (!problem.empty()) return problem;
  }
  return "";
}

/// For a deprecated option that nobody gave: the plugin is shown every option, this one with the emptiest value of its type.
ConfigNode empty_value(OptionType type) {
  ConfigNode node;
  if (is_list(type)) {
    node.value = ConfigNode::Array{};
  } else if (type == OptionType::kBool) {
    node.value = false;
  } else if (type == OptionType::kInt) {
    node.value = std::int64_t{0};
  } else if (type == OptionType::kFloat) {
    node.value = 0.0;
  } else {
    node.value = std::string();
  }
  return node;
}

std::vector<std::string> host_keys(std::string_view section) {
  Config config;
  SectionDescription root;
  config.describe(root);
  std::vector<std::string> names;
  for (const SectionDescription& one : root.sections) {
    if (one.name != section) continue;
    for (const KeyDescription& key : one.keys) names.push_back(key.name);
    for (const SectionDescription& child : one.sections) names.push_back(child.name);
  }
  return names;
}

/// One entry of a plugin's table.
OptionInfo read_option(const rh_option& option, const std::string& label) {
  OptionInfo info;
  info.name = to_view(option.name, label + ".name");
  if (info.name.empty()) fail<PluginError>("{}.name is empty", label);
  const std::string named = fmt::format("{} \"{}\"", label, info.name);
  if (option.type < RH_OPTION_BOOL || option.type > RH_OPTION_STRING_LIST)
    fail<PluginError>("{} has the unknown type {}", named, option.type);
  info.type = static_cast<OptionType>(option.type - RH_OPTION_BOOL);
  info.doc = to_view(option.doc, named + ".doc");
  info.required = (option.flags & RH_OPTION_REQUIRED) != 0;
  info.deprecated = (option.flags & RH_OPTION_DEPRECATED) != 0;
  info.replaced_by = to_view(option.replaced_by, named + ".replaced_by");
  if ((option.flags & RH_OPTION_HAS_RANGE) != 0) {
    if (!(option.minimum <= option.maximum)) fail<PluginError>("{} has the range {} to {}", named, option.minimum, option.maximum);
    info.minimum = option.minimum;
    info.maximum = option.maximum;
  }
  if (option.choice_count > 0 && option.choices == nullptr) fail<PluginError>("{}.choices is null", named);
  for (std::uint32_t i = 0; i < option.choice_count; ++i) info.choices.emplace_back(to_view(option.choices[i], named + ".choices"));
  const std::string_view text = to_view(option.default_value, named + ".default_value");
  if (info.required || (info.deprecated && text.empty())) return info;
  try {
    info.default_value = parse_value(text, named + ".default_value");
  } catch (const ConfigError& error) {
    throw PluginError(error.what());
  }
  info.default_value->origin = kDefaultOrigin;
  const std::string problem = value_problem(info, *info.default_value);
  if (!problem.empty()) fail<PluginError>("{}.default_value: {}", named, problem);
  return info;
}

}  // namespace

std::string_view name_of(OptionType type) {
  static constexpr std::string_view kNames[] = {"true or false", "integer",          "number",          "string",
                                                "path",          "list of integers", "list of numbers", "list of strings"};
  return kNames[static_cast<std::size_t>(type)];
}

std::vector<OptionInfo> read_options(const rh_option* options, std::uint32_t count, std::uint32_t stride, std::string_view label) {
  std::vector<OptionInfo> infos;
  if (count == 0) return infos;
  if (options == nullptr) fail<PluginError>("{}: rh_module.options is null, option_count is {}", label, count);
  constexpr std::size_t kLeastStride = offsetof(rh_option, replaced_by) + sizeof(rh_option::replaced_by);
  if (stride < kLeastStride)
    fail<PluginError>("{}: rh_module.option_stride is {}, an option has at least {} bytes", label, stride, kLeastStride);
  std::set<std::string> names;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto& option = *reinterpret_cast<const rh_option*>(reinterpret_cast<const char*>(options) + std::size_t{i} * stride);
    const std::string option_label = fmt::format("{}: options[{}]", label, i);
    if (!RH_HAS(&option, replaced_by)) {
      fail<PluginError>("{}: struct_size {} ends before the field replaced_by", option_label, option.struct_size);
    }
    infos.push_back(read_option(option, option_label));
    if (!names.insert(infos.back().name).second) fail<PluginError>("{}: has two options \"{}\"", label, infos.back().name);
  }
  for (const OptionInfo& info : infos) {
    if (!info.replaced_by.empty() && names.count(info.replaced_by) == 0) {
      fail<PluginError>("{}: option \"{}\" is replaced by \"{}\", which does not exist", label, info.name, info.replaced_by);
    }
  }
  return infos;
}

/// The ABI's view of the values, and what it points to. Deques, because their elements stay where they are.
struct ModuleOptions::Storage {
  std::deque<std::string> texts;
  std::deque<std::vector<std::int64_t>> integers;
  std::deque<std::vector<double>> reals;
  std::deque<std::vector<rh_string>> text_lists;
  std::vector<rh_option_value> values;
  rh_config config{};

  rh_string keep(const std::string& text) { return to_abi(texts.emplace_back(text)); }

  void add(const OptionInfo& option, const ConfigNode& node) {
    rh_option_value value{};
    value.struct_size = sizeof(value);
    value.type = type_number(option.type);
    value.name = keep(option.name);
    switch (option.type) {
      case OptionType::kBool:
        value.integer = std::get<bool>(node.value) ? 1 : 0;
        break;
      case OptionType::kInt:
        value.integer = std::get<std::int64_t>(node.value);
        break;
      case OptionType::kFloat:
        value.real = real_of(node);
        break;
      case OptionType::kString:
      case OptionType::kPath:
        value.text = keep(std::get<std::string>(node.value));
        break;
      default:
        add_list(option, std::get<ConfigNode::Array>(node.value), value);
    }
    values.push_back(value);
  }

 private:
  static double real_of(const ConfigNode& node) {
    const auto* integer = std::get_if<std::int64_t>(&node.value);
    return integer != nullptr ? static_cast<double>(*integer) : std::get<double>(node.value);
  }

  void add_list(const OptionInfo& option, const ConfigNode::Array& array, rh_option_value& value) {
    value.count = array.size();
    if (option.type == OptionType::kIntList) {
      auto& list = integers.emplace_back();
      for (const ConfigNode& element : array) list.push_back(std::get<std::int64_t>(element.value));
      value.integers = list.data();
    } else if (option.type == OptionType::kFloatList) {
      auto& list = reals.emplace_back();
      for (const ConfigNode& element : array) list.push_back(real_of(element));
      value.reals = list.data();
    } else {
      auto& list = text_lists.emplace_back();
      for (const ConfigNode& element : array) list.push_back(keep(std::get<std::string>(element.value)));
      value.texts = list.data();
    }
  }
};

namespace {

const OptionInfo* find_option(const std::vector<OptionInfo>& options, std::string_view name) {
  const auto found = std::find_if(options.begin(), options.end(), [&](const OptionInfo& option) { return option.name == name; });
  return found == options.end() ? nullptr : &*found;
}

/// The given values by the names that are in force: deprecated ones moved to their successors.
ConfigNode::Table accepted(const Module& module, const ConfigNode::Table& given, const std::string& section) {
  ConfigNode::Table result;
  for (const auto& [name, node] : given) {
    const std::string full_key = join_key(section, name);
    const OptionInfo* option = find_option(module.options(), name);
    if (option == nullptr) {
      std::vector<std::string> names = host_keys(section);
      for (const OptionInfo& one : module.options()) names.push_back(one.name);
      fail<ConfigError>("{}unknown key {}{}; \"rechost plugins inspect {}\" lists the options", at(node), full_key, suggestion(name, names),
                        module.id());
    }
    std::string target = name;
    if (option->deprecated && !option->replaced_by.empty()) {
      target = option->replaced_by;
      if (given.count(target) != 0) {
        fail<ConfigError>("{}{} is the former name of {}, which is given too; remove one", at(node), full_key, join_key(section, target));
      }
      log_warning("{}{} is deprecated; write {}", at(node), full_key, join_key(section, target));
      option = find_option(module.options(), target);
    } else if (option->deprecated) {
      log_warning("{}{} is deprecated and will go", at(node), full_key);
    }
    ConfigNode value = node;
    // `--set model.tag=7` for a string means the text 7.
    const bool wants_text = option->type == OptionType::kString || option->type == OptionType::kPath;
    if (wants_text && !node.typed.empty() && !std::holds_alternative<std::string>(node.value)) value.value = node.typed;
    const std::string problem = value_problem(*option, value);
    if (!problem.empty()) fail<ConfigError>("{}{}: {}", at(node), full_key, problem);
    result[target] = std::move(value);
  }
  return result;
}

}  // namespace

namespace {

/// The resolved configuration is read again in other directories: by eval of a registered model, for one.
void make_absolute(ConfigNode& value) {
  const auto* text = std::get_if<std::string>(&value.value);
  std::error_code error;
  const std::filesystem::path here = std::filesystem::current_path(error);
  if (text == nullptr || text->empty() || error || text->find("://") != std::string::npos || text->starts_with("file:")) return;
  value.value = (here / *text).lexically_normal().string();
}

}  // namespace

ModuleOptions::ModuleOptions(const Module& module, const ConfigNode& given, Context context) {
  const std::vector<std::string> taken = host_keys(context.section);
  const ConfigNode::Table values = accepted(module, given.is_table() ? given.table() : ConfigNode::Table{}, context.section);
  auto storage = std::make_shared<Storage>();
  ConfigNode::Table resolved;
  for (const OptionInfo& option : module.options()) {
    if (std::find(taken.begin(), taken.end(), option.name) != taken.end()) {
      fail<PluginError>("{}: option \"{}\" has the name of a key of the host's own in [{}]", module.label(), option.name, context.section);
    }
    const auto found = values.find(option.name);
    if (found == values.end() && option.required) {
      fail<ConfigError>("{} is missing: {} \"{}\" needs it ({}); write it in the configuration, or --set {}=...",
                        join_key(context.section, option.name), name_of(module.kind()), module.id(), option.doc,
                        join_key(context.section, option.name));
    }
    ConfigNode value = found != values.end() ? found->second : option.default_value.value_or(empty_value(option.type));
    if (found == values.end()) replace_variables(value, join_key(context.section, option.name), context.lookup);
    storage->add(option, value);
    if (option.type == OptionType::kPath) make_absolute(value);
    // Former names would only be warned about when the shown configuration is loaded again.
    if (!option.deprecated || found != values.end()) resolved.emplace(option.name, std::move(value));
  }
  storage->config = {.struct_size = sizeof(rh_config),
                     .value_stride = sizeof(rh_option_value),
                     .values = storage->values.data(),
                     .value_count = storage->values.size(),
                     .seed = context.seed,
                     .threads = context.threads,
                     .reserved = 0};
  resolved_.value = std::move(resolved);
  storage_ = std::move(storage);
}

const rh_config* ModuleOptions::abi() const { return &storage_->config; }

}  // namespace rechost
