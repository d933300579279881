#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/time.h"

namespace rechost {

struct Scalar {
  std::string tag;
  float value = 0.0f;
};

/// Writes scalars where TensorBoard finds them: one event file per process start, in `directory`. One thread.
/// Format: TFRecord frames (length, masked CRC-32C, payload, masked CRC-32C) of tensorflow.Event messages.
class TensorBoardWriter {
 public:
  /// `first_step` > 0: the run was resumed there; TensorBoard forgets what earlier files say of that step and later ones.
  TensorBoardWriter(const std::filesystem::path& directory, std::int64_t first_step, WallTime now);

  /// Written through at once: a crash loses nothing. Values that are not finite are left out.
  void write(std::int64_t step, std::span<const Scalar> scalars, WallTime now);

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
};

/// The pieces of the format, each checked against known bytes by tests.
std::uint32_t crc32c(std::string_view bytes);
std::string tensorboard_frame(std::string_view event);
std::string tensorboard_version_event(double wall_seconds);
std::string tensorboard_scalars_event(double wall_seconds, std::int64_t step, std::span<const Scalar> scalars);
std::string tensorboard_session_start_event(double wall_seconds, std::int64_t step);

}  // namespace rechost
