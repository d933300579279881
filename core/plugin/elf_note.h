#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace rechost {

enum class ModuleKind { kModel, kDataset };

/// "model", "dataset".
std::string_view name_of(ModuleKind kind);

/// What a plugin says about itself in its ELF note `.note.rechost` (owner "rechost", type 1, JSON).
struct PluginNote {
  struct Module {
    ModuleKind kind = ModuleKind::kModel;
    std::string id;
  };
  struct Torch {
    std::string version;  ///< "2.11.0"
    std::string cuda;     ///< empty: CPU only
  };

  int sdk_major = 0;
  int sdk_minor_needed = 0;
  std::string name;
  std::string version;
  std::vector<Module> modules;
  std::optional<Torch> torch;
};

/// What can be known of a shared library without running a single instruction of it.
struct ElfFacts {
  std::string note;                       ///< JSON text; empty when the file has no such note
  std::vector<std::string> needed;        ///< DT_NEEDED
  std::vector<std::string> search_paths;  ///< DT_RPATH or DT_RUNPATH, split at ':', $ORIGIN not yet replaced
};

/// Reads a 64-bit little-endian ELF shared library for this machine; every offset is checked against the file's size. Throws PluginError.
ElfFacts read_elf(const std::filesystem::path& file);

/// Throws PluginError naming `file`.
PluginNote parse_note(const std::string& json, const std::filesystem::path& file);

}  // namespace rechost
