// The C++20 layer over rechost/ext/files.h: files of a data set by their location, which is a path, file:, http:, https: or s3:. On a
// host that does not have the extension only local files can be read.
//
//   rechost::File file = rechost::open_file("s3://bucket/train.tsv");
//   file.read(0, 100, target);
//   files of a folder: for (const rechost::FolderFile& each : rechost::list_files(folder)) ... rechost::child(folder, each.name)
//
// Every function: any thread; all but read_ahead() may wait. They throw DataError or ConfigError that name the location.
#ifndef RECHOST_CXX_FILES_HPP
#define RECHOST_CXX_FILES_HPP

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "rechost/cxx/plugin.hpp"
#include "rechost/ext/files.h"

namespace rechost {
inline namespace v1_0 __attribute__((visibility("hidden"))) {

// Whether the location names a scheme (other than file:) rather than a path.
inline bool is_remote(std::string_view location) {
  const std::size_t colon = location.find("://");
  return colon != std::string_view::npos && colon > 1 && location.find('/') == colon + 1 && location.substr(0, colon) != "file";
}

// What lies below a folder under a relative name with '/'.
inline std::string child(std::string_view folder, std::string_view name) {
  std::string result(folder);
  if (result.empty()) return std::string(name);
  if (!result.ends_with('/')) result += '/';
  if (!is_remote(folder) || folder.starts_with("s3:")) return result += name;
  static constexpr char kDigits[] = "0123456789ABCDEF";
  for (const char character : name) {
    const auto byte = static_cast<unsigned char>(character);
    const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
                       std::string_view("-._~/").find(character) != std::string_view::npos;
    if (plain)
      result += character;
    else
      result += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return result;
}

// The folder that a location lies in; empty when it names none.
inline std::string folder_of(std::string_view location) {
  const std::size_t slash = location.rfind('/');
  return slash == std::string_view::npos ? std::string() : std::string(location.substr(0, slash == 0 ? 1 : slash));
}

// What is known of a file beforehand.
struct FileExpectation {
  std::int64_t size = -1;                                     // -1: not known
  std::vector<std::pair<std::string, std::string>> digests{};  // name (see rh_file_digest), lower-case hexadecimal
};

// Owns a file that is open for reading.
class File {
 public:
  File() = default;
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int descriptor() const noexcept { return descriptor_; }
  // The caller closes it now.
  int release() noexcept { return std::exchange(descriptor_, -1); }

  std::int64_t size() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) throw DataError(std::string("cannot look at an open file: ") + std::strerror(errno));
    return status.st_size;
  }

 private:
  int descriptor_ = -1;
};

struct FileState {
  enum class Kind { kNone, kFile, kFolder };
  Kind kind = Kind::kNone;
  std::int64_t size = 0;
  std::uint64_t version = 0;  // changes when the file does
};

struct FolderFile {
  std::string name;  // relative to the folder
  std::int64_t size = 0;
};

struct WantedFile {
  std::string location;
  FileExpectation expectation{};
};

namespace detail {

inline const rh_files* host_files() {
  const rh_files* files = host().extension<rh_files>(RH_FILES_EXTENSION);
  return files != nullptr && RH_HAS(files, read_ahead) ? files : nullptr;
}

[[noreturn]] inline void refuse_without_host(std::string_view location, std::string_view what) {
  throw Error(ErrorCode::kUnsupported, "'" + std::string(location) + "': this host does not have " RH_FILES_EXTENSION ", so " + std::string(what));
}

// The tables of the C interface; they point into the expectation.
struct ExpectationTable {
  explicit ExpectationTable(const FileExpectation& expectation) {
    for (const auto& [name, value] : expectation.digests) digests.push_back({sizeof(rh_file_digest), 0, to_abi(name), to_abi(value)});
    table = {sizeof table, static_cast<std::uint32_t>(digests.size()), expectation.size, digests.data(), sizeof(rh_file_digest), 0};
  }
  std::vector<rh_file_digest> digests;
  rh_file_expectation table{};
};

}  // namespace detail

inline FileState look_at(std::string_view location) {
  FileState state;
  if (const rh_files* files = detail::host_files()) {
    rh_file_state found{};
    found.struct_size = sizeof found;
    host().throw_if(files->look(host().table(), to_abi(location), &found));
    state.kind = found.kind == RH_FILE_FILE ? FileState::Kind::kFile : found.kind == RH_FILE_FOLDER ? FileState::Kind::kFolder : FileState::Kind::kNone;
    state.size = found.size;
    state.version = found.version;
    return state;
  }
  if (is_remote(location)) detail::refuse_without_host(location, "remote data cannot be read");
  struct stat status {};
  if (::stat(std::string(location).c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return state;
    throw DataError("cannot look at '" + std::string(location) + "': " + std::strerror(errno));
  }
  state.kind = S_ISDIR(status.st_mode) ? FileState::Kind::kFolder : FileState::Kind::kFile;
  state.size = status.st_size;
  state.version = static_cast<std::uint64_t>(status.st_mtim.tv_sec) * 1000000000u + static_cast<std::uint64_t>(status.st_mtim.tv_nsec);
  return state;
}

// All files below, sorted by name.
inline std::vector<FolderFile> list_files(std::string_view folder) {
  std::vector<FolderFile> found;
  if (const rh_files* files = detail::host_files()) {
    const auto add = [](void* context, rh_string name, std::int64_t size) -> rh_error* {
      return fence([&] { static_cast<std::vector<FolderFile>*>(context)->push_back({to_string(name), size}); });
    };
    host().throw_if(files->list(host().table(), to_abi(folder), &found, add));
    return found;
  }
  if (is_remote(folder)) detail::refuse_without_host(folder, "remote data cannot be read");
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator each(folder, error), end; !error && each != end; each.increment(error))
    if (each->is_regular_file(error))
      found.push_back({each->path().lexically_relative(folder).string(), static_cast<std::int64_t>(each->file_size(error))});
  if (error) throw DataError("cannot list '" + std::string(folder) + "': " + error.message());
  std::sort(found.begin(), found.end(), [](const FolderFile& a, const FolderFile& b) { return a.name < b.name; });
  return found;
}

// Open it when it is read, close it soon: an open file cannot leave the cache.
inline File open_file(const std::string& location, const FileExpectation& expectation = {}) {
  if (const rh_files* files = detail::host_files()) {
    const detail::ExpectationTable expected(expectation);
    std::int32_t descriptor = -1;
    host().throw_if(files->open(host().table(), to_abi(location), &expected.table, &descriptor));
    return File(descriptor);
  }
  if (is_remote(location)) detail::refuse_without_host(location, "remote data cannot be read");
  if (!expectation.digests.empty()) detail::refuse_without_host(location, "its hashes cannot be checked");
  File file(::open(location.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.descriptor() < 0) throw DataError("cannot open '" + location + "': " + std::strerror(errno));
  if (const std::int64_t size = file.size(); expectation.size >= 0 && size != expectation.size)
    throw DataError("'" + location + "': has " + std::to_string(size) + " bytes, the index says " + std::to_string(expectation.size));
  return file;
}

// Reads a whole file into `target` [expectation.size], checked as open_file() checks it; the file is read once, whatever is compared.
inline void read_file(const std::string& location, const FileExpectation& expectation, char* target) {
  if (const rh_files* files = detail::host_files(); files != nullptr && RH_HAS(files, read)) {
    const detail::ExpectationTable expected(expectation);
    host().throw_if(files->read(host().table(), to_abi(location), &expected.table, target));
    return;
  }
  const File file = open_file(location, expectation);
  for (std::int64_t done = 0; done < expectation.size;) {
    const ssize_t got = ::pread(file.descriptor(), target + done, static_cast<std::size_t>(expectation.size - done), static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw DataError("cannot read '" + location + "' at byte " + std::to_string(done) + ": " + (got < 0 ? std::strerror(errno) : "it became shorter"));
    done += got;
  }
}

// See rh_files::read_ahead. Nothing on a host without the extension.
inline void read_ahead(const void* reader, const std::vector<WantedFile>& wanted) {
  const rh_files* files = detail::host_files();
  if (files == nullptr) return;
  std::vector<detail::ExpectationTable> expected;
  for (const WantedFile& file : wanted) expected.emplace_back(file.expectation);
  std::vector<rh_wanted_file> tables;
  for (std::size_t i = 0; i < wanted.size(); ++i) tables.push_back({sizeof(rh_wanted_file), 0, to_abi(wanted[i].location), &expected[i].table});
  host().throw_if(files->read_ahead(host().table(), reader, tables.data(), tables.size(), sizeof(rh_wanted_file)));
}

}  // namespace v1_0
}  // namespace rechost

#endif  // RECHOST_CXX_FILES_HPP
