#include "tracking/mlflow_limits.h"

#include <string>

#include <catch2/catch.hpp>

using namespace rechost;

TEST_CASE("Keys become what MLflow takes, and stay readable") {
  CHECK(mlflow_key("optimizer.dense.lr") == "optimizer.dense.lr");
  CHECK(mlflow_key("features.\"c*\".kind") == "features._c__.kind");
  CHECK(mlflow_key("recall@20") == "recall_at_20");
  CHECK(mlflow_key("//a//b/") == "a/b");
  CHECK(mlflow_key("../a/./..") == "__/a/_/__");
  CHECK(mlflow_key("naïve") == "na__ve");
  CHECK(mlflow_key("") == "_");
  CHECK(mlflow_key("/") == "_");
}

TEST_CASE("A key that is too long is cut, and two of them stay two") {
  const std::string name(300, 'a');
  CHECK(mlflow_key(std::string(250, 'a')) == std::string(250, 'a'));
  CHECK(mlflow_key(name).size() == 250);
  CHECK(mlflow_key(name) != mlflow_key(name + "a"));
}

TEST_CASE("Metrics are grouped by what they are of") {
  CHECK(mlflow_metric_key("train.loss") == "train/loss");
  CHECK(mlflow_metric_key("valid.click.auc") == "valid/click.auc");
  CHECK(mlflow_metric_key("lr_factor") == "lr_factor");
  CHECK(mlflow_metric_key("test.recall@20") == "test/recall_at_20");
  CHECK(mlflow_metric_key(".a") == ".a");
  CHECK(mlflow_metric_key("a.") == "a.");
}

TEST_CASE("A long value is cut between characters") {
  CHECK(mlflow_value("abcdef", 6) == "abcdef");
  CHECK(mlflow_value("abcdefg", 6) == "abc...");
  CHECK(mlflow_value("äöüßéê", 6) == "äöüßéê");
  CHECK(mlflow_value("äöüßéêa", 6) == "äöü...");
  CHECK(mlflow_value("", 6).empty());
}
