#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "comm/module.h"

using namespace rechost;

namespace {

std::filesystem::path module_path() {
  const char* const build = std::getenv("RECHOST_BUILD_DIR");
  return std::filesystem::path(build == nullptr ? "build/ci" : build) / "lib/rechost/rechost_nccl.so";
}

/// A rank alone: what it says is all that there is to hear.
CommunicatorSettings alone() {
  CommunicatorSettings settings;
  settings.exchange = [](const std::string& own) { return std::vector<std::string>{own}; };
  return settings;
}

}  // namespace

TEST_CASE("NCCL is opened where it was built, and without a GPU says that there is none") {
  if (!std::filesystem::exists(module_path())) {
    REQUIRE_THROWS_WITH(open_module_communicator(module_path(), alone()), Catch::Contains("rechost_nccl.so"));
  } else if (!std::filesystem::exists("/dev/nvidiactl")) {
    REQUIRE_THROWS_WITH(open_module_communicator(module_path(), alone()), Catch::Contains("no GPU can be used"));
  } else {
    REQUIRE(open_module_communicator(module_path(), alone())->name() == "nccl");
  }
}

TEST_CASE("one rank on a GPU hears itself through NCCL", "[gpu]") {
  const auto communicator = open_module_communicator(module_path(), alone());
  REQUIRE(communicator->world_size() == 1);
  std::vector<float> values{1.0F, -2.0F, 3.5F};
  const std::vector<float> before = values;
  communicator->all_reduce_sum(values);
  REQUIRE(values == before);
  const std::int64_t numbers[] = {3};
  std::vector<float> own(3);
  communicator->reduce_scatter_sum(values, numbers, own);
  REQUIRE(own == before);
  communicator->broadcast(std::as_writable_bytes(std::span(values)), 0);
  REQUIRE(values == before);
  const std::int64_t bytes[] = {12};
  std::vector<float> received(3);
  communicator->all_to_all(std::as_bytes(std::span(values)), bytes, std::as_writable_bytes(std::span(received)), bytes);
  REQUIRE(received == before);
  std::vector<float> gathered(3);
  communicator->all_gather(std::as_bytes(std::span(values)), bytes, std::as_writable_bytes(std::span(gathered)));
  REQUIRE(gathered == before);
  communicator->barrier();
  const std::int64_t nothing[] = {0};
  communicator->all_to_all({}, nothing, {}, nothing);
  REQUIRE_THROWS_AS(communicator->broadcast(std::as_writable_bytes(std::span(values)), 1), CommError);
  communicator->abort();
  REQUIRE_THROWS_AS(communicator->barrier(), CommError);
}
