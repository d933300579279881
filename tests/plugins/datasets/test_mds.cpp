#include <catch2/catch.hpp>

#include <zstd.h>

#include <limits>

#include "plugins/datasets/conformance.h"
#include "plugins/datasets/written_shard.h"

using namespace datasets_test;
using Catch::Matchers::Contains;
using Strings = std::vector<std::string>;

namespace {

// A label, a number, an id and a text, in the order of their names.
const std::vector<ShardColumn> kColumns{{"age", "float32", 4}, {"city", "str"}, {"label", "int32", 4}, {"user", "int64", 8}};

std::vector<std::string> sample(std::int32_t label, float age, std::int64_t user, const std::string& city) {
  return {bytes_of(age), city, bytes_of(label), bytes_of(user)};
}

const std::vector<std::vector<std::string>> kSamples{sample(1, 31, 7, "Bonn"), sample(0, std::numeric_limits<float>::quiet_NaN(), 8, ""),
                                                     sample(1, 4.5f, std::numeric_limits<std::int64_t>::min(), "h\xc3\xa9")};

Options at(const std::string& path, Options more = {}) {
  more["path"] = toml_text(path);
  return more;
}

std::string error_of(const Options& options, const std::string& split = "all") {
  try {
    read_split("mds", options, split);
  } catch (const PluginError& error) {
    return error.what();
  }
  return "no error";
}

// One column "x" besides the label.
std::vector<ShardColumn> labelled(const std::string& encoding, int size = 0) { return {{"label", "int8", 1}, {"x", encoding, size}}; }

Table read_values(const std::string& encoding, int size, const Strings& payloads, Options options) {
  const Folder folder;
  std::vector<std::vector<std::string>> samples;
  for (const std::string& payload : payloads) samples.push_back({std::string(1, '\0'), payload});
  write_shard(folder.path("x"), labelled(encoding, size), samples);
  return read_split("mds", at(folder.path("x"), std::move(options)), "all");
}

// An array that carries its shape: one dimension.
template <class Number>
std::string array(const std::vector<Number>& values) {
  std::string bytes{4, static_cast<char>(values.size())};
  for (const Number value : values) bytes += bytes_of(value);
  return bytes;
}

}  // namespace

TEST_CASE("mds: the encodings say what columns are for") {
  const Folder folder;
  write_shard(folder.path("x"), kColumns, kSamples);
  const Table table = read_split("mds", at(folder.path("x")), "all");
  CHECK(table.names == Strings{"label", "age", "city", "user"});
  CHECK(table["label"] == Strings{"1", "0", "1"});
  CHECK(table["age"] == Strings{"31", "null", "4.5"});
  CHECK(table["city"] == Strings{"Bonn", "null", "h\xc3\xa9"});
  CHECK(table["user"] == Strings{"7", "8", "null"});
  CHECK(read_split("mds", at(folder.path("x/index.json")), "all") == table);
}

TEST_CASE("mds: roles and entities by name") {
  const Folder folder;
  write_shard(folder.path("x"), kColumns, kSamples);
  const Options options = at(folder.path("x"), {{"sparse", "[\"user\"]"}, {"id", "[\"city\"]"}, {"weight", "\"label\""}, {"label", "[]"}, {"user_key", "\"user\""}});
  const OpenedSplit opened(Loader("mds"), options, "all");
  CHECK(opened.column_metadata("user").at("rechost.key") == "1");
  CHECK(opened.column_metadata("user").at("rechost.entity") == "user");
  CHECK(opened.column_metadata("city").at("rechost.role") == "id");
  CHECK(opened.column_metadata("label").at("rechost.role") == "weight");
  CHECK(opened.read_all()["city"] == Strings{"Bonn", "", "h\xc3\xa9"});
}

