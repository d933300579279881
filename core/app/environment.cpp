#include "app/environment.h"

#include <malloc.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/log.h"

extern char** environ;

namespace rechost::app {

namespace fs = std::filesystem;

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::vector<std::string> all_variables() {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

std::vector<std::pair<std::string, std::string>> config_variables() {
  std::vector<std::pair<std::string, std::string>> found;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || text.rfind("RECHOST_", 0) != 0) continue;
    const std::string name = text.substr(0, equals);
    // Two underscores separate section and key; RECHOST_PLUGIN_PATH and its like are not configuration.
    if (name.find("__") == std::string::npos) continue;
    found.emplace_back(name, text.substr(equals + 1));
  }
  std::sort(found.begin(), found.end());
  return found;
}

fs::path program_directory() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) throw Error("cannot read /proc/self/exe: is /proc mounted?");
  return program.parent_path();
}

fs::path share_directory() { return program_directory().parent_path() / "share" / "rechost"; }

std::vector<fs::path> plugin_directories() {
  std::vector<fs::path> directories;
  const bool trusted = getauxval(AT_SECURE) == 0;
  if (trusted) {
    if (const auto path = environment_variable("RECHOST_PLUGIN_PATH")) {
      std::size_t begin = 0;
      while (begin <= path->size()) {
        const std::size_t end = std::min(path->find(':', begin), path->size());
        const fs::path entry = path->substr(begin, end - begin);
        begin = end + 1;
        if (entry.empty()) continue;
        if (entry.is_absolute()) {
          directories.push_back(entry);
        } else {
          log_warning("RECHOST_PLUGIN_PATH: \"{}\" is ignored: entries must be absolute", entry.string());
        }
      }
    }
    if (const auto home = environment_variable("HOME"); home && !home->empty()) {
      directories.push_back(fs::path(*home) / ".local/lib/rechost/plugins");
    }
  }
  directories.emplace_back("/usr/local/lib/rechost/plugins");
  const fs::path prefix = program_directory().parent_path();
  directories.push_back(prefix / "lib/rechost/plugins");
  directories.push_back(prefix / "lib/x86_64-linux-gnu/rechost/plugins");
  directories.push_back(prefix / "lib64/rechost/plugins");
  // One folder may be reached by two of these names; the second would shadow itself.
  std::vector<fs::path> unique;
  for (const fs::path& directory : directories) {
    std::error_code error;
    const fs::path real = fs::weakly_canonical(directory, error);
    if (!error && std::find(unique.begin(), unique.end(), real) == unique.end()) unique.push_back(real);
  }
  return unique;
}

fs::path host_module(const std::string& name) {
  const fs::path prefix = program_directory().parent_path();
  for (const char* folder : {"lib/rechost", "lib/x86_64-linux-gnu/rechost", "lib64/rechost"}) {
    const fs::path module = prefix / folder / name;
    if (fs::exists(module)) return module;
  }
  return prefix / "lib/rechost" / name;
}

fs::path registry_directory() {
  if (const auto path = environment_variable("RECHOST_REGISTRY"); path && !path->empty()) return *path;
  if (const auto data = environment_variable("XDG_DATA_HOME"); data && !data->empty()) return fs::path(*data) / "rechost/registry";
  if (const auto home = environment_variable("HOME"); home && !home->empty()) return fs::path(*home) / ".local/share/rechost/registry";
  throw Error("no place for the model registry: set RECHOST_REGISTRY to a folder, or HOME");
}

void keep_freed_memory() {
  setenv("THP_MEM_ALLOC_ENABLE", "1", 0);
  const std::string tunables = environment_variable("GLIBC_TUNABLES").value_or("");
  if (tunables.find("glibc.malloc.") != std::string::npos) return;
  constexpr int kMebibyte = 1 << 20;
  mallopt(M_MMAP_THRESHOLD, 32 * kMebibyte);  // the most that glibc takes
  mallopt(M_TRIM_THRESHOLD, 256 * kMebibyte);
}

void keep_openmp_from_spinning() {
  if (environment_variable("OMP_WAIT_POLICY")) return;
  setenv("OMP_WAIT_POLICY", "passive", 0);
  setenv("GOMP_SPINCOUNT", "20000", 0);
}

}  // namespace rechost::app
