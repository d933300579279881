#include "decompress.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "rechost/cxx/plugin.hpp"

namespace text {
namespace {

constexpr std::size_t kBlockBytes = 1 << 18;

// Rows of any data set pack to a fiftieth at most; what unpacks to more is damaged, or made to fill the disk. Small files may be anything.
constexpr std::int64_t kMostTimes = 500;
constexpr std::int64_t kAlwaysUnpacked = 64 << 20;
// Memory for zstd's window that any file may take; longer ones come with files of many gigabytes.
constexpr int kWindowLog = 27;
constexpr int kLongestWindowLog = 31;

// The compressed bytes, with the place in the file for messages.
class Source {
 public:
  Source(int file, const std::string& path) : file_(file), path_(path), block_(kBlockBytes) {}

  const char* data() const { return block_.data() + position_; }
  std::size_t left() const { return end_ - position_; }
  std::int64_t offset() const { return block_offset_ + static_cast<std::int64_t>(position_); }
  void consume(std::size_t bytes) { position_ += bytes; }

  // Reads on when nothing is left; false at the end of the file.
  bool fill() {
    if (left() > 0) return true;
    block_offset_ += static_cast<std::int64_t>(end_);
    position_ = end_ = 0;
    ssize_t got;
    do got = ::pread(file_, block_.data(), block_.size(), block_offset_);
    while (got < 0 && errno == EINTR);
    if (got < 0)
      throw rechost::DataError("cannot read '" + path_ + "' at byte " + std::to_string(block_offset_) + ": " + std::strerror(errno));
    end_ = static_cast<std::size_t>(got);
    return end_ > 0;
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw rechost::DataError("'" + path_ + "' is damaged at byte " + std::to_string(offset()) + " of the compressed file: " + reason);
  }
  [[noreturn]] void fail_short() const {
    throw rechost::DataError("'" + path_ + "' is cut short: the compressed data goes on where the file ends, at byte " +
                             std::to_string(offset()));
  }

 private:
  int file_;
  const std::string& path_;
  std::vector<char> block_;
  std::size_t position_ = 0, end_ = 0;
  std::int64_t block_offset_ = 0;
};

class Target {
 public:
  Target(int file, const std::string& path) : file_(file), path_(path) {}
  std::int64_t size() const { return size_; }

  // `consumed`: compressed bytes that all of this, from the beginning on, was made of.
  void write(const char* data, std::size_t bytes, std::int64_t consumed) {
    write(data, bytes);
    if (size_ > kAlwaysUnpacked && size_ / kMostTimes > consumed)
      throw rechost::DataError("'" + path_ + "' unpacks to more than " + std::to_string(kMostTimes) + " times its size: " + std::to_string(size_) +
                               " bytes come out of its first " + std::to_string(consumed) + ". No rows are like that; the file is damaged or made to fill the disk. If it is neither, unpack it and give its unpacked file");
  }

 private:
  void write(const char* data, std::size_t bytes) {
    while (bytes > 0) {
      const ssize_t written = ::write(file_, data, bytes);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0)
        throw rechost::DataError("cannot decompress '" + path_ + "' into a temporary file: " + std::strerror(errno) +
                                 "; set TMPDIR to a folder with more room");
      data += written;
      bytes -= static_cast<std::size_t>(written);
      size_ += written;
    }
  }

  int file_;
  const std::string& path_;
  std::int64_t size_ = 0;
};

void decompress_gzip(Source& source, Target& target) {
  z_stream stream{};
  // 16 = expect a gzip header and trailer, which carry a checksum.
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream, &inflateEnd);
  std::vector<char> output(kBlockBytes);
  while (source.fill()) {  // one member
    inflateReset(&stream);
    int status = Z_OK;
    stream.avail_out = 1;
    while (status != Z_STREAM_END) {
      // A full output buffer means that the last input may not be used up yet.
      if (stream.avail_out != 0 && !source.fill()) source.fail_short();
      stream.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(source.data()));
      stream.avail_in = static_cast<unsigned>(source.left());
      stream.next_out = reinterpret_cast<unsigned char*>(output.data());
      stream.avail_out = static_cast<unsigned>(output.size());
      status = inflate(&stream, Z_NO_FLUSH);
      source.consume(source.left() - stream.avail_in);
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
        source.fail(stream.msg != nullptr ? stream.msg : "not gzip data");
      target.write(output.data(), output.size() - stream.avail_out, source.offset());
    }
  }
}

