// Vocabularies larger than their memory: sorted runs on disk, merged, must give what memory alone gives.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/folder.h"
#include "data/row_counts.h"
#include "data/value_rows.h"
#include "data/value_runs.h"
#include "data/vocabulary_learning.h"
#include "fixture.h"

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

constexpr double kNoMemory = 1e-9;  // GiB: every chunk becomes a run of its own

void require_equal(const Vocabularies& found, const Vocabularies& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t table = 0; table < expected.size(); ++table) {
    REQUIRE(found[table].rows() == expected[table].rows());
    REQUIRE(found[table].counts().all() == expected[table].counts().all());
    for (std::int32_t row = 0; row < expected[table].rows(); ++row) REQUIRE(found[table].value_text(row) == expected[table].value_text(row));
  }
}

/// Values with a long tail, so that runs share frequent values and each has rare ones of its own.
std::shared_ptr<MemorySource> skewed_source(std::size_t rows, std::int64_t rows_per_chunk, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto skewed = [&] {
    const auto rank = static_cast<std::int64_t>(random() % 1000);
    return rank * rank * rank / 50000 - 7000;
  };
  MemorySource::Values<std::int64_t> user;
  MemorySource::Values<std::string> word;
  std::vector<std::vector<std::int64_t>> history;
  MemorySource::Values<std::int64_t> hashed;
  for (std::size_t row = 0; row < rows; ++row) {
    user.push_back(random() % 20 == 0 ? std::nullopt : std::optional<std::int64_t>(skewed()));
    word.push_back(random() % 20 == 0 ? std::nullopt : std::optional<std::string>(std::string(static_cast<std::size_t>(random() % 3), 'w') + std::to_string(skewed())));
    hashed.push_back(skewed());
    history.emplace_back();
    for (std::uint64_t n = random() % 4; n > 0; --n) history.back().push_back(skewed());
  }
  auto made = source(rows_per_chunk);
  made->ids("user", user).words("word", word).lists("history", history).ids("hashed", hashed);
  return made;
}

}  // namespace

TEST_CASE("runs on disk are merged as one sorted map would be: integers") {
  const test::Folder folder;
  std::mt19937_64 random(5);
  ValueRuns<std::int64_t> runs(folder.path());
  std::map<std::int64_t, std::pair<std::int64_t, std::vector<std::int64_t>>> expected;
  std::int64_t number = 0;
  for (const std::size_t run_size : {0, 1, 3, 40000, 500, 0, 20000}) {
    std::map<std::int64_t, CountedValue<std::int64_t>> run;
    for (std::size_t n = 0; n < run_size; ++n) {
      const auto value = n == 0   ? std::numeric_limits<std::int64_t>::min()
                         : n == 1 ? std::numeric_limits<std::int64_t>::max()
                                  : static_cast<std::int64_t>(random() % 100000) - 50000;
      run[value] = {value, static_cast<std::int64_t>(random() >> (random() % 60 + 4)), number++};
    }
    std::vector<CountedValue<std::int64_t>> sorted;
    for (const auto& [value, entry] : run) {
      sorted.push_back(entry);
      expected[value].first += entry.count;
      expected[value].second.push_back(entry.number);
    }
    runs.add_run(sorted);
  }
  for (int round = 0; round < 2; ++round) {
    auto next = expected.begin();
    runs.merge([&](std::int64_t value, std::int64_t count, std::span<const std::int64_t> numbers) {
      REQUIRE(next != expected.end());
      REQUIRE(value == next->first);
      REQUIRE(count == next->second.first);
      REQUIRE(std::vector<std::int64_t>(numbers.begin(), numbers.end()) == next->second.second);
      ++next;
    });
    CHECK(next == expected.end());
  }
}

