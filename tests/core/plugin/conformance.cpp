// The conformance checks pass good modules and find what is wrong with bad ones.
#include "plugin/conformance.h"

#include <catch2/catch.hpp>

#include "fixture.h"

namespace rechost::test {
namespace {

/// "check: detail" of each that failed.
std::vector<std::string> failures(const Module& module, const ConfigNode::Table& keys = {}) {
  std::vector<std::string> failed;
  for (const CheckResult& result : check_module(module, given(keys))) {
    if (!result.passed) failed.push_back(result.check + ": " + without(result.detail, plugin_folder().string() + "/"));
  }
  return failed;
}

std::vector<std::string> failures_of_mistake(const std::string& plugin, const std::string& mistake) {
  return failures(load_plugin(plugin_file(plugin)).front(), {{"mistake", value("\"" + mistake + "\"")}});
}

}  // namespace

TEST_CASE("good modules pass every check") {
  const std::vector<Module> modules = load_plugin(plugin_file("plain_c_plugin"));
  CHECK(failures(modules[0]) == std::vector<std::string>{});
  CHECK(failures(modules[1], {{"rows", value("1050")}, {"chunk_rows", value("100")}}) == std::vector<std::string>{});
  CHECK(failures(load_plugin(plugin_file("well_behaved")).front()) == std::vector<std::string>{});
  CHECK(check_module(modules[0], given({})).size() >= 10);
}

TEST_CASE("losses, negatives and entity numbers are asked of a model in training only") {
  const Module module = load_plugin(plugin_file("records_inputs")).front();
  CHECK(failures(module, {{"negatives", value("2")}}) == std::vector<std::string>{});
}

TEST_CASE("an output that is not a number is found") {
  const std::vector<std::string> failed = failures_of_mistake("mistakes", "output is nan");
  REQUIRE(failed.size() >= 2);
  CHECK(failed[0] == "forward in training gives finite numbers: head \"click\": element 0 of 6 is nan (or was not written)");
}

TEST_CASE("gradients that are not written, or are not those of the outputs, are found") {
  // This model never writes the gradient of its parameter.
  const std::vector<std::string> failed = failures_of_mistake("mistakes", "");
  REQUIRE(failed.size() == 1);
  CHECK(failed[0] == "backward writes every gradient once: gradient of \"weight\": element 0 of 3 is nan (or was not written)");
  const std::vector<std::string> invented = failures_of_mistake("mistakes", "invented gradients");
  REQUIRE(invented.size() == 1);
  CHECK(invented[0].rfind("backward agrees with finite differences: parameter \"weight\": backward says 3 along its own signs, finite",
                          0) == 0);
}

TEST_CASE("a module that cannot even begin has one failure that says why") {
  CHECK(failures_of_mistake("mistakes", "create fails") ==
        std::vector<std::string>{"create and declare: mistakes: layers must not be empty"});
  CHECK(failures(load_plugin(plugin_file("all_options")).front()).size() == 1);
  CHECK(failures_of_mistake("mistakes_data", "no split") ==
        std::vector<std::string>{"list_splits: dataset \"mistakes_data\" (mistakes_data.so): list_splits names no split"});
}

TEST_CASE("a chunk that breaks the contract is found in each split") {
  const std::vector<std::string> failed = failures_of_mistake("mistakes_data", "too few rows");
  REQUIRE(failed.size() == 2);
  CHECK(failed[0] ==
        "train: chunks hold what is declared: dataset \"mistakes_data\" (mistakes_data.so): read_chunk(0) gave 2 rows and 0 bad ones, 3 "
        "were declared");
}

}  // namespace rechost::test