TEST_CASE("mds: every number is read exactly") {
  const Options dense{{"dense", "[\"x\"]"}}, sparse{{"sparse", "[\"x\"]"}};
  CHECK(read_values("float16", 2, {bytes_of<std::uint16_t>(0x3c00), bytes_of<std::uint16_t>(0xc500), bytes_of<std::uint16_t>(1), bytes_of<std::uint16_t>(0x7e00)}, dense)["x"] ==
        Strings{"1", "-5", "5.9604645e-08", "null"});
  CHECK(read_values("float64", 8, {bytes_of(0.5), bytes_of(-2.25)}, dense)["x"] == Strings{"0.5", "-2.25"});
  CHECK(read_values("uint8", 1, {"\xff"}, sparse)["x"] == Strings{"255"});
  CHECK(read_values("int8", 1, {"\xff"}, sparse)["x"] == Strings{"-1"});
  CHECK(read_values("uint16", 2, {"\xff\xff"}, sparse)["x"] == Strings{"65535"});
  CHECK(read_values("int16", 2, {"\xfe\xff"}, sparse)["x"] == Strings{"-2"});
  CHECK(read_values("uint32", 4, {"\xff\xff\xff\xff"}, sparse)["x"] == Strings{"4294967295"});
  CHECK(read_values("int", 8, {bytes_of<std::int64_t>(-5)}, sparse)["x"] == Strings{"-5"});
  CHECK(read_values("str_int", 0, {"-12", ""}, sparse)["x"] == Strings{"-12", "null"});
  CHECK(read_values("str_float", 0, {"1e-07", "nan"}, dense)["x"] == Strings{"1e-07", "null"});
  CHECK(read_values("str_decimal", 0, {"1.25"}, dense)["x"] == Strings{"1.25"});
}

TEST_CASE("mds: arrays are lists of ids or groups of numbers") {
  const Options lists{{"multi_hot", "[\"x\"]"}}, group{{"dense", "[\"x\"]"}};
  const std::int64_t none = std::numeric_limits<std::int64_t>::min();
  CHECK(read_values("ndarray:int64", 0, {array<std::int64_t>({3, 4}), array<std::int64_t>({none}), array<std::int64_t>({5})}, lists)["x"] ==
        Strings{"[3 4]", "[]", "[5]"});
  CHECK(read_values("ndarray:int64", 0, {array<std::int64_t>({0}), array<std::int64_t>({1})}, {{"multi_hot", "[\"x\"]"}, {"null_integer", "0"}})["x"] ==
        Strings{"[]", "[1]"});
  CHECK(read_values("ndarray", 0, {"\x21" + array<std::int32_t>({-1, 2}), "\x08" + array<std::uint8_t>({200})}, lists)["x"] == Strings{"[-1 2]", "[200]"});
  CHECK(read_values("ndarray:uint16:3", 6, {bytes_of<std::uint16_t>(1) + bytes_of<std::uint16_t>(2) + bytes_of<std::uint16_t>(3)}, lists)["x"] ==
        Strings{"[1 2 3]"});
  CHECK(read_values("str", 0, {"a|b", "", "c"}, lists)["x"] == Strings{"[a b]", "[]", "[c]"});
  for (const auto& [encoding, size, shaped] : {std::tuple{"ndarray:float32:2", 8, false}, {"ndarray:float32", 0, true}}) {
    const Strings bare{bytes_of(1.0f) + bytes_of(-2.5f), bytes_of(std::numeric_limits<float>::quiet_NaN()) + bytes_of(3.0f)};
    const std::string shape = shaped ? std::string("\x04\x02") : "";
    const Table table = read_values(encoding, size, {shape + bare[0], shape + bare[1]}, group);
    CHECK(table.names == Strings{"label", "x_0", "x_1"});
    CHECK(table["x_0"] == Strings{"1", "null"});
    CHECK(table["x_1"] == Strings{"-2.5", "3"});
  }
}

