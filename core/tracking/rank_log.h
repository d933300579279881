#pragma once

#include <filesystem>

#include "base/file.h"
#include "base/log.h"

namespace rechost {

/// Copies every log line of this process to `<run>/logs/rank-00000.log`, with UTC time and level, as long as it lives. One per process.
class RankLog {
 public:
  RankLog(const std::filesystem::path& run_directory, int rank);
  ~RankLog();
  RankLog(const RankLog&) = delete;  // the log refers to it
  RankLog& operator=(const RankLog&) = delete;

 private:
  static void write(void* context, LogLevel level, std::string_view line);

  FileDescriptor file_;
};

}  // namespace rechost
