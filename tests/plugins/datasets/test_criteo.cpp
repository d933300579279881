#include <catch2/catch.hpp>

#include "plugins/datasets/compressed_text.h"
#include "plugins/datasets/opened_split.h"
#include "plugins/datasets/written_file.h"

using namespace datasets_test;
using Strings = std::vector<std::string>;

namespace {

// 40 fields, in which the given ones are put.
std::string line_with(const std::map<int, std::string>& fields) {
  std::string line;
  for (int i = 0; i < 40; ++i) {
    const auto found = fields.find(i);
    line += (i > 0 ? "\t" : "") + (found != fields.end() ? found->second : i == 0 ? "1" : "");
  }
  return line + "\n";
}

}  // namespace

TEST_CASE("criteo: values, missing values and types are those of the file") {
  const Folder folder;
  const std::string path =
      folder.write("x", line_with({{0, "0"}, {1, "-1"}, {2, "17874"}, {13, "2.5"}, {14, "68fd1e64"}, {39, "00ff"}}) + line_with({}));
  const Table table = read_split("criteo", {{"path", toml_text(path)}}, "all");
  CHECK(table["label"] == Strings{"0", "1"});
  CHECK(table["i1"] == Strings{"-1", "null"});
  CHECK(table["i2"] == Strings{"17874", "null"});
  CHECK(table["i13"] == Strings{"2.5", "null"});
  CHECK(table["c1"] == Strings{"68fd1e64", "null"});
  CHECK(table["c26"] == Strings{"00ff", "null"});
  CHECK(table.bad_rows.empty());

  const Table numbers = read_split("criteo", {{"path", toml_text(path)}, {"categorical", "\"hexadecimal\""}}, "all");
  CHECK(numbers["c1"] == Strings{std::to_string(0x68fd1e64), "null"});
  CHECK(numbers["c26"] == Strings{"255", "null"});
}

TEST_CASE("criteo: a bad row is left out and reported with file, line, column, value and bytes") {
  const Folder folder;
  const std::string path =
      folder.write("x", line_with({}) + line_with({{0, "7"}}) + "\n" + line_with({{3, "x7"}}) + "1\t2\n" + line_with({{20, "12g"}}) +
                            line_with({{20, "\xff"}}) + line_with({{3, "nan"}}) + line_with({{0, "0"}}));
  const Table table = read_split("criteo", {{"path", toml_text(path)}, {"categorical", "\"integer\""}}, "all");
  CHECK(table["label"] == Strings{"1", "0"});
  REQUIRE(table.bad_rows.size() == 6);
  CHECK(table.bad_rows[0] == BadRowRecord{1, 2, path, "label", "\"7\" is not a label: 0 or 1", line_with({{0, "7"}}).substr(0, 40)});
  CHECK(table.bad_rows[1].line == 4);
  CHECK(table.bad_rows[1].column == "i3");
  CHECK(table.bad_rows[1].reason == "\"x7\" is not a number");
  CHECK(table.bad_rows[2].reason == "2 fields, there should be 40");
  CHECK(table.bad_rows[2].raw == "1\t2");
  CHECK(table.bad_rows[3].column == "c7");
  CHECK(table.bad_rows[3].reason == "\"12g\" is not a 64-bit integer");
  CHECK_THAT(table.bad_rows[4].reason, Catch::Matchers::Contains("\\xff") && Catch::Matchers::Contains("not UTF-8"));
  CHECK(table.bad_rows[5].reason == "\"nan\" is not a number");
}

TEST_CASE("criteo: splits are those that have a path") {
  const Folder folder;
  const std::string path = toml_text(folder.write("x", criteo_lines(3)));
  const Loader loader("criteo");
  CHECK(loader.splits({{"path", path}}) == Strings{"all"});
  CHECK(loader.splits({{"path", path}, {"test_path", path}}) == Strings{"train", "test"});
  CHECK(loader.splits({{"path", path}, {"valid_path", path}, {"test_path", path}}) == Strings{"train", "valid", "test"});
}

TEST_CASE("criteo: files of a folder follow each other, and may have no label") {
  const Folder folder;
  const std::string unlabelled = criteo_line(3).substr(2) + "\n";
  folder.write("day_0", unlabelled);
  folder.write("day_1.gz", gzipped(unlabelled + unlabelled));
  const Options options{{"path", toml_text(folder.path(""))}, {"has_label", "false"}};
  const OpenedSplit opened(Loader("criteo"), options, "all");
  CHECK(opened.declared_rows() == 3);
  CHECK(opened.chunk_count() == 2);
  CHECK(opened.schema->n_children == 39);
  CHECK(opened.read_all().bad_rows.empty());
}

TEST_CASE("criteo: the fingerprint changes with the file and with the options") {
  const Folder folder;
  Options options{{"path", toml_text(folder.write("x", criteo_lines(3)))}};
  const auto fingerprint = [&] { return OpenedSplit(Loader("criteo"), options, "all").fingerprint(); };
  const uint64_t before = fingerprint();
  CHECK(fingerprint() == before);
  folder.write("x", criteo_lines(4));
  const uint64_t longer = fingerprint();
  CHECK(longer != before);
  options["categorical"] = "\"hexadecimal\"";
  CHECK(fingerprint() != longer);
}

TEST_CASE("criteo: the 80,000 real rows are read without loss", "[quality]") {
  const char* data = std::getenv("RECHOST_DATA_DIR");
  REQUIRE(data != nullptr);
  const Options options{{"path", toml_text(std::string(data) + "/criteo-80k/recis_criteo_80k.tsv.zst")}};
  const Table table = read_split("criteo", options, "all");
  CHECK(table.bad_rows.empty());
  CHECK(table.rows == 80'000);
  CHECK(std::count(table["label"].begin(), table["label"].end(), "1") == 2'573);
}
