#include "data/mds_writer.h"

#include <cstring>
#include <filesystem>

#include <unistd.h>
#include <zstd.h>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/mds_conversion.h"
#include "memory_source.h"

using namespace rechost;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / fmt::format("rechost-mds-{}-{}", ::getpid(), ++count_)) {}
  ~Folder() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  inline static int count_ = 0;
  fs::path path_;
};

template <typename Value>
std::string bytes_of(Value value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string words(std::initializer_list<std::uint32_t> numbers) {
  std::string bytes;
  for (const std::uint32_t number : numbers) bytes += bytes_of(number);
  return bytes;
}

/// What follows the header of the first shard.
std::string samples_of(const fs::path& folder) {
  const std::string shard = read_file(folder / "shard.00000.mds");
  std::uint32_t begin = 0;
  std::memcpy(&begin, shard.data() + 4, 4);
  return shard.substr(begin);
}

std::string converted(MemorySource& source, const Folder& folder) {
  std::vector<MdsColumn> columns;
  for (const ColumnInfo& column : source.columns()) columns.push_back(mds_column(column));
  MdsWriter writer(folder.path(), columns, {});
  convert_to_mds(source, writer);
  writer.finish();
  return samples_of(folder.path());
}

}  // namespace

TEST_CASE("mds writer: a shard and its index, byte by byte") {
  const Folder folder;
  MdsWriter writer(folder.path(), {{"né", "str", std::nullopt}, {"label", "int8", 1}}, {});
  writer.write(std::vector<std::string>{"abc", "\1"});
  writer.write(std::vector<std::string>{"", std::string(1, '\0')});
  writer.finish();
  const std::string header = "{\"column_encodings\": [\"int8\", \"str\"], \"column_names\": [\"label\", \"n\\u00e9\"], \"column_sizes\": [1, null], "
                             "\"compression\": null, \"format\": \"mds\", \"hashes\": [\"xxh3_64\"], \"size_limit\": 67108864, \"version\": 2}";
  const auto begin = static_cast<std::uint32_t>(16 + header.size());
  const std::string shard = words({2, begin, begin + 8, begin + 13}) + header + words({3}) + "\1abc" + words({0}) + std::string(1, '\0');
  CHECK(read_file(folder / "shard.00000.mds") == shard);
  const std::string index = read_file(folder / "index.json");
  CHECK_THAT(index, Catch::StartsWith("{\"shards\": [{\"column_encodings\": [\"int8\", \"str\"], ") &&
                        Catch::EndsWith("\"samples\": 2, \"size_limit\": 67108864, \"version\": 2, \"zip_data\": null}], \"version\": 2}"));
  const Json entry = parse_json(index, "index")["shards"][0];
  CHECK(entry["raw_data"]["basename"] == "shard.00000.mds");
  CHECK(entry["raw_data"]["bytes"] == shard.size());
  CHECK(entry["raw_data"]["hashes"]["xxh3_64"].get<std::string>().size() == 16);
  CHECK(writer.samples() == 2);
  CHECK(writer.bytes() == shard.size());
}

TEST_CASE("mds writer: a shard ends before it would be too large") {
  const Folder folder;
  MdsOptions options;
  options.shard_bytes = 300;
  MdsWriter writer(folder.path(), {{"x", "int64", 8}}, options);
  for (std::int64_t value = 0; value < 30; ++value) writer.write(std::vector<std::string>{bytes_of(value)});
  writer.finish();
  const Json index = parse_json(read_file(folder / "index.json"), "index");
  std::int64_t samples = 0;
  for (std::size_t i = 0; i < index["shards"].size(); ++i) {
    const auto bytes = fs::file_size(folder / fmt::format("shard.{:05}.mds", i));
    CHECK(bytes <= 300);
    // One more of 8 bytes and its offset would not have fitted.
    if (i + 1 < index["shards"].size()) CHECK(bytes + 12 > 300);
    samples += index["shards"][i]["samples"].get<std::int64_t>();
  }
  CHECK(samples == 30);
  CHECK(writer.shards() > 2);
}

