#include "zstd_stream.h"

#include <zstd.h>

#include <cstdint>
#include <memory>
#include <new>

namespace mds {
namespace {

constexpr std::uint64_t kLongestWindow = std::uint64_t{8} << 20;

ZSTD_DCtx* context() {
  thread_local const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  if (context == nullptr) throw std::bad_alloc();
  return context.get();
}

}  // namespace

// RFC 8878, 3.1.1.1: the byte after the magic number has a bit for "one segment"; without it the next byte is the window.
bool ZstdStream::suits(std::string_view packed) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(packed[at]); };
  if (packed.size() < 6 || packed.substr(0, 4) != "\x28\xb5\x2f\xfd" || (byte(4) & 0x20) != 0) return false;
  const int exponent = byte(5) >> 3;
  if (exponent > 20) return false;
  const std::uint64_t base = std::uint64_t{1} << (10 + exponent);
  return base + base / 8 * (byte(5) & 7) <= kLongestWindow;
}

ZstdStream::ZstdStream(std::string_view packed) : packed_(packed) { ZSTD_DCtx_reset(context(), ZSTD_reset_session_only); }

std::string ZstdStream::read(char* target, std::size_t size) {
  ZSTD_outBuffer out{target, size, 0};
  while (out.pos < out.size) {
    ZSTD_inBuffer in{packed_.data(), packed_.size(), taken_};
    const std::size_t before = out.pos;
    wanted_ = ZSTD_decompressStream(context(), &out, &in);
    if (ZSTD_isError(wanted_)) return std::string("is damaged: ") + ZSTD_getErrorName(wanted_);
    if (in.pos == taken_ && out.pos == before) return "is damaged: the compressed data is cut short";
    taken_ = in.pos;
  }
  return {};
}

std::string ZstdStream::finish() {
  char beyond;
  ZSTD_outBuffer out{&beyond, 1, 0};
  while (wanted_ != 0 || taken_ < packed_.size()) {
    ZSTD_inBuffer in{packed_.data(), packed_.size(), taken_};
    wanted_ = ZSTD_decompressStream(context(), &out, &in);
    if (ZSTD_isError(wanted_)) return std::string("is damaged: ") + ZSTD_getErrorName(wanted_);
    if (out.pos != 0) return "unpacks to more bytes than the index says";
    if (in.pos == taken_ && wanted_ != 0) return "is damaged: the compressed data is cut short";
    taken_ = in.pos;
  }
  return {};
}

}  // namespace mds
