#include "tracking/tensorboard_writer.h"

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/host.h"

namespace rechost {
namespace {

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0u);
    table[i] = value;
  }
  return table;
}

/// TFRecord masks its checksums so that a checksum of data that holds checksums stays a good one.
std::uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; }

template <typename Number>
void append_fixed(std::string& out, Number number) {
  static_assert(std::endian::native == std::endian::little);
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out.append(bytes, sizeof number);
}

/// Protocol buffers: a tag is field number * 8 + wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes).
void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7f) | 0x80);
  out += static_cast<char>(value);
}

void append_bytes(std::string& out, int field, std::string_view bytes) {
  append_varint(out, static_cast<std::uint64_t>(field) * 8 + 2);
  append_varint(out, bytes.size());
  out += bytes;
}

std::string event_at(double wall_seconds, std::int64_t step) {
  std::string event;
  append_varint(event, 1 * 8 + 1);  // Event.wall_time
  append_fixed(event, wall_seconds);
  if (step != 0) {
    append_varint(event, 2 * 8 + 0);  // Event.step
    append_varint(event, static_cast<std::uint64_t>(step));
  }
  return event;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = crc_table();
  std::uint32_t value = 0xffffffffu;
  for (const char c : bytes) value = kTable[(value ^ static_cast<unsigned char>(c)) & 0xff] ^ (value >> 8);
  return ~value;
}

std::string tensorboard_frame(std::string_view event) {
  std::string frame;
  append_fixed(frame, static_cast<std::uint64_t>(event.size()));
  append_fixed(frame, masked_crc(frame));
  frame += event;
  append_fixed(frame, masked_crc(event));
  return frame;
}

std::string tensorboard_version_event(double wall_seconds) {
  std::string event = event_at(wall_seconds, 0);
  append_bytes(event, 3, "brain.Event:2");  // Event.file_version
  return event;
}

std::string tensorboard_scalars_event(double wall_seconds, std::int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    std::string value;
    append_bytes(value, 1, scalar.tag);  // Value.tag
    append_varint(value, 2 * 8 + 5);     // Value.simple_value
    append_fixed(value, scalar.value);
    append_bytes(summary, 1, value);  // Summary.value
  }
  std::string event = event_at(wall_seconds, step);
  append_bytes(event, 5, summary);  // Event.summary
  return event;
}

std::string tensorboard_session_start_event(double wall_seconds, std::int64_t step) {
  std::string session;
  append_varint(session, 1 * 8 + 0);  // SessionLog.status
  append_varint(session, 1);          // START
  std::string event = event_at(wall_seconds, step);
  append_bytes(event, 7, session);  // Event.session_log
  return event;
}

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& directory, std::int64_t first_step, WallTime now) {
  std::error_code reason;
  std::filesystem::create_directories(directory, reason);
  static std::atomic<int> counter{0};  // two writers of one process in one second
  path_ =
      directory / fmt::format("events.out.tfevents.{}.{}.{}.{}", static_cast<std::int64_t>(unix_seconds(now)), host_name(), ::getpid(), counter++);
  file_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file_) fail("cannot create {}: {}", path_.string(), std::generic_category().message(errno));
  std::string start = tensorboard_frame(tensorboard_version_event(unix_seconds(now)));
  if (first_step > 0) start += tensorboard_frame(tensorboard_session_start_event(unix_seconds(now), first_step));
  write_all(file_, start.data(), start.size(), path_);
}

void TensorBoardWriter::write(std::int64_t step, std::span<const Scalar> scalars, WallTime now) {
  std::vector<Scalar> finite;
  for (const Scalar& scalar : scalars) {
    if (std::isfinite(scalar.value)) finite.push_back(scalar);
  }
  if (finite.empty()) return;
  const std::string frame = tensorboard_frame(tensorboard_scalars_event(unix_seconds(now), step, finite));
  write_all(file_, frame.data(), frame.size(), path_);
}

}  // namespace rechost
