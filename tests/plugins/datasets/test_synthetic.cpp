// The synthetic data is what it claims to be.
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "plugins/datasets/opened_split.h"

using namespace datasets_test;

namespace {

double number(const std::string& text) { return std::strtod(text.c_str(), nullptr); }

double mean_of(const std::vector<std::string>& cells) {
  double sum = 0;
  for (const std::string& cell : cells) sum += number(cell);
  return sum / static_cast<double>(cells.size());
}

double best_auc(const Options& options, const std::string& split = "test") {
  const OpenedSplit opened(Loader("synthetic"), options, split);
  const auto metadata = metadata_of(opened.schema.value.metadata);
  return metadata.contains("rechost.reference.best_auc") ? number(metadata.at("rechost.reference.best_auc")) : -1;
}

const Options kSmall{{"rows", "20000"}, {"valid_rows", "5000"}, {"test_rows", "20000"}, {"chunk_rows", "4096"}};

Options small(Options more) {
  more.insert(kSmall.begin(), kSmall.end());
  return more;
}

}  // namespace

TEST_CASE("synthetic: a row does not depend on the chunk that it is read in") {
  const Options lists{{"multi_hot", "2"}, {"sparse", "2"}, {"dense", "1"}, {"rows", "1000"}};
  Options fine = lists, coarse = lists;
  fine["chunk_rows"] = "7";
  coarse["chunk_rows"] = "1000";
  CHECK(read_split("synthetic", fine, "train") == read_split("synthetic", coarse, "train"));
}

TEST_CASE("synthetic: seeds and splits give other data, more rows begin with the same") {
  Options options = small({{"sparse", "2"}, {"dense", "2"}});
  const Table train = read_split("synthetic", options, "train");
  CHECK(train["dense_0"] != read_split("synthetic", options, "test")["dense_0"]);
  options["rows"] = "30000";
  std::vector<std::string> longer = read_split("synthetic", options, "train")["user_0"];
  longer.resize(20000);
  CHECK(longer == train["user_0"]);
  options["seed"] = "2";
  CHECK(read_split("synthetic", options, "test")["user_0"] != read_split("synthetic", small({{"sparse", "2"}}), "test")["user_0"]);
}

TEST_CASE("synthetic: columns are named and described") {
  const OpenedSplit opened(Loader("synthetic"), small({{"sparse", "3"}, {"multi_hot", "2"}, {"cardinality", "[10, 20, 30, 40, 50]"}}),
                           "train");
  CHECK(opened.column_metadata("user_0") ==
        std::map<std::string, std::string>{
            {"rechost.role", "sparse"}, {"rechost.entity", "user"}, {"rechost.key", "1"}, {"rechost.cardinality", "10"}});
  CHECK(opened.column_metadata("item_0").at("rechost.key") == "1");
  CHECK(opened.column_metadata("user_1").count("rechost.key") == 0);
  CHECK(opened.column_metadata("item_list_0").at("rechost.cardinality") == "50");
  CHECK(opened.column_metadata("dense_0").at("rechost.entity") == "user");
  CHECK(opened.column_metadata("label").at("rechost.label_kind") == "binary");
}

TEST_CASE("synthetic: dense features are standard normal, labels have the positive rate") {
  const Table table = read_split("synthetic", small({{"dense", "3"}, {"positive_rate", "0.1"}}), "test");
  for (const char* name : {"dense_0", "dense_1", "dense_2"}) {
    double squares = 0, beyond_two = 0;
    for (const std::string& cell : table[name]) {
      squares += number(cell) * number(cell);
      beyond_two += std::abs(number(cell)) > 2;
    }
    // Four standard errors of 20,000 draws.
    CHECK(mean_of(table[name]) == Approx(0).margin(0.03));
    CHECK(squares / 20000 == Approx(1).margin(0.04));
    CHECK(beyond_two / 20000 == Approx(0.0455).margin(0.006));
  }
  CHECK(mean_of(table["label"]) == Approx(0.1).margin(0.015));
}

