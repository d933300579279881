#include "storage/file_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "core/base/temporary_directory.h"

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

/// Words for a cache of 100 bytes and files called by one word.
class Shelf {
 public:
  explicit Shelf(std::uint64_t limit = 100) : cache(folder / "cache", limit) {}

  static CacheRecord record(const std::string& key, std::uint64_t size) { return {key, size, "xxh3:0", {}}; }
  FileCache::Found put(const std::string& key, std::uint64_t size) {
    tick();
    return put(cache, key, size);
  }
  /// Times of files come from a clock that ticks every few milliseconds.
  static void tick() { std::this_thread::sleep_for(std::chrono::milliseconds(12)); }
  static FileCache::Found put(FileCache& cache, const std::string& key, std::uint64_t size) {
    FileCache::Admission admission = cache.admit(key, size);
    REQUIRE(admission.place);
    const std::string bytes(size, key[0]);
    REQUIRE(::pwrite(admission.place->file().number(), bytes.data(), size, 0) == static_cast<ssize_t>(size));
    return cache.keep(std::move(*admission.place), record(key, size));
  }
  bool has(const std::string& key) {
    tick();
    return cache.find(key).has_value();
  }
  /// Files in the folder, whatever they are called.
  int files() const {
    int count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "cache")) count += entry.path().extension() == ".data";
    return count;
  }
  int incoming() const {
    const auto begin = std::filesystem::directory_iterator(folder / "cache/incoming");
    return static_cast<int>(std::distance(begin, std::filesystem::directory_iterator()));
  }

  test::TemporaryDirectory folder;
  FileCache cache;
};

/// Runs `body` in a process of its own, which is killed once it has said that it is ready.
template <typename Body>
void in_a_process_that_is_killed(Body&& body) {
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ready[0]);
    body([&] {
      if (::write(ready[1], "r", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    });
    ::_exit(1);
  }
  ::close(ready[1]);
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  ::kill(child, SIGKILL);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  ::close(ready[0]);
}

}  // namespace

TEST_CASE("what was kept is found, and nothing else") {
  Shelf shelf;
  CHECK_FALSE(shelf.has("a"));
  CHECK_FALSE(std::filesystem::exists(shelf.folder / "cache"));  // made when it is needed
  shelf.put("a", 40);
  const auto found = shelf.cache.find("a");
  REQUIRE(found);
  CHECK(found->record.size == 40);
  char bytes[41] = {};
  CHECK(::read(found->file.number(), bytes, 41) == 40);
  CHECK(std::string(bytes) == std::string(40, 'a'));
  CHECK_FALSE(shelf.has("b"));
  CHECK(shelf.cache.contains("a"));
  shelf.cache.discard("a");
  CHECK_FALSE(shelf.has("a"));
  CHECK(shelf.put("empty", 0).record.size == 0);
}

TEST_CASE("what was used longest ago makes room, and what is being read does not") {
  Shelf shelf;
  shelf.put("a", 40);
  shelf.put("b", 40);
  CHECK(shelf.has("a"));  // used after b
  shelf.put("c", 40);
  CHECK(shelf.has("a"));
  CHECK_FALSE(shelf.has("b"));
  const auto reader = shelf.cache.find("a");
  CHECK(shelf.has("c"));
  shelf.put("d", 40);  // a was used longest ago, but somebody reads it
  CHECK(shelf.has("a"));
  CHECK_FALSE(shelf.has("c"));
  const auto other_reader = shelf.cache.find("d");
  const FileCache::Admission full = shelf.cache.admit("e", 40);
  CHECK_FALSE(full.place);
  CHECK_FALSE(full.busy);
  CHECK(full.bytes_in_use == 80);
  CHECK(shelf.put("f", 20).record.size == 20);
  CHECK_THROWS_WITH(shelf.cache.admit("s3://bucket/large\nversion", 101), Contains("s3://bucket/large: has 101 bytes, more than the cache may hold"));
}

TEST_CASE("a file that is being made counts, is made once, and goes when nobody keeps it") {
  Shelf shelf;
  {
    const FileCache::Admission first = shelf.cache.admit("a", 60);
    REQUIRE(first.place);
    CHECK(shelf.cache.admit("a", 60).busy);
    const FileCache::Admission other = shelf.cache.admit("b", 60);
    CHECK_FALSE(other.place);
    CHECK(other.bytes_in_use == 60);
  }
  CHECK(shelf.incoming() == 0);
  shelf.put("b", 60);
  CHECK(shelf.cache.admit("b", 60).busy);  // made since somebody looked
}

