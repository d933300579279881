#include "data/mds_compression.h"

#include <array>
#include <charconv>
#include <memory>
#include <new>

#include <brotli/encode.h>
#include <bzlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/error.h"
#include "data/snappy.h"

namespace rechost {

namespace {

struct Family {
  const char* name;
  int least, most;  ///< level; none where both are 0
  int usual;        ///< without one: what MDSWriter takes then
};
constexpr std::array<Family, 5> kFamilies{{{"zstd", 1, 22, 3}, {"gz", 0, 9, 9}, {"bz2", 1, 9, 9}, {"br", 0, 11, 11}, {"snappy", 0, 0, 0}}};

/// One frame that carries its content size, which MosaicML's reader needs.
void pack_zstd(std::string_view raw, int level, std::string& packed) {
  packed.resize(ZSTD_compressBound(raw.size()));
  const std::size_t size = ZSTD_compress(packed.data(), packed.size(), raw.data(), raw.size(), level);
  if (ZSTD_isError(size)) fail("zstd cannot compress a shard: {}", ZSTD_getErrorName(size));
  packed.resize(size);
}

/// One member without a time in its header, so that the same shard is always the same file.
void pack_gzip(std::string_view raw, int level, std::string& packed) {
  z_stream stream{};
  // 16: with gzip's header and trailer.
  if (deflateInit2(&stream, level, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream, &deflateEnd);
  packed.resize(deflateBound(&stream, raw.size()));
  stream.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(raw.data()));
  stream.avail_in = static_cast<unsigned>(raw.size());
  stream.next_out = reinterpret_cast<unsigned char*>(packed.data());
  stream.avail_out = static_cast<unsigned>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) fail("zlib cannot compress a shard of {} bytes", raw.size());
  packed.resize(stream.total_out);
}

void pack_bzip2(std::string_view raw, int level, std::string& packed) {
  packed.resize(raw.size() + raw.size() / 100 + 600);  // what its manual says is always enough
  auto size = static_cast<unsigned>(packed.size());
  const int status = BZ2_bzBuffToBuffCompress(packed.data(), &size, const_cast<char*>(raw.data()), static_cast<unsigned>(raw.size()), level, 0, 0);
  if (status == BZ_MEM_ERROR) throw std::bad_alloc();
  if (status != BZ_OK) fail("bzip2 cannot compress a shard of {} bytes: error {}", raw.size(), status);
  packed.resize(size);
}

void pack_brotli(std::string_view raw, int level, std::string& packed) {
  packed.resize(BrotliEncoderMaxCompressedSize(raw.size()));
  std::size_t size = packed.size();
  const auto bytes = [](const char* text) { return reinterpret_cast<const std::uint8_t*>(text); };
  if (BrotliEncoderCompress(level, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, raw.size(), bytes(raw.data()), &size, reinterpret_cast<std::uint8_t*>(packed.data())) == BROTLI_FALSE)
    fail("Brotli cannot compress a shard of {} bytes", raw.size());
  packed.resize(size);
}

}  // namespace

MdsCompression::MdsCompression(std::string name) : name_(std::move(name)) {
  if (name_.empty()) return;
  const std::size_t colon = name_.find(':');
  for (const Family& family : kFamilies) {
    if (name_.substr(0, colon) != family.name) continue;
    level_ = family.usual;
    if (colon == std::string::npos) return;
    const char* const begin = name_.data() + colon + 1;
    const char* const end = name_.data() + name_.size();
    // "zstd:07" would be a name that MDSWriter does not know.
    const auto [stop, error] = std::from_chars(begin, end, level_);
    if (error == std::errc() && stop == end && family.most > 0 && level_ >= family.least && level_ <= family.most && name_.substr(colon + 1) == std::to_string(level_)) return;
  }
  fail<ConfigError>("compression '{}': it is none, zstd or zstd:1 to zstd:22, gz or gz:0 to gz:9, bz2 or bz2:1 to bz2:9, br or br:0 to br:11, or snappy", name_);
}

std::string MdsCompression::packed(std::string_view raw) const {
  std::string packed;
  const std::string family = extension();
  if (family == "zstd") pack_zstd(raw, level_, packed);
  if (family == "gz") pack_gzip(raw, level_, packed);
  if (family == "bz2") pack_bzip2(raw, level_, packed);
  if (family == "br") pack_brotli(raw, level_, packed);
  if (family == "snappy") packed = snappy_packed(raw);
  return packed;
}

}  // namespace rechost
