// The text library itself: compression, records, fields, numbers.
#include <catch2/catch.hpp>
#include <random>

#include "plugins/datasets/compressed_text.h"
#include "plugins/datasets/written_file.h"
#include "text/fields.h"
#include "text/numbers.h"
#include "text/row_source.h"
#include "text/text_file.h"

using namespace datasets_test;
using Catch::Matchers::Contains;

namespace {

std::string content_of(const std::string& path) {
  const text::TextFile file(path);
  std::string content(static_cast<std::size_t>(file.size()), '\0');
  file.read(0, content.size(), content.data());
  return content;
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

struct Found {
  std::vector<std::string> rows;
  std::vector<std::int64_t> lines, chunk_rows;
};

Found rows_of(const std::string& path, const text::RowFormat& format, std::int64_t rows_per_chunk = 1000) {
  Found found;
  const text::RowSource source({path}, format, rows_per_chunk);
  for (std::int64_t chunk = 0; chunk < source.chunk_count(); ++chunk) {
    found.chunk_rows.push_back(source.chunk_rows(chunk));
    text::RowReader reader(source, chunk);
    for (text::Row row; reader.next(row);) {
      found.rows.emplace_back(row.record);
      found.lines.push_back(row.line);
    }
  }
  return found;
}

using Strings = std::vector<std::string>;

struct SplitRecord {
  Strings fields;
  std::string error;
};

SplitRecord split(const std::string& record, const text::RowFormat& format) {
  text::FieldSplitter splitter(format);
  const std::string padded = record + std::string(16, '\0');
  if (!splitter.split({padded.data(), record.size()})) return {{}, splitter.error()};
  return {{splitter.fields().begin(), splitter.fields().end()}, ""};
}

const text::RowFormat kCsv{.delimiter = ",", .quoted = true};
const text::RowFormat kTabs{.delimiter = "\t"};

}  // namespace

TEST_CASE("compressed files read like plain ones, whatever their name") {
  const Folder folder;
  std::string content;
  for (int i = 0; i < 100'000; ++i) content += std::to_string(i * 7919) + "\n";
  CHECK(content_of(folder.write("a", content)) == content);
  CHECK(content_of(folder.write("b", gzipped(content))) == content);
  CHECK(content_of(folder.write("c", zstandard(content))) == content);
  // Members and frames one after the other are one text.
  CHECK(content_of(folder.write("d", gzipped(content) + gzipped("more\n"))) == content + "more\n");
  CHECK(content_of(folder.write("e", zstandard(content) + zstandard("more\n"))) == content + "more\n");
  // Sizes around those of the internal blocks, of incompressible and of very compressible data.
  std::mt19937 random(1);
  for (const std::size_t size : {std::size_t{1} << 18, (std::size_t{1} << 18) + 1, (std::size_t{1} << 19) - 1, std::size_t{3} << 18}) {
    std::string noise(size, 'x');
    CHECK(content_of(folder.write("f", gzipped(noise))) == noise);
    CHECK(content_of(folder.write("f", zstandard(noise))) == noise);
    for (char& byte : noise) byte = static_cast<char>(random());
    CHECK(content_of(folder.write("f", gzipped(noise))) == noise);
    CHECK(content_of(folder.write("f", zstandard(noise))) == noise);
  }
}

TEST_CASE("a compressed file that is cut or damaged is an error with the byte") {
  const Folder folder;
  std::string content;
  for (int i = 0; i < 30'000; ++i) content += std::to_string(i * 7919) + "\n";
  for (const std::string& packed : {gzipped(content), zstandard(content)}) {
    const auto open = [&](const std::string& bytes) { return error_of([&] { content_of(folder.write("x", bytes)); }); };
    for (const std::size_t kept : {packed.size() - 1, packed.size() / 2, std::size_t{9}})
      CHECK_THAT(open(packed.substr(0, kept)), Contains("is cut short") && Contains("at byte " + std::to_string(kept)));
    std::string damaged = packed;
    damaged[packed.size() / 2] ^= 0x55;
    CHECK_THAT(open(damaged), Contains("is damaged at byte"));
    CHECK_THAT(open(packed + "garbage"), Contains("is damaged at byte") || Contains("is cut short"));
  }
}

TEST_CASE("files that cannot be read are errors that name them") {
  const Folder folder;
  CHECK_THAT(error_of([&] { text::TextFile(folder.path("missing")); }), Contains("missing") && Contains("No such file"));
  CHECK_THAT(error_of([&] { text::TextFile(folder.path("")); }), Contains("not a regular file"));
  CHECK_THAT(error_of([&] { rows_of(folder.write("empty", ""), kTabs); }), Contains("empty") && Contains("holds no rows"));
  CHECK_THAT(error_of([&] { rows_of(folder.write("blank", "\n\r\n\n"), kTabs); }), Contains("holds no rows"));
  CHECK_THAT(error_of([&] { rows_of(folder.write("head", "a,b\n"), {.delimiter = ",", .header_lines = 1}); }),
             Contains("after the header"));
}

TEST_CASE("a file that becomes shorter while it is read is an error, not a crash") {
  const Folder folder;
  const std::string path = folder.write("x", criteo_lines(100));
  const text::RowSource source({path}, kTabs, 50);
  std::filesystem::resize_file(path, 100);
  CHECK_THAT(error_of([&] { text::RowReader(source, 1); }), Contains("became shorter"));
  folder.write("x", criteo_lines(49) + std::string(10'000, 'y'));
  const auto read = [&] {
    text::RowReader reader(source, 0);
    for (text::Row row; reader.next(row);) continue;
  };
  CHECK_THAT(error_of(read), Contains("changed while it was being read") || Contains("no error"));
}

TEST_CASE("a path may be a file, a folder or a pattern") {
  const Folder folder;
  const std::string first = folder.write("a1", "x"), second = folder.write("a2", "x");
  folder.write("_SUCCESS", "");
  folder.write(".hidden", "");
  CHECK(text::files_of(first, "path") == Strings{first});
  CHECK(text::files_of(folder.path(""), "path").size() == 2);
  CHECK(text::files_of(folder.path("a*"), "path") == Strings{first, second});
  CHECK_THAT(error_of([&] { text::files_of(folder.path("b*"), "path"); }), Contains("no file matches"));
}

TEST_CASE("rows end at line ends, empty lines are none, and the last line end may be missing") {
  const Folder folder;
  const Found found = rows_of(folder.write("x", "a\tb\n\nc\td\r\n\r\ne"), kTabs);
  CHECK(found.rows == Strings{"a\tb", "c\td", "e"});
  CHECK(found.lines == std::vector<std::int64_t>{1, 3, 5});
  CHECK(rows_of(folder.write("x",
                             "\xef\xbb\xbf"
                             "a\nb\n"),
                kTabs)
            .rows == Strings{"a", "b"});
}

TEST_CASE("chunks hold as many rows as were asked for, the last one fewer") {
  const Folder folder;
  std::string lines;
  for (int i = 0; i < 10; ++i) lines += "row " + std::to_string(i) + "\n";
  CHECK(rows_of(folder.write("x", lines), kTabs, 4).chunk_rows == std::vector<std::int64_t>{4, 4, 2});
  CHECK(rows_of(folder.write("x", lines), kTabs, 5).chunk_rows == std::vector<std::int64_t>{5, 5});
}

TEST_CASE("inside quotes a line end belongs to the field") {
  const Folder folder;
  const Found found = rows_of(folder.write("x", "a,\"b\nc\"\nd,e\n\"f\"\"\n\",g\n"), kCsv, 2);
  CHECK(found.rows == Strings{"a,\"b\nc\"", "d,e", "\"f\"\"\n\",g"});
  CHECK(found.lines == std::vector<std::int64_t>{1, 3, 4});
  // A stray quote spoils its own row only.
  CHECK(rows_of(folder.write("x", "a,b\"c\nd,e\n"), kCsv).rows.size() == 2);
}

TEST_CASE("index and reader agree on any text, wherever the blocks of the index end") {
  const Folder folder;
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const bool quoted = round % 2 == 0;
    std::string content;
    // Beyond one block of the index, and with every special byte near every other.
    const std::size_t size = round < 50 ? random() % 2000 : (1 << 20) + random() % 100'000;
    while (content.size() < size) content += "ab,\"\"\n\r\t"[random() % 8];
    content += "x\n";
    INFO("round " << round);
    const text::RowFormat format{.delimiter = ",", .quoted = quoted};
    Found coarse;
    // A quote that is never closed is an error of the file, whichever way it is cut.
    if (const std::string error = error_of([&] { coarse = rows_of(folder.write("x", content), format, 1'000'000); }); error != "no error") {
      CHECK_THAT(error, Contains("closed"));
      CHECK(error == error_of([&] { rows_of(folder.path("x"), format, 3); }));
      continue;
    }
    const Found fine = rows_of(folder.path("x"), format, 3);
    CHECK(coarse.rows == fine.rows);
    CHECK(coarse.lines == fine.lines);
  }
}

TEST_CASE("fields are split at the delimiter") {
  CHECK(split("a\tb\t\tc", kTabs).fields == Strings{"a", "b", "", "c"});
  CHECK(split("", kTabs).fields == Strings{""});
  CHECK(split("\t", kTabs).fields == Strings{"", ""});
  CHECK(split("1::2::3", {.delimiter = "::"}).fields == Strings{"1", "2", "3"});
  // Longer than the sixteen bytes that are looked at together, with delimiters at the seams.
  CHECK(split("123456789012345\t\t8901234567890123456\t", kTabs).fields == Strings{"123456789012345", "", "8901234567890123456", ""});
}

TEST_CASE("quoted fields follow RFC 4180") {
  CHECK(split("a,\"b,c\",d", kCsv).fields == Strings{"a", "b,c", "d"});
  CHECK(split("\"say \"\"hello\"\"\",\"\"", kCsv).fields == Strings{"say \"hello\"", ""});
  CHECK(split("\"a\",", kCsv).fields == Strings{"a", ""});
  CHECK_THAT(split("a,\"b", kCsv).error, Contains("field 2") && Contains("never closed"));
  CHECK_THAT(split("\"a\"b,c", kCsv).error, Contains("field 1") && Contains("after the closing quote"));
  CHECK_THAT(split("a,b\"c", kCsv).error, Contains("field 2") && Contains("not quoted"));
}

TEST_CASE("numbers are read whole or not at all") {
  float real = 0;
  std::int64_t integer = 0;
  CHECK((text::parse_float("-1.5e2", real) && real == -150.0f));
  CHECK((text::parse_float(" 12 ", real) && real == 12.0f));
  CHECK((text::parse_float("+3", real) && real == 3.0f));
  CHECK((text::parse_float("1234567", real) && real == 1234567.0f));
  CHECK((text::parse_float("16777217.0", real) && real == 16777216.0f));
  for (const char* wrong : {"", " ", "x7", "7x", "1 2", "nan", "inf", "1e39", "-1e39", "+-1", "0x10", "1,5", "--1"}) {
    INFO(wrong);
    CHECK_FALSE(text::parse_float(wrong, real));
  }
  CHECK((text::parse_integer("-9223372036854775808", integer) && integer == std::numeric_limits<std::int64_t>::min()));
  for (const char* wrong : {"", "9223372036854775808", "1.0", "a", "1e3"}) {
    INFO(wrong);
    CHECK_FALSE(text::parse_integer(wrong, integer));
  }
  CHECK(text::refusal("x7", "a number") == "\"x7\" is not a number");
  CHECK(text::quote("a\x01") == "\"a\\x01\"");
  const Strings names{"userId", "movieId", "rating"};
  CHECK(text::nearest_name("movie_id", names.data(), names.data() + 3) == "movieId");
  CHECK(text::nearest_name("zzzzzz", names.data(), names.data() + 3).empty());
}

TEST_CASE("UTF-8 is checked by the letter") {
  CHECK(text::find_invalid_utf8("plain text of some length") == std::string_view::npos);
  CHECK(text::find_invalid_utf8("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80") == std::string_view::npos);
  for (const std::string_view wrong :
       {"12345678\xff", "12345678\xc3", "12345678\xc0\x80", "12345678\xed\xa0\x80", "12345678\xf4\x90\x80\x80"})
    CHECK(text::find_invalid_utf8(wrong) == 8);
}
