// Small files that tests write for themselves.
#ifndef RECHOST_TESTS_PLUGINS_DATASETS_WRITTEN_FILE_H
#define RECHOST_TESTS_PLUGINS_DATASETS_WRITTEN_FILE_H

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

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

inline std::string gzipped(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string result(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<unsigned>(text.size());
  stream.next_out = reinterpret_cast<unsigned char*>(result.data());
  stream.avail_out = static_cast<unsigned>(result.size());
  deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

// With a checksum, as the zstd program writes it.
inline std::string zstandard(std::string_view text) {
  std::string result(ZSTD_compressBound(text.size()), '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  result.resize(ZSTD_compress2(context, result.data(), result.size(), text.data(), text.size()));
  ZSTD_freeCCtx(context);
  return result;
}

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
