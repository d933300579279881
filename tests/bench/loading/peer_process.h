#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "bench/loading/piped_process.h"
#include "bench/loading/report.h"

namespace rechost::bench {

/// The Python program with the readers of other frameworks (peers.py): one process that answers a line with a line, so that its rounds can
/// alternate with ours without paying for its start each time.
class PeerProcess {
 public:
  PeerProcess(const std::filesystem::path& python, const std::filesystem::path& script, const std::string& module_path)
      : process_({python.string(), script.string()},
                 {{"PYTHONPATH", module_path}, {"OMP_NUM_THREADS", "1"}, {"POLARS_MAX_THREADS", "1"}, {"ARROW_DEFAULT_MEMORY_POOL", "mimalloc"}}) {}

  /// Waits for the answer. Throws with what the peer said when it failed.
  Round run(const Json& request) {
    const std::string line = json_line(request);
    process_.write_line(line);
    const std::string answer = process_.read_line();
    const Json object = Json::parse(answer, nullptr, false);
    if (!object.is_object() || object.contains("error")) fail("peer {}: {}", line, answer.empty() ? "ended without an answer" : answer);
    return {object["done"].get<double>(), object["processor_seconds"].get<double>(), object["wall_seconds"].get<double>()};
  }

 private:
  PipedProcess process_;
};

/// Another program once, its output thrown away; the round has the processor time that it took. `done`: how many things that stands for.
inline Round run_program(const std::vector<std::string>& command, double done) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  // Not fork(): it would leave all our memory to be copied at its next write, which our own next round would be charged with.
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t process = 0;
  const int problem = posix_spawnp(&process, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) fail("no process for {}", command[0]);
  int status = 0;
  rusage usage{};
  if (wait4(process, &status, 0, &usage) != process || !WIFEXITED(status) || WEXITSTATUS(status) != 0) fail("{} failed", command[0]);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec); };
  return {done, seconds(usage.ru_utime) + seconds(usage.ru_stime), seconds_since(begin)};
}

}  // namespace rechost::bench
