// The digests that an index may hold for each file.
#ifndef RECHOST_MDS_DIGEST_H
#define RECHOST_MDS_DIGEST_H

#include <optional>
#include <string>
#include <string_view>

namespace mds {

// Lower-case hexadecimal, as the index has it; nothing for a name that is not known here. Known: all that the writer offers, which are blake2b,
// blake2s, md5, sha1, sha224, sha256, sha384, sha512, sha3_224 to sha3_512, xxh32, xxh64, xxh128, xxh3_64 and xxh3_128.
std::optional<std::string> digest_of(std::string_view name, std::string_view bytes);

// Those of them that are made in digest_wide.cpp.
std::optional<std::string> wide_digest_of(std::string_view name, std::string_view bytes);

}  // namespace mds

#endif  // RECHOST_MDS_DIGEST_H
