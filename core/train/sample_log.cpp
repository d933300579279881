#include "train/sample_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.h"

namespace rechost {

SampleLog::SampleLog(const std::filesystem::path& path) : path_(path) {
  std::filesystem::create_directories(path.parent_path());
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0) fail("cannot write {}: {}", path.string(), std::strerror(errno));
}

SampleLog::~SampleLog() { ::close(file_); }

void SampleLog::add(const Batch& batch) {
  const std::string line = fmt::format("{{\"step\":{},\"epoch\":{},\"first_row\":{},\"samples\":[{}]}}\n", batch.step + 1, batch.epoch, batch.first_row,
                                       fmt::join(batch.samples, ","));
  // One call: a kill cannot leave half a line.
  if (::write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) fail("cannot write {}: {}", path_.string(), std::strerror(errno));
}

}  // namespace rechost
