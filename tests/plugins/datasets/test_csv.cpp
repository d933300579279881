#include <catch2/catch.hpp>

#include "plugins/datasets/opened_split.h"
#include "plugins/datasets/written_file.h"

using namespace datasets_test;
using Catch::Matchers::Contains;
using Strings = std::vector<std::string>;

namespace {

const std::string kTable =
    "click,age,city,tags,user,when,weight\n"
    "1,31,\"Bonn, am Rhein\",a|b,7,100,0.5\n"
    "0,,NA,,8,101,1\n"
    "1,4.5,\"say \"\"hi\"\"\",c,7,102,2\n";

const Options kColumns{{"label", "[\"click\"]"},       {"dense", "[\"age\"]"},           {"sparse", "[\"city\", \"user\"]"},
                       {"multi_hot", "[\"tags\"]"},    {"integer", "[\"user\"]"},        {"time", "\"when\""},
                       {"weight", "\"weight\""},       {"user_key", "\"user\""},         {"user_columns", "[\"age\"]"},
                       {"item_columns", "[\"city\"]"}, {"null_values", "[\"\", \"NA\"]"}};

Options with(Options more) {
  more.insert(kColumns.begin(), kColumns.end());
  return more;
}

std::string error_of(const Options& options, const std::string& split = "all") {
  try {
    read_split("csv", options, split);
  } catch (const PluginError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("csv: columns are picked by name and read by role") {
  const Folder folder;
  const Options options = with({{"path", toml_text(folder.write("x.csv", kTable))}});
  const Table table = read_split("csv", options, "all");
  CHECK(table["click"] == Strings{"1", "0", "1"});
  CHECK(table["age"] == Strings{"31", "null", "4.5"});
  CHECK(table["city"] == Strings{"Bonn, am Rhein", "null", "say \"hi\""});
  CHECK(table["tags"] == Strings{"[a b]", "[]", "[c]"});
  CHECK(table["user"] == Strings{"7", "8", "7"});
  CHECK(table["when"] == Strings{"100", "101", "102"});
  CHECK(table["weight"] == Strings{"0.5", "1", "2"});
  CHECK(table.bad_rows.empty());
  const OpenedSplit opened(Loader("csv"), options, "all");
  CHECK(opened.column_metadata("user").at("rechost.key") == "1");
  CHECK(opened.column_metadata("user").at("rechost.entity") == "user");
  CHECK(opened.column_metadata("age").at("rechost.entity") == "user");
  CHECK(opened.column_metadata("city").at("rechost.entity") == "item");
  CHECK(opened.column_metadata("when").at("rechost.role") == "time");
}

TEST_CASE("csv: other delimiters, no header, no label, no quotes") {
  const Folder folder;
  const Options options{{"path", toml_text(folder.write("x", "5\"\t1.5\n6\t2.5\n"))},
                        {"delimiter", "\"\\t\""},
                        {"quoted", "false"},
                        {"header", "false"},
                        {"columns", "[\"size\", \"price\"]"},
                        {"label", "[]"},
                        {"sparse", "[\"size\"]"},
                        {"dense", "[\"price\"]"}};
  const Table table = read_split("csv", options, "all");
  CHECK(table.names == Strings{"price", "size"});
  CHECK(table["size"] == Strings{"5\"", "6"});
}

TEST_CASE("csv: each label may have a kind of its own") {
  const Folder folder;
  Options options{{"path", toml_text(folder.write("x", "click,price,kind,a:b,s\n1,2.5,3,0,x\n0,-1,0,1,y\n"))},
                  {"label", "[\"click\", \"price:regression\", \"kind:multiclass\", \"a:b\"]"},
                  {"sparse", "[\"s\"]"}};
  const Table table = read_split("csv", options, "all");
  CHECK(table["price"] == Strings{"2.5", "-1"});
  CHECK(table["kind"] == Strings{"3", "0"});
  CHECK(table["a:b"] == Strings{"0", "1"});
  const OpenedSplit opened(Loader("csv"), options, "all");
  CHECK(opened.column_metadata("click").at("rechost.label_kind") == "binary");
  CHECK(opened.column_metadata("price").at("rechost.label_kind") == "regression");
  CHECK(opened.column_metadata("kind").at("rechost.label_kind") == "multiclass");
  options["label"] = "[\"price:number\"]";
  CHECK_THAT(error_of(options), Contains("'price:number' has the unknown kind 'number'") && Contains("column:kind"));
  options["label"] = "[\"clck\"]";
  CHECK_THAT(error_of(options), Contains("did you mean 'click'?") && Contains("label = []"));
}

TEST_CASE("csv: labels may be numbers or classes") {
  const Folder folder;
  Options options{
      {"path", toml_text(folder.write("x", "label,a\n3,1\n-1.5,2\n0,3\n"))}, {"sparse", "[\"a\"]"}, {"label_kind", "\"regression\""}};
  CHECK(read_split("csv", options, "all")["label"] == Strings{"3", "-1.5", "0"});
  options["label_kind"] = "\"multiclass\"";
  CHECK(read_split("csv", options, "all")["label"] == Strings{"3", "0"});
  options["label_kind"] = "\"binary\"";
  CHECK(read_split("csv", options, "all")["label"] == Strings{"0"});
}

TEST_CASE("csv: bad rows are reported with their column, value and line") {
  const Folder folder;
  const std::string path =
      folder.write("x.csv", kTable + "2,1,a,b,7,1,1\n1,old,a,b,7,1,1\n1,1,a,b|,7,1,1\n1,1,a,b,seven,1,1\n1,1,a,b,7,1,-1\n" +
                                "1,1,\"a\nb\",c,7,,1\n1,1,a\n1,1,\"a\"b,c,7,1,1\n0,1,z,z,9,9,9\n1,1,\"open,a,7,1,1\n");
  const Table table = read_split("csv", with({{"path", toml_text(path)}}), "all");
  CHECK(table["user"] == Strings{"7", "8", "7", "9"});
  const std::vector<std::tuple<int, std::string, std::string>> expected{
      {5, "click", "\"2\" is not a label: 0 or 1"},
      {6, "age", "\"old\" is not a number"},
      {7, "tags", "an element of the list: the value is empty, it should be a text"},
      {8, "user", "\"seven\" is not a 64-bit integer"},
      {9, "weight", "\"-1\" is not a number of at least 0"},
      {10, "when", "\"\" stands for a missing value, and this column must have one"},
      {12, "", "3 fields, there should be 7"},
      {13, "", "field 3: text goes on after the closing quote"},
      {15, "", "field 3: the quote that opens it is never closed"},
  };
  REQUIRE(table.bad_rows.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(table.bad_rows[i].line == std::get<0>(expected[i]));
    CHECK(table.bad_rows[i].column == std::get<1>(expected[i]));
    CHECK(table.bad_rows[i].reason == std::get<2>(expected[i]));
  }
}

TEST_CASE("csv: a quote that would take the rows after it along is an error of the file") {
  const Folder folder;
  const auto error_in = [&](const std::string& rows) {
    return error_of(with({{"path", toml_text(folder.write("x.csv", kTable + rows))}}));
  };
  CHECK_THAT(error_in("1,1,\"open,a,7,1,1\n0,1,z,z,9,9,9\n"), Contains("line 5") && Contains("never closed") && Contains("1 lines after it"));
  std::string rows = "1,1,\"open,a,7,1,1\n";
  for (int row = 0; row < 1001; ++row) rows += "0,1,z,z,9,9,9\n";
  CHECK_THAT(error_in(rows + "1,1,open\",a,7,1,1\n"), Contains("line 5") && Contains("not closed for 1000 lines"));
  CHECK_THAT(error_in("1,1," + std::string(17 << 20, 'w') + ",a,7,1,1\n"), Contains("line 5") && Contains("16 MiB"));
}

TEST_CASE("csv: names that are there twice, and bytes that are no text") {
  const Folder folder;
  const std::string twice = toml_text(folder.write("twice.csv", "y,a,a\n1,2,3\n"));
  CHECK_THAT(error_of({{"path", twice}, {"label", "[\"y\"]"}, {"dense", "[\"a\"]"}}), Contains("more than one column 'a'"));
  const std::string bytes = toml_text(folder.write("bytes.csv", "y,a,\xff\n1,2,3\n"));
  CHECK_THAT(error_of({{"path", bytes}, {"label", "[\"y\"]"}, {"dense", "[\"a\"]"}}), Contains("header") && Contains("UTF-8"));
  const std::string nul = toml_text(folder.write("nul.csv", std::string("y,a,b\n1,2,q\0\n", 13)));
  const Table table = read_split("csv", {{"path", nul}, {"label", "[\"y\"]"}, {"sparse", "[\"b\"]"}}, "all");
  REQUIRE(table.bad_rows.size() == 1);
  CHECK_THAT(table.bad_rows[0].reason, Contains("byte 6") && Contains("NUL"));
}

TEST_CASE("csv: what does not fit the file is one clear error") {
  const Folder folder;
  const std::string path = toml_text(folder.write("x.csv", kTable));
  CHECK_THAT(error_of({{"path", path}, {"label", "[\"click\"]"}, {"dense", "[\"agee\"]"}}),
             Contains("no column 'agee'") && Contains("did you mean 'age'?"));
  CHECK_THAT(error_of({{"path", path}, {"label", "[\"click\"]"}}), Contains("no feature is named") && Contains("'city'"));
  CHECK_THAT(error_of({{"path", path}, {"label", "[\"click\"]"}, {"dense", "[\"click\"]"}}), Contains("already used"));
  CHECK_THAT(error_of(with({{"path", path}, {"item_key", "\"age\""}})), Contains("must be one of sparse"));
  CHECK_THAT(error_of(with({{"path", path}, {"item_columns", "[\"user\"]"}})), Contains("already one of the user's"));
  CHECK_THAT(error_of(with({{"path", path}, {"train_path", path}})), Contains("set one of them"));
  CHECK_THAT(error_of(with({})), Contains("path or train_path is needed"));
  CHECK_THAT(error_of(with({{"path", path}, {"header", "false"}})), Contains("needs columns"));
  folder.write("d1.csv", kTable);
  folder.write("d2.csv", "other" + kTable);
  CHECK_THAT(error_of(with({{"path", toml_text(folder.path("d*.csv"))}})), Contains("do not have the same header"));
}

TEST_CASE("csv: splits are those that have a path") {
  const Folder folder;
  const std::string path = toml_text(folder.write("x.csv", kTable));
  const Loader loader("csv");
  CHECK(loader.splits(with({{"path", path}})) == Strings{"all"});
  CHECK(loader.splits(with({{"path", path}, {"test_path", path}})) == Strings{"train", "test"});
  CHECK(loader.splits(with({{"train_path", path}, {"valid_path", path}})) == Strings{"train", "valid"});
  CHECK(read_split("csv", with({{"train_path", path}, {"valid_path", path}}), "valid").rows == 3);
}