TEST_CASE("mds: arrays of several dimensions are read row by row") {
  const std::string square = bytes_of<std::int32_t>(1) + bytes_of<std::int32_t>(2) + bytes_of<std::int32_t>(3) + bytes_of<std::int32_t>(4);
  CHECK(read_values("ndarray:int32", 0, {"\x08\x02\x02" + square}, {{"multi_hot", "[\"x\"]"}})["x"] == Strings{"[1 2 3 4]"});
  CHECK(read_values("ndarray", 0, {std::string("\x21\x09\x02\x00\x02\x00", 6) + square}, {{"multi_hot", "[\"x\"]"}})["x"] == Strings{"[1 2 3 4]"});
  for (const auto& [encoding, size, shape] : {std::tuple{"ndarray:int32:2,2", 16, ""}, {"ndarray:int32", 0, "\x08\x02\x02"}}) {
    const Table table = read_values(encoding, size, {shape + square}, {{"dense", "[\"x\"]"}});
    CHECK(table.names == Strings{"label", "x_0", "x_1", "x_2", "x_3"});
    CHECK(table["x_2"] == Strings{"3"});
  }
}

TEST_CASE("mds: JSON is a text, an id or a list of ids") {
  const Strings values{"\"a\\n\"", "12", "null", "{\"k\":  [1]}"};
  const Options beside{{"sparse", "[]"}, {"dense", "[\"label\"]"}, {"label", "[]"}, {"id", "[\"x\"]"}};
  CHECK(read_values("json", 0, values, beside)["x"] == values);
  CHECK(read_values("json", 0, values, {{"sparse", "[\"x\"]"}})["x"] == Strings{"a\n", "12", "null", values[3]});
  CHECK(read_values("json", 0, {"[\"a\", 5, true]", "[]", "null"}, {{"multi_hot", "[\"x\"]"}})["x"] == Strings{"[a 5 true]", "[]", "[]"});
  // Deeper than any stack.
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  CHECK(read_values("json", 0, {deep}, {{"sparse", "[\"x\"]"}})["x"] == Strings{deep});
}

TEST_CASE("mds: images are carried as they are stored, and are in nobody's way") {
  const std::string image = std::string("\x89PNG\0\xff", 6);
  for (const char* encoding : {"pil", "jpeg", "png", "list[pil]", "list[jpeg]", "list[png]", "jpeg_array", "jpegarray", "bytes"}) {
    const Options beside{{"dense", "[\"label\"]"}, {"label", "[]"}, {"id", "[\"x\"]"}};
    CHECK(read_values(encoding, 0, {image}, beside)["x"] == Strings{image});
    CHECK(read_values(encoding, 0, {image}, {{"dense", "[\"label\"]"}, {"label", "[]"}}).names == Strings{"label"});
  }
}

TEST_CASE("mds: a folder of partitions, a merged index and empty shards are one data set") {
  const Folder folder;
  write_shard(folder.path("x/b"), kColumns, {kSamples[1]});
  write_shard(folder.path("x/a"), kColumns, {kSamples[0]});
  const std::string empty = shard_bytes(kColumns, {});
  folder.write("x/a/shard.00001.mds", empty);
  CHECK(read_split("mds", at(folder.path("x")), "all")["user"] == Strings{"7", "8"});
  const auto entry = [&](const std::string& part) {
    return shard_entry(kColumns, 1, file_entry(part + "/shard.00000.mds", std::filesystem::file_size(folder.path("x/" + part + "/shard.00000.mds"))));
  };
  folder.write("x/index.json", index_of({entry("b"), shard_entry(kColumns, 0, file_entry("a/shard.00001.mds", empty.size())), entry("a")}));
  const OpenedSplit opened(Loader("mds"), at(folder.path("x")), "all");
  CHECK(opened.read_all()["user"] == Strings{"8", "7"});
  CHECK(opened.chunk_count() == 3);  // the empty one stays: orders of StreamingDataset count it
}

