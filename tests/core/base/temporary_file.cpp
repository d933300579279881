#include "base/temporary_file.h"

#include <filesystem>
#include <string>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "temporary_directory.h"

using namespace rechost;
using Catch::Matchers::Contains;

TEST_CASE("a temporary file reads what was written and has no name") {
  const test::TemporaryDirectory directory;
  TemporaryFile file(directory.path());
  file.append("hello ", 6);
  file.append("world", 5);
  CHECK(file.size() == 11);
  CHECK(std::filesystem::is_empty(directory.path()));
  std::string text(5, ' ');
  file.read(6, text.data(), 5);
  CHECK(text == "world");
  file.read(0, text.data(), 5);
  CHECK(text == "hello");
  CHECK_THROWS_WITH(file.read(7, text.data(), 5), Contains("shorter than what was written"));
  CHECK_THROWS_WITH(TemporaryFile(directory / "nowhere"), Contains("nowhere") && Contains("No such file"));
}