TEST_CASE("runs on disk are merged as one sorted map would be: strings, empty and longer than a buffer") {
  const test::Folder folder;
  std::mt19937_64 random(6);
  ValueRuns<std::string_view> runs(folder.path());
  std::map<std::string, std::pair<std::int64_t, std::vector<std::int64_t>>> expected;
  for (int run = 0; run < 30; ++run) {
    std::map<std::string, std::int64_t> values;
    for (int n = 0; n < 300; ++n) {
      const std::size_t length = n == 0 ? std::size_t{3} << 20 : random() % 6;  // 3 MiB: more than what is read at once
      std::string value(length, 'a');
      for (std::size_t i = 0; i < std::min<std::size_t>(length, 5); ++i) value[i] = static_cast<char>(random() % 256);
      if (n == 0 && run > 1) continue;
      values[value] = static_cast<std::int64_t>(random() % 5);
    }
    std::vector<CountedValue<std::string_view>> sorted;
    for (const auto& [value, count] : values) {
      sorted.push_back({value, count, run});
      expected[value].first += count;
      expected[value].second.push_back(run);
    }
    runs.add_run(sorted);
  }
  auto next = expected.begin();
  runs.merge([&](std::string_view value, std::int64_t count, std::span<const std::int64_t> numbers) {
    REQUIRE(next != expected.end());
    REQUIRE((value == next->first));
    REQUIRE(count == next->second.first);
    REQUIRE(std::vector<std::int64_t>(numbers.begin(), numbers.end()) == next->second.second);
    ++next;
  });
  CHECK(next == expected.end());
}

TEST_CASE("a compact vocabulary finds what a small one finds") {
  std::mt19937_64 random(8);
  for (const std::size_t count : {0, 1, 2, 3, 7, 8, 1000, 65535, 65536}) {
    std::map<std::int64_t, std::int32_t> expected;
    std::vector<std::int64_t> values;
    std::vector<char> characters;
    std::vector<std::uint64_t> ends;
    while (values.size() < count) {
      const auto value = values.size() % 2 == 0 ? static_cast<std::int64_t>(random()) : static_cast<std::int64_t>(random() % (4 * count)) << 32;
      if (!expected.emplace(value, static_cast<std::int32_t>(values.size())).second) continue;
      values.push_back(value);
      const std::string text = std::to_string(value);
      characters.insert(characters.end(), text.begin(), text.end());
      ends.push_back(characters.size());
    }
    std::vector<std::int64_t> wanted = values;
    for (std::size_t i = 0; i < count + 10; ++i) wanted.push_back(static_cast<std::int64_t>(random()) >> (random() % 60));
    const IntegerRows small(values);
    const IntegerRows compact(values, 0);
    const StringRows words(characters, ends, 0);
    REQUIRE(compact.size() == static_cast<std::int64_t>(count));
    REQUIRE(words.size() == static_cast<std::int64_t>(count));
    std::vector<std::int32_t> from_small(wanted.size());
    std::vector<std::int32_t> from_compact(wanted.size());
    small.find_all(wanted, from_small.data());
    compact.find_all(wanted, from_compact.data());
    REQUIRE(from_small == from_compact);
    for (const std::int64_t value : wanted) {
      const auto place = expected.find(value);
      const std::int32_t number = place == expected.end() ? -1 : place->second;
      REQUIRE(compact.find(value) == number);
      REQUIRE(words.find(std::to_string(value)) == number);
      if (number < 0) continue;
      REQUIRE(compact.value(number) == value);
      REQUIRE(words.value(number) == std::to_string(value));
    }
  }
  for (const std::size_t compact_from : {0, 100}) {
    CHECK_THROWS_WITH(IntegerRows({4, 5, 6, 5}, compact_from), "5");
    CHECK_THROWS_WITH(StringRows({'a', 'b', 'a'}, {1, 2, 3}, compact_from), "\"a\"");
  }
}

