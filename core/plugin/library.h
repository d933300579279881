#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/options.h"
#include "plugin/search.h"

struct rh_module;

namespace rechost {

/// One module of a loaded plugin. A plain view: plugins are never unloaded, so it stays valid as long as the process.
class Module {
 public:
  /// Checks the whole table; throws PluginError.
  Module(const rh_module* table, std::string plugin_name, std::string plugin_version, std::filesystem::path file);

  ModuleKind kind() const { return kind_; }
  const std::string& id() const { return id_; }
  const std::string& doc() const { return doc_; }
  const std::string& plugin_name() const { return plugin_name_; }
  const std::string& plugin_version() const { return plugin_version_; }
  const std::filesystem::path& file() const { return file_; }
  const std::vector<OptionInfo>& options() const { return options_; }

  /// `plugin "dlrm" (/path/dlrm.so)`: how each message about it begins.
  std::string label() const;

  /// The table for an interface id ("rechost.model/1"); throws PluginError when the module lacks it.
  const void* interface(std::string_view id) const;

 private:
  const rh_module* table_;
  ModuleKind kind_;
  std::string id_;
  std::string doc_;
  std::string plugin_name_;
  std::string plugin_version_;
  std::filesystem::path file_;
  std::vector<OptionInfo> options_;
};

/// Version of the SDK that this host offers: "1.0".
std::string sdk_version();

/// Loads a file (once per process, however often it is asked for) and checks its tables. All its modules.
std::vector<Module> load_plugin(const std::filesystem::path& file);

/// The module that the user named: with a slash a file (its only module of that kind, or `file.so:id`), else an id looked for on the path.
/// Throws PluginError, for an unknown id with the nearest one.
Module load_module(ModuleKind kind, std::string_view name, const PluginPath& path);

}  // namespace rechost
