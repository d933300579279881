// Texts as the usual programs compress them.
#ifndef RECHOST_TESTS_PLUGINS_DATASETS_COMPRESSED_TEXT_H
#define RECHOST_TESTS_PLUGINS_DATASETS_COMPRESSED_TEXT_H

#include <zlib.h>
#include <zstd.h>

#include <string>
#include <string_view>

namespace datasets_test {

inline std::string gzipped(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string result(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<unsigned>(text.size());
  stream.next_out = reinterpret_cast<unsigned char*>(result.data());
  stream.avail_out = static_cast<unsigned>(result.size());
  deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

// With a checksum, as the zstd program writes it.
inline std::string zstandard(std::string_view text) {
  std::string result(ZSTD_compressBound(text.size()), '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  result.resize(ZSTD_compress2(context, result.data(), result.size(), text.data(), text.size()));
  ZSTD_freeCCtx(context);
  return result;
}

}  // namespace datasets_test

#endif  // RECHOST_TESTS_PLUGINS_DATASETS_COMPRESSED_TEXT_H
