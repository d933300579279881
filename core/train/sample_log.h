#pragma once

#include <filesystem>

#include "data/batch.h"

namespace rechost {

/// Which samples a rank trained on, a line of JSON for each slice of each step: `step` (from 1), `epoch`, `first_row` (of the global batch) and
/// `samples`. A step that was trained again after a kill stands in it again. A line is there whole or not at all.
class SampleLog {
 public:
  /// Appends to `path`, whose folder is made. Throws Error.
  explicit SampleLog(const std::filesystem::path& path);
  ~SampleLog();
  SampleLog(const SampleLog&) = delete;  // owns the file
  SampleLog& operator=(const SampleLog&) = delete;

  /// Of a step that has been trained on.
  void add(const Batch& batch);

 private:
  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace rechost