TEST_CASE("mds: zstd, and the unpacked file where it is there") {
  const Folder folder;
  const std::string raw = shard_bytes(kColumns, kSamples);
  std::string zip(ZSTD_compressBound(raw.size()), '\0');
  zip.resize(ZSTD_compress(zip.data(), zip.size(), raw.data(), raw.size(), 7));
  folder.write("shard.00000.mds.zstd", zip);
  const auto describe = [&](std::size_t raw_bytes) {
    folder.write("index.json", index_of({shard_entry(kColumns, 3, file_entry("shard.00000.mds", raw_bytes), file_entry("shard.00000.mds.zstd", zip.size()), "\"zstd:7\"")}));
  };
  describe(raw.size());
  CHECK(read_split("mds", at(folder.path("")), "all")["user"] == Strings{"7", "8", "null"});
  describe(raw.size() - 1);
  CHECK_THAT(error_of(at(folder.path(""))), Contains("shard.00000.mds.zstd") && Contains("shard 0") && Contains("unpacks to"));
  describe(raw.size());
  folder.write("shard.00000.mds.zstd", zip.substr(0, 20) + std::string(zip.size() - 20, 'x'));
  CHECK_THAT(error_of(at(folder.path(""))), Contains("damaged"));
  folder.write("shard.00000.mds", raw);
  CHECK(read_split("mds", at(folder.path("")), "all")["user"] == Strings{"7", "8", "null"});
}

TEST_CASE("mds: hashes are checked") {
  // The first worked example of the format's description: 296 bytes, with three digests.
  const Folder folder;
  const std::string header =
      R"({"column_encodings": ["int32", "int64", "int64"], "column_names": ["label", "movieId", "userId"], "column_sizes": [4, 8, 8], )"
      R"("compression": null, "format": "mds", "hashes": ["sha1", "xxh3_64", "xxh64"], "size_limit": 67108864, "version": 2})";
  const auto row = [](std::int32_t label, std::int64_t user, std::int64_t movie) { return bytes_of(label) + bytes_of(movie) + bytes_of(user); };
  const std::string shard = words({2, 0x100, 0x114, 0x128}) + header + row(1, 7, 296) + row(0, 192, 9739);
  REQUIRE(shard.size() == 296);
  folder.write("shard.00000.mds", shard);
  const std::vector<ShardColumn> columns{{"label", "int32", 4}, {"movieId", "int64", 8}, {"userId", "int64", 8}};
  const auto read_with = [&](const std::string& hashes, Options options = {}) {
    folder.write("index.json", index_of({shard_entry(columns, 2, file_entry("shard.00000.mds", shard.size(), hashes))}));
    return error_of(at(folder.path(""), std::move(options)));
  };
  // The others are those of Python's hashlib; xxh32 and xxh128 come from the same library as the others.
  const Strings good{R"("sha1": "d7adb6589b3b96b8980dcdec2a638f6aed5182cc")", R"("xxh3_64": "7124691fe59e8965")", R"("xxh64": "2c4184d2604596a4")",
                     R"("md5": "5d17224d72bb0c2556468bd2806fa699")", R"("sha256": "f705f4e5901326668d261ba4c29ff1525a7c5db5a128ee47cf650a24051565a8")",
                     R"("sha224": "38863eff25595be49d1f6e1f1750047933aa992d27f3273195a91677")",
                     R"("sha384": "64e47180eed2e59fc4fcd88b0249f6659c19257965dfde4934a8fca692fabcf7)"
                     R"(488483f0cc1c03dd8cd6974dabe413ad")",
                     R"("sha512": "8d82babf3fdcca9fb12243a2a5b7461b03c2f2b2c26dfe2e31cc1f7c34ba365d)"
                     R"(9d815d9dc650bfd1a9b8a711fe9d1dfbf7fdd64d3468a45c5c05e7e7b87e5153")",
                     R"("sha3_224": "94c07b63f293117071a9c50d5f3c6b1029dad14a1b912eb857870151")",
                     R"("sha3_256": "981b9c8b6b4569f8ec85045bd0260d62774f868d8cb04e342caa1f02e5f77488")",
                     R"("sha3_384": "c68353b6d84ba11969a8be91829d8429d6d3432e1aa287a385751e9ef44e4b9d)"
                     R"(7a348d7b03dd7ca5a51c451c1574a75e")",
                     R"("sha3_512": "c9dc1652c12fbe9738e0f586aa529886c2d6ec7388b2579e77f5925b33c932f5)"
                     R"(d22d9dd5612bc40de66ec17018b4b5ba99a82e94fd0bb84bc7aca7eff34fbfb6")",
                     R"("blake2b": "b8b934a229d143ce7815d922b1276b6a8af8e65bd07db25e0ccd21e2ad2df915)"
                     R"(8abab98526bde1da16ab5a9653b9781a35090cf5e7adad9f83ea1f869502383f")",
                     R"("blake2s": "7fd0e3a2e518546675e594d627cc7c537c4249a17931105894a649608ebba121")"};
  for (const std::string& hash : good) {
    CHECK(read_with("{" + hash + "}") == "no error");
    std::string wrong = hash;
    wrong[wrong.size() - 2] = wrong[wrong.size() - 2] == '0' ? '1' : '0';
    CHECK_THAT(read_with("{" + wrong + "}"), Contains("shard.00000.mds") && Contains("shard 0") && Contains("is damaged: its "));
    CHECK(read_with("{" + wrong + "}", {{"check_hashes", "false"}}) == "no error");
  }
  CHECK_THAT(read_with(R"({"ripemd160": "00"})"), Contains("ripemd160") && Contains("check_hashes = false"));
  CHECK(read_with(R"({"ripemd160": "00", )" + good[0] + "}") == "no error");
}

