// Every compression of MDS shards, packed by the host's writer and read by the loader.
#include <catch2/catch.hpp>

#include <cstring>
#include <random>

#include <zstd.h>

#include "data/mds_compression.h"
#include "plugins/datasets/conformance.h"
#include "plugins/datasets/written_shard.h"

using namespace datasets_test;
using Catch::Matchers::Contains;
using Strings = std::vector<std::string>;

namespace {

const std::vector<ShardColumn> kColumns{{"city", "str"}, {"label", "int8", 1}, {"user", "int64", 8}};

// A folder with one shard whose compressed file may be anything.
class PackedShard {
 public:
  explicit PackedShard(std::string compression, std::size_t rows = 400) : compression_(std::move(compression)) {
    std::mt19937_64 random(7);
    std::vector<std::vector<std::string>> samples;
    for (std::size_t row = 0; row < rows; ++row) {
      users_.push_back(std::to_string(random() % 1000));
      samples.push_back({std::string(random() % 40, static_cast<char>('a' + row % 3)), std::string(1, static_cast<char>(row % 2)), bytes_of<std::int64_t>(std::stoll(users_.back()))});
    }
    raw_ = shard_bytes(kColumns, samples);
    write(packed(), raw_.size());
  }

  const std::string& raw() const { return raw_; }
  std::string packed() const { return rechost::MdsCompression(compression_).packed(raw_); }

  void write(const std::string& zip, std::size_t raw_bytes) const {
    folder_.write("zip", zip);
    folder_.write("index.json", index_of({shard_entry(kColumns, users_.size(), file_entry("raw", raw_bytes), file_entry("zip", zip.size()), "\"" + compression_ + "\"")}));
  }

  // What comes of reading it.
  std::string outcome() const {
    try {
      return read_split("mds", {{"path", toml_text(folder_.path("."))}}, "all")["user"] == users_ ? "as written" : "other values";
    } catch (const PluginError& error) {
      return error.what();
    }
  }

 private:
  const Folder folder_;
  std::string compression_, raw_;
  Strings users_;
};

}  // namespace

TEST_CASE("mds: every compression and level is read back") {
  Strings names{"snappy"};
  for (const auto& [family, least, most] : {std::tuple{"zstd", 1, 22}, {"gz", 0, 9}, {"bz2", 1, 9}, {"br", 0, 11}}) {
    names.push_back(family);
    for (int level = least; level <= most; ++level) names.push_back(std::string(family) + ":" + std::to_string(level));
  }
  // All that MDSWriter has.
  CHECK(names.size() == 58);
  for (const std::string& name : names) {
    INFO(name);
    CHECK(PackedShard(name).outcome() == "as written");
  }
}

TEST_CASE("mds: a compressed shard that is cut, longer, another or noise is refused") {
  for (const char* name : {"zstd", "gz", "bz2", "br", "snappy"}) {
    INFO(name);
    const PackedShard shard(name, 60);
    const std::string packed = shard.packed();
    for (const std::size_t size : {shard.raw().size() - 1, shard.raw().size() + 1, shard.raw().size() * 2}) {
      shard.write(packed, size);
      CHECK_THAT(shard.outcome(), Contains("zip") && Contains("shard 0") && Contains("unpacks to"));
    }
    for (std::size_t size = 0; size < packed.size(); size += 1 + packed.size() / 97) {
      shard.write(packed.substr(0, size), shard.raw().size());
      CHECK_THAT(shard.outcome(), Contains("zip") && (Contains("damaged") || Contains("unpacks to")));
    }
    shard.write(packed + "x", shard.raw().size());
    CHECK_THAT(shard.outcome(), Contains("zip"));
    for (const std::string& noise : {std::string(500, '\0'), std::string(500, '\xff'), std::string("hello")}) {
      shard.write(noise, shard.raw().size());
      CHECK_THAT(shard.outcome(), Contains("zip"));
    }
    // Where nothing in the format is a checksum a flipped bit may give other values. But it ends, and is never the same.
    for (std::size_t byte = 0; byte < packed.size(); byte += 1 + packed.size() / 211) {
      std::string spoilt = packed;
      spoilt[byte] = static_cast<char>(spoilt[byte] ^ (1 << byte % 8));
      shard.write(spoilt, shard.raw().size());
      shard.outcome();
    }
  }
}

TEST_CASE("mds: a bomb stops at the size that the index has") {
  // 64 MiB of one byte in a few kilobytes; the index says that it is less.
  const std::string zeros(std::size_t{64} << 20, '\0');
  for (const char* name : {"zstd", "gz:9", "bz2", "br:5", "snappy"}) {
    INFO(name);
    const PackedShard shard(name, 60);
    shard.write(rechost::MdsCompression(name).packed(zeros), shard.raw().size());
    CHECK_THAT(shard.outcome(), Contains("zip") && Contains("unpacks to"));
  }
}

