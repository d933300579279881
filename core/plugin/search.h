#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "plugin/elf_note.h"

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

}  // namespace rechost