TEST_CASE("mds: what is not read is refused by name") {
  const auto refusal = [](const std::string& encoding, const std::string& role) {
    const Folder folder;
    write_shard(folder.path("x"), labelled(encoding), {{"\1", "x"}});
    return error_of(at(folder.path("x"), role.empty() ? Options{} : Options{{role, "[\"x\"]"}}));
  };
  for (const char* encoding : {"pkl", "jpeg", "list[png]", "list[str]", "int7", "ndarray:complex64", "ndarray:int8:0"})
    CHECK_THAT(refusal(encoding, "sparse"), Contains("'x'") && Contains("'" + std::string(encoding) + "'"));
  CHECK_THAT(refusal("bytes", "sparse"), Contains("'x'") && Contains("'bytes'"));
  CHECK_THAT(refusal("bytes", "dense"), Contains("'bytes'"));
  CHECK_THAT(refusal("bytes", ""), Contains("no column can be a feature") && Contains("'x' (bytes)"));
  CHECK_THAT(refusal("ndarray", ""), Contains("does not say what it holds"));
  CHECK_THAT(refusal("str", "dense"), Contains("should be a number"));
  CHECK_THAT(refusal("str_float", "sparse"), Contains("'str_float'"));
  CHECK_THAT(refusal("ndarray:float32", "multi_hot"), Contains("array of integers"));
  CHECK_THAT(refusal("ndarray:int32", "sparse"), Contains("multi_hot is for arrays"));
}

TEST_CASE("mds: options that do not fit the data say so") {
  const Folder folder;
  write_shard(folder.path("x"), kColumns, kSamples);
  const auto fault = [&](Options options) { return error_of(at(folder.path("x"), std::move(options))); };
  CHECK_THAT(fault({{"sparse", "[\"usr\"]"}}), Contains("no column 'usr'") && Contains("did you mean 'user'"));
  CHECK_THAT(fault({{"sparse", "[\"user\", \"user\"]"}}), Contains("already used"));
  CHECK_THAT(fault({{"label", "[\"city\"]"}}), Contains("should be a number"));
  CHECK_THAT(fault({{"label", "[\"age:multiclass\"]"}}), Contains("should be an integer"));
  CHECK_THAT(fault({{"label", "[\"age:rank\"]"}}), Contains("unknown kind 'rank'"));
  CHECK_THAT(fault({{"user_key", "\"age\""}}), Contains("must be one of sparse"));
  CHECK_THAT(error_of({}), Contains("path or train_path is needed"));
  CHECK_THAT(error_of(at(folder.path("nowhere"))), Contains("nowhere"));
  std::filesystem::create_directories(folder.path("empty/below"));
  CHECK_THAT(error_of(at(folder.path("empty"))), Contains("index.json"));
}

