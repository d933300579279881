#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/node.h"

namespace rechost {

/// One key of a section, as describe() told it.
struct KeyDescription {
  using Target = std::variant<bool*, std::int64_t*, double*, std::string*, std::vector<std::int64_t>*, std::vector<double>*>;

  std::string name;
  Target target;  ///< where the value lives; borrowed from the described object
  std::string doc;
  std::optional<double> minimum;
  std::optional<double> maximum;
  std::vector<std::string> choices;

  // The constraints of describe(); each returns the key, so that they chain.
  KeyDescription& at_least(double least) {
    minimum = least;
    return *this;
  }
  KeyDescription& between(double least, double most) {
    minimum = least;
    maximum = most;
    return *this;
  }
  KeyDescription& one_of(std::initializer_list<const char*> allowed) {
    choices.assign(allowed.begin(), allowed.end());
    return *this;
  }
};

/// The visitor of all describe() functions: a section with its keys as data, so that parsing, showing and the schema need no templates.
/// Pointers lead into the described object, which must stay where it is.
struct SectionDescription {
  /// A table whose keys are patterns and whose values are sections of one kind.
  struct Patterns {
    std::string name;
    std::map<std::string, ConfigNode>* given = nullptr;
    std::shared_ptr<void> prototype;  ///< owns what `section` points into
    std::shared_ptr<SectionDescription> section;
  };

  std::string name;
  std::vector<KeyDescription> keys;
  std::vector<SectionDescription> sections;
  std::vector<Patterns> pattern_sections;
  ConfigNode* options = nullptr;  ///< receives all keys that are not listed; null: such keys are errors

  /// A key.
  template <typename Value>
  KeyDescription& operator()(std::string_view key, Value& value, std::string_view doc) {
    keys.push_back(KeyDescription{std::string(key), &value, std::string(doc), {}, {}, {}});
    return keys.back();
  }

  template <typename Section>
  void section(std::string_view key, Section& value) {
    SectionDescription& child = sections.emplace_back();
    child.name = key;
    value.describe(child);
  }

  template <typename Section>
  void open_section(std::string_view key, Section& value, ConfigNode& rest) {
    section(key, value);
    sections.back().options = &rest;
  }

  template <typename Section>
  void patterns(std::string_view key, std::map<std::string, ConfigNode>& given, Section prototype) {
    const auto owned = std::make_shared<Section>(std::move(prototype));
    auto description = std::make_shared<SectionDescription>();
    owned->describe(*description);
    pattern_sections.push_back({std::string(key), &given, owned, std::move(description)});
  }

  /// Patterns whose sections take any other key too. Section::options is a table.
  template <typename Section>
  void open_patterns(std::string_view key, std::map<std::string, ConfigNode>& given, Section prototype) {
    patterns(key, given, std::move(prototype));
    pattern_sections.back().section->options = &static_cast<Section*>(pattern_sections.back().prototype.get())->options;
  }
};

}  // namespace rechost
