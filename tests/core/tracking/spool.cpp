#include "tracking/spool.h"

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "core/base/temporary_directory.h"

using namespace rechost;
using rechost::test::TemporaryDirectory;

namespace {

std::vector<std::string> words_in(const std::filesystem::path& path) {
  std::vector<std::string> words;
  SpoolReader reader(path);
  while (const auto record = reader.next()) {
    CHECK(record->number == static_cast<std::int64_t>(words.size()) + 1);
    words.push_back(record->fields.at("word").get<std::string>());
  }
  return words;
}

void write_words(const std::filesystem::path& path, const std::vector<std::string>& words) {
  Spool spool(path);
  for (const std::string& word : words) spool.append({{"word", word}});
}

}  // namespace

TEST_CASE("Records are read as they were appended, also by the next process") {
  const TemporaryDirectory folder;
  const auto path = folder / "log";
  write_words(path, {"foo", "line\nbreak", "ü", ""});
  write_words(path, {"bar"});
  CHECK(words_in(path) == std::vector<std::string>{"foo", "line\nbreak", "ü", "", "bar"});
  CHECK(Spool(path).last() == 5);
}

TEST_CASE("A record is one line with its checksum") {
  const TemporaryDirectory folder;
  write_words(folder / "log", {"foo"});
  CHECK(read_file(folder / "log") == "xxh3:b483766ce53d277c 1 {\"word\":\"foo\"}\n");
}

TEST_CASE("A last record cut anywhere is gone, and the next one takes its number") {
  const TemporaryDirectory folder;
  const auto path = folder / "log";
  write_words(path, {"foo", "bar"});
  const std::string whole = read_file(path);
  const std::size_t first = whole.find('\n') + 1;
  for (std::size_t length = first; length < whole.size(); ++length) {
    write_file_atomically(path, whole.substr(0, length));
    Spool spool(path);
    REQUIRE(spool.last() == 1);
    CHECK(spool.append({{"word", "baz"}}) == 2);
    CHECK(words_in(path) == std::vector<std::string>{"foo", "baz"});
  }
}

TEST_CASE("What a power cut leaves at the end is cut off") {
  const TemporaryDirectory folder;
  const auto path = folder / "log";
  for (const std::string& rest : {std::string(100, '\0'), std::string("xxh3:0000000000000000 3 {}\n"), std::string("\n\n")}) {
    std::filesystem::remove(path);
    write_words(path, {"foo", "bar"});
    const std::string whole = read_file(path);
    write_file_atomically(path, whole + rest);
    CHECK(Spool(path).last() == 2);
    CHECK(read_file(path) == whole);
  }
}

TEST_CASE("Damage before good records is an error that says where") {
  const TemporaryDirectory folder;
  const auto path = folder / "log";
  write_words(path, {"foo", "bar", "baz"});
  const std::string whole = read_file(path);
  for (std::size_t position = 0; position < whole.rfind("xxh3:"); ++position) {
    rechost::test::flip_byte(path, position);
    INFO(position);
    CHECK_THROWS_WITH(Spool(path), Catch::Contains("is damaged after record"));
    CHECK_THROWS_WITH(words_in(path), Catch::Contains("is damaged after record"));
    write_file_atomically(path, whole);
  }
  // A record that is missing altogether.
  write_file_atomically(path, whole.substr(0, whole.find('\n') + 1) + whole.substr(whole.rfind("xxh3:")));
  CHECK_THROWS_WITH(Spool(path), Catch::Contains("is damaged after record 1, and record 3 follows"));
}

TEST_CASE("A reader follows a writer") {
  const TemporaryDirectory folder;
  Spool spool(folder / "log");
  SpoolReader reader(spool.path());
  CHECK_FALSE(reader.next());
  constexpr std::int64_t kRecords = 20'000;
  std::thread writer([&] {
    for (std::int64_t i = 1; i <= kRecords; ++i) spool.append({{"i", i}, {"rest", std::string(static_cast<std::size_t>(i % 300), 'x')}});
  });
  std::int64_t seen = 0;
  while (seen < kRecords) {
    if (seen == spool.last()) continue;
    const auto record = reader.next();
    if (!record || record->fields.at("i") != seen + 1) break;
    ++seen;
  }
  writer.join();
  CHECK(seen == kRecords);
}
