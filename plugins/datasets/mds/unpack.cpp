#include "unpack.h"

#include <brotli/decode.h>
#include <bzlib.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <new>

#include "snappy_reader.h"

namespace mds {
namespace {

constexpr std::array<std::string_view, 5> kFamilies{"zstd", "gz", "bz2", "br", "snappy"};
constexpr const char* kCut = "is damaged: the compressed data is cut short";

std::string other_size(const std::string& found, std::size_t size) { return "unpacks to " + found + " bytes, the index says " + std::to_string(size); }

// Empty when `unpacked` is all that there should be.
std::string compare_size(std::size_t unpacked, std::size_t size) { return unpacked == size ? std::string() : other_size(std::to_string(unpacked), size); }

std::string unpack_zstd(std::string_view packed, char* target, std::size_t size) {
  const unsigned long long content = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (content == ZSTD_CONTENTSIZE_ERROR) return "is damaged: not zstd data";
  if (content != ZSTD_CONTENTSIZE_UNKNOWN && content > size) return other_size(std::to_string(content), size);
  // Its tables are large; one for each thread that reads shards.
  thread_local const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  if (context == nullptr) throw std::bad_alloc();
  const std::size_t unpacked = ZSTD_decompressDCtx(context.get(), target, size, packed.data(), packed.size());
  if (ZSTD_isError(unpacked)) return std::string("is damaged: ") + ZSTD_getErrorName(unpacked);
  return compare_size(unpacked, size);
}

// What zlib and bzip2 have in common: members one after the other, each ended by a checksum, so that the last bytes of the input come after the
// last of the output. `Stream` has next_in, avail_in, next_out, avail_out. `step` goes on with the member: true at its end; it may fill
// `reason`. `restart` begins another.
template <class Stream, class Step, class Restart>
std::string unpack_members(Stream& stream, std::string_view packed, char* target, std::size_t size, Step&& step, Restart&& restart) {
  using Byte = std::remove_reference_t<decltype(*stream.next_out)>;
  // Shards and their compressed files are below 4 GiB, as the counts are.
  stream.next_in = reinterpret_cast<Byte*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<unsigned>(packed.size());
  stream.next_out = reinterpret_cast<Byte*>(target);
  stream.avail_out = static_cast<unsigned>(size);
  char beyond = 0;  // where the first byte goes that is too many
  bool full = false;
  for (;;) {
    if (stream.avail_out == 0 && !full) {
      full = true;
      stream.next_out = reinterpret_cast<Byte*>(&beyond);
      stream.avail_out = 1;
    }
    const unsigned in = stream.avail_in, out = stream.avail_out;
    std::string reason;
    const bool ended = step(reason);
    if (!reason.empty()) return reason;
    if (full && stream.avail_out == 0) return other_size("more", size);
    if (ended && stream.avail_in == 0) return compare_size(full ? size : size - stream.avail_out, size);
    if (ended)
      restart();
    else if (stream.avail_in == 0 && stream.avail_out != 0)
      return kCut;
    else if (stream.avail_in == in && stream.avail_out == out)
      return "is damaged: the compressed data does not go on";
  }
}

std::string unpack_gzip(std::string_view packed, char* target, std::size_t size) {
  z_stream stream{};
  // 16 = expect a gzip header and trailer, which carry a checksum.
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream, &inflateEnd);
  const auto step = [&](std::string& reason) {
    const int status = inflate(&stream, Z_NO_FLUSH);
    if (status != Z_STREAM_END && status != Z_OK && status != Z_BUF_ERROR)
      reason = std::string("is damaged: ") + (stream.msg != nullptr ? stream.msg : "not gzip data");
    return status == Z_STREAM_END;
  };
  return unpack_members(stream, packed, target, size, step, [&] { inflateReset(&stream); });
}

std::string unpack_bzip2(std::string_view packed, char* target, std::size_t size) {
  bz_stream stream{};
  const auto begin = [&] {
    if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK) throw std::bad_alloc();
  };
  begin();
  const std::unique_ptr<bz_stream, int (*)(bz_stream*)> owner(&stream, &BZ2_bzDecompressEnd);
  const auto step = [&](std::string& reason) {
    const int status = BZ2_bzDecompress(&stream);
    if (status == BZ_MEM_ERROR) throw std::bad_alloc();
    if (status == BZ_DATA_ERROR_MAGIC) reason = "is damaged: not bzip2 data";
    else if (status != BZ_OK && status != BZ_STREAM_END) reason = "is damaged: bzip2 data that cannot be, or whose checksum is another";
    return status == BZ_STREAM_END;
  };
  return unpack_members(stream, packed, target, size, step, [&] {
    BZ2_bzDecompressEnd(&stream);
    begin();
  });
}

std::string unpack_brotli(std::string_view packed, char* target, std::size_t size) {
  const std::unique_ptr<BrotliDecoderState, void (*)(BrotliDecoderState*)> state(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr), &BrotliDecoderDestroyInstance);
  if (state == nullptr) throw std::bad_alloc();
  std::size_t in = packed.size(), out = size, unpacked = 0;
  const auto* next_in = reinterpret_cast<const std::uint8_t*>(packed.data());
  auto* next_out = reinterpret_cast<std::uint8_t*>(target);
  switch (BrotliDecoderDecompressStream(state.get(), &in, &next_in, &out, &next_out, &unpacked)) {
    case BROTLI_DECODER_RESULT_SUCCESS:
      return in != 0 ? "is damaged: " + std::to_string(in) + " bytes follow the end of the compressed data" : compare_size(unpacked, size);
    case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
      return kCut;
    case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
      return other_size("more", size);
    case BROTLI_DECODER_RESULT_ERROR:
      break;
  }
  const BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(state.get());
  if (code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES && code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES) throw std::bad_alloc();
  return std::string("is damaged: ") + BrotliDecoderErrorString(code);
}

std::string unpack_snappy(std::string_view packed, char* target, std::size_t size) {
  std::uint64_t length = 0;
  if (!read_snappy_length(packed, length)) return "is damaged: not Snappy data";
  if (length != size) return other_size(std::to_string(length), size);
  const std::size_t unpacked = unpack_snappy_blocks(packed, target, size);
  return unpacked == size ? std::string() : "is damaged: Snappy data that cannot be, after " + std::to_string(unpacked) + " bytes of what it unpacks to";
}

}  // namespace

std::string_view compression_family(std::string_view compression) { return compression.substr(0, compression.find(':')); }

bool can_unpack(std::string_view compression) {
  const std::string_view family = compression_family(compression);
  if (std::find(kFamilies.begin(), kFamilies.end(), family) == kFamilies.end()) return false;
  if (family.size() == compression.size()) return true;
  const std::string_view level = compression.substr(family.size() + 1);
  const auto is_digit = [](char character) { return character >= '0' && character <= '9'; };
  return family != "snappy" && !level.empty() && std::all_of(level.begin(), level.end(), is_digit);
}

std::string unpack(std::string_view family, std::string_view packed, char* target, std::size_t size) {
  if (family == "gz") return unpack_gzip(packed, target, size);
  if (family == "bz2") return unpack_bzip2(packed, target, size);
  if (family == "br") return unpack_brotli(packed, target, size);
  if (family == "snappy") return unpack_snappy(packed, target, size);
  return unpack_zstd(packed, target, size);
}

}  // namespace mds
