#include "tracking/spool.h"

#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/log.h"

namespace rechost {
namespace {

constexpr std::size_t kPortion = 1 << 16;
constexpr std::string_view kChecksumName = "xxh3:";

std::string line_of(std::int64_t number, const Json& fields) {
  const std::string rest = fmt::format("{} {}", number, json_line(fields));
  return fmt::format("{} {}\n", checksum_of(rest), rest);
}

/// The record on a line without its line break; nothing when it is not as it was written.
std::optional<SpoolRecord> parse_line(std::string_view line) {
  const std::size_t end_of_checksum = line.find(' ');
  if (end_of_checksum == std::string_view::npos) return std::nullopt;
  const std::string_view rest = line.substr(end_of_checksum + 1);
  if (checksum_of(rest) != line.substr(0, end_of_checksum)) return std::nullopt;
  SpoolRecord record;
  const auto [end, reason] = std::from_chars(rest.data(), rest.data() + rest.size(), record.number);
  if (reason != std::errc() || end == rest.data() + rest.size() || *end != ' ') return std::nullopt;
  record.fields = Json::parse(std::string_view(end + 1, static_cast<std::size_t>(rest.data() + rest.size() - end - 1)), nullptr, false);
  if (record.fields.is_discarded()) return std::nullopt;
  return record;
}

struct Extent {
  std::int64_t records = 0;
  std::size_t bytes = 0;  ///< of whole records
};

Extent extent_of(const std::string& text, const std::filesystem::path& path) {
  Extent good;
  bool cut = false;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    auto record = parse_line(line);
    begin = end + 1;
    // A record may have lost its line break, and stand on one line with a good one.
    for (std::size_t inside = 1; !record && (inside = line.find(kChecksumName, inside)) != std::string_view::npos; ++inside) {
      record = parse_line(line.substr(inside));
      cut = cut || record.has_value();
    }
    if (!record) {
      cut = true;
    } else if (cut || record->number != good.records + 1) {
      fail("{} is damaged after record {}, and record {} follows: move the file away to go on without what it holds", path.string(), good.records,
           record->number);
    } else {
      ++good.records;
      good.bytes = begin;
    }
  }
  return good;
}

}  // namespace

Spool::Spool(std::filesystem::path path) : path_(std::move(path)) {
  file_ = FileDescriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!file_) fail("cannot open {}: {}", path_.string(), std::generic_category().message(errno));
  const std::string text = read_file(path_);
  const Extent good = extent_of(text, path_);
  if (good.bytes < text.size()) {
    log_warning("{}: the last {} bytes are no whole record (a crash?) and are cut off", path_.string(), text.size() - good.bytes);
    if (::ftruncate(file_.number(), static_cast<off_t>(good.bytes)) != 0) {
      fail("cannot cut {}: {}", path_.string(), std::generic_category().message(errno));
    }
  }
  last_.store(good.records, std::memory_order_release);
  sync_directory(path_.has_parent_path() ? path_.parent_path() : std::filesystem::path("."));
}

std::int64_t Spool::append(const Json& fields) {
  const std::int64_t number = last() + 1;
  const std::string line = line_of(number, fields);
  write_all(file_, line.data(), line.size(), path_);
  last_.store(number, std::memory_order_release);
  return number;
}

SpoolReader::SpoolReader(const std::filesystem::path& path) : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (!file_) fail("cannot open {}: {}", path_.string(), std::generic_category().message(errno));
}

std::optional<SpoolRecord> SpoolReader::next() {
  for (;;) {
    const std::size_t end = buffered_.find('\n', begin_);
    if (end != std::string::npos) {
      auto record = parse_line(std::string_view(buffered_).substr(begin_, end - begin_));
      if (!record || record->number != number_ + 1) fail("{} is damaged after record {}", path_.string(), number_);
      begin_ = end + 1;
      ++number_;
      return record;
    }
    buffered_.erase(0, std::exchange(begin_, 0));
    char portion[kPortion];
    const ssize_t count = ::read(file_.number(), portion, sizeof portion);
    if (count == 0) return std::nullopt;
    if (count < 0 && errno != EINTR) fail("cannot read {}: {}", path_.string(), std::generic_category().message(errno));
    if (count > 0) buffered_.append(portion, static_cast<std::size_t>(count));
  }
}

}  // namespace rechost