// Whatever a frame says, its window takes no more memory than the file makes plausible.
int window_log_for(std::int64_t file_bytes) {
  int log = kWindowLog;
  while (log < kLongestWindowLog && file_bytes > std::int64_t{1} << (log - 8)) ++log;
  return log;
}

void decompress_zstd(Source& source, Target& target, std::int64_t file_bytes) {
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  if (context == nullptr) throw std::bad_alloc();
  // Files made with `zstd --long=31` need a window of that size.
  const int window_log = window_log_for(file_bytes);
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, window_log);
  const auto fail = [&](std::size_t code) {
    if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
      source.fail("it asks for more than " + std::to_string(std::int64_t{1} << (window_log - 20)) + " MiB of memory, many times the size of the file");
    source.fail(ZSTD_getErrorName(code));
  };
  std::vector<char> output(ZSTD_DStreamOutSize());
  std::size_t wanted = 0;  // 0 = between frames
  while (source.fill()) {
    ZSTD_inBuffer in{source.data(), source.left(), 0};
    while (in.pos < in.size) {
      ZSTD_outBuffer out{output.data(), output.size(), 0};
      const std::size_t before = in.pos;
      wanted = ZSTD_decompressStream(context.get(), &out, &in);
      if (ZSTD_isError(wanted)) {
        source.consume(before);
        fail(wanted);
      }
      target.write(output.data(), out.pos, source.offset() + static_cast<std::int64_t>(in.pos));
    }
    source.consume(in.size);
    // What a full output buffer held back.
    bool more = true;
    while (wanted != 0 && more) {
      ZSTD_inBuffer nothing{nullptr, 0, 0};
      ZSTD_outBuffer out{output.data(), output.size(), 0};
      wanted = ZSTD_decompressStream(context.get(), &out, &nothing);
      if (ZSTD_isError(wanted)) fail(wanted);
      target.write(output.data(), out.pos, source.offset());
      more = out.pos == out.size;
    }
  }
  if (wanted != 0) source.fail_short();
}

}  // namespace

Compression compression_of(const unsigned char head[4]) {
  if (head[0] == 0x1f && head[1] == 0x8b) return Compression::kGzip;
  if (head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd) return Compression::kZstd;
  return Compression::kNone;
}

FileDescriptor temporary_file() {
  std::vector<std::string> folders{"/var/tmp", "/tmp"};
  if (const char* chosen = std::getenv("TMPDIR"); chosen != nullptr && *chosen != 0) folders = {chosen};
  for (const std::string& folder : folders) {
    std::string name = folder + "/rechost-XXXXXX";
    FileDescriptor file(::mkostemp(name.data(), O_CLOEXEC));
    if (file.get() < 0) continue;
    ::unlink(name.c_str());
    return file;
  }
  throw rechost::DataError("cannot make a temporary file in " + folders[0] + ": " + std::strerror(errno) +
                           "; set TMPDIR to a folder that can be written to");
}

std::int64_t decompress(Compression compression, int source, int target, const std::string& path) {
  Source from(source, path);
  Target to(target, path);
  struct stat status {};
  if (::fstat(source, &status) != 0) throw rechost::DataError("cannot look at '" + path + "': " + std::strerror(errno));
  if (compression == Compression::kGzip)
    decompress_gzip(from, to);
  else
    decompress_zstd(from, to, status.st_size);
  return to.size();
}

}  // namespace text
