// The ways of reading column by column say what the ways of reading row by row say of the same bytes.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "plugins/datasets/opened_split.h"
#include "plugins/datasets/written_file.h"
#include "plugins/datasets/written_shard.h"
#include "text/field_ends.h"
#include "text/numbers.h"

using namespace datasets_test;

namespace {

constexpr std::size_t kReadablePastEnd = 64;

using Finder = void (*)(std::string_view, char, std::size_t, text::FieldEnds&);

void require_as_reference(Finder finder, std::string_view bytes, std::size_t most) {
  text::FieldEnds wanted, found;
  text::find_field_ends_reference(bytes, '\t', most, wanted);
  finder(bytes, '\t', most, found);
  REQUIRE(found.ends == wanted.ends);
  REQUIRE(found.lines == wanted.lines);
  // The bytes that follow the last end in its block may count or not.
  if (found.plain) REQUIRE(wanted.plain);
  if (wanted.ends.size() < most) REQUIRE(found.plain == wanted.plain);
}

// Every type of number.
const std::vector<ShardColumn> kNumbers{{"a", "int8", 1},    {"b", "uint8", 1},   {"c", "int16", 2},   {"d", "uint16", 2},
                                        {"e", "int32", 4},   {"f", "uint32", 4},  {"g", "int64", 8},   {"h", "uint64", 8},
                                        {"i", "float32", 4}, {"j", "float64", 8}, {"k", "ndarray:float32:3", 12}, {"label", "int32", 4}};

std::vector<std::string> draw_sample(std::mt19937_64& draw) {
  const auto one_of = [&](auto... values) {
    const decltype((values + ...)) list[] = {static_cast<decltype((values + ...))>(values)...};
    return list[draw() % sizeof...(values)];
  };
  const std::uint64_t bits = draw();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  return {bytes_of(static_cast<std::int8_t>(bits)),
          bytes_of(static_cast<std::uint8_t>(bits)),
          bytes_of(static_cast<std::int16_t>(bits)),
          bytes_of(static_cast<std::uint16_t>(bits)),
          bytes_of(static_cast<std::int32_t>(bits)),
          bytes_of(static_cast<std::uint32_t>(bits)),
          bytes_of(one_of(static_cast<std::int64_t>(bits), std::numeric_limits<std::int64_t>::min(), std::int64_t{16777217})),
          bytes_of(bits >> 1),
          bytes_of(one_of(nan, 1.5f, -0.0f, std::numeric_limits<float>::max(), std::numeric_limits<float>::denorm_min())),
          bytes_of(one_of(std::nan(""), 0.1, 3e38, -1e-300)),
          bytes_of(one_of(nan, 2.5f)) + bytes_of(static_cast<float>(bits % 1000)) + bytes_of(-1.0f),
          bytes_of(static_cast<std::int32_t>(bits & 1))};
}

// The same samples with a column more, whose size varies: those are read one by one.
Table read_numbers(std::vector<std::vector<std::string>> samples, bool one_by_one) {
  const Folder folder;
  std::vector<ShardColumn> columns = kNumbers;
  if (one_by_one) {
    columns.push_back({"z", "str", 0});
    for (auto& sample : samples) sample.push_back(std::string(sample[0][0] & 3, 'x'));
  }
  write_shard(folder.path("x"), columns, samples);
  const Options options{{"path", toml_text(folder.path("x"))}, {"sparse", "[\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\"]"},
                        {"dense", "[\"i\", \"j\", \"k\"]"}, {"label", "[\"label\"]"}};
  Table table = read_split("mds", options, "all");
  for (BadRowRecord& row : table.bad_rows) row.source.clear(), row.raw.clear();  // the column more is in it
  return table;
}

}  // namespace

