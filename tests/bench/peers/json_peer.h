#pragma once

#include <sched.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "app/environment.h"
#include "base/error.h"
#include "base/json.h"
#include "bench/loading/piped_process.h"

namespace rechost::bench {

/// A program that answers a line of JSON with one: what is compared with runs in its own process, which waits while the other side computes.
class JsonPeer {
 public:
  explicit JsonPeer(const std::vector<std::string>& command, const std::vector<std::pair<std::string, std::string>>& environment = {})
      : process_(command, environment) {}

  /// Waits for the answer. Throws with what the program said when it failed.
  Json ask(const Json& request) {
    const std::string line = json_line(request);
    process_.write_line(line);
    const std::string answer = process_.read_line();
    Json object = Json::parse(answer, nullptr, false);
    if (!object.is_object() || object.contains("error")) fail("peer {}: {}", line, answer.empty() ? "ended without an answer" : answer);
    return object;
  }

 private:
  PipedProcess process_;
};

/// The Python of an environment that a script of packaging/ makes. Throws naming the script where it is missing.
inline std::filesystem::path peer_python(const std::string& environment, const std::string& script) {
  const auto home = app::environment_variable("HOME").value_or("");
  const std::filesystem::path cache = app::environment_variable("RECHOST_CACHE").value_or(home + "/.cache/rechost");
  const std::filesystem::path python = cache / environment / "bin/python";
  if (!std::filesystem::exists(python)) fail("{} is missing: {} makes it", python.string(), script);
  return python;
}

/// Number of threads for every library that PyTorch computes with. Memory that the peer frees stays with it, as ours does with us
/// (keep_freed_memory()): glibc would return large activations to the kernel with every step, which costs PyTorch up to a sixth of it. Huge pages are left
/// as PyTorch has them by itself.
inline std::vector<std::pair<std::string, std::string>> peer_environment(int threads) {
  const std::string count = std::to_string(threads);
  return {{"OMP_NUM_THREADS", count},
          {"MKL_NUM_THREADS", count},
          {"MALLOC_MMAP_THRESHOLD_", "1073741824"},
          {"MALLOC_TRIM_THRESHOLD_", "4294967296"},
          {"MALLOC_TOP_PAD_", "67108864"},
          {"THP_MEM_ALLOC_ENABLE", "0"}};
}

/// While this object lives, processes and threads that are started run on the last `cores` of the cores that this one may use.
class OnCores {
 public:
  explicit OnCores(int cores) {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t chosen;
    CPU_ZERO(&chosen);
    for (int core = CPU_SETSIZE - 1; core >= 0 && cores > 0; --core) {
      if (!CPU_ISSET(core, &before_)) continue;
      CPU_SET(core, &chosen);
      --cores;
    }
    if (cores > 0) fail("this process may use {} cores fewer than are to be measured with", cores);
    if (sched_setaffinity(0, sizeof chosen, &chosen) != 0) fail("the cores of this process cannot be chosen");
  }
  ~OnCores() { sched_setaffinity(0, sizeof before_, &before_); }
  OnCores(const OnCores&) = delete;  // puts things back
  OnCores& operator=(const OnCores&) = delete;

 private:
  cpu_set_t before_;
};

}  // namespace rechost::bench
