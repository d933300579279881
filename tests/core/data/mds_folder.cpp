#include "data/mds_folder.h"

#include <cstring>
#include <filesystem>

#include <zstd.h>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/conversion.h"
#include "data/mds_rows.h"
#include "memory_source.h"
#include "shard_fixture.h"

using namespace rechost;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

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
  convert(source, MdsFolder(folder.path(), mds_columns(source), {}), 2);
  return samples_of(folder.path());
}

/// Rows of one column of bytes that vary, and one of one byte, as a sample holds them.
MdsRows rows_of(std::initializer_list<std::pair<std::string, char>> samples) {
  MdsRows rows;
  for (const auto& [text, label] : samples) {
    rows.bytes += words({static_cast<std::uint32_t>(text.size())}) + label + text;
    rows.ends.push_back(rows.bytes.size());
  }
  return rows;
}

Json index_of(const fs::path& folder) { return parse_json(read_file(folder / "index.json"), "index"); }

}  // namespace

TEST_CASE("mds folder: a shard and its index, byte by byte") {
  const Folder folder;
  const MdsFolder target(folder.path(), {{"né", "str", std::nullopt}, {"label", "int8", 1}}, {});
  CHECK(target.sources() == std::vector<std::size_t>{1, 0});
  target.make();
  const std::vector<Shard> shards{target.write(rows_of({{"abc", '\1'}, {"", '\0'}}), 0, 0)};
  target.finish(shards);
  const std::string header = "{\"column_encodings\": [\"int8\", \"str\"], \"column_names\": [\"label\", \"n\\u00e9\"], \"column_sizes\": [1, null], "
                             "\"compression\": null, \"format\": \"mds\", \"hashes\": [\"xxh3_64\"], \"size_limit\": 67108864, \"version\": 2}";
  const auto begin = static_cast<std::uint32_t>(16 + header.size());
  const std::string shard = words({2, begin, begin + 8, begin + 13}) + header + words({3}) + "\1abc" + words({0}) + std::string(1, '\0');
  CHECK(read_file(folder / "shard.00000.mds") == shard);
  const std::string index = read_file(folder / "index.json");
  CHECK_THAT(index, Catch::StartsWith("{\"shards\": [{\"column_encodings\": [\"int8\", \"str\"], ") &&
                        Catch::EndsWith("\"samples\": 2, \"size_limit\": 67108864, \"version\": 2, \"zip_data\": null}], \"version\": 2}"));
  const Json entry = index_of(folder.path())["shards"][0];
  CHECK(entry["raw_data"]["basename"] == "shard.00000.mds");
  CHECK(entry["raw_data"]["bytes"] == shard.size());
  CHECK(entry["raw_data"]["hashes"]["xxh3_64"].get<std::string>().size() == 16);
  CHECK(shards[0].bytes == shard.size());
  CHECK(target.is_whole(shards[0]));
  std::string damaged = shard;
  damaged.back() = '\2';
  write_file_atomically(folder / "shard.00000.mds", damaged);
  CHECK_FALSE(target.is_whole(shards[0]));
  fs::remove(folder / "shard.00000.mds");
  CHECK_FALSE(target.is_whole(shards[0]));
}

TEST_CASE("mds conversion: a shard ends before it would be too large, wherever chunks end") {
  MemorySource one(100), many(7);
  std::vector<std::optional<std::int64_t>> values(100);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int64_t>(i);
  one.ids("x", values);
  many.ids("x", values);
  const Folder first, second;
  convert(one, MdsFolder(first.path(), mds_columns(one), {.shard_bytes = 300}), 1);
  convert(many, MdsFolder(second.path(), mds_columns(many), {.shard_bytes = 300}), 4);
  const Json index = index_of(first.path());
  std::int64_t samples = 0;
  for (std::size_t i = 0; i < index["shards"].size(); ++i) {
    const std::string name = fmt::format("shard.{:05}.mds", i);
    const auto bytes = fs::file_size(first / name);
    CHECK(bytes <= 300);
    // One more of 8 bytes and its offset would not have fitted.
    if (i + 1 < index["shards"].size()) CHECK(bytes + 12 > 300);
    samples += index["shards"][i]["samples"].get<std::int64_t>();
    CHECK(read_file(first / name) == read_file(second / name));
  }
  CHECK(samples == 100);
  CHECK(index["shards"].size() > 5);
  CHECK(read_file(first / "index.json") == read_file(second / "index.json"));
}

