// Small files that tests write for themselves.
#ifndef RECHOST_TESTS_PLUGINS_DATASETS_WRITTEN_FILE_H
#define RECHOST_TESTS_PLUGINS_DATASETS_WRITTEN_FILE_H

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "plugins/datasets/test_host.h"

namespace datasets_test {

// A folder that goes away with its files.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "rechost-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  Folder(const Folder&) = delete;  // owns the folder on disk
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  std::string path(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file and returns its path.
  std::string write(const std::string& name, std::string_view content) const {
    std::ofstream(path(name), std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
    return path(name);
  }

 private:
  std::string path_;
};

// A line of Criteo's format: label, 13 counts, 26 categories.
inline std::string criteo_line(int row) {
  std::string line = std::to_string(row % 3 == 0);
  for (int i = 0; i < 13; ++i) line += "\t" + (i == row % 13 ? std::string() : std::to_string(row + i - 1));
  for (int i = 0; i < 26; ++i) {
    std::ostringstream hexadecimal;
    hexadecimal << std::hex << (0x68fd1e00 + row * 7 + i);
    line += "\t" + (i == row % 26 ? std::string() : hexadecimal.str());
  }
  return line;
}

inline std::string criteo_lines(int count) {
  std::string lines;
  for (int row = 0; row < count; ++row) lines += criteo_line(row) + "\n";
  return lines;
}

}  // namespace datasets_test

#endif  // RECHOST_TESTS_PLUGINS_DATASETS_WRITTEN_FILE_H
