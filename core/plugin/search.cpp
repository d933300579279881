#include "plugin/search.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <utility>

#include "base/error.h"
#include "rechost/abi.h"

namespace rechost {
namespace {

constexpr std::string_view kFolder = "rechost/plugins";
#if defined(__x86_64__)
constexpr std::string_view kMultiarch = "x86_64-linux-gnu";
#elif defined(__aarch64__)
constexpr std::string_view kMultiarch = "aarch64-linux-gnu";
#endif

/// A plugin runs with all rights of the user: nobody else may be able to change it.
void check_owner(const std::filesystem::path& file) {
  struct stat status {};
  if (stat(file.c_str(), &status) != 0) {
    fail<PluginError>("plugin {}: {}", file.string(), errno == ENOENT ? "there is no such file" : std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) fail<PluginError>("plugin {}: not a file", file.string());
  if (status.st_uid != 0 && status.st_uid != geteuid()) {
    fail<PluginError>("plugin {}: belongs to user number {}, neither to you nor to root; copy it to have one of your own", file.string(),
                      status.st_uid);
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    fail<PluginError>("plugin {}: others may write to it (mode {:04o}); run: chmod go-w {}", file.string(), status.st_mode & 07777,
                      file.string());
  }
}

void check_version(const PluginNote& note, const std::filesystem::path& file) {
  if (note.sdk_major != static_cast<int>(RH_ABI_MAJOR)) {
    fail<PluginError>("plugin {}: built for SDK {}, this rechost has SDK {}.{}; get a plugin or a rechost that fits the other",
                      file.string(), note.sdk_major, RH_ABI_MAJOR, RH_ABI_MINOR);
  }
  if (note.sdk_minor_needed > static_cast<int>(RH_ABI_MINOR)) {
    fail<PluginError>("plugin {}: needs SDK {}.{}, this rechost has SDK {}.{}; get a newer rechost", file.string(), note.sdk_major,
                      note.sdk_minor_needed, RH_ABI_MAJOR, RH_ABI_MINOR);
  }
  if (note.modules.empty()) fail<PluginError>("plugin {}: its note names neither a model nor a dataset", file.string());
}

/// "2.11.0+cpu" -> "2.11.0": the part after the plus says how it was built, not what it is.
std::string public_version(const std::string& version) { return version.substr(0, version.find('+')); }

/// The number after `name` in a header's #define lines, or "".
std::string defined_number(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("#define " + name + " ");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + 9 + name.size();
  return text.substr(begin, text.find_first_not_of("0123456789", begin) - begin);
}

std::string file_text(const std::filesystem::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

/// The version of the LibTorch whose libraries lie in `folder`, from the small files around; "" when none of them says.
std::string torch_version(const std::filesystem::path& folder) {
  const std::filesystem::path root = folder.parent_path();
  for (const char* header : {"include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"}) {
    const std::string text = file_text(root / header);
    const std::string major = defined_number(text, "TORCH_VERSION_MAJOR");
    if (!major.empty()) {
      return major + "." + defined_number(text, "TORCH_VERSION_MINOR") + "." + defined_number(text, "TORCH_VERSION_PATCH");
    }
  }
  // A Python package without headers, and the archive that torch publishes for C++.
  const std::string python = file_text(root / "version.py");
  const std::size_t at = python.find("__version__ = '");
  if (at != std::string::npos) return public_version(python.substr(at + 15, python.find('\'', at + 15) - at - 15));
  const std::string archive = file_text(root / "build-version");
  return public_version(archive.substr(0, archive.find('\n')));
}

/// The torch libraries that the plugin would get must be there and of the version that it was compiled against: torch's C++ interface
/// changes with every release, and a mismatch shows as a crash or a missing symbol deep in a run.
void check_torch(const PluginNote& note, const ElfFacts& facts, const std::filesystem::path& file) {
  if (!note.torch) return;
  std::error_code ignored;
  const std::filesystem::path origin = std::filesystem::canonical(file, ignored).parent_path();
  for (const std::string& library : facts.needed) {
    if (library.rfind("libtorch", 0) != 0 && library.rfind("libc10", 0) != 0) continue;
    std::filesystem::path found;
    std::string looked;
    for (std::string folder : facts.search_paths) {
      for (const std::string_view name : {"$ORIGIN", "${ORIGIN}"}) {
        if (folder.rfind(name, 0) == 0) folder.replace(0, name.size(), origin.string());
      }
      const std::filesystem::path candidate = (std::filesystem::path(folder) / library).lexically_normal();
      looked += (looked.empty() ? "" : ", ") + candidate.parent_path().string();
      if (found.empty() && std::filesystem::exists(candidate, ignored)) found = candidate;
    }
    // Without a search path the loader looks in the system's folders, which are its own business.
    if (looked.empty()) return;
    if (found.empty()) {
      fail<PluginError>(
          "plugin {}: needs {} of LibTorch {}, which is not in {}; install LibTorch {} there (rechost's own: packaging/libtorch)",
          file.string(), library, note.torch->version, looked, note.torch->version);
    }
    const std::string version = torch_version(std::filesystem::canonical(found, ignored).parent_path());
    if (!version.empty() && version != public_version(note.torch->version)) {
      fail<PluginError>("plugin {}: compiled against LibTorch {}, but {} is LibTorch {}; install {} or build the plugin again",
                        file.string(), note.torch->version, found.string(), version, note.torch->version);
    }
  }
}

/// *.so in one folder, by name; a folder that cannot be read has none.
std::vector<std::filesystem::path> libraries_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (entry->path().extension() == ".so" && !entry->is_directory(ignored)) files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

PluginPath plugin_path(const PluginPathSources& sources) {
  PluginPath path;
  for (std::size_t begin = 0; begin <= sources.plugin_path.size();) {
    const std::size_t end = std::min(sources.plugin_path.find(':', begin), sources.plugin_path.size());
    const std::filesystem::path entry = sources.plugin_path.substr(begin, end - begin);
    // A relative entry would mean another folder wherever the program is started.
    if (entry.is_absolute()) path.push_back(entry.lexically_normal());
    begin = end + 1;
  }
  if (!sources.home.empty()) path.push_back(sources.home / ".local/lib" / kFolder);
  path.push_back(std::filesystem::path("/usr/local/lib") / kFolder);
  if (!sources.program.empty()) {
    const std::filesystem::path prefix = sources.program.parent_path().parent_path();
    path.push_back(prefix / "lib" / kFolder);
    path.push_back(prefix / "lib" / kMultiarch / kFolder);
  }
  // A program in /usr/local would name one folder twice, and everything in it would shadow itself.
  PluginPath unique;
  for (std::filesystem::path& folder : path) {
    if (std::find(unique.begin(), unique.end(), folder) == unique.end()) unique.push_back(std::move(folder));
  }
  return unique;
}

PluginNote check_plugin_file(const std::filesystem::path& file) {
  check_owner(file);
  const ElfFacts facts = read_elf(file);
  if (facts.note.empty()) {
    fail<PluginError>("plugin {}: has no note .note.rechost, so it is no plugin of rechost; build it with rechost_add_plugin of the SDK",
                      file.string());
  }
  PluginNote note = parse_note(facts.note, file);
  check_version(note, file);
  check_torch(note, facts, file);
  return note;
}

std::vector<PluginFile> list_plugins(const PluginPath& path) {
  std::vector<PluginFile> found;
  std::map<std::pair<ModuleKind, std::string>, std::filesystem::path> first;
  for (const std::filesystem::path& folder : path) {
    for (const std::filesystem::path& file : libraries_in(folder)) {
      PluginFile& plugin = found.emplace_back();
      plugin.path = file;
      try {
        plugin.note = check_plugin_file(file);
      } catch (const PluginError& error) {
        plugin.problem = error.what();
        continue;
      }
      for (const PluginNote::Module& module : plugin.note.modules) {
        const auto [winner, is_first] = first.try_emplace({module.kind, module.id}, file);
        if (!is_first) plugin.shadowed.push_back({module.kind, module.id, winner->second});
      }
    }
  }
  return found;
}

}  // namespace rechost
