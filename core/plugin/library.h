#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/elf_note.h"
#include "plugin/options.h"

struct rh_module;

namespace rechost {

/// Folders to search, strongest first.
using PluginPath = std::vector<std::filesystem::path>;

/// What decides the search path; the app floor fills it from the environment. Leave the first two empty when running set-uid.
struct PluginPathSources {
  std::string plugin_path;        ///< RECHOST_PLUGIN_PATH: entries split at ':'; only absolute ones count
  std::filesystem::path home;     ///< then <home>/.local/lib/rechost/plugins, /usr/local/lib/rechost/plugins,
  std::filesystem::path program;  ///< then ../lib/rechost/plugins and ../lib/<multiarch>/rechost/plugins beside this file's folder
};
PluginPath plugin_path(const PluginPathSources& sources);

/// One file that was found. Nothing of it has been loaded.
struct PluginFile {
  std::filesystem::path path;
  PluginNote note;      ///< meaningless when `problem` is set before the note could be read
  std::string problem;  ///< why it cannot be loaded; empty: nothing speaks against it so far
  /// Ids of modules that an earlier file has too: that one wins.
  struct Shadowed {
    ModuleKind kind = ModuleKind::kModel;
    std::string id;
    std::filesystem::path by;
  };
  std::vector<Shadowed> shadowed;
};

/// All *.so files of the path, by folder and then by name. Reads notes only, so a folder of torch plugins takes milliseconds.
std::vector<PluginFile> list_plugins(const PluginPath& path);

/// The checks before loading: owner, permissions, machine, note, SDK version, LibTorch. Throws PluginError.
PluginNote check_plugin_file(const std::filesystem::path& file);

/// One module of a loaded plugin. A plain view: plugins are never unloaded, so it stays valid as long as the process.
class Module {
 public:
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

/// Loads a file (once per process, however often it is asked for) and checks its tables. All its modules.
std::vector<Module> load_plugin(const std::filesystem::path& file);

/// The module that the user named: with a slash a file (its only module of that kind, or `file.so:id`), else an id looked for on the path.
/// Throws PluginError, for an unknown id with the nearest one.
Module load_module(ModuleKind kind, std::string_view name, const PluginPath& path);

}  // namespace rechost
