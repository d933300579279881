#include "base/file.h"

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "core/base/temporary_directory.h"

using namespace rechost;
using rechost::test::TemporaryDirectory;

TEST_CASE("A file written atomically holds the last contents and leaves nothing beside it") {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "a.txt", "first");
  write_file_atomically(directory / "a.txt", "second");
  CHECK(read_file(directory / "a.txt") == "second");
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("A reader never sees a half-written file") {
  const TemporaryDirectory directory;
  const std::string ones(100'000, '1');
  const std::string twos(50'000, '2');
  write_file_atomically(directory / "a.txt", ones);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) write_file_atomically(directory / "a.txt", i % 2 == 0 ? twos : ones);
    done = true;
  });
  bool whole = true;
  while (!done) {
    const std::string seen = read_file(directory / "a.txt");
    whole = whole && (seen == ones || seen == twos);
  }
  writer.join();
  CHECK(whole);
}

TEST_CASE("Files that cannot be read or written are named with the reason") {
  const TemporaryDirectory directory;
  CHECK_THROWS_WITH(read_file(directory / "absent"), Catch::Contains("absent") && Catch::Contains("No such file"));
  CHECK_THROWS_WITH(write_file_atomically(directory / "no/such/a.txt", "x"), Catch::Contains("no/such") && Catch::Contains("No such file"));
}

TEST_CASE("A symbolic link is switched from one target to another") {
  const TemporaryDirectory directory;
  switch_symlink(directory / "latest", "one");
  switch_symlink(directory / "latest", "two");
  CHECK(std::filesystem::read_symlink(directory / "latest") == "two");
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("A lock is held by one at a time and freed with its owner") {
  const TemporaryDirectory directory;
  CHECK_FALSE(LockFile::held(directory / "lock"));
  {
    const LockFile lock = LockFile::acquire(directory / "lock");
    CHECK(LockFile::held(directory / "lock"));
    CHECK_THROWS_WITH(LockFile::acquire(directory / "lock"), Catch::Contains(std::to_string(::getpid())));
  }
  CHECK_FALSE(LockFile::held(directory / "lock"));
  const LockFile again = LockFile::acquire(directory / "lock");
  CHECK(LockFile::held(directory / "lock"));
}

TEST_CASE("A lock dies with a killed process") {
  const TemporaryDirectory directory;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const LockFile lock = LockFile::acquire(directory / "lock");
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  CHECK(LockFile::held(directory / "lock"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK_FALSE(LockFile::held(directory / "lock"));
  ::close(ready[0]);
  ::close(ready[1]);
}