TEST_CASE("what a killed process left is removed, and its locks with it") {
  Shelf shelf;
  shelf.put("kept", 10);
  in_a_process_that_is_killed([&](const auto& ready) {
    FileCache cache(shelf.folder / "cache", 100);
    const auto reading = cache.find("kept");
    const FileCache::Admission half = cache.admit("half", 80);
    if (half.place && reading) ready();
  });
  CHECK(shelf.incoming() == 1);
  // Its place is free at once: nobody waits for the dead.
  shelf.put("half", 80);
  CHECK(shelf.incoming() == 0);
  shelf.put("other", 90);
  CHECK_FALSE(shelf.has("kept"));
  CHECK(shelf.files() == 1);
}

TEST_CASE("another process reads on while this one needs room") {
  Shelf shelf;
  shelf.put("a", 60);
  int ready[2], stop[2];
  REQUIRE((::pipe(ready) == 0 && ::pipe(stop) == 0));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    FileCache cache(shelf.folder / "cache", 100);
    const auto found = cache.find("a");
    char byte = 0;
    const bool told = found && ::write(ready[1], "r", 1) == 1 && ::read(stop[0], &byte, 1) == 1;
    ::_exit(told && ::pread(found->file.number(), &byte, 1, 59) == 1 && byte == 'a' ? 0 : 1);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  const FileCache::Admission refused = shelf.cache.admit("b", 60);
  CHECK_FALSE(refused.place);
  CHECK(refused.bytes_in_use == 60);
  REQUIRE(::write(stop[1], "s", 1) == 1);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  shelf.put("b", 60);
  CHECK_FALSE(shelf.has("a"));
  for (const int end : {ready[0], ready[1], stop[0], stop[1]}) ::close(end);
}

TEST_CASE("several processes at once keep the limit and see whole files") {
  Shelf shelf(400);
  std::vector<pid_t> children;
  for (int number = 0; number < 4; ++number) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      bool good = true;
      try {
        FileCache cache(shelf.folder / "cache", 400);
        for (int round = 0; round < 60 && good; ++round) {
          const std::string key(1, static_cast<char>('a' + (round * 7 + number) % 12));
          if (const auto found = cache.find(key)) {
            char byte = 0;
            good = ::pread(found->file.number(), &byte, 1, 49) == 1 && byte == key[0];
            continue;
          }
          FileCache::Admission admission = cache.admit(key, 50);
          if (!admission.place) continue;
          const std::string bytes(50, key[0]);
          good = ::pwrite(admission.place->file().number(), bytes.data(), 50, 0) == 50;
          cache.keep(std::move(*admission.place), Shelf::record(key, 50));
          std::uint64_t bytes_there = 0;
          for (const auto& entry : std::filesystem::directory_iterator(shelf.folder / "cache/files")) {
            std::error_code gone;
            if (entry.path().extension() == ".data") bytes_there += std::filesystem::file_size(entry.path(), gone) * (gone ? 0 : 1);
          }
          good = good && bytes_there <= 400;
        }
      } catch (const std::exception&) {
        good = false;
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  CHECK(shelf.incoming() == 0);
  CHECK(shelf.files() <= 8);
}

TEST_CASE("a record that is not whole, or of another file, is as good as none") {
  Shelf shelf;
  shelf.put("a", 10);
  std::filesystem::path record;
  for (const auto& entry : std::filesystem::directory_iterator(shelf.folder / "cache/files")) {
    if (entry.path().extension() == ".json") record = entry.path();
  }
  const std::string good = read_file(record);
  for (const std::string& bad : {std::string(), good.substr(0, good.size() / 2), std::string("{}"), std::string("{\"key\":\"b\",\"size\":10,\"checksum\":\"\",\"digests\":{}}")}) {
    write_file_atomically(record, bad);
    CHECK_FALSE(shelf.has("a"));
    shelf.put("a", 10);  // it takes the place
    CHECK(shelf.has("a"));
  }
  std::filesystem::resize_file(record.parent_path() / (record.stem().string() + ".data"), 5);
  CHECK_FALSE(shelf.has("a"));
  std::filesystem::remove(record);
  shelf.cache.trim();  // data without a record
  CHECK(shelf.files() == 0);
}

TEST_CASE("a lower limit is kept from the next start on") {
  Shelf shelf;
  shelf.put("a", 40);
  shelf.put("b", 40);
  FileCache smaller(shelf.folder / "cache", 50);
  smaller.trim();
  CHECK_FALSE(shelf.has("a"));
  CHECK(shelf.has("b"));
}

TEST_CASE("a folder of somebody else is left alone") {
  test::TemporaryDirectory folder;
  std::ofstream(folder / "thesis.txt") << "mine";
  FileCache cache(folder.path(), 100);
  CHECK_FALSE(cache.find("a"));
  CHECK_THROWS_AS(cache.admit("a", 10), ConfigError);
  CHECK_THROWS_WITH(cache.trim(), Contains("is not empty and not a cache of rechost"));
  CHECK(read_file(folder / "thesis.txt") == "mine");
}