TEST_CASE("mds: an index that cannot be right is refused with its shard") {
  const Folder folder;
  const std::string bytes = shard_bytes(kColumns, kSamples), raw = file_entry("shard.00000.mds", bytes.size());
  folder.write("shard.00000.mds", bytes);
  const auto fault = [&](const std::string& index) {
    folder.write("index.json", index);
    return error_of(at(folder.path("")));
  };
  const auto replaced = [&](const std::string& text, const std::string& by) {
    std::string index = index_of({shard_entry(kColumns, 3, raw)});
    const std::size_t found = index.find(text);
    REQUIRE(found != std::string::npos);
    return fault(index.replace(found, text.size(), by));
  };
  CHECK(fault(index_of({shard_entry(kColumns, 3, raw)})) == "no error");
  CHECK_THAT(fault(index_of({shard_entry(kColumns, 3, raw)}).substr(0, 90)), Contains("not valid JSON") && Contains("cut short"));
  CHECK_THAT(fault("[]"), Contains("no JSON object"));
  CHECK_THAT(fault(index_of({})), Contains("no sample"));
  CHECK_THAT(replaced("\"samples\": 3, ", ""), Contains("shard 0") && Contains("\"samples\" is missing"));
  CHECK_THAT(replaced("\"samples\": 3", "\"samples\": -3"), Contains("\"samples\" is -3"));
  CHECK_THAT(replaced("\"format\": \"mds\"", "\"format\": \"xsv\""), Contains("'xsv'"));
  CHECK_THAT(replaced("\"compression\": null", "\"compression\": \"lz4\""), Contains("'lz4'") && Contains("zstd"));
  CHECK_THAT(replaced("67108864, \"version\": 2", "67108864, \"version\": 3"), Contains("version 3"));
  CHECK_THAT(replaced("shard.00000.mds", "../shard.00000.mds"), Contains("outside"));
  CHECK_THAT(replaced("shard.00000.mds", "/etc/passwd"), Contains("outside"));
  CHECK_THAT(replaced("[4, null, 4, 8]", "[4, null, 4, 4]"), Contains("column 'user'") && Contains("4 bytes"));
  CHECK_THAT(replaced("[4, null, 4, 8]", "[4, null, 4]"), Contains("one length"));
  CHECK_THAT(replaced("\"age\"", "\"agE\""), Contains("names itself"));
  std::vector<ShardColumn> other = kColumns;
  other[0].name = "Age";
  CHECK_THAT(fault(index_of({shard_entry(kColumns, 3, raw), shard_entry(other, 3, raw)})), Contains("shard 1") && Contains("same columns"));
}

TEST_CASE("mds: a cut or damaged shard is named, with the sample") {
  const Folder folder;
  const std::string bytes = shard_bytes(kColumns, kSamples);
  folder.write("index.json", index_of({shard_entry(kColumns, 3, file_entry("shard.00000.mds", bytes.size()))}));
  const auto fault = [&](const std::string& content) {
    folder.write("shard.00000.mds", content);
    return error_of(at(folder.path("")));
  };
  const auto patched = [&](std::size_t position, std::uint32_t value) {
    std::string damaged = bytes;
    return fault(damaged.replace(position, 4, words({value})));
  };
  CHECK_THAT(fault(bytes.substr(0, bytes.size() - 5)), Contains("shard.00000.mds") && Contains("shard 0") && Contains("cut short"));
  CHECK_THAT(fault(bytes + "x"), Contains("the index says"));
  CHECK_THAT(patched(0, 2), Contains("holds 2 samples"));
  CHECK_THAT(patched(4, 8), Contains("inside the table"));
  CHECK_THAT(patched(8, 1), Contains("sample 0"));
  CHECK_THAT(patched(12, 0x7fffffff), Contains("sample 1"));
  CHECK_THAT(patched(16, static_cast<std::uint32_t>(bytes.size() - 1)), Contains("last sample"));
  // The size of the only text in sample 1, whose values begin where sample 0 ends.
  std::uint32_t second = 0;
  std::memcpy(&second, bytes.data() + 8, 4);
  CHECK_THAT(patched(second, 1), Contains("sample 1") && Contains("'user'"));
  CHECK_THAT(patched(second, 0xffffffff), Contains("sample 1") && Contains("'city'"));
  std::filesystem::remove(folder.path("shard.00000.mds"));
  CHECK_THAT(error_of(at(folder.path(""))), Contains("cannot open '"));
}

