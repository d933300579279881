#pragma once

#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

namespace rechost {

/// A place for shards that goes with the test. Not made: whoever writes into it makes it.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / fmt::format("rechost-shards-{}-{}", ::getpid(), ++count_)) {}
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;  // one owner
  Folder& operator=(const Folder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  inline static int count_ = 0;
  std::filesystem::path path_;
};

}  // namespace rechost
