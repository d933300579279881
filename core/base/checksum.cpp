#include "base/checksum.h"

#include <cerrno>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/file.h"

namespace rechost {
namespace {

std::string hash_text(XXH64_hash_t hash) { return fmt::format("xxh3:{:016x}", static_cast<std::uint64_t>(hash)); }

std::string checksum_of_file(const std::filesystem::path& path, std::uint64_t& bytes) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) fail("cannot open {}: {}", path.string(), std::strerror(errno));
  ::posix_fadvise(file.number(), 0, 0, POSIX_FADV_SEQUENTIAL);
  Checksum checksum;
  std::vector<char> portion(std::size_t{1} << 20);
  bytes = 0;
  for (;;) {
    const ssize_t count = ::read(file.number(), portion.data(), portion.size());
    if (count == 0) return checksum.text();
    if (count < 0) {
      if (errno == EINTR) continue;
      fail("cannot read {} at byte {}: {}", path.string(), bytes, std::strerror(errno));
    }
    checksum.add(portion.data(), static_cast<std::size_t>(count));
    bytes += static_cast<std::uint64_t>(count);
  }
}

}  // namespace

struct Checksum::State {
  XXH3_state_t* hash = XXH3_createState();
  ~State() { XXH3_freeState(hash); }
};

Checksum::Checksum() : state_(std::make_unique<State>()) {
  if (state_->hash == nullptr || XXH3_64bits_reset(state_->hash) != XXH_OK) fail("out of memory for a checksum");
}
Checksum::~Checksum() = default;
Checksum::Checksum(Checksum&&) noexcept = default;
Checksum& Checksum::operator=(Checksum&&) noexcept = default;

void Checksum::add(const void* bytes, std::size_t count) {
  if (count > 0) XXH3_64bits_update(state_->hash, bytes, count);
}

std::string Checksum::text() const { return hash_text(XXH3_64bits_digest(state_->hash)); }

std::string checksum_of(std::string_view bytes) { return hash_text(XXH3_64bits(bytes.data(), bytes.size())); }

FileRecord record_file(const std::filesystem::path& directory, const std::filesystem::path& path) {
  FileRecord record;
  record.path = path.lexically_relative(directory).generic_string();
  record.checksum = checksum_of_file(path, record.bytes);
  return record;
}

std::string file_defect(const std::filesystem::path& directory, const FileRecord& record, CheckDepth depth) {
  const std::filesystem::path path = directory / record.path;
  std::error_code reason;
  const std::filesystem::file_status status = std::filesystem::status(path, reason);
  if (!std::filesystem::exists(status)) return "is missing";
  if (!std::filesystem::is_regular_file(status)) return "is not a file";
  const std::uintmax_t bytes = std::filesystem::file_size(path, reason);
  if (reason) return fmt::format("cannot be looked at ({})", reason.message());
  if (bytes != record.bytes) {
    return fmt::format("has {} bytes, not {}{}", bytes, record.bytes, bytes < record.bytes ? " (cut short)" : "");
  }
  if (depth == CheckDepth::kChecksums) {
    std::uint64_t bytes_read = 0;
    const std::string checksum = checksum_of_file(path, bytes_read);
    if (checksum != record.checksum) return fmt::format("has changed (checksum {}, not {})", checksum, record.checksum);
  }
  return "";
}

}  // namespace rechost