TEST_CASE("mds: values that cannot be right are bad rows") {
  const auto reason = [](const std::string& encoding, int size, const std::string& payload, const Options& options) {
    const Table table = read_values(encoding, size, {payload, payload}, options);
    CHECK(table.rows == 0);
    REQUIRE(table.bad_rows.size() == 2);
    CHECK(table.bad_rows[1].row_in_chunk == 1);
    CHECK_THAT(table.bad_rows[1].source, Contains("shard.00000.mds"));
    CHECK_THAT(table.bad_rows[1].reason, Contains("sample 1"));
    return table.bad_rows[1].column + ": " + table.bad_rows[1].reason;
  };
  const Options dense{{"dense", "[\"x\"]"}}, sparse{{"sparse", "[\"x\"]"}}, lists{{"multi_hot", "[\"x\"]"}};
  CHECK_THAT(reason("float64", 8, bytes_of(1e300), dense), Contains("x: ") && Contains("1e+300"));
  CHECK_THAT(reason("uint64", 8, std::string(8, '\xff'), sparse), Contains("beyond"));
  CHECK_THAT(reason("str_int", 0, "1.5", sparse), Contains("1.5"));
  CHECK_THAT(reason("str", 0, "\xff", sparse), Contains("UTF-8"));
  CHECK_THAT(reason("ndarray:int32", 0, array<std::int32_t>({1, 2}) + "x", lists), Contains("array of 2 int32 in 9 bytes"));
  CHECK_THAT(reason("ndarray:int32", 0, std::string("\x08\x01\x00", 3), lists), Contains("a dimension of 0"));
  CHECK_THAT(reason("ndarray:int32", 0, std::string("\x00", 1) + bytes_of(7), lists), Contains("no dimension"));
  CHECK_THAT(reason("ndarray:int32", 0, "\x0b" + bytes_of(std::uint64_t{1} << 33) + bytes_of(std::uint64_t{1} << 33), lists), Contains("array of 4294967295"));
  CHECK_THAT(reason("json", 0, "{\"a\": 1", sparse), Contains("is not JSON"));
  CHECK_THAT(reason("json", 0, "\"\xff\"", sparse), Contains("UTF-8"));
  CHECK_THAT(reason("json", 0, "[1, {}]", lists), Contains("element 1 is no id"));
  CHECK_THAT(reason("json", 0, "[\"a\", null]", lists), Contains("element 1 is no id"));
  CHECK_THAT(reason("json", 0, "5", lists), Contains("no list of ids"));
  CHECK_THAT(reason("ndarray", 0, "\x07" + array<std::int32_t>({1}), lists), Contains("unknown code 7"));
  CHECK_THAT(reason("ndarray", 0, "\x22" + array<float>({1}), lists), Contains("float32"));
  CHECK_THAT(reason("ndarray", 0, "", lists), Contains("without a type"));
  CHECK_THAT(reason("ndarray:int32", 0, "", lists), Contains("without a shape"));
  CHECK_THAT(reason("ndarray:int32", 0, "\x0b", lists), Contains("cut short"));
  const Folder folder;
  write_shard(folder.path("x"), kColumns, {sample(2, 1, 1, "a"), sample(1, 1, 1, "a")});
  const Table table = read_split("mds", at(folder.path("x")), "all");
  CHECK(table.rows == 1);
  CHECK(table.bad_rows.at(0).column == "label");
}

TEST_CASE("mds: keeps the rules for loaders") {
  const Folder folder;
  write_shard(folder.path("x/a"), kColumns, kSamples);
  write_shard(folder.path("x/b"), kColumns, {kSamples[0], sample(9, 1, 1, "bad"), kSamples[2]});
  write_shard(folder.path("y"), labelled("ndarray:int32"), {{"\1", array<std::int32_t>({1, 2})}, {std::string(1, '\0'), array<std::int32_t>({3})}});
  const Loader loader("mds");
  CHECK(Conformance(loader, at(folder.path("x"), {{"test_path", toml_text(folder.path("x/a"))}})).violations().empty());
  CHECK(Conformance(loader, at(folder.path("y"))).violations().empty());
}
