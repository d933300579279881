#include "data/conversion_journal.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"

namespace rechost {

namespace fs = std::filesystem;

namespace {

constexpr const char* kJournal = ".convert.jsonl";
constexpr const char* kLock = ".convert.lock";

/// The lines that are whole.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0, end = text.find('\n'); end != std::string::npos; begin = end + 1, end = text.find('\n', begin)) lines.push_back(text.substr(begin, end - begin));
  return lines;
}

void require_same(const Json& left, const Json& now, const fs::path& folder) {
  for (const auto& [key, value] : now.items()) {
    const Json before = left.is_object() && left.contains(key) ? left[key] : Json();
    if (before == value) continue;
    fail<ConfigError>("{} holds a conversion that was not finished, of other data or with other options: its {} is {}, now it is {}. Convert as before to finish it, or into another folder",
                      folder.string(), key, json_line(before), json_line(value));
  }
}

}  // namespace

bool ConversionJournal::left_in(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / kJournal, error);
}

ConversionJournal::ConversionJournal(const fs::path& folder, const Json& identity) : path_(folder / kJournal), lock_path_(folder / kLock) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("cannot make the folder {}: {}", folder.string(), error.message());
  lock_ = LockFile::acquire(lock_path_);
  if (left_in(folder)) {
    const std::string text = read_file(path_);
    const std::vector<std::string> lines = lines_of(text);
    if (lines.empty()) fail("{} does not say what is being converted here: remove the folder", path_.string());
    require_same(parse_json(lines[0], path_.string()), identity, folder);
    std::size_t whole = 0;
    for (const std::string& line : lines) whole += line.size() + 1;
    for (std::size_t i = 1; i < lines.size(); ++i) pieces_.push_back(parse_json(lines[i], path_.string()));
    file_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    // The next line must not be glued to half a one.
    if (file_ && (::ftruncate(file_.number(), static_cast<off_t>(whole)) != 0 || ::lseek(file_.number(), 0, SEEK_END) < 0)) file_ = {};
  } else {
    write_file_atomically(path_, json_line(identity) + "\n");
    file_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  }
  if (!file_) fail("cannot open {}: {}", path_.string(), std::strerror(errno));
}

void ConversionJournal::add(const Json& piece) {
  const std::string line = json_line(piece) + "\n";
  write_all(file_, line.data(), line.size(), path_);
  sync_file(file_, path_);
  pieces_.push_back(piece);
}

void ConversionJournal::remove() {
  file_ = {};
  fs::remove(path_);
  fs::remove(lock_path_);
  lock_.reset();
}

}  // namespace rechost
