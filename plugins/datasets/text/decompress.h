// gzip and zstd, from one file into another, a block at a time.
#ifndef RECHOST_TEXT_DECOMPRESS_H
#define RECHOST_TEXT_DECOMPRESS_H

#include <cstdint>
#include <string>

#include "text_file.h"

namespace text {

enum class Compression { kNone, kGzip, kZstd };

// From the first four bytes of a file.
Compression compression_of(const unsigned char head[4]);

// A file without a name in $TMPDIR, else /var/tmp (which, unlike /tmp, is seldom memory), else /tmp.
FileDescriptor temporary_file();

// Decompresses all of `source` to the end of `target` and returns how many bytes that were. Several members or frames one after the other
// are one text. Throws DataError with `path` and the byte where cut or damaged data begins to make no sense, and when more comes out than
// the compressed bytes can mean.
std::int64_t decompress(Compression compression, int source, int target, const std::string& path);

}  // namespace text

#endif  // RECHOST_TEXT_DECOMPRESS_H
