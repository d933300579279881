#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace rechost::bench {

/// A program that is talked to line by line through its standard input and output, for as long as this object lives: it ends when there is nothing more
/// to read.
class PipedProcess {
 public:
  /// `command`: found as a shell would find it, with its arguments. `environment`: beside ours.
  explicit PipedProcess(const std::vector<std::string>& command, const std::vector<std::pair<std::string, std::string>>& environment = {}) {
    int to_program[2], from_program[2];
    if (pipe2(to_program, O_CLOEXEC) != 0 || pipe2(from_program, O_CLOEXEC) != 0) fail("no pipe to {}", command[0]);
    process_ = fork();
    if (process_ < 0) fail("no process for {}", command[0]);
    if (process_ == 0) {
      dup2(to_program[0], STDIN_FILENO);
      dup2(from_program[1], STDOUT_FILENO);
      for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
      std::vector<char*> arguments;
      for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
      arguments.push_back(nullptr);
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    close(to_program[0]);
    close(from_program[1]);
    input_ = to_program[1];
    output_ = fdopen(from_program[0], "r");
  }
  ~PipedProcess() {
    close(input_);
    std::fclose(output_);
    waitpid(process_, nullptr, 0);
  }
  PipedProcess(const PipedProcess&) = delete;  // one owner of the process
  PipedProcess& operator=(const PipedProcess&) = delete;

  void write_line(const std::string& text) const {
    const std::string line = text + "\n";
    if (write(input_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) fail("the program at the other end of a pipe has ended");
  }
  /// Waits for it. What there is, when the program ends before.
  std::string read_line() const {
    std::string line;
    for (int byte = 0; (byte = std::fgetc(output_)) != EOF && byte != '\n';) line += static_cast<char>(byte);
    return line;
  }

 private:
  pid_t process_ = -1;
  int input_ = -1;
  std::FILE* output_ = nullptr;
};

}  // namespace rechost::bench
