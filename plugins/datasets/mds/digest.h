// The digests that an index may hold for each file.
#ifndef RECHOST_MDS_DIGEST_H
#define RECHOST_MDS_DIGEST_H

#include <optional>
#include <string>
#include <string_view>

namespace mds {

// Lower-case hexadecimal, as the index has it; nothing for a name that is not known here. Known: xxh32, xxh64, xxh128, xxh3_64, xxh3_128,
// sha1, sha256, md5.
std::optional<std::string> digest_of(std::string_view name, std::string_view bytes);

}  // namespace mds

#endif  // RECHOST_MDS_DIGEST_H
