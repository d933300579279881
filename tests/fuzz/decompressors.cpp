// plugin: mds
// The first byte chooses what the rest is: a text file of gzip, of zstd, or neither; or a shard in one of the compressions of MDS.
#include <array>
#include <vector>

#include "fuzzed_loader.h"
#include "mds/unpack.h"
#include "rechost/cxx/plugin.hpp"
#include "text/text_file.h"

namespace {

void read_text(std::string_view bytes) {
  try {
    const text::TextFile file(fuzz::scratch_folder().write("x", bytes));
    std::string content(static_cast<std::size_t>(std::min<std::int64_t>(file.size(), 1 << 20)), '\0');
    file.read(0, content.size(), content.data());
  } catch (const rechost::v1_0::DataError&) {  // the SDK's: the host has one of this name too
  }
}

// An index may say any size; these are that of the seeds, one too small for them, and nothing.
void unpack_shard(std::string_view family, std::string_view bytes) {
  for (const std::size_t size : {std::size_t{535}, std::size_t{100}, std::size_t{0}}) {
    // Of its own, so that a byte past its end is found.
    std::vector<char> target(size);
    mds::unpack(family, bytes, target.data(), size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array<std::string_view, 5> kFamilies{"zstd", "gz", "bz2", "br", "snappy"};
  if (size == 0) return 0;
  const std::string_view bytes = fuzz::bytes_of(data + 1, size - 1);
  const std::size_t chosen = data[0] % (kFamilies.size() + 1);
  if (chosen == 0)
    read_text(bytes);
  else
    unpack_shard(kFamilies[chosen - 1], bytes);
  return 0;
}