TEST_CASE("counts of rows are read as they were written") {
  RowCounts counts;
  counts.append(0, 1);
  counts.append(9, 2);
  counts.append(9, 1);
  counts.append(1, 0);
  RowCounts tail;
  tail.append(4, 3);
  tail.append(1, 100000);
  counts.append(tail);
  REQUIRE(counts.size() == 100007);
  CHECK(counts[0] == 0);
  CHECK(counts[3] == 9);
  CHECK(counts[4] == 4);
  CHECK(counts[6] == 4);
  CHECK(counts[7] == 1);
  CHECK(counts[100006] == 1);
  const std::vector<std::int64_t> all = counts.all();
  REQUIRE(all.size() == 100007);
  for (std::size_t row = 0; row < all.size(); ++row) REQUIRE(all[row] == counts[static_cast<std::int64_t>(row)]);
  CHECK(RowCounts(std::vector<std::int64_t>{5, 2, 5}).all() == std::vector<std::int64_t>{5, 2, 5});
}

TEST_CASE("a tally counts on where 32 bits end") {
  RowTally tally(5, 7);
  tally.add(std::vector<std::int32_t>{4, 0, 4});
  tally.add(std::vector<std::int32_t>{1, 4}, std::vector<std::uint32_t>{3, 1});
  tally.add(2, (std::int64_t{1} << 32) + 1);
  tally.add(std::vector<std::int32_t>{2, 4});
  const RowCounts counts = tally.finish();
  CHECK(counts.all() == std::vector<std::int64_t>{1, 3, (std::int64_t{1} << 32) + 2, 0, 4});
  CHECK(counts[4] == 4);
  RowTally narrow(3);
  narrow.add(std::vector<std::int32_t>{2, 2, 0});
  CHECK(narrow.finish().all() == std::vector<std::int64_t>{1, 0, 2});
}

TEST_CASE("a tally of a large table counts the same, few ids or many") {
  constexpr std::int64_t kRows = (1 << 22) + 5;
  const std::size_t added = GENERATE(100, 60000, 200000);  // a row in 64 is where an array begins
  std::mt19937 random(3);
  std::map<std::int32_t, std::int64_t> expected;
  RowTally tally(kRows);
  for (std::size_t i = 0; i < added; i += 4) {
    const auto row = static_cast<std::int32_t>(i % 16 == 0 ? random() % 10 : random() % kRows);
    tally.add(std::vector<std::int32_t>{row, row});
    tally.add(std::vector<std::int32_t>{row, -1}, std::vector<std::uint32_t>{1, 0});
    tally.add(static_cast<std::int32_t>(kRows) - 1, 1);
    expected[row] += 3;
    ++expected[static_cast<std::int32_t>(kRows) - 1];
  }
  const RowCounts counts = tally.finish();
  REQUIRE(counts.size() == kRows);
  CHECK(counts.total() == static_cast<std::int64_t>(added));
  const std::vector<std::int64_t> all = counts.all();
  REQUIRE(static_cast<std::int64_t>(all.size()) == kRows);
  for (std::int64_t row = 0; row < kRows; ++row) {
    const auto found = expected.find(static_cast<std::int32_t>(row));
    if (all[static_cast<std::size_t>(row)] != (found == expected.end() ? 0 : found->second)) FAIL("row " << row);
  }
  for (const auto& [row, times] : expected) {
    if (counts[row] != times) FAIL("row " << row);
  }
}

TEST_CASE("a vocabulary learnt on disk is that of memory: every limit, any threads, min_count and max_rows") {
  const std::uint64_t seed = 11;
  const auto data = skewed_source(3000, 37, seed);
  DataFixture fixture;
  fixture.features["history"].table = "user";
  fixture.features["hashed"] = {.encoder = "hash", .hash_rows = 100};
  for (const auto& [min_count, max_rows] : std::vector<std::pair<int, int>>{{1, 0}, {3, 0}, {1, 100}, {2, 77}, {100000, 0}}) {
    for (const char* const feature : {"user", "word"}) {
      fixture.features[feature].min_count = min_count;
      fixture.features[feature].max_rows = max_rows;
    }
    fixture.data.vocabulary_memory_gib = 1.0;
    fixture.threads = 1;
    const PreparedData in_memory = fixture.prepare("train", data);
    for (const double limit : {kNoMemory, 3e-5, 1e-4, 5e-4}) {
      fixture.data.vocabulary_memory_gib = limit;
      for (const int threads : {1, 3}) {
        INFO("seed " << seed << ", min_count " << min_count << ", max_rows " << max_rows << ", limit " << limit << " GiB, threads " << threads);
        fixture.threads = threads;
        const PreparedData on_disk = fixture.prepare("train", data);
        require_equal(*on_disk.vocabularies, *in_memory.vocabularies);
        REQUIRE(equal(all_rows(*on_disk.train), all_rows(*in_memory.train)));
      }
    }
  }
}

