// Which layer wins, what merges with what, and that showing a configuration loses nothing.
#include <algorithm>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "config/parse.h"
#include "config/show.h"
#include "fixture.h"

namespace rechost::test {
namespace {

std::optional<std::string> variables(std::string_view name) {
  if (name == "DATA") return "/mnt/data";
  if (name == "EMPTY") return "";
  return std::nullopt;
}

Config load(std::vector<std::filesystem::path> files, std::vector<std::string> settings = {},
            std::vector<ConfigLayers::Variable> environment = {}) {
  return load_config(
      {.files = std::move(files), .environment = std::move(environment), .settings = std::move(settings), .lookup = variables});
}

}  // namespace

TEST_CASE("without any layer every key has the host's default") {
  const Config config = load({});
  CHECK(config.run.seed == 1);
  CHECK(config.optimizer.dense.kind == "adam");
  CHECK(config.optimizer.sparse.lr == 0.05);
  CHECK(config.origins.empty());
  CHECK(config.model.options.table().empty());
}

TEST_CASE("settings win over environment, environment over files, later files over earlier") {
  const Folder folder;
  const auto first = folder.write("first.toml", "[run]\nseed = 1\nepochs = 1\nsteps = 1\nthreads = 1\n");
  const auto second = folder.write("second.toml", "[run]\nepochs = 2\nsteps = 2\nthreads = 2\n");
  const Config config =
      load({first, second}, {"run.threads=4"}, {{"RECHOST_RUN__STEPS", "3"}, {"RECHOST_RUN__THREADS", "3"}, {"RECHOST_CACHE", "/x"}});
  CHECK(config.run.seed == 1);
  CHECK(config.run.epochs == 2);
  CHECK(config.run.steps == 3);
  CHECK(config.run.threads == 4);
  CHECK(config.origins.at("run.seed") == first.string() + ":2");
  CHECK(config.origins.at("run.epochs") == second.string() + ":2");
  CHECK(config.origins.at("run.steps") == "RECHOST_RUN__STEPS");
  CHECK(config.origins.at("run.threads") == "--set");
  CHECK(config.origins.count("run.device") == 0);
}

TEST_CASE("later settings win over earlier ones") { CHECK(load({}, {"run.seed=4", "run.seed=5"}).run.seed == 5); }

TEST_CASE("an included file is weaker than the one that includes it and is found beside it") {
  const Folder folder;
  folder.write("base/deep.toml", "[run]\nseed = 1\nepochs = 1\nsteps = 1\n");
  folder.write("base/base.toml", "include = [\"deep.toml\"]\n[run]\nepochs = 2\nsteps = 2\n");
  const auto file = folder.write("a.toml", "include = [\"base/base.toml\"]\n[run]\nsteps = 3\n");
  const Config config = load({file});
  CHECK(config.run.seed == 1);
  CHECK(config.run.epochs == 2);
  CHECK(config.run.steps == 3);
  CHECK(config.origins.at("run.seed") == (folder.path() / "base/deep.toml").string() + ":2");
}

TEST_CASE("two files may include the same third") {
  const Folder folder;
  folder.write("base.toml", "[run]\nseed = 9\n");
  folder.write("left.toml", "include = [\"base.toml\"]\n[run]\nsteps = 1\n");
  folder.write("right.toml", "include = [\"base.toml\"]\n[run]\nepochs = 3\n");
  const Config config = load({folder.write("a.toml", "include = [\"left.toml\", \"right.toml\"]\n")});
  CHECK(config.run.seed == 9);
  CHECK(config.run.steps == 1);
  CHECK(config.run.epochs == 3);
}

TEST_CASE("tables merge key by key, lists are replaced") {
  const Folder folder;
  const auto first =
      folder.write("first.toml", "[model]\nplugin = \"dlrm\"\nlayers = [1, 2, 3]\ndim = 8\n[features.a]\nkind = \"dense\"\n");
  const auto second = folder.write("second.toml", "[model]\nlayers = [4]\n[features.a]\ndefault = 2\n[features.b]\nkind = \"ignore\"\n");
  const Config config = load({first, second});
  CHECK(config.model.plugin == "dlrm");
  CHECK(config.model.options.find("layers")->text() == "[4]");
  CHECK(config.model.options.find("dim")->text() == "8");
  CHECK(config.features.at("a").text() == "{ default = 2, kind = \"dense\" }");
  CHECK(config.features.size() == 2);
}

TEST_CASE("what follows a setting's equals sign is TOML where it can be, else plain text") {
  CHECK(load({}, {"data.path=/x/y"}).data.options.find("path")->text() == "\"/x/y\"");
  CHECK(load({}, {"data.path=\"/x\""}).data.options.find("path")->text() == "\"/x\"");
  CHECK(load({}, {"data.flag=true"}).data.options.find("flag")->text() == "true");
  CHECK(load({}, {"data.list=[1, 2]"}).data.options.find("list")->text() == "[1, 2]");
  CHECK(load({}, {"data.x=a=b"}).data.options.find("x")->text() == "\"a=b\"");
  CHECK(load({}, {"data.x="}).data.options.find("x")->text() == "\"\"");
  CHECK(load({}, {"data.x=1\ny = 2"}).data.options.find("x")->text() == "\"1\\ny = 2\"");
  CHECK(load({}, {"eval.retrieval.k=[5]"}).eval.retrieval.k == std::vector<std::int64_t>{5});
  CHECK(load({}, {"optimizer.dense.lr=1"}).optimizer.dense.lr == 1.0);
  CHECK(feature_settings(load({}, {"features.\"c.1\".kind=dense"}), "c.1").kind == "dense");
  CHECK(feature_settings(load({}, {"features.c*.kind=dense"}), "c7").kind == "dense");
}

TEST_CASE("a setting for a string may look like something else") {
  CHECK(load({}, {"run.name=2024"}).run.name == "2024");
  CHECK(load({}, {"run.name=1e3"}).run.name == "1e3");
  CHECK(load({}, {"run.name=true"}).run.name == "true");
  CHECK(load({}, {"run.name=2024-05-01"}).run.name == "2024-05-01");
  CHECK(load({}, {}, {{"RECHOST_RUN__NAME", "007"}}).run.name == "007");
}

TEST_CASE("variables are replaced in strings that survive, wherever they stand") {
  const Folder folder;
  const auto file = folder.write("a.toml",
                                 "[data]\npath = \"${DATA}/criteo\"\nmany = [\"${DATA}\", \"x${EMPTY}y\"]\ntext = \"$${DATA} $x\"\n"
                                 "other = \"${UNSET}\"\n");
  const Config config = load({file}, {"data.other=1"});
  CHECK(config.data.options.find("path")->text() == "\"/mnt/data/criteo\"");
  CHECK(config.data.options.find("many")->text() == "[\"/mnt/data\", \"xy\"]");
  CHECK(config.data.options.find("text")->text() == "\"${DATA} $x\"");
  folder.write("base.toml", "[run]\nseed = 3\n");
  CHECK(load({}, {"data.path=${DATA}"}).data.options.find("path")->text() == "\"/mnt/data\"");
}

TEST_CASE("patterns merge: longer over shorter, the name itself over all, only given keys count") {
  const Folder folder;
  const Config config = load({folder.write("a.toml",
                                           "[features.\"*\"]\nkind = \"sparse\"\nmin_count = 5\nencoder = \"hash\"\n"
                                           "[features.\"cat_*\"]\nmin_count = 10\n[features.cat_7]\nencoder = \"vocabulary\"\n"
                                           "[features.\"*_7_long\"]\nmin_count = 99\n[tables.\"*\"]\nlr = 0.5\n")});
  const FeatureSection other = feature_settings(config, "x");
  CHECK(other.kind == "sparse");
  CHECK(other.min_count == 5);
  const FeatureSection cat = feature_settings(config, "cat_7");
  CHECK(cat.kind == "sparse");
  CHECK(cat.min_count == 10);
  CHECK(cat.encoder == "vocabulary");
  CHECK(feature_settings(config, "cat_7_long").min_count == 99);
  CHECK(table_settings(config, "user").lr == 0.5);
  CHECK(table_settings(config, "user").optimizer.empty());
}

TEST_CASE("a star stands for any characters") {
  CHECK(pattern_matches("*", ""));
  CHECK(pattern_matches("c*", "c"));
  CHECK(pattern_matches("c*", "c12"));
  CHECK_FALSE(pattern_matches("c*", "dc"));
  CHECK(pattern_matches("*_id", "user_id"));
  CHECK(pattern_matches("a*b*c", "a-b-b-c"));
  CHECK_FALSE(pattern_matches("a*b*c", "a-c-b"));
  CHECK(pattern_matches("**", "x"));
  CHECK_FALSE(pattern_matches("", "x"));
  CHECK_FALSE(pattern_matches("abc", "ab"));
}

TEST_CASE("what is shown loads again to the same configuration") {
  const Folder folder;
  const auto file = folder.write(
      "odd #1.toml",
      "[run]\nname = \"a \\\"quoted\\\" \\\\ name\\n\\u0001é\"\nseed = 9223372036854775807\n[model]\nplugin = \"dlrm\"\nlayers = [64, 32]\n"
      "rate = 1e-10\nbig = 1e300\nwhole = 2.0\nnested = { a = { b = [\"x\"] } }\n\"odd key\" = true\n"
      "[data]\npath = \"$${NOT_A_VARIABLE} $$$${X}\"\n[data.split]\nvalid = 0.1\n[features.\"c*\"]\nkind = \"sparse\"\n"
      "[features.\"a.b\"]\ndefault = 0.1\n[tables.user]\nlr = 0.3\n[eval.retrieval]\nk = [1, 5]\n");
  const Config config = load({file}, {"optimizer.sparse.lr=0.1"});
  CHECK(config.run.name == "a \"quoted\" \\ name\n\x01\xC3\xA9");
  CHECK(config.data.options.find("path")->text() == "\"${NOT_A_VARIABLE} $$${X}\"");

  const std::string plain = show_config(config, ShowOrigins::kNo);
  const std::string commented = show_config(config, ShowOrigins::kYes);
  CHECK(plain.find('#') == std::string::npos);
  const Config from_plain = load({folder.write("plain.toml", plain)});
  const Config from_commented = load({folder.write("commented.toml", commented)});
  CHECK(show_config(from_plain, ShowOrigins::kNo) == plain);
  CHECK(show_config(from_commented, ShowOrigins::kNo) == plain);
  CHECK(from_plain.run.name == config.run.name);
  CHECK(from_plain.run.seed == config.run.seed);
  CHECK(from_plain.data.options.find("path")->text() == config.data.options.find("path")->text());

  CHECK(commented.find("lr = 0.1  # --set\n") != std::string::npos);
  CHECK(commented.find("epochs = 1  # default\n") != std::string::npos);
  CHECK(commented.find("layers = [64, 32]  # " + file.string() + ":6\n") != std::string::npos);
  CHECK(commented.find("[features.\"a.b\"]\ndefault = 0.1  # ") != std::string::npos);
}

TEST_CASE("every value has a line of its own") {
  const Config config = load({}, {"model.plugin=dlrm", "model.top_mlp=[64, 1]", "optimizer.dense.lr=0.5", "features.\"c*\".kind=sparse",
                                  "tracking.mlflow.tags.team=ads"});
  const auto values = config_values(config);
  const auto has = [&](const char* key, const char* value) { return std::count(values.begin(), values.end(), std::pair<std::string, std::string>(key, value)) == 1; };
  CHECK(has("model.plugin", "dlrm"));
  CHECK(has("model.top_mlp", "[64, 1]"));
  CHECK(has("optimizer.dense.lr", "0.5"));
  CHECK(has("run.deterministic", "false"));
  CHECK(has("features.\"c*\".kind", "sparse"));
  CHECK(has("tracking.mlflow.tags.team", "ads"));
}

TEST_CASE("the schema names every key with type, default and limits") {
  const auto schema = nlohmann::json::parse(config_schema());
  CHECK(schema["additionalProperties"] == false);
  CHECK(schema["properties"]["run"]["properties"]["seed"]["type"] == "integer");
  CHECK(schema["properties"]["run"]["properties"]["seed"]["minimum"] == 0.0);
  CHECK(schema["properties"]["run"]["properties"]["device"]["enum"].size() == 3);
  CHECK(schema["properties"]["run"]["additionalProperties"] == false);
  CHECK(schema["properties"]["model"]["additionalProperties"] == true);
  CHECK(schema["properties"]["data"]["properties"]["split"]["properties"]["valid"]["maximum"] == 0.9);
  CHECK(schema["properties"]["features"]["additionalProperties"]["properties"]["kind"]["type"] == "string");
  CHECK(schema["properties"]["optimizer"]["properties"]["sparse"]["properties"]["kind"]["default"] == "rowwise_adagrad");
}

}  // namespace rechost::test
