// A file with the bytes of the input, for what reads files.
#ifndef RECHOST_TESTS_FUZZ_FUZZED_FILE_H
#define RECHOST_TESTS_FUZZ_FUZZED_FILE_H

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "core/folder.h"

namespace fuzz {

inline std::string_view bytes_of(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

inline std::filesystem::path write_scratch(const char* name, std::string_view bytes) {
  static const rechost::test::Folder folder;
  const std::filesystem::path path = folder.path() / name;
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

}  // namespace fuzz

#endif  // RECHOST_TESTS_FUZZ_FUZZED_FILE_H
