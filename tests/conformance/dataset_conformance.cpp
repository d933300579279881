// The contract of "rechost.dataset/1", held against every loader in the tree.
#include <catch2/catch.hpp>

#include "plugins/datasets/conformance.h"
#include "plugins/datasets/written_file.h"

using namespace datasets_test;

namespace {

void conforms(const std::string& loader, const Options& options) {
  const Loader loaded(loader);
  for (const std::string& violation : Conformance(loaded, options).violations()) FAIL_CHECK(violation);
  SUCCEED();
}

}  // namespace

TEST_CASE("dataset contract: synthetic") {
  const Options small{{"rows", "1000"}, {"valid_rows", "300"}, {"test_rows", "257"}, {"chunk_rows", "256"}};
  const auto with = [&small](Options more) {
    more.insert(small.begin(), small.end());
    return more;
  };
  conforms("synthetic", small);
  conforms("synthetic", with({{"dense", "0"}, {"sparse", "3"}, {"cardinality", "[7, 1, 5000000]"}}));
  conforms("synthetic", with({{"multi_hot", "3"}, {"longest_list", "5"}, {"side_features", "\"of_key\""}}));
  conforms("synthetic", with({{"label_kind", "\"regression\""}, {"sparse", "0"}, {"dense", "2"}}));
}

TEST_CASE("dataset contract: criteo") {
  const Folder folder;
  std::string lines = criteo_lines(700);
  conforms("criteo", {{"path", toml_text(folder.write("plain.tsv", lines))}, {"chunk_rows", "100"}});
  conforms("criteo", {{"path", toml_text(folder.write("train.tsv", lines))},
                      {"test_path", toml_text(folder.write("test.tsv", criteo_lines(50)))},
                      {"categorical", "\"hexadecimal\""},
                      {"chunk_rows", "64"}});
  lines.insert(lines.find('\n') + 1, "2\tnonsense\n");
  lines += "1\tonly two\n";
  conforms("criteo", {{"path", toml_text(folder.write("bad.tsv", lines))}, {"chunk_rows", "100"}});
}

TEST_CASE("dataset contract: ratings") {
  const Folder folder;
  std::string table = "user,item,rating,time\n";
  std::string lists;
  for (int user = 0; user < 40; ++user) {
    lists += std::to_string(user);
    for (int k = 0; k < user % 7 + 1; ++k) {
      const int item = (user * 31 + k * 17) % 50;
      table +=
          std::to_string(user) + "," + std::to_string(item) + "," + std::to_string(k % 5 + 1) + "," + std::to_string(1000 - 3 * k) + "\n";
      lists += " " + std::to_string(item);
    }
    lists += "\n";
  }
  const std::string path = toml_text(folder.write("ratings.csv", table));
  conforms("ratings", {{"path", path}, {"chunk_rows", "50"}});
  conforms("ratings", {{"path", path}, {"holdout", "\"leave_one_out\""}, {"history", "4"}, {"chunk_rows", "10"}});
  conforms("ratings", {{"path", path}, {"holdout", "\"ratio\""}, {"ids", "\"text\""}, {"label", "\"rating\""}});
  const std::string list_path = toml_text(folder.write("train.txt", lists));
  conforms("ratings", {{"train_path", list_path}, {"test_path", list_path}, {"format", "\"lists\""}, {"history", "3"}});
  conforms("ratings", {{"path", toml_text(folder.write("bad.csv", table + "1,2\n3,4,five,6\n7,8,1,9\n"))}, {"chunk_rows", "60"}});
}

TEST_CASE("dataset contract: csv") {
  const Folder folder;
  std::string table = "label,age,city,tags,weight,when\n";
  for (int row = 0; row < 300; ++row)
    table += std::to_string(row % 2) + "," + (row % 5 == 0 ? "" : std::to_string(row * 0.5)) + ",\"town, " + std::to_string(row % 9) +
             "\"," + (row % 4 == 0 ? "" : "a|b" + std::to_string(row % 3)) + ",1.5," + std::to_string(row) + "\n";
  Options options{{"dense", "[\"age\"]"}, {"sparse", "[\"city\"]"}, {"multi_hot", "[\"tags\"]"},   {"weight", "\"weight\""},
                  {"time", "\"when\""},   {"user_key", "\"city\""}, {"user_columns", "[\"age\"]"}, {"chunk_rows", "37"}};
  options["path"] = toml_text(folder.write("good.csv", table));
  conforms("csv", options);
  options["path"] = toml_text(folder.write("bad.csv", table + "1,x,y,z,1,2\n1,1,\"open,z,1,2\n"));
  conforms("csv", options);
}
