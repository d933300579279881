#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "config/node.h"

struct rh_config;
struct rh_option;

namespace rechost {

class Module;

enum class OptionType { kBool, kInt, kFloat, kString, kPath, kIntList, kFloatList, kStringList };

/// "integer", "list of strings" ...
std::string_view name_of(OptionType type);

/// One option of a module, as `rechost plugins inspect` prints it.
struct OptionInfo {
  std::string name;
  OptionType type = OptionType::kString;
  std::optional<ConfigNode> default_value;  ///< none: required, or deprecated
  std::string doc;
  bool required = false;
  std::optional<double> minimum;
  std::optional<double> maximum;
  std::vector<std::string> choices;
  bool deprecated = false;
  std::string replaced_by;
};

/// Copies and checks a module's table of options. Throws PluginError beginning with `label`.
std::vector<OptionInfo> read_options(const rh_option* options, std::uint32_t count, std::uint32_t stride, std::string_view label);

/// The options of one module, checked against its list: all present, defaults filled in. Owns what the plugin is shown.
class ModuleOptions {
 public:
  struct Context {
    std::string section;        ///< "model" or "data": for messages
    std::uint64_t seed = 0;     ///< for whatever the module draws when it is made
    std::uint32_t threads = 1;  ///< how many threads it may keep busy
    VariableLookup lookup;      ///< ${NAME} in defaults of paths; given values were replaced when the files were read
  };

  /// `given` is the table of ModelSection::options or DataSection::options. Throws ConfigError: unknown option (with file, line and nearest
  /// name), wrong type, out of range, not among the choices, missing. A deprecated option is logged as a warning and moved to its
  /// successor.
  ModuleOptions(const Module& module, const ConfigNode& given, Context context);

  /// As a table with the origin of each value, paths made absolute: put it back into the section, so that `config show` has everything.
  const ConfigNode& resolved() const { return resolved_; }

  /// Valid as long as this object.
  const rh_config* abi() const;

 private:
  struct Storage;
  ConfigNode resolved_;
  std::shared_ptr<const Storage> storage_;
};

}  // namespace rechost