TEST_CASE("mds conversion: goes on after the shards that are there") {
  MemorySource source(9);
  std::vector<std::optional<std::int64_t>> values(100);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int64_t>(i * i);
  source.ids("x", values);
  const Folder whole;
  const MdsFolder target(whole.path(), mds_columns(source), {.shard_bytes = 300});
  const std::vector<Shard> shards = convert(source, target, 2);
  for (std::size_t kept = 0; kept <= shards.size(); ++kept) {
    const Folder again;
    fs::create_directories(again.path());
    ConversionProgress progress{.kept = {shards.begin(), shards.begin() + static_cast<std::ptrdiff_t>(kept)}};
    for (const Shard& shard : progress.kept) fs::copy_file(whole / shard.file, again / shard.file);
    std::size_t made = 0;
    progress.finished = [&](const Shard&) { ++made; };
    convert(source, MdsFolder(again.path(), mds_columns(source), {.shard_bytes = 300}), 3, progress);
    CHECK(made == shards.size() - kept);
    for (const Shard& shard : shards) CHECK(read_file(again / shard.file) == read_file(whole / shard.file));
    CHECK(read_file(again / "index.json") == read_file(whole / "index.json"));
  }
}

TEST_CASE("mds folder: zstd frames carry their size, and the index has both files") {
  const Folder folder;
  const MdsFolder target(folder.path(), {{"x", "uint8", 1}}, {.compression = MdsCompression("zstd:7"), .hashes = mds_hashes("xxh64,sha1")});
  MdsRows rows;
  rows.bytes.assign(100, 'x');
  for (std::uint64_t end = 1; end <= 100; ++end) rows.ends.push_back(end);
  target.make();
  target.finish(std::vector<Shard>{target.write(rows, 0, 0)});
  const std::string zip = read_file(folder / "shard.00000.mds.zstd");
  const Json entry = index_of(folder.path())["shards"][0];
  CHECK(entry["compression"] == "zstd:7");
  CHECK(entry["zip_data"]["bytes"] == zip.size());
  CHECK(entry["zip_data"]["hashes"]["sha1"].get<std::string>().size() == 40);
  CHECK(entry["hashes"] == Json({"sha1", "xxh64"}));
  CHECK(ZSTD_getFrameContentSize(zip.data(), zip.size()) == entry["raw_data"]["bytes"].get<unsigned long long>());
  CHECK_FALSE(fs::exists(folder / "shard.00000.mds"));
}

TEST_CASE("mds folder: what it refuses") {
  const Folder folder;
  const std::vector<MdsColumn> text{{"x", "str", std::nullopt}};
  for (const char* name : {"zstd:23", "zstd:0", "zstd:07", "zstd:", "zstd:7x", "gz:10", "bz2:0", "br:12", "br:-1", "snappy:1", "lz4", "zstdx"})
    CHECK_THROWS_WITH(MdsCompression(name), Contains(std::string("'") + name + "'"));
  CHECK_THROWS_WITH(mds_hashes("sha1,crc32"), Contains("'crc32'"));
  CHECK(mds_hashes("xxh64,sha1,xxh64") == std::vector<std::string>{"sha1", "xxh64"});
  CHECK_THROWS_WITH(MdsFolder(folder.path(), {}, {}), Contains("no column"));
  CHECK_THROWS_WITH(MdsFolder(folder.path(), {text[0], text[0]}, {}), Contains("two columns"));
  MemorySource source;
  source.words("x", {"a", std::string(300, 'x')});
  CHECK_THROWS_WITH(convert(source, MdsFolder(folder.path(), mds_columns(source), {.shard_bytes = 300}), 1), Contains("sample 1") && Contains("larger shards"));
  CHECK_FALSE(fs::exists(folder / "index.json"));
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