TEST_CASE("a vocabulary learnt on disk serves rows that are not kept in memory") {
  const auto data = skewed_source(3000, 100, 12);
  DataFixture fixture;
  fixture.data.shuffle = "none";
  const PreparedData in_memory = fixture.prepare("train", data);
  fixture.data.vocabulary_memory_gib = kNoMemory;
  fixture.data.memory_gib = 1e-6;
  const PreparedData on_disk = fixture.prepare("train", data);
  CHECK_FALSE(on_disk.train->resident());
  require_equal(*on_disk.vocabularies, *in_memory.vocabularies);
  CHECK(equal(all_rows(*on_disk.train), all_rows(*in_memory.train)));
}

TEST_CASE("values of validation rows alone stay unknown when they went through the disk") {
  DataFixture fixture;
  fixture.data.split.valid = 0.5;
  const auto data = source(2);
  data->ids("item", {1, 2, 2, 3, 4, 2, 3, 5});
  const PreparedData in_memory = fixture.prepare("all", data);
  fixture.data.vocabulary_memory_gib = kNoMemory;
  const PreparedData on_disk = fixture.prepare("all", data);
  require_equal(*on_disk.vocabularies, *in_memory.vocabularies);
  CHECK(texts(*on_disk.valid, all_rows(*on_disk.valid), 0) == std::vector<std::string>{"<unknown>", "2", "3", "<unknown>"});
}

TEST_CASE("only what exceeds the limit goes to disk, the largest table first") {
  const test::Folder folder;
  const std::vector<TableEncoding> tables{{.name = "small"}, {.name = "large"}};
  const auto chunk = [](std::int64_t first, std::int64_t count) {
    ChunkValues values;
    for (std::int64_t value = first; value < first + count; ++value) values.integers.insert(value);
    values.counts.assign(static_cast<std::size_t>(count), 1);
    return values;
  };
  VocabularyLearning learning(tables, {.memory_bytes = 1 << 20, .temporary_directory = folder.path()});
  std::vector<std::vector<std::int32_t>> numbers(2);
  std::vector<ChunkValues> values(2);
  for (int round = 0; round < 20; ++round) {
    values[0] = chunk(0, 10);
    values[1] = chunk(1000 * round, 2000);
    learning.merge(values, numbers);
    CHECK_FALSE(learning.builders()[0]->spilled());
  }
  CHECK(learning.builders()[1]->spilled());
  CHECK(learning.builders()[1]->numbers() > 21000);  // some came again after they were forgotten
  CHECK(std::filesystem::is_empty(folder.path()));   // the file has no name
  ThreadPool pool(2);
  std::vector<std::vector<std::int32_t>> rows;
  const std::vector<Vocabulary> made = learning.finish(pool, &rows);
  REQUIRE(made[1].rows() == Vocabulary::kFirstValueRow + 21000);
  CHECK(made[1].row(std::int64_t{1000}) == Vocabulary::kFirstValueRow);  // the smallest that occurs twice
  CHECK(rows[1][static_cast<std::size_t>(numbers[1][0])] == made[1].row(std::int64_t{19000}));
}

TEST_CASE("no room on disk names the table, the directory and what to do") {
  DataFixture fixture;
  fixture.data.vocabulary_memory_gib = kNoMemory;
  fixture.data.temporary_path = "/nonexistent/place";
  const auto data = source(1);
  data->ids("item", {1, 2});
  CHECK_THROWS_AS(fixture.prepare("train", data), DataError);
  CHECK_THROWS_WITH(fixture.prepare("train", data),
                    Contains("table \"item\"") && Contains("/nonexistent/place") && Contains("No such file") && Contains("data.temporary_path"));
}
