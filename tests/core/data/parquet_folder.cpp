// Shards of Parquet as the host cuts and writes them. What is in them is looked at by the loader (tests/cli/test_convert.py) and by pyarrow
// (tests/real/test_parquet.py).
#include "data/parquet_folder.h"

#include <cstdlib>
#include <filesystem>
#include <limits>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/file.h"
#include "data/conversion.h"
#include "fixture.h"
#include "shard_fixture.h"

using namespace rechost;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

fs::path module() { return fs::path(std::getenv("RECHOST_BUILD_DIR")) / "lib/rechost/rechost_parquet.so"; }

ParquetFolder folder_at(const Folder& folder, const ChunkSource& source, ParquetOptions options = {}) {
  return ParquetFolder(folder.path(), source.columns(), std::move(options), module());
}

std::vector<std::string> contents(const Folder& folder, const std::vector<Shard>& shards) {
  std::vector<std::string> files;
  for (const Shard& shard : shards) files.push_back(read_file(folder / shard.file));
  return files;
}

}  // namespace

TEST_CASE("parquet conversion: neither chunks nor threads nor dictionaries leave a trace in the files") {
  // The same rows, cut otherwise.
  const std::string compression = GENERATE("snappy", "zstd:1");
  const ParquetOptions options{.compression = parquet_compression(compression), .shard_bytes = 3000};
  std::vector<std::string> expected;
  const auto converted = [&](MemorySource& source, int threads) {
    const Folder folder;
    const std::vector<Shard> shards = convert(source, folder_at(folder, source, options), threads);
    CHECK(fs::exists(folder / "_SUCCESS"));
    std::int64_t rows = 0;
    for (const Shard& shard : shards) {
      CHECK(shard.first_row == rows);
      rows += shard.rows;
    }
    CHECK(rows == 500);
    return contents(folder, shards);
  };
  expected = converted(*mixed_source(500, 1000), 1);
  REQUIRE(expected.size() > 5);
  for (const std::string& file : expected) CHECK((file.starts_with("PAR1") && file.ends_with("PAR1")));
  for (const std::int64_t chunk : {1, 7, 64, 500}) {
    CHECK(converted(*mixed_source(500, chunk), 3) == expected);
    CHECK(converted(mixed_source(500, chunk)->by_dictionary(), 2) == expected);
  }
}

TEST_CASE("parquet conversion: goes on after the shards that are there") {
  const auto source = mixed_source(200, 9);
  const ParquetOptions options{.compression = {}, .shard_bytes = 2000};
  const Folder whole;
  const std::vector<Shard> shards = convert(*source, folder_at(whole, *source, options), 2);
  REQUIRE(shards.size() > 4);
  for (std::size_t kept = 0; kept <= shards.size(); ++kept) {
    const Folder again;
    fs::create_directories(again.path());
    ConversionProgress progress{.kept = {shards.begin(), shards.begin() + static_cast<std::ptrdiff_t>(kept)}, .finished = {}};
    for (const Shard& shard : progress.kept) fs::copy_file(whole / shard.file, again / shard.file);
    std::size_t made = 0;
    progress.finished = [&](const Shard&) { ++made; };
    convert(*source, folder_at(again, *source, options), 3, progress);
    CHECK(made == shards.size() - kept);
    CHECK(contents(again, shards) == contents(whole, shards));
  }
}

TEST_CASE("parquet folder: a shard ends before its values would be too many bytes") {
  MemorySource source(4);
  source.ids("i", {1, 2, std::nullopt}).words("w", {"abc", std::nullopt, "abcdef"}).lists("l", {{}, {1, 2}, {3}});
  const Folder folder;
  const ParquetFolder target = folder_at(folder, source);
  const std::vector<std::uint32_t> wanted{0, 1, 2};
  const auto rows = target.rows_of(source, source.read(0, wanted, [](BadRow&&) {}), 0, 0);
  CHECK(rows->size(0, 1) == 8 + 4 + 3 + 4);
  CHECK(rows->size(1, 2) == 8 + 4 + 4 + 16);
  CHECK(rows->size(2, 3) == 8 + 4 + 6 + 4 + 8);
  CHECK(rows->size(0, 3) == 19 + 32 + 30);
  const auto gathered = target.no_rows();
  rows->add_to(*gathered, 2, 3);
  rows->add_to(*gathered, 0, 2);
  CHECK(gathered->rows() == 3);
  CHECK(gathered->size(0, 1) == 30);
  CHECK(gathered->size(1, 3) == 19 + 32);
}

TEST_CASE("parquet folder: a shard that is spoilt is not whole") {
  const auto source = mixed_source(20, 20);
  const Folder folder;
  const ParquetFolder target = folder_at(folder, *source);
  const std::vector<Shard> shards = convert(*source, target, 1);
  REQUIRE(shards.size() == 1);
  CHECK(shards[0].file == "shard.00000.parquet");
  CHECK(target.is_whole(shards[0]));
  std::string damaged = read_file(folder / shards[0].file);
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  write_file_atomically(folder / shards[0].file, damaged);
  CHECK_FALSE(target.is_whole(shards[0]));
}

TEST_CASE("parquet folder: what it refuses") {
  const Folder folder;
  for (const char* name : {"zstd:23", "zstd:0", "zstd:", "zstd:7x", "gz:10", "gz:0", "bz2", "br:12", "snappy:1", "none:1", "lz4:1", "zstdx", ""})
    CHECK_THROWS_WITH(parquet_compression(name), Contains(std::string("'") + name + "'"));
  CHECK(parquet_compression("zstd:7").level == 7);
  CHECK(parquet_compression("br").codec == "br");
  CHECK_THROWS_WITH(ParquetFolder(folder.path(), {}, {}, module()), Contains("no column"));
  const ColumnInfo column{.name = "x"};
  CHECK_THROWS_WITH(ParquetFolder(folder.path(), {column, column}, {}, module()), Contains("two columns are called 'x'"));
  CHECK_THROWS_WITH(ParquetFolder(folder.path(), {column}, {}, folder / "none.so"), Contains("none.so") && Contains("rechost-models"));

  const auto fault = [&](MemorySource& source, std::uint64_t shard_bytes = 1000) -> std::string {
    const Folder target;
    try {
      convert(source, folder_at(target, source, {.compression = {}, .shard_bytes = shard_bytes}), 2);
    } catch (const Error& error) {
      CHECK_FALSE(fs::exists(target / "_SUCCESS"));
      return error.what();
    }
    return "no error";
  };
  MemorySource nan(2), empty, carried, refused, large;
  CHECK_THAT(fault(nan.dense("d", {1.0F, 2.0F, std::numeric_limits<float>::quiet_NaN()})), Contains("row 2, column 'd'") && Contains("NaN"));
  CHECK_THAT(fault(empty.words("w", {"a", ""})), Contains("row 1, column 'w'") && Contains("empty text"));
  CHECK_THAT(fault(carried.words("w", {"a", std::nullopt}).as(ColumnRole::kId)), Contains("row 1, column 'w'") && Contains("missing text"));
  CHECK_THAT(fault(refused.dense("d", {1.0F, 2.0F}).refuse(1, "d", "'x' is not a number")), Contains("memory.tsv:2: d: 'x' is not a number"));
  CHECK_THAT(fault(large.words("w", {"a", std::string(50, 'x')}), 50), Contains("sample 1") && Contains("larger shards"));
}
