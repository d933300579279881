#include "base/checksum.h"

#include <algorithm>
#include <string>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "core/base/temporary_directory.h"

using namespace rechost;
using rechost::test::TemporaryDirectory;

TEST_CASE("Checksums are XXH3 with 64 bits as xxhsum prints them") {
  CHECK(checksum_of("") == "xxh3:2d06800538d394c2");
  CHECK(checksum_of("a") == "xxh3:e6c632b61e964e1f");
  CHECK(checksum_of("abc") == "xxh3:78af5f94892f3950");
}

TEST_CASE("A checksum does not depend on how the bytes were portioned") {
  const std::string bytes(10'000, 'x');
  Checksum checksum;
  for (std::size_t begin = 0; begin < bytes.size(); begin += 37)
    checksum.add(bytes.data() + begin, std::min<std::size_t>(37, bytes.size() - begin));
  CHECK(checksum.text() == checksum_of(bytes));
}

TEST_CASE("A recorded file is found missing, cut short, longer or changed") {
  const TemporaryDirectory directory;
  std::filesystem::create_directories(directory / "sub");
  const std::filesystem::path path = directory / "sub/a.bin";
  write_file_atomically(path, "some bytes");
  const FileRecord record = record_file(directory.path(), path);
  CHECK(record.path == "sub/a.bin");
  CHECK(record.bytes == 10);
  CHECK(file_defect(directory.path(), record, CheckDepth::kChecksums).empty());

  SECTION("missing") {
    std::filesystem::remove(path);
    CHECK(file_defect(directory.path(), record, CheckDepth::kSizes) == "is missing");
  }
  SECTION("cut short") {
    test::cut_file(path, 4);
    CHECK_THAT(file_defect(directory.path(), record, CheckDepth::kSizes),
               Catch::Contains("6 bytes, not 10") && Catch::Contains("cut short"));
  }
  SECTION("longer") {
    write_file_atomically(path, "some more bytes");
    CHECK_THAT(file_defect(directory.path(), record, CheckDepth::kSizes), Catch::Contains("15 bytes, not 10"));
  }
  SECTION("changed") {
    test::flip_byte(path, 3);
    CHECK(file_defect(directory.path(), record, CheckDepth::kSizes).empty());
    CHECK_THAT(file_defect(directory.path(), record, CheckDepth::kChecksums), Catch::Contains("has changed"));
  }
  SECTION("a directory") {
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
    CHECK(file_defect(directory.path(), record, CheckDepth::kSizes) == "is not a file");
  }
}
