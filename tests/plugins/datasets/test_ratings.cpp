#include <catch2/catch.hpp>
#include <set>

#include "plugins/datasets/opened_split.h"
#include "plugins/datasets/written_file.h"

using namespace datasets_test;
using Catch::Matchers::Contains;
using Strings = std::vector<std::string>;

namespace {

std::string error_of(const Options& options, const std::string& split) {
  try {
    read_split("ratings", options, split);
  } catch (const PluginError& error) {
    return error.what();
  }
  return "no error";
}

// "user item" of each row.
Strings pairs(const Table& table) {
  Strings result;
  for (std::size_t row = 0; row < table["user"].size(); ++row) result.push_back(table["user"][row] + " " + table["item"][row]);
  return result;
}

}  // namespace

TEST_CASE("ratings: files with a header, with ::, with tabs and with lists say the same") {
  const Folder folder;
  const Strings expected{"1 10", "1 30", "2 10"};
  const auto read = [&](const std::string& content, Options options) {
    options["path"] = toml_text(folder.write("x", content));
    return pairs(read_split("ratings", options, "all"));
  };
  CHECK(read("userId,movieId,rating,timestamp\n1,10,4,7\n1,30,3.5,8\n2,10,1,9\n",
             {{"user_column", "\"userId\""}, {"item_column", "\"movieId\""}}) == expected);
  const Options named{{"columns", toml_list({"user", "item", "rating", "time"})}};
  CHECK(read("1::10::4::7\n1::30::3::8\n2::10::1::9\n", named) == expected);
  CHECK(read("1\t10\t4\t7\r\n1\t30\t3\t8\r\n2\t10\t1\t9", named) == expected);
  CHECK(read("1 10 30 \n5\n2 10\n", {{"format", "\"lists\""}}) == expected);
}

TEST_CASE("ratings: ids are integers when all are, else text") {
  const Folder folder;
  const auto read = [&](const std::string& content, const Options& more = {}) {
    Options options = more;
    options["path"] = toml_text(folder.write("x", content));
    return read_split("ratings", options, "all");
  };
  const OpenedSplit numbers(Loader("ratings"), {{"path", toml_text(folder.write("n", "user,item\n1,-5\n1,7\n"))}}, "all");
  CHECK(std::string(numbers.schema->children[1]->format) == "l");
  const OpenedSplit mixed(Loader("ratings"), {{"path", toml_text(folder.write("m", "user,item\n1,0005\n1,B00\n"))}}, "all");
  CHECK(std::string(mixed.schema->children[1]->format) == "l");
  CHECK(std::string(mixed.schema->children[2]->format) == "u");
  // The first ids were taken for integers; nothing of them may change when the last one is not.
  CHECK(read("user,item\n1,17\n2,99999999999999999999\n1,-0\n1,17\n")["item"] == Strings{"17", "99999999999999999999", "-0", "17"});
  const Table strict = read("user,item\n1,17\n2,x\n", {{"ids", "\"integer\""}});
  CHECK(strict["item"] == Strings{"17"});
  REQUIRE(strict.bad_rows.size() == 1);
  CHECK_THAT(strict.bad_rows[0].reason, Contains("\"x\" is not an integer"));
}

TEST_CASE("ratings: what a label is") {
  const Folder folder;
  const std::string path = toml_text(folder.write("x", "user,item,rating\n1,10,5\n1,11,2\n1,12,3.5\n"));
  const auto labels = [&](const std::string& kind) {
    const Table table = read_split("ratings", {{"path", path}, {"label", toml_text(kind)}, {"min_rating", "3"}}, "all");
    return table["label"];
  };
  CHECK(labels("implicit") == Strings{"1", "1"});
  CHECK(labels("binary") == Strings{"1", "0", "1"});
  CHECK(labels("rating") == Strings{"5", "2", "3.5"});
  const std::string bare = toml_text(folder.write("y", "user,item\n1,10\n"));
  CHECK_THAT(error_of({{"path", bare}, {"label", "\"binary\""}}, "all"), Contains("needs a rating"));
}