TEST_CASE("text: the ends of fields are found 64 bytes at a time as one by one") {
  const std::vector<std::pair<Finder, bool>> finders{{&text::find_field_ends_baseline, true},
                                                     {&text::find_field_ends_avx2, __builtin_cpu_supports("avx2") != 0},
                                                     {&text::find_field_ends_avx512, __builtin_cpu_supports("avx512bw") != 0},
                                                     {&text::find_field_ends, true}};
  const unsigned seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937_64 draw(seed);
  for (int round = 0; round < 300; ++round) {
    const std::size_t size = draw() % 400;
    const std::string_view alphabet = round % 3 == 0 ? "\t\n" : round % 3 == 1 ? "\t\nabcdefghijklmn01234" : std::string_view("\t\nab\"\r\xc3z89x\0yzvw", 16);
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += alphabet[draw() % alphabet.size()];
    bytes.append(kReadablePastEnd, '\t');  // of which nothing may be seen
    for (const auto& [finder, usable] : finders) {
      if (!usable) continue;
      for (const std::size_t most : {std::size_t{1}, std::size_t{40}, std::size_t{1000}}) require_as_reference(finder, std::string_view(bytes).substr(0, size), most);
    }
  }
}

TEST_CASE("text: eight digits at a time are the number that they are one by one") {
  std::mt19937_64 draw(7);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = "0123x9-7";  // what stands before the field
    const std::size_t length = draw() % 11;
    for (std::size_t i = 0; i < length; ++i) bytes += round % 4 == 0 ? static_cast<char>('(' + draw() % 24) : static_cast<char>('0' + draw() % 10);
    const std::string_view field = std::string_view(bytes).substr(8);
    const bool digits = !field.empty() && field.size() <= 8 && field.find_first_not_of("0123456789") == std::string_view::npos;
    std::uint32_t found = 0;
    INFO("field '" << field << "'");
    REQUIRE(text::parse_digits(field, found) == digits);
    if (digits) REQUIRE(found == std::stoul(std::string(field)));
  }
}

TEST_CASE("criteo: blocks of rows are the rows, wherever one of them is bad") {
  std::mt19937_64 draw(11);
  for (const int bad_every : {0, 1000, 300, 40}) {
    std::string lines, with_returns;
    for (int row = 0; row < 1500; ++row) {
      std::string line = criteo_line(row);
      if (bad_every != 0 && row % bad_every == bad_every / 2) {
        switch (draw() % 6) {
          case 0: line += "\tmore"; break;
          case 1: line = line.substr(0, line.find('\t')); break;
          case 2: line[0] = '7'; break;
          case 3: line += '\xff'; break;
          case 4: line += '\0'; break;
          default: line.insert(line.find('\t') + 1, "x"); break;
        }
      }
      // A negative, a fraction and many digits are no mistakes, only rare.
      if (row % 501 == 3) line.replace(line.find('\t') + 1, 0, "-0.5");
      if (row % 700 == 9) lines += "\n", with_returns += "\r\n";
      lines += line + "\n";
      with_returns += line + "\r\n";
    }
    const Folder folder;
    for (const char* categorical : {"text", "hexadecimal"}) {
      const auto read = [&](const std::string& content) {
        const Options options{{"path", toml_text(folder.write("x", content))}, {"chunk_rows", "600"}, {"categorical", toml_text(categorical)}};
        return read_split("criteo", options, "all");
      };
      const Table blocks = read(lines);
      INFO(categorical << ", every " << bad_every << "th is bad");
      CHECK(blocks.bad_rows.empty() == (bad_every == 0));
      // With carriage returns no block is as it should be.
      CHECK(blocks == read(with_returns));
    }
  }
}

TEST_CASE("mds: samples of one size are read by column as one by one") {
  const unsigned seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937_64 draw(seed);
  for (const std::size_t count : {1, 511, 1300}) {
    std::vector<std::vector<std::string>> samples;
    for (std::size_t i = 0; i < count; ++i) samples.push_back(draw_sample(draw));
    const Table by_column = read_numbers(samples, false);
    CHECK(by_column.rows == static_cast<std::int64_t>(count));
    CHECK(by_column == read_numbers(samples, true));
    // One that is refused anywhere, and all are looked at alone.
    for (const auto& [column, payload] : {std::pair<std::size_t, std::string>{7, std::string(8, '\xff')}, {8, bytes_of(std::numeric_limits<float>::infinity())},
                                          {9, bytes_of(3.5e38)}, {11, bytes_of<std::int32_t>(2)}}) {
      std::vector<std::vector<std::string>> spoilt = samples;
      spoilt[draw() % count][column] = payload;
      const Table table = read_numbers(spoilt, false);
      REQUIRE(table.bad_rows.size() == 1);
      CHECK(table == read_numbers(spoilt, true));
    }
  }
}