TEST_CASE("synthetic: ids follow Zipf's law and stay in range, in tables and beyond them") {
  // The second cardinality is too large for a table.
  for (const auto& [cardinality, exponent] : {std::pair{100.0, 1.0}, {2'000'000.0, 1.3}, {2'000'000.0, 1.0}, {1000.0, 0.0}}) {
    const Table table = read_split("synthetic",
                                   small({{"sparse", "1"},
                                          {"dense", "1"},
                                          {"cardinality", "[" + std::to_string(static_cast<int64_t>(cardinality)) + "]"},
                                          {"zipf", std::to_string(exponent)}}),
                                   "test");
    std::map<std::string, int> counts;
    for (const std::string& id : table["user_0"]) ++counts[id];
    int most = 0;
    for (const auto& [id, count] : counts) {
      most = std::max(most, count);
      REQUIRE((number(id) >= 0 && number(id) < cardinality));
    }
    double weight = 0;
    for (double rank = 1; rank <= cardinality; ++rank) weight += std::pow(rank, -exponent);
    const double expected = 20000 / weight;
    INFO(cardinality << " ids, exponent " << exponent);
    if (exponent > 0)
      CHECK(most == Approx(expected).margin(5 * std::sqrt(expected)));
    else
      CHECK(counts.size() == 1000);
  }
}

TEST_CASE("synthetic: lists have every length up to the longest") {
  const Table table = read_split("synthetic", small({{"multi_hot", "1"}, {"longest_list", "3"}}), "test");
  std::set<std::size_t> lengths;
  for (const std::string& list : table["user_list_0"])
    lengths.insert(list == "[]" ? 0 : 1 + static_cast<std::size_t>(std::count(list.begin(), list.end(), ' ')));
  CHECK(lengths == std::set<std::size_t>{0, 1, 2, 3});
}

TEST_CASE("synthetic: with side_features of_key, an id always has the same features") {
  const Table table =
      read_split("synthetic", small({{"side_features", "\"of_key\""}, {"cardinality", "[50]"}, {"multi_hot", "2"}}), "train");
  std::map<std::string, std::string> of_user, of_item;
  for (std::size_t row = 0; row < 20000; ++row) {
    const std::string user = table["user_1"][row] + table["user_3"][row] + table["dense_0"][row] + table["user_list_0"][row];
    const std::string item = table["item_1"][row] + table["item_list_0"][row];
    REQUIRE(of_user.try_emplace(table["user_0"][row], user).first->second == user);
    REQUIRE(of_item.try_emplace(table["item_0"][row], item).first->second == item);
  }
  CHECK(of_user.size() > 40);
}

TEST_CASE("synthetic: the best AUC is there for validation and test, and rises with the signal") {
  const double usual = best_auc({});
  CHECK((usual > 0.75 && usual < 0.87));
  CHECK(best_auc(kSmall, "train") == -1);
  CHECK(best_auc(small({{"label_kind", "\"regression\""}})) == -1);
  CHECK(best_auc(small({{"signal", "0.0"}})) == Approx(0.5).margin(1e-6));
  CHECK(best_auc(small({{"label_noise", "1.0"}})) == Approx(0.5).margin(1e-6));
  CHECK(best_auc(small({{"signal", "1.0"}})) < best_auc(small({{"signal", "2.0"}})));
  // A part that is not there leaves its share to the others.
  CHECK(best_auc(small({{"sparse", "0"}})) == Approx(usual).margin(0.02));
  CHECK(best_auc(small({{"dense", "0"}, {"rank", "0"}})) == Approx(usual).margin(0.03));
}

TEST_CASE("synthetic: the best AUC is what scoring by the true logit gives") {
  // With one dense feature and nothing else the true order is that of the feature, or its reverse.
  const Options options = small({{"dense", "1"}, {"sparse", "0"}, {"test_rows", "50000"}});
  const Table table = read_split("synthetic", options, "test");
  std::vector<std::pair<double, double>> scored;
  for (std::size_t row = 0; row < table["label"].size(); ++row)
    scored.emplace_back(number(table["dense_0"][row]), number(table["label"][row]));
  std::sort(scored.begin(), scored.end());
  double ordered = 0, negatives = 0, positives = 0;
  for (const auto& [score, label] : scored) {
    ordered += label * negatives;
    positives += label;
    negatives += 1 - label;
  }
  const double auc = ordered / (positives * negatives);
  CHECK(best_auc(options) == Approx(std::max(auc, 1 - auc)).margin(0.008));
}

TEST_CASE("synthetic: options that contradict each other are errors") {
  const auto message = [](const Options& options) {
    try {
      read_split("synthetic", options, "train");
    } catch (const PluginError& error) {
      CHECK(error.code == RH_ERROR_CONFIG);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(message({{"cardinality", "[1, 2, 3]"}}), Catch::Matchers::Contains("3 values") && Catch::Matchers::Contains("8"));
  CHECK_THAT(message({{"interaction_share", "0.7"}, {"dense_share", "0.7"}}), Catch::Matchers::Contains("must not be above 1"));
}
