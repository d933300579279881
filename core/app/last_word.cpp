#include "app/last_word.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <string>

#include "app/environment.h"
#include "base/file.h"
#include "base/json.h"

namespace rechost::app {
namespace {

constexpr std::size_t kLongestTerminationMessage = 4096;  // the kubelet reads no more

/// torchrun takes the earliest of its ranks' files for the cause.
std::string for_torchrun(std::string_view message) {
  Json word = Json::object();
  word["message"]["message"] = message;
  word["message"]["extraInfo"]["timestamp"] = std::to_string(std::time(nullptr));
  return json_line(word);
}

/// Into the file as it is: the termination log is mounted into the container, and cannot be replaced by another file.
void write_over(const std::string& path, std::string_view text, bool only_if_empty, int mode) {
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC | mode, 0644));
  struct stat found {};
  if (!file || fstat(file.number(), &found) != 0) return;
  // What others say of a rank is better than nothing, and less than its own word.
  if (only_if_empty && found.st_size > 0) return;
  if (ftruncate(file.number(), 0) != 0) return;
  [[maybe_unused]] const auto written = write(file.number(), text.data(), text.size());
}

std::string termination_log() {
  if (const auto path = environment_variable("RECHOST_TERMINATION_LOG")) return *path;
  return environment_variable("KUBERNETES_SERVICE_HOST") ? "/dev/termination-log" : "";
}

}  // namespace

void leave_word(LastWord whose, std::string_view message) noexcept {
  try {
    const bool only_if_empty = whose == LastWord::kOfAnother;
    if (const auto path = environment_variable("TORCHELASTIC_ERROR_FILE"); path && !path->empty()) {
      write_over(*path, for_torchrun(message), only_if_empty, O_CREAT);
    }
    if (const std::string path = termination_log(); !path.empty()) {
      write_over(path, message.substr(0, kLongestTerminationMessage), only_if_empty, 0);
    }
  } catch (const std::exception&) {
    // What the process has to say, standard error has.
  }
}

}  // namespace rechost::app
