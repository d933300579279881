#include <catch2/catch.hpp>

#include <cmath>
#include <fstream>
#include <iterator>
#include <random>

#include "plugins/datasets/conformance.h"
#include "plugins/datasets/written_file.h"
#include "plugins/parquet/written_parquet.h"

using namespace datasets_test;
using Catch::Matchers::Contains;
using parquet::BooleanType;
using parquet::ByteArrayType;
using parquet::DoubleType;
using parquet::FLBAType;
using parquet::FloatType;
using parquet::Int32Type;
using parquet::Int64Type;
using parquet::Int96Type;
using parquet::LogicalType;
using Strings = std::vector<std::string>;
using Texts = std::vector<std::optional<std::string>>;

namespace {

constexpr auto kNone = std::nullopt;
const auto kText = LogicalType::String();

Options at(const std::string& path, Options more = {}) {
  more["path"] = toml_text(path);
  return more;
}

std::string error_of(const Options& options, const std::string& split = "all") {
  try {
    read_split("parquet", options, split);
  } catch (const PluginError& error) {
    return error.what();
  }
  return "no error";
}

std::string file_content(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

WrittenColumn label(std::size_t rows) {
  std::vector<std::int32_t> values;
  for (std::size_t row = 0; row < rows; ++row) values.push_back(static_cast<std::int32_t>(row % 2));
  return required<Int32Type>("label", values);
}

// Column "x" besides the label, as text cells.
Table read_column(const WrittenColumn& x, Options options = {}) {
  const Folder folder;
  write_parquet(folder.path("x.parquet"), {label(x.rows), x});
  return read_split("parquet", at(folder.path("x.parquet"), std::move(options)), "all");
}

std::string refusal(const WrittenColumn& x, Options options) {
  const Folder folder;
  write_parquet(folder.path("x.parquet"), {label(x.rows), x});
  return error_of(at(folder.path("x.parquet"), std::move(options)));
}

const Options kSparse{{"sparse", "[\"x\"]"}}, kDense{{"dense", "[\"x\"]"}}, kLists{{"multi_hot", "[\"x\"]"}};
const Options kTime{{"time", "\"x\""}, {"dense", "[\"y\"]"}};

std::vector<WrittenColumn> clicks(const Texts& cities) {
  return {label(5), column<DoubleType>("age", {31, kNone, 4.5, std::nan(""), -1}), column<ByteArrayType>("city", bytes(cities), kText),
          column<Int64Type>("user", {7, 8, kNone, 1LL << 40, -3}), lists<Int32Type>("tags", {{{1, 2}}, {{}}, kNone, {{3}}, {{4, 5, 6}}})};
}
const Texts kCities{"Bonn", kNone, "", "h\xc3\xa9", "Bonn"};

}  // namespace

TEST_CASE("parquet: the types say what columns are for, and row groups are chunks") {
  const Folder folder;
  write_parquet(folder.path("x.parquet"), clicks(kCities), 2);
  const Table table = read_split("parquet", at(folder.path("x.parquet")), "all");
  CHECK(table.names == Strings{"label", "age", "city", "user", "tags"});
  CHECK(table["label"] == Strings{"0", "1", "0", "1", "0"});
  CHECK(table["age"] == Strings{"31", "null", "4.5", "null", "-1"});
  CHECK(table["city"] == Strings{"Bonn", "null", "null", "h\xc3\xa9", "Bonn"});
  CHECK(table["user"] == Strings{"7", "8", "null", "1099511627776", "-3"});
  CHECK(table["tags"] == Strings{"[1 2]", "[]", "[]", "[3]", "[4 5 6]"});
  const OpenedSplit opened(Loader("parquet"), at(folder.path("x.parquet")), "all");
  CHECK(opened.chunk_count() == 3);
  CHECK(opened.chunk_rows(2) == 1);
}

TEST_CASE("parquet: integers of all widths, with and without sign") {
  const auto integer = [](int bits, bool is_signed) { return LogicalType::Int(bits, is_signed); };
  CHECK(read_column(column<BooleanType>("x", {true, kNone, false}), kSparse)["x"] == Strings{"1", "null", "0"});
  CHECK(read_column(column<Int32Type>("x", {-128, 127}, integer(8, true)), kSparse)["x"] == Strings{"-128", "127"});
  CHECK(read_column(column<Int32Type>("x", {255, 0}, integer(8, false)), kSparse)["x"] == Strings{"255", "0"});
  CHECK(read_column(column<Int32Type>("x", {-32768}, integer(16, true)), kSparse)["x"] == Strings{"-32768"});
  CHECK(read_column(column<Int32Type>("x", {-1, 1}, integer(32, false)), kSparse)["x"] == Strings{"4294967295", "1"});
  CHECK(read_column(column<Int32Type>("x", {-1, 1}), kSparse)["x"] == Strings{"-1", "1"});
  CHECK(read_column(column<Int64Type>("x", {INT64_MIN, INT64_MAX}), kSparse)["x"] == Strings{"-9223372036854775808", "9223372036854775807"});
  const Table exceeding = read_column(column<Int64Type>("x", {5, -1}, integer(64, false)), kSparse);
  CHECK(exceeding["x"] == Strings{"5"});
  REQUIRE(exceeding.bad_rows.size() == 1);
  CHECK_THAT(exceeding.bad_rows[0].reason, Contains("beyond the signed 64-bit"));
  CHECK(read_column(column<Int32Type>("x", {-1, 1}, integer(32, false)), kDense)["x"] == Strings{"4294967296", "1"});
  CHECK(read_column(column<Int64Type>("x", {-1}, integer(64, false)), kDense)["x"] == Strings{"1.8446744e+19"});
}

TEST_CASE("parquet: fractions, decimals and halves are numbers") {
  CHECK(read_column(column<FloatType>("x", {1.5f, kNone}), kDense)["x"] == Strings{"1.5", "null"});
  CHECK(read_column(column<Int32Type>("x", {-12345, kNone}, LogicalType::Decimal(9, 2)), kDense)["x"] == Strings{"-123.45", "null"});
  CHECK(read_column(column<Int64Type>("x", {5}, LogicalType::Decimal(18, 3)), kDense)["x"] == Strings{"0.005"});
  const std::string wide("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 12), small("\xfe\x0c", 2), half("\x00\x3e", 2);
  const auto fixed = [](const std::string& value) { return parquet::FixedLenByteArray(reinterpret_cast<const std::uint8_t*>(value.data())); };
  CHECK(read_column(column<FLBAType>("x", {fixed(wide), kNone}, LogicalType::Decimal(20, 1), 12), kDense)["x"] == Strings{"-25.6", "null"});
  CHECK(read_column(column<ByteArrayType>("x", bytes({small}), LogicalType::Decimal(4, 2)), kDense)["x"] == Strings{"-5"});
  CHECK(read_column(column<FLBAType>("x", {fixed(half)}, LogicalType::Float16(), 2), kDense)["x"] == Strings{"1.5"});
  CHECK_THAT(refusal(column<Int64Type>("x", {5}, LogicalType::Decimal(18, 3)), kSparse), Contains("Decimal") && Contains("an id is an integer or a text"));
}

TEST_CASE("parquet: times count for the role time and are refused as features") {
  const auto micros = LogicalType::Timestamp(true, LogicalType::TimeUnit::MICROS);
  const auto timed = [](const WrittenColumn& x) {
    const Folder folder;
    write_parquet(folder.path("x.parquet"), {label(x.rows), x, column<DoubleType>("y", std::vector<std::optional<double>>(x.rows, 1.0))});
    return read_split("parquet", at(folder.path("x.parquet"), kTime), "all");
  };
  CHECK(timed(column<Int64Type>("x", {1700000000000000}, micros))["x"] == Strings{"1700000000000000"});
  CHECK(timed(column<Int32Type>("x", {19000}, LogicalType::Date()))["x"] == Strings{"19000"});
  // The first nanosecond after the day 1970-01-02 begins.
  parquet::Int96 old_time{}, far_time{};
  old_time.value[0] = 1, old_time.value[2] = 2440589;
  far_time.value[2] = 9000000;
  const Table old_times = timed(column<Int96Type>("x", {old_time, far_time, kNone}));
  CHECK(old_times["x"] == Strings{"86400000000001"});
  REQUIRE(old_times.bad_rows.size() == 2);
  CHECK_THAT(old_times.bad_rows[0].reason, Contains("beyond"));
  CHECK_THAT(old_times.bad_rows[1].reason, Contains("missing"));
  CHECK_THAT(refusal(column<Int64Type>("x", {5}, micros), kSparse), Contains("'x'") && Contains("Timestamp") && Contains("integer or a text"));
  CHECK_THAT(refusal(column<Int64Type>("x", {5}, micros), kDense), Contains("Timestamp") && Contains("should be a number"));
}

TEST_CASE("parquet: texts, bytes and what is refused by name") {
  CHECK(read_column(column<ByteArrayType>("x", bytes({"a", "b"}), LogicalType::Enum()), kSparse)["x"] == Strings{"a", "b"});
  const Texts values{"a", "b"};
  const WrittenColumn untyped = column<ByteArrayType>("x", bytes(values));
  CHECK_THAT(refusal(untyped, kSparse), Contains("'BYTE_ARRAY'"));
  CHECK(read_column(untyped, {{"sparse", "[\"x\"]"}, {"bytes_are_text", "true"}})["x"] == Strings{"a", "b"});
  CHECK_THAT(refusal(column<Int32Type>("x", {1}), {{"sparse", "[\"y\"]"}}), Contains("x.parquet' has no column 'y'"));
  CHECK_THAT(refusal(column<Int32Type>("lbel", {1}), {{"sparse", "[\"labl\"]"}, {"label", "[]"}}), Contains("did you mean"));
  CHECK_THAT(refusal(column<ByteArrayType>("x", bytes({"a"}), kText), kDense), Contains("'String'") && Contains("should be a number"));
  CHECK_THAT(refusal(column<Int32Type>("x", {kNone}, LogicalType::Null()), {}), Contains("'x'") && Contains("cannot be read"));
}

TEST_CASE("parquet: lists are ids or groups of numbers") {
  CHECK(read_column(lists<ByteArrayType>("x", {{{parquet::ByteArray("a"), parquet::ByteArray("bc")}}, kNone}, kText), kLists)["x"] == Strings{"[a bc]", "[]"});
  CHECK(read_column(column<ByteArrayType>("x", bytes({"a|b", kNone, ""}), kText), kLists)["x"] == Strings{"[a b]", "[]", "[]"});
  const Table missing = read_column(lists<Int64Type>("x", {{{1, kNone}}, {{2}}}), kLists);
  CHECK(missing["x"] == Strings{"[2]"});
  CHECK_THAT(missing.bad_rows.at(0).reason, Contains("an element of the list is missing"));
  const Table group = read_column(lists<FloatType>("x", {kNone, {{1.f, 2.f}}, {{3.f}}, {{kNone, 5.f}}}), kDense);
  CHECK(group["x_0"] == Strings{"null", "1", "null"});
  CHECK(group["x_1"] == Strings{"null", "2", "5"});
  CHECK_THAT(group.bad_rows.at(0).reason, Contains("an array of 1 numbers, the first row's has 2"));
  CHECK_THAT(refusal(lists<FloatType>("x", {kNone}), kDense), Contains("no row holds an array"));
  CHECK_THAT(refusal(lists<Int64Type>("x", {{{1}}}), kSparse), Contains("multi_hot is for arrays"));
}

TEST_CASE("parquet: members of structures have names with a point") {
  const Folder folder;
  WrittenColumn x = column<Int64Type>("id", {5, 6});
  x.node = group_node("user", parquet::Repetition::REQUIRED, {x.node});
  write_parquet(folder.path("x.parquet"), {label(2), x});
  CHECK(read_split("parquet", at(folder.path("x.parquet")), "all")["user.id"] == Strings{"5", "6"});
}

TEST_CASE("parquet: bad rows say file, row, column and value, and cost no other row") {
  const Folder folder;
  const Texts cities{"a", "\xff", "c", "d"};
  write_parquet(folder.path("x.parquet"),
                {column<Int32Type>("label", {1, 0, 7, kNone}), column<ByteArrayType>("city", bytes(cities), kText), column<DoubleType>("n", {1, 2, 3, 1e300})}, 3);
  const Table table = read_split("parquet", at(folder.path("x.parquet")), "all");
  CHECK(table["city"] == Strings{"a"});
  REQUIRE(table.bad_rows.size() == 3);
  CHECK_THAT(table.bad_rows[0].reason, Contains("is not UTF-8"));
  CHECK(table.bad_rows[0].column == "city");
  CHECK(table.bad_rows[0].line == 2);
  CHECK_THAT(table.bad_rows[1].reason, Contains("7.0 is not a label"));
  CHECK(table.bad_rows[2].column == "label");
  CHECK_THAT(table.bad_rows[2].reason, Contains("missing"));
  CHECK(table.bad_rows[2].line == 4);
  CHECK_THAT(table.bad_rows[2].source, Contains("x.parquet"));
}

TEST_CASE("parquet: only columns that are asked for are decoded") {
  const Folder folder;
  const std::string path = folder.path("x.parquet");
  std::vector<std::optional<std::int64_t>> first, second;
  for (std::int64_t i = 0; i < 2000; ++i) first.push_back(0x1111111111111111 + i), second.push_back(0x2222222222222222 + i);
  write_parquet(path, {label(2000), column<Int64Type>("a", first), column<Int64Type>("b", second)}, 2000);
  std::string content = file_content(path);
  const std::size_t spoilt = content.find("\x22\x22\x22\x22\x22\x22");
  REQUIRE(spoilt != std::string::npos);
  content[spoilt] ^= 1;
  folder.write("x.parquet", content);
  CHECK(read_split("parquet", at(path, {{"sparse", "[\"a\"]"}}), "all").rows == 2000);
  CHECK_THAT(error_of(at(path)), Contains("x.parquet', row group 0, column 'b'") && Contains("damaged"));
  const OpenedSplit opened(Loader("parquet"), at(path), "all");
  CHECK(opened.read(0, {1}).rows == 2000);
  CHECK_THROWS_AS(opened.read(0, {2}), PluginError);
}

TEST_CASE("parquet: files of a folder, and of splits, are read together when they agree") {
  const Folder folder;
  std::filesystem::create_directories(folder.path("all"));
  const std::string first = folder.path("all/1.parquet"), second = folder.path("all/2.parquet"), all = folder.path("all");
  write_parquet(first, {label(2), column<Int64Type>("x", {1, 2})});
  // Another order and width, and nothing missing.
  write_parquet(second, {required<Int32Type>("x", {3, 4, 5}), label(3)});
  CHECK(read_split("parquet", at(all), "all")["x"] == Strings{"1", "2", "3", "4", "5"});
  CHECK(read_split("parquet", {{"train_path", toml_text(first)}, {"valid_path", toml_text(second)}}, "valid")["x"] == Strings{"3", "4", "5"});
  CHECK(read_split("parquet", at(folder.path("all/*.parquet")), "all").rows == 5);

  write_parquet(second, {label(1), column<DoubleType>("x", {3})});
  CHECK_THAT(error_of(at(all)), Contains("2.parquet': column 'x' has type 'DOUBLE'") && Contains("1.parquet' it is 'INT64'"));
  write_parquet(second, {label(1), column<Int64Type>("y", {3})});
  CHECK_THAT(error_of(at(all)), Contains("2.parquet' has no column 'x'"));
  write_parquet(second, {label(1), column<Int64Type>("x", {3}), column<Int64Type>("y", {3})});
  CHECK_THAT(error_of(at(all)), Contains("2.parquet' has a column 'y'"));
  CHECK(read_split("parquet", at(all, {{"sparse", "[\"x\"]"}}), "all").rows == 3);
}

TEST_CASE("parquet: a file that is cut short, something else, empty or changing is refused") {
  const Folder folder;
  const std::string path = folder.path("x.parquet");
  write_parquet(path, clicks(kCities));
  const std::string content = file_content(path);
  const OpenedSplit opened(Loader("parquet"), at(path), "all");
  folder.write("x.parquet", content.substr(0, content.size() / 2));
  CHECK_THAT(error_of(at(path)), Contains("x.parquet' is no whole Parquet file") && Contains("copy or write it again"));
  CHECK_THROWS_WITH(opened.read(0, {0}), Contains("changed while it was being read"));
  CHECK_THAT(error_of(at(folder.write("y.parquet", "label,x\n1,2\n"))), Contains("y.parquet' is no whole Parquet file"));
  CHECK_THAT(error_of(at(folder.write("z.parquet", ""))), Contains("z.parquet' is no whole Parquet file"));
  CHECK_THAT(error_of(at(folder.path("nowhere.parquet"))), Contains("nowhere.parquet"));
  write_parquet(path, {label(0), column<Int64Type>("x", {})});
  CHECK_THAT(error_of(at(path)), Contains("x.parquet' holds no row"));
}

TEST_CASE("parquet: columns read as a whole, by dictionary and value by value are the same") {
  const auto seed = std::random_device{}();
  std::mt19937_64 random(seed);
  INFO("seed " << seed);
  for (const bool all_good : {true, false}) {
    constexpr std::size_t kRows = 20000;  // more than are read at once
    std::vector<std::optional<std::int64_t>> wide;
    std::vector<std::optional<std::int32_t>> narrow, all_there;
    std::vector<std::optional<float>> real;
    std::vector<std::optional<double>> precise;
    Texts words;
    for (std::size_t row = 0; row < kRows; ++row) {
      const bool odd = !all_good && random() % 5000 == 0;
      wide.push_back(random() % 9 == 0 ? kNone : std::optional(static_cast<std::int64_t>(random() % 700) << 33));
      narrow.push_back(random() % 9 == 0 ? kNone : std::optional(static_cast<std::int32_t>(random() % 700) - 350));
      all_there.push_back(static_cast<std::int32_t>(random() % 3));
      real.push_back(random() % 9 == 0 ? kNone : std::optional(random() % 50 == 0 ? std::nanf("") : static_cast<float>(random() % 900) / 8));
      precise.push_back(odd ? std::optional(1e300) : random() % 9 == 0 ? kNone : std::optional(static_cast<double>(random() % 900) / 7));
      words.push_back(odd ? std::optional<std::string>("\xff") : random() % 9 == 0 ? kNone : std::optional(std::string(random() % 4, 'a') + std::to_string(random() % 500)));
      if (random() % 40 == 0) words.back() = "";
    }
    const std::vector<WrittenColumn> columns{label(kRows),
                                             column<Int64Type>("wide", wide),
                                             column<Int32Type>("narrow", narrow, LogicalType::Int(32, false)),
                                             column<Int32Type>("all_there", all_there),
                                             column<FloatType>("real", real),
                                             column<DoubleType>("precise", precise),
                                             column<ByteArrayType>("words", bytes(words), kText)};
    std::vector<Table> tables;
    for (const Storage storage : {Storage::kPlain, Storage::kDictionary, Storage::kHalfDictionary}) {
      const Folder folder;
      write_parquet(folder.path("x.parquet"), columns, kRows, storage);
      tables.push_back(read_split("parquet", at(folder.path("x.parquet")), "all"));
      for (BadRowRecord& row : tables.back().bad_rows) row.source.clear();
    }
    CHECK(tables[0].bad_rows.empty() == all_good);
    CHECK((tables[1] == tables[0]));
    CHECK((tables[2] == tables[0]));
    // And both are what was written.
    if (!all_good) continue;
    for (std::size_t row = 0; row < kRows; row += 7) {
      REQUIRE(tables[1]["wide"][row] == (wide[row] ? std::to_string(*wide[row]) : "null"));
      REQUIRE(tables[1]["narrow"][row] == (narrow[row] ? std::to_string(static_cast<std::uint32_t>(*narrow[row])) : "null"));
      REQUIRE(tables[1]["words"][row] == (words[row] && !words[row]->empty() ? *words[row] : "null"));
    }
  }
}

TEST_CASE("parquet: the fingerprint changes with the file") {
  const Folder folder;
  write_parquet(folder.path("x.parquet"), clicks(kCities));
  const auto fingerprint = [&] { return OpenedSplit(Loader("parquet"), at(folder.path("x.parquet")), "all").fingerprint(); };
  const std::uint64_t before = fingerprint();
  CHECK(fingerprint() == before);
  write_parquet(folder.path("x.parquet"), clicks(kCities), 2);
  CHECK(fingerprint() != before);
}

TEST_CASE("parquet: dataset contract") {
  const Folder folder;
  const auto conforms = [](const Options& options) {
    for (const std::string& violation : Conformance(Loader("parquet"), options).violations()) FAIL_CHECK(violation);
  };
  write_parquet(folder.path("good.parquet"), clicks(kCities), 2);
  conforms(at(folder.path("good.parquet"), {{"user_key", "\"user\""}}));
  conforms({{"train_path", toml_text(folder.path("good.parquet"))}, {"test_path", toml_text(folder.path("good.parquet"))}});
  const Texts cities{"a", "\xff", "b", kNone, "c"};
  std::vector<WrittenColumn> columns = clicks(cities);
  columns[0] = column<Int32Type>("label", {1, 0, 5, kNone, 1});
  write_parquet(folder.path("bad.parquet"), columns, 3);
  conforms(at(folder.path("bad.parquet")));
}

TEST_CASE("parquet: whatever bytes a file holds, it is read or refused") {
  const Folder folder;
  write_parquet(folder.path("x.parquet"), clicks(kCities), 2);
  const std::string content = file_content(folder.path("x.parquet"));
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  INFO("seed " << seed);
  for (int round = 0; round < 300; ++round) {
    std::string damaged = content;
    for (std::size_t changes = 1 + random() % 4; changes > 0; --changes) damaged[random() % damaged.size()] = static_cast<char>(random());
    folder.write("y.parquet", damaged);
    try {
      const OpenedSplit opened(Loader("parquet"), at(folder.path("y.parquet")), "all");
      const Table table = opened.read_all();
      CHECK(table.rows + static_cast<std::int64_t>(table.bad_rows.size()) == opened.declared_rows());
    } catch (const PluginError& error) {
      CHECK(std::string_view(error.what()).size() > 10);
    }
  }
}