TEST_CASE("ratings: leave one out takes the last by time, and by place in the file without time") {
  const Folder folder;
  const std::string timed = toml_text(folder.write("t", "user,item,time\n1,10,50\n1,11,10\n1,12,40\n2,20,1\n2,21,0\n3,30,1\n"));
  const Options options{{"path", timed}, {"holdout", "\"leave_one_out\""}};
  CHECK(pairs(read_split("ratings", options, "test")) == Strings{"1 10", "2 20"});
  CHECK(pairs(read_split("ratings", options, "valid")) == Strings{"1 12"});
  CHECK(pairs(read_split("ratings", options, "train")) == Strings{"1 11", "2 21", "3 30"});
  const std::string untimed = toml_text(folder.write("u", "user,item\n1,10\n1,11\n2,20\n1,12\n"));
  const Options without{{"path", untimed}, {"holdout", "\"leave_one_out\""}, {"leave_out_valid", "false"}};
  CHECK(pairs(read_split("ratings", without, "test")) == Strings{"1 12"});
  CHECK(Loader("ratings").splits(without) == Strings{"train", "test"});
}

TEST_CASE("ratings: the ratio split has the shares asked for, and does not depend on the order of the file") {
  const Folder folder;
  Strings lines;
  for (int user = 0; user < 50; ++user)
    for (int item = 0; item < 20; ++item) lines.push_back(std::to_string(user) + "," + std::to_string(item * 3) + "\n");
  const auto write = [&](const std::string& name) {
    std::string content = "user,item\n";
    for (const std::string& line : lines) content += line;
    return toml_text(folder.write(name, content));
  };
  Options options{{"path", write("a")}, {"holdout", "\"ratio\""}, {"test_ratio", "0.2"}, {"valid_ratio", "0.1"}};
  const auto set_of = [&](const std::string& split) {
    const Strings found = pairs(read_split("ratings", options, split));
    return std::set<std::string>(found.begin(), found.end());
  };
  const auto test = set_of("test");
  CHECK(test.size() == 200);
  CHECK(set_of("valid").size() == 100);
  CHECK(set_of("train").size() == 700);
  std::reverse(lines.begin(), lines.end());
  options["path"] = write("b");
  CHECK(set_of("test") == test);
  options["split_seed"] = "2";
  CHECK(set_of("test") != test);
  options["ratio_per_user"] = "false";
  const std::size_t global = set_of("test").size();
  CHECK((global > 140 && global < 260));
}

TEST_CASE("ratings: a history has the training items before the interaction, and never its own") {
  const Folder folder;
  const std::string path = toml_text(folder.write("x", "user,item,time\n1,10,1\n1,11,2\n1,10,3\n1,12,4\n1,13,5\n1,14,6\n2,20,9\n"));
  const Options options{{"path", path}, {"holdout", "\"leave_one_out\""}, {"history", "2"}};
  const Table train = read_split("ratings", options, "train");
  CHECK(pairs(train) == Strings{"1 10", "1 11", "1 10", "1 12", "2 20"});
  CHECK(train["history"] == Strings{"[]", "[10]", "[11]", "[11 10]", "[]"});
  CHECK(read_split("ratings", options, "valid")["history"] == Strings{"[10 12]"});
  // The validation item is not of the training part.
  CHECK(read_split("ratings", options, "test")["history"] == Strings{"[10 12]"});
}

TEST_CASE("ratings: with a given split, test rows see the training items") {
  const Folder folder;
  const Options options{{"train_path", toml_text(folder.write("train", "1 10 11 12\n2 20\n"))},
                        {"test_path", toml_text(folder.write("test", "1 13 14\n3 30\n"))},
                        {"format", "\"lists\""},
                        {"history", "5"}};
  CHECK(Loader("ratings").splits(options) == Strings{"train", "test"});
  const Table test = read_split("ratings", options, "test");
  CHECK(pairs(test) == Strings{"1 13", "1 14", "3 30"});
  CHECK(test["history"] == Strings{"[10 11 12]", "[10 11 12]", "[]"});
  CHECK(read_split("ratings", options, "train")["history"] == Strings{"[]", "[10]", "[10 11]", "[]"});
}