TEST_CASE("mds writer: zstd frames carry their size, and the index has both files") {
  const Folder folder;
  MdsOptions options;
  options.compression = MdsCompression("zstd:7");
  MdsWriter writer(folder.path(), {{"x", "uint8", 1}}, options);
  for (int i = 0; i < 100; ++i) writer.write(std::vector<std::string>{std::string(1, 'x')});
  writer.finish();
  const std::string zip = read_file(folder / "shard.00000.mds.zstd");
  const Json entry = parse_json(read_file(folder / "index.json"), "index")["shards"][0];
  CHECK(entry["compression"] == "zstd:7");
  CHECK(entry["zip_data"]["bytes"] == zip.size());
  CHECK(ZSTD_getFrameContentSize(zip.data(), zip.size()) == entry["raw_data"]["bytes"].get<unsigned long long>());
  CHECK_FALSE(fs::exists(folder / "shard.00000.mds"));
}

TEST_CASE("mds writer: what it refuses") {
  const Folder folder;
  const std::vector<MdsColumn> text{{"x", "str", std::nullopt}};
  for (const char* name : {"zstd:23", "zstd:0", "zstd:07", "zstd:", "zstd:7x", "gz:10", "bz2:0", "br:12", "br:-1", "snappy:1", "lz4", "zstdx"})
    CHECK_THROWS_WITH(MdsCompression(name), Contains(std::string("'") + name + "'"));
  CHECK_THROWS_WITH(mds_hashes("sha1,crc32"), Contains("'crc32'"));
  CHECK(mds_hashes("xxh64,sha1,xxh64") == std::vector<std::string>{"sha1", "xxh64"});
  CHECK_THROWS_WITH(MdsWriter(folder.path(), {}, {}), Contains("no column"));
  CHECK_THROWS_WITH(MdsWriter(folder.path(), {text[0], text[0]}, {}), Contains("two columns"));
  MdsOptions options;
  options.shard_bytes = 300;
  MdsWriter writer(folder.path(), text, options);
  CHECK_THROWS_WITH(writer.write(std::vector<std::string>{std::string(300, 'x')}), Contains("sample 0") && Contains("larger shards"));
  writer.finish();
  CHECK_THROWS_WITH(MdsWriter(folder.path(), text, {}), Contains("index.json already"));
}

TEST_CASE("mds conversion: what is missing stands as the loader reads it") {
  const Folder folder;
  MemorySource source;
  source.dense("d", {1.5F, std::nullopt}).ids("i", {3, std::nullopt}).ids("j", {4, 5}).lists("l", {{7, 8}, {}}).words("w", {"ab", std::nullopt});
  const std::int64_t none = kMdsNullInteger;
  const float missing = std::numeric_limits<float>::quiet_NaN();
  const std::string first = words({18, 2}) + bytes_of(1.5F) + bytes_of<std::int64_t>(3) + bytes_of<std::int64_t>(4) + "\x04\x02" + bytes_of<std::int64_t>(7) +
                            bytes_of<std::int64_t>(8) + "ab";
  const std::string second = words({10, 0}) + bytes_of(missing) + bytes_of(none) + bytes_of<std::int64_t>(5) + "\x04\x01" + bytes_of(none);
  CHECK(converted(source, folder) == first + second);
  CHECK(mds_column(source.columns()[3]).encoding == "ndarray:int64");
  CHECK(mds_column(source.columns()[4]).encoding == "str");
}

TEST_CASE("mds conversion: a value that would read back as another one is refused with its row") {
  const auto fault = [](MemorySource& source) -> std::string {
    const Folder folder;
    try {
      converted(source, folder);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no error";
  };
  MemorySource least, nan, empty, refused;
  CHECK_THAT(fault(least.ids("i", {1, kMdsNullInteger, std::nullopt})), Contains("row 1, column 'i'"));
  CHECK_THAT(fault(nan.dense("d", {1.0F, 2.0F, std::numeric_limits<float>::quiet_NaN()})), Contains("row 2, column 'd'") && Contains("NaN"));
  CHECK_THAT(fault(empty.words("w", {"a", ""})), Contains("row 1, column 'w'") && Contains("empty text"));
  CHECK_THAT(fault(refused.dense("d", {1.0F, 2.0F}).refuse(1, "d", "'x' is not a number")), Contains("memory.tsv:2: d: 'x' is not a number"));
}
