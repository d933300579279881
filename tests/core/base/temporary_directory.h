#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

#include <stdlib.h>

#include "base/file.h"

namespace rechost::test {

/// A directory that is gone after the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "rechost-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot create " + pattern);
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;  // owns the directory
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Bytes of a file after a change that an accident could make.
inline void flip_byte(const std::filesystem::path& path, std::size_t position) {
  std::string bytes = read_file(path);
  bytes.at(position) = static_cast<char>(bytes[position] ^ 0x10);
  write_file_atomically(path, bytes);
}

inline void cut_file(const std::filesystem::path& path, std::size_t bytes_less) {
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - bytes_less);
}

}  // namespace rechost::test