TEST_CASE("mds: large zstd shards are unpacked in pieces") {
  const std::vector<ShardColumn> columns{{"label", "int8", 1}, {"user", "int64", 8}};
  constexpr std::size_t kRows = 70'000;  // of 9 bytes: three pieces
  const auto shard_with = [&](std::size_t bad_row) {
    std::vector<std::vector<std::string>> samples;
    for (std::size_t row = 0; row < kRows; ++row) samples.push_back({std::string(1, row == bad_row ? '\7' : static_cast<char>(row % 2)), bytes_of(static_cast<std::int64_t>(row * row % 99'991))});
    return shard_bytes(columns, samples);
  };
  // Of a stream, so that no frame has its size, and each has a window.
  const auto packed = [](const std::string& raw) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    std::string zip(ZSTD_compressBound(raw.size()) + 100, '\0');
    ZSTD_inBuffer in{raw.data(), raw.size() / 2, 0};
    ZSTD_outBuffer out{zip.data(), zip.size(), 0};
    ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush);
    in.size = raw.size();
    while (ZSTD_compressStream2(context, &out, &in, ZSTD_e_end) != 0) {
    }
    ZSTD_freeCCtx(context);
    zip.resize(out.pos);
    return zip;
  };
  const Folder folder;
  const auto read = [&](const std::string& zip, std::size_t raw_bytes) {
    folder.write("zip", zip);
    folder.write("index.json", index_of({shard_entry(columns, kRows, file_entry("raw", raw_bytes), file_entry("zip", zip.size()), "\"zstd\"")}));
    return read_split("mds", {{"path", toml_text(folder.path("."))}}, "all");
  };
  const auto error = [&](const std::string& zip, std::size_t raw_bytes) -> std::string {
    try {
      read(zip, raw_bytes);
    } catch (const PluginError& failure) {
      return failure.what();
    }
    return "no error";
  };
  const std::string raw = shard_with(kRows), zip = packed(raw);
  const auto check_users = [](const Table& table, std::size_t bad_row) {
    std::size_t at = 0, wrong = 0;
    for (std::size_t row = 0; row < kRows; ++row)
      if (row != bad_row) wrong += table["user"].at(at++) != std::to_string(row * row % 99'991);
    CHECK(wrong == 0);
    CHECK(static_cast<std::size_t>(table.rows) == at);
  };
  check_users(read(zip, raw.size()), kRows);
  // Two frames are one shard.
  check_users(read(packed(raw.substr(0, 100'000)) + packed(raw.substr(100'000)), raw.size()), kRows);
  for (const std::size_t bad_row : {std::size_t{0}, std::size_t{29'000}, kRows - 1}) {
    const Table table = read(packed(shard_with(bad_row)), raw.size());
    check_users(table, bad_row);
    REQUIRE(table.bad_rows.size() == 1);
    CHECK(table.bad_rows[0].row_in_chunk == static_cast<std::int64_t>(bad_row));
  }
  for (std::size_t size = 0; size < zip.size(); size += 1 + zip.size() / 41) CHECK_THAT(error(zip.substr(0, size), raw.size()), Contains("zip") && Contains("shard 0"));
  for (const std::size_t size : {raw.size() - 1, raw.size() + 1}) CHECK_THAT(error(zip, size), Contains("zip") && Contains("shard 0") && Contains("sample"));
  CHECK_THAT(error(zip + "x", raw.size()), Contains("zip") && Contains("damaged"));
  CHECK_THAT(error(zip + zip, raw.size()), Contains("unpacks to more"));
  for (std::size_t byte = 0; byte < zip.size(); byte += 1 + zip.size() / 43) {
    std::string spoilt = zip;
    spoilt[byte] = static_cast<char>(spoilt[byte] ^ (1 << byte % 8));
    error(spoilt, raw.size());
  }
  // Offsets that lie are found before a sample is unpacked.
  for (const auto& [at, value] : {std::pair{4, 8}, {4, -1}, {8, 1}, {4 + 4 * 40'000, 5}, {static_cast<int>(4 + 4 * kRows), 7}}) {
    std::string lie = raw;
    std::memcpy(lie.data() + at, &value, sizeof value);
    CHECK_THAT(error(packed(lie), raw.size()), Contains("zip") && Contains("shard 0"));
  }
}

TEST_CASE("mds: gzip and bzip2 files of several members are one shard") {
  for (const char* name : {"gz", "bz2"}) {
    const PackedShard shard(name);
    const rechost::MdsCompression compression(name);
    shard.write(compression.packed(shard.raw().substr(0, 1000)) + compression.packed("") + compression.packed(shard.raw().substr(1000)), shard.raw().size());
    CHECK(shard.outcome() == "as written");
  }
}

TEST_CASE("mds: shards that hardly pack or repeat themselves go through Snappy whole") {
  std::mt19937_64 random(11);
  std::string noise, mixed;
  for (int i = 0; i < 30000; ++i) noise += bytes_of<std::uint64_t>(random());
  // Runs of all short periods, with noise of all short lengths between them, across the borders of blocks.
  while (mixed.size() < 400'000) {
    const std::size_t period = 1 + random() % 40, length = random() % 300;
    for (std::size_t i = 0; i < length; ++i) mixed += i < period || mixed.size() < period ? static_cast<char>(random()) : mixed[mixed.size() - period];
    mixed += noise.substr(random() % 1000, random() % 70);
  }
  for (const std::string& content : {noise, mixed, std::string(200'000, 'x'), std::string("ab")}) {
    const Folder folder;
    const std::string raw = shard_bytes({{"label", "int8", 1}, {"x", "bytes"}}, {{std::string(1, '\1'), content}});
    const std::string zip = rechost::MdsCompression("snappy").packed(raw);
    CHECK(zip.size() < raw.size() + raw.size() / 1000 + 32);
    folder.write("zip", zip);
    folder.write("index.json", index_of({shard_entry({{"label", "int8", 1}, {"x", "bytes"}}, 1, file_entry("raw", raw.size()), file_entry("zip", zip.size()), "\"snappy\"")}));
    const Options options{{"path", toml_text(folder.path("."))}, {"label", "[]"}, {"dense", "[\"label\"]"}, {"id", "[\"x\"]"}};
    CHECK((read_split("mds", options, "all")["x"] == Strings{content}));
  }
}
