#include "storage/storage.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "core/base/temporary_directory.h"
#include "loopback_server.h"
#include "storage/digest.h"

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

std::string text_of(const FileDescriptor& file) {
  char bytes[4096];
  const ssize_t got = ::pread(file.number(), bytes, sizeof bytes, 0);
  return {bytes, static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
}

/// Files of 100 bytes on a server, and a storage whose cache holds `limit` bytes.
class Afar {
 public:
  explicit Afar(std::uint64_t limit = 1000, int files = 12) : server(named(files)) {
    settings.cache = folder / "cache";
    settings.cache_bytes = limit;
    settings.connections = 2;
    settings.retry = {.deadline_seconds = 5, .first_delay_seconds = 0.01};
  }
  static std::string content(int number) { return std::string(100, static_cast<char>('a' + number)); }
  Location at(int number) const { return Location::parse(server.address() + "/" + std::to_string(number)); }
  Storage::Wanted wanted(int number) const { return {at(number), {.size = 100, .digests = {{"md5", md5(content(number))}}}}; }
  static std::string md5(const std::string& text) {
    Digest digest = *Digest::named("md5");
    digest.add(text.data(), text.size());
    return digest.finish();
  }
  /// Waits until the server was asked for so many files.
  bool fetched(std::size_t count) const {
    for (int i = 0; i < 1000 && server.fetched().size() < count; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return server.fetched().size() == count;
  }

  test::TemporaryDirectory folder;
  test::LoopbackServer server;
  StorageSettings settings;

 private:
  static test::LoopbackServer::Files named(int count) {
    test::LoopbackServer::Files files;
    for (int i = 0; i < count; ++i) files["/" + std::to_string(i)] = content(i);
    return files;
  }
};

}  // namespace

TEST_CASE("digests are those that the world computes") {
  const std::pair<const char*, const char*> known[] = {
      {"md5", "900150983cd24fb0d6963f7d28e17f72"},
      {"sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"},
      {"sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"xxh32", "32d153ff"},
      {"xxh64", "44bc2cf5ad770999"},
      {"xxh3_64", "78af5f94892f3950"},
      {"xxh3_128", "06b05ab6733a618578af5f94892f3950"},
      {"xxh128", "06b05ab6733a618578af5f94892f3950"},
  };
  for (const auto& [name, value] : known) {
    INFO(name);
    Digest digest = *Digest::named(name);
    digest.add("a", 1);
    digest.add("bc", 2);
    CHECK(digest.finish() == value);
  }
  CHECK_FALSE(Digest::named("crc32"));
}

TEST_CASE("a whole file is read and compared in one pass") {
  const test::TemporaryDirectory folder;
  const std::string content = [] {
    std::string text;
    for (std::int64_t i = 0; i < 1'000'000; ++i) text += static_cast<char>('a' + i * i % 26);
    return text;
  }();
  std::ofstream(folder / "x", std::ios::binary) << content;
  const Location location = Location::parse((folder / "x").string());
  // What this process has read so far, from files of any kind.
  const auto bytes_read = [] {
    std::ifstream file("/proc/self/io");
    std::string name;
    std::uint64_t value = 0;
    file >> name >> value;
    REQUIRE(name == "rchar:");
    return value;
  };
  Storage storage({});
  std::string target(content.size(), '\0');
  FileExpectation expectation{.size = content.size(), .digests = {{"md5", Afar::md5(content)}, {"xxh64", "0"}}};
  CHECK_THROWS_WITH(storage.read(location, expectation, target.data()), Contains("xxh64") && Contains("damaged"));
  expectation.digests.pop_back();
  for (int time = 0; time < 2; ++time) {
    std::fill(target.begin(), target.end(), '\0');
    const std::uint64_t before = bytes_read();
    storage.read(location, expectation, target.data());
    const std::uint64_t read = bytes_read() - before;
    CHECK(target == content);
    CHECK((read >= content.size() && read < content.size() + 10'000));
  }
  ++*expectation.size;
  CHECK_THROWS_WITH(storage.read(location, expectation, target.data()), Contains("1000000 bytes, the index says 1000001"));

  Afar afar;
  Storage remote(afar.settings);
  target.resize(100);
  const Storage::Wanted wanted = afar.wanted(3);
  remote.read(wanted.location, wanted.expectation, target.data());
  CHECK(target == Afar::content(3));
}

TEST_CASE("a remote file is read as if it were here, and asked for once") {
  Afar afar;
  Storage storage(afar.settings);
  CHECK_FALSE(storage.remote_in_use());
  CHECK(text_of(storage.open(afar.at(3))) == Afar::content(3));
  CHECK(storage.remote_in_use());
  CHECK(text_of(storage.open(afar.at(3))) == Afar::content(3));
  CHECK(afar.server.fetched() == std::vector<std::string>{"/3"});
  CHECK(storage.look(afar.at(3)).size == 100);
  CHECK(storage.look(afar.at(99)).kind == FileKind::kNone);
  CHECK_THROWS_WITH(storage.open(afar.at(99)), Contains("/99: there is no such file"));
  CHECK_THROWS_WITH(storage.list(afar.at(1)), Contains("files of a web server cannot be listed"));
}

TEST_CASE("with size and hash known nobody is asked what a file is, and what does not match is not read") {
  Afar afar;
  Storage storage(afar.settings);
  const Storage::Wanted one = afar.wanted(1);
  CHECK(text_of(storage.open(one.location, one.expectation)) == Afar::content(1));
  CHECK(afar.server.requests().size() == 1);
  FileExpectation other = afar.wanted(2).expectation;
  CHECK_THROWS_WITH(storage.open(afar.at(3), other), Contains("/3': is damaged: its md5 is") && Contains("no sample of it was used"));
  CHECK(afar.server.fetched() == std::vector<std::string>{"/1", "/3", "/3"});
  CHECK_THROWS_WITH(storage.open(afar.at(1), {.size = 100, .digests = {{"crc32", "0"}}}), Contains("only hashes that are not known here (crc32)"));
  CHECK_THROWS_WITH(storage.open(afar.at(1), {.size = 90}), Contains("has 100 bytes, the index says 90"));
}

TEST_CASE("files come ahead in the order in which they are wanted, as far as a quarter of the cache holds them") {
  Afar afar(1000);
  Storage storage(afar.settings);
  std::vector<Storage::Wanted> list;
  for (const int number : {7, 2, 9, 4, 1}) list.push_back(afar.wanted(number));
  storage.read_ahead(&afar, list);
  CHECK(afar.fetched(2));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK(afar.fetched(2));
  const std::vector<std::string> first = afar.server.fetched();
  CHECK(std::set<std::string>(first.begin(), first.end()) == std::set<std::string>{"/7", "/2"});
  // Each that is read makes room for the next one, and none is asked for again.
  for (const auto& [number, then] : {std::pair{7, 3}, {2, 4}, {9, 5}, {4, 5}, {1, 5}}) {
    const Storage::Wanted next = afar.wanted(number);
    CHECK(text_of(storage.open(next.location, next.expectation)) == Afar::content(number));
    CHECK(afar.fetched(static_cast<std::size_t>(then)));
  }
}

TEST_CASE("readers share what may come ahead, and one that is gone wants nothing") {
  Afar afar(1200);
  Storage storage(afar.settings);
  int first = 0, second = 0;
  storage.read_ahead(&first, {afar.wanted(0), afar.wanted(1), afar.wanted(2)});
  CHECK(afar.fetched(3));
  storage.read_ahead(&second, {afar.wanted(5), afar.wanted(6)});
  CHECK(afar.fetched(4));  // the first of the second reader goes before the last of the first one
  CHECK(afar.server.fetched().back() == "/5");
  storage.read_ahead(&first, {});
  CHECK(afar.fetched(5));
  CHECK(afar.server.fetched().back() == "/6");
  storage.read_ahead(&second, {});
}

TEST_CASE("a file that is larger than a quarter of the cache comes ahead too, one at a time") {
  Afar afar(320);
  Storage storage(afar.settings);
  storage.read_ahead(&afar, {afar.wanted(0), afar.wanted(1)});
  CHECK(afar.fetched(1));
  const Storage::Wanted first = afar.wanted(0);
  storage.open(first.location, first.expectation);
  CHECK(afar.fetched(2));
}

TEST_CASE("local files are none of the business of who reads ahead, and failures are left to who opens") {
  Afar afar;
  Storage storage(afar.settings);
  storage.read_ahead(&afar, {{Location::parse("/nowhere"), {}}});
  CHECK_FALSE(storage.remote_in_use());
  storage.read_ahead(&afar, {afar.wanted(99 % 12), {afar.at(99), {}}});
  CHECK(afar.fetched(1));
  CHECK_THROWS_WITH(storage.open(afar.at(99)), Contains("there is no such file"));
}

TEST_CASE("a server that is busy for a while is waited for") {
  Afar afar;
  Storage storage(afar.settings);
  afar.server.refuse(3);
  CHECK(text_of(storage.open(afar.at(5))) == Afar::content(5));
  CHECK(afar.server.requests().size() == 5);  // three refusals, what it is, and the file
}
