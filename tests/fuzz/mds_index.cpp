// plugin: mds
// The whole input is an index.json; the shard beside it is sound.
#include "fuzzed_loader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Six samples of one float32 "d", as sound as they can be whatever the index says.
  static const bool written = [] {
    const std::string header = R"({"column_encodings": ["float32"], "column_names": ["d"], "column_sizes": [4]})";
    std::string shard;
    const auto put = [&shard](std::uint32_t value) { shard.append(reinterpret_cast<const char*>(&value), sizeof value); };
    put(6);
    for (std::uint32_t sample = 0; sample <= 6; ++sample) put(static_cast<std::uint32_t>(4 + 4 * 7 + header.size()) + 4 * sample);
    shard += header;
    for (std::uint32_t sample = 0; sample < 6; ++sample) put(sample << 23);
    fuzz::scratch_folder().write("shard.00000.mds", shard);
    return true;
  }();
  static_cast<void>(written);
  fuzz::Options options{{"label", "[]"}};
  options["path"] = fuzz::toml_text(fuzz::scratch_folder().path("."));
  fuzz::scratch_folder().write("index.json", fuzz::bytes_of(data, size));
  fuzz::read_all_splits(options);
  return 0;
}
