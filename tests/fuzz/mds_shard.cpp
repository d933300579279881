// plugin: mds
// The first byte chooses whether the shard is compressed, the rest is its file; index.json says of it what is true of any.
#include <algorithm>
#include <cstring>

#include "fuzzed_loader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 5) return 0;
  const bool packed = (data[0] & 1) != 0;
  std::uint32_t samples = 0;
  std::memcpy(&samples, data + 1, sizeof samples);
  // Compressed: the index cannot know, so it says what the seeds have.
  const std::string raw_bytes = packed ? "535" : std::to_string(size - 1);
  if (packed) samples = 6;
  const std::string columns = R"("column_encodings": ["float32", "ndarray:int32", "str", "int64", "int"], "column_names": ["d", "m", "s", "u", "y"], "column_sizes": [4, null, null, 8, 8])";
  std::string index = R"({"version": 2, "shards": [{"version": 2, "format": "mds", "hashes": [], "samples": )" + std::to_string(std::clamp(samples, 1U, 1000U)) + ", " + columns +
                      R"(, "raw_data": {"basename": "shard.mds", "hashes": {}, "bytes": )" + raw_bytes + "}, ";
  if (packed)
    index += R"("compression": "zstd", "zip_data": {"basename": "shard.mds.zstd", "hashes": {}, "bytes": )" + std::to_string(size - 1) + "}}]}";
  else
    index += R"("compression": null, "zip_data": null}]})";
  const datasets_test::Folder& folder = fuzz::scratch_folder();
  folder.write("index.json", index);
  std::filesystem::remove(folder.path("shard.mds"));
  folder.write(packed ? "shard.mds.zstd" : "shard.mds", fuzz::bytes_of(data + 1, size - 1));
  fuzz::Options options{{"label", "[\"y\"]"}, {"dense", "[\"d\"]"}, {"sparse", "[\"s\", \"u\"]"}, {"multi_hot", "[\"m\"]"}};
  options["path"] = fuzz::toml_text(folder.path("."));
  fuzz::read_all_splits(options);
  return 0;
}
