#include "snappy_reader.h"

#include <cstring>

namespace mds {
namespace {

// Most pieces are short: so many bytes are moved at once where there is room for them, whatever the length is.
constexpr std::size_t kStride = 16;

class BlockReader {
 public:
  BlockReader(std::string_view packed, char* target, std::size_t size)
      : in_(packed.data()), in_end_(in_ + packed.size()), begin_(target), out_(target), out_end_(target + size) {}

  std::size_t read() {
    while (in_ != in_end_) {
      const auto tag = static_cast<unsigned char>(*in_++);
      if (!((tag & 3) == 0 ? literal(tag >> 2) : copy(tag))) return stopped();
    }
    return done();
  }

 private:
  std::size_t done() const { return static_cast<std::size_t>(out_ - begin_); }
  std::size_t in_left() const { return static_cast<std::size_t>(in_end_ - in_); }
  std::size_t out_left() const { return static_cast<std::size_t>(out_end_ - out_); }
  // Something is wrong although all may have come out: never the full size.
  std::size_t stopped() const { return out_left() == 0 ? done() - 1 : done(); }

  bool number(std::size_t bytes, std::size_t& value) {
    if (in_left() < bytes) return false;
    value = 0;
    std::memcpy(&value, in_, bytes);
    in_ += bytes;
    return true;
  }

  bool literal(std::size_t length) {
    if (length >= 60 && !number(length - 59, length)) return false;
    ++length;
    if (length > in_left() || length > out_left()) return false;
    if (length <= kStride && in_left() >= kStride && out_left() >= kStride)
      std::memcpy(out_, in_, kStride);
    else
      std::memcpy(out_, in_, length);
    in_ += length;
    out_ += length;
    return true;
  }

  bool copy(std::size_t tag) {
    const std::size_t kind = tag & 3;
    std::size_t length = (tag >> 2) + 1, offset = 0;
    if (!number(kind == 1 ? 1 : kind == 2 ? 2 : 4, offset)) return false;
    if (kind == 1) {
      length = ((tag >> 2) & 7) + 4;
      offset |= (tag >> 5) << 8;
    }
    if (offset == 0 || offset > done() || length > out_left()) return false;
    const char* from = out_ - offset;
    if (offset >= kStride && out_left() >= length + kStride) {
      for (std::size_t at = 0; at < length; at += kStride) std::memcpy(out_ + at, from + at, kStride);
    } else {
      // It may reach into itself: then what was just written is repeated.
      for (std::size_t at = 0; at < length; ++at) out_[at] = from[at];
    }
    out_ += length;
    return true;
  }

  const char* in_;
  const char* in_end_;
  char* begin_;
  char* out_;
  char* out_end_;
};

}  // namespace

bool read_snappy_length(std::string_view& packed, std::uint64_t& length) {
  length = 0;
  for (int shift = 0; shift <= 28; shift += 7) {
    if (packed.empty()) return false;
    const auto byte = static_cast<unsigned char>(packed.front());
    packed.remove_prefix(1);
    length |= static_cast<std::uint64_t>(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

std::size_t unpack_snappy_blocks(std::string_view packed, char* target, std::size_t size) { return BlockReader(packed, target, size).read(); }

}  // namespace mds
