#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "bench/loading/report.h"

namespace rechost::bench {

/// The Python program with the readers of other frameworks (peers.py): one process that answers a line with a line, so that its rounds can
/// alternate with ours without paying for its start each time.
class PeerProcess {
 public:
  PeerProcess(const std::filesystem::path& python, const std::filesystem::path& script, const std::string& module_path) {
    int to_peer[2], from_peer[2];
    if (pipe2(to_peer, O_CLOEXEC) != 0 || pipe2(from_peer, O_CLOEXEC) != 0) fail("no pipe to a peer");
    process_ = fork();
    if (process_ < 0) fail("no process for a peer");
    if (process_ == 0) {
      dup2(to_peer[0], STDIN_FILENO);
      dup2(from_peer[1], STDOUT_FILENO);
      for (const auto& [name, value] : {std::pair<const char*, const char*>{"PYTHONPATH", module_path.c_str()}, {"OMP_NUM_THREADS", "1"},
                                        {"POLARS_MAX_THREADS", "1"}, {"ARROW_DEFAULT_MEMORY_POOL", "mimalloc"}}) {
        setenv(name, value, 1);
      }
      execl(python.c_str(), python.c_str(), script.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    close(to_peer[0]);
    close(from_peer[1]);
    requests_ = to_peer[1];
    answers_ = fdopen(from_peer[0], "r");
  }
  ~PeerProcess() {
    close(requests_);  // it ends when there is nothing more to read
    std::fclose(answers_);
    waitpid(process_, nullptr, 0);
  }
  PeerProcess(const PeerProcess&) = delete;  // one owner of the process
  PeerProcess& operator=(const PeerProcess&) = delete;

  /// Waits for the answer. Throws with what the peer said when it failed.
  Round run(const Json& request) {
    const std::string line = json_line(request) + "\n";
    if (write(requests_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) fail("the peers have ended");
    std::string answer;
    for (int byte = 0; (byte = std::fgetc(answers_)) != EOF && byte != '\n';) answer += static_cast<char>(byte);
    const Json object = Json::parse(answer, nullptr, false);
    if (!object.is_object() || object.contains("error")) fail("peer {}: {}", line, answer.empty() ? "ended without an answer" : answer);
    return {object["done"].get<double>(), object["processor_seconds"].get<double>(), object["wall_seconds"].get<double>()};
  }

 private:
  pid_t process_ = -1;
  int requests_ = -1;
  std::FILE* answers_ = nullptr;
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
