// The raw format of Snappy (format_description.txt of its source): the length of the content, then literals and copies of what came before.
#ifndef RECHOST_MDS_SNAPPY_READER_H
#define RECHOST_MDS_SNAPPY_READER_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mds {

// Takes the length from the front of `packed`. False when there is none.
bool read_snappy_length(std::string_view& packed, std::uint64_t& length);

// Unpacks what follows the length. Returns how many bytes came out before all was done or something was wrong: `size` when it is sound.
std::size_t unpack_snappy_blocks(std::string_view packed, char* target, std::size_t size);

}  // namespace mds

#endif  // RECHOST_MDS_SNAPPY_READER_H