TEST_CASE("ratings: given negatives become the candidates of the test split") {
  const Folder folder;
  Options options{{"path", toml_text(folder.write("x", "user,item\n1,10\n1,11\n2,20\n2,21\n"))},
                  {"holdout", "\"leave_one_out\""},
                  {"leave_out_valid", "false"},
                  {"negatives_path", toml_text(folder.write("negative", "(1,11)\t20\t99\t10\n(2,21)\t10\n"))}};
  const Table test = read_split("ratings", options, "test");
  CHECK(test["candidates"] == Strings{"[20 99 10]", "[10]"});
  CHECK(read_split("ratings", options, "train").names == Strings{"label", "user", "item"});
  options["negatives_path"] = toml_text(folder.write("negative", "(1,11)\t20\n"));
  CHECK_THAT(error_of(options, "test"), Contains("no line for the test interaction of user 2 with item 21"));
  options["negatives_path"] = toml_text(folder.write("negative", "1,11\t20\n"));
  CHECK_THAT(error_of(options, "test"), Contains("line 1") && Contains("not a pair"));
}

TEST_CASE("ratings: bad rows are reported at their place") {
  const Folder folder;
  const std::string path = folder.write("x", "user,item,rating\n1,10,5\n1,11\n\n1,12,four\n,13,1\n2,14,3\n\"2,15,3\n");
  const Table table = read_split("ratings", {{"path", toml_text(path)}, {"chunk_rows", "100"}}, "all");
  CHECK(pairs(table) == Strings{"1 10", "2 14"});
  REQUIRE(table.bad_rows.size() == 4);
  CHECK(table.bad_rows[0] == BadRowRecord{1, 3, path, "", "2 fields, there should be 3", "1,11"});
  CHECK(table.bad_rows[1] == BadRowRecord{2, 5, path, "rating", "\"four\" is not a number", "1,12,four"});
  CHECK(table.bad_rows[2] == BadRowRecord{3, 6, path, "user", "the id is empty", ",13,1"});
  CHECK_THAT(table.bad_rows[3].reason, Contains("never closed"));
}

TEST_CASE("ratings: what is missing or contradicts itself is one clear error") {
  const Folder folder;
  const std::string path = toml_text(folder.write("x", "userId,movieId,rating\n1,10,5\n"));
  CHECK_THAT(error_of({{"path", path}, {"user_column", "\"userId\""}, {"item_column", "\"movieid\""}}, "all"),
             Contains("no column 'movieid'") && Contains("did you mean 'movieId'?"));
  CHECK_THAT(error_of({{"path", path}, {"user_column", "\"userId\""}, {"item_column", "\"movieId\""}, {"time_column", "\"when\""}}, "all"),
             Contains("no column 'when' (time_column)"));
  CHECK_THAT(error_of({}, "all"), Contains("needs path"));
  CHECK_THAT(error_of({{"path", path}, {"test_path", path}}, "all"), Contains("set one or the other"));
  CHECK_THAT(error_of({{"path", path}, {"negatives_path", path}}, "all"), Contains("make none"));
  const std::string one = toml_text(folder.write("one", "user,item\n1,10\n"));
  CHECK_THAT(error_of({{"path", one}, {"holdout", "\"leave_one_out\""}}, "test"), Contains("'test' is empty"));
}

TEST_CASE("ratings: published splits have their published sizes", "[quality]") {
  const char* data = std::getenv("RECHOST_DATA_DIR");
  REQUIRE(data != nullptr);
  const auto rows = [&](const std::string& name, const std::string& split) {
    const std::string folder = std::string(data) + "/" + name;
    const Options options{
        {"train_path", toml_text(folder + "/train.txt.zst")}, {"test_path", toml_text(folder + "/test.txt.zst")}, {"format", "\"lists\""}};
    return OpenedSplit(Loader("ratings"), options, split).declared_rows();
  };
  CHECK(rows("gowalla-m1", "train") == 810'128);
  CHECK(rows("gowalla-m1", "test") == 217'242);
  CHECK(rows("amazoncds-m1", "train") == 604'475);
  CHECK(rows("amazoncds-m1", "test") == 172'951);
}
