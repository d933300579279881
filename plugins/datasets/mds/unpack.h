// The compressions of shards: zstd, gz, bz2, br and snappy. A shard is compressed as a whole.
#ifndef RECHOST_MDS_UNPACK_H
#define RECHOST_MDS_UNPACK_H

#include <cstddef>
#include <string>
#include <string_view>

namespace mds {

// "zstd" of "zstd:7".
std::string_view compression_family(std::string_view compression);

// Whether there is such a compression. The level does not matter to a reader, but must be a number where there is one.
bool can_unpack(std::string_view compression);

// Fills `target` [size] with what `packed` holds. Empty when that is all of it and nothing else, else what is wrong. Writes nothing past
// `size`, whatever the bytes say. Any thread.
std::string unpack(std::string_view family, std::string_view packed, char* target, std::size_t size);

}  // namespace mds

#endif  // RECHOST_MDS_UNPACK_H
