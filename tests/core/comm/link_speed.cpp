// Links are measured by all ranks together, and all know the same of them.
#include "comm/link_speed.h"

#include <catch2/catch.hpp>
#include <mutex>

#include "in_threads.h"

using namespace rechost;

TEST_CASE("links are measured inside nodes and between them, where there are ranks to measure with") {
  const auto measured = [](const std::vector<std::string>& hosts, const std::vector<int>& node_of) {
    std::mutex mutex;
    std::vector<LinkSpeed> all;
    test::with_ranks_on(hosts, [&](Communicator& ranks) {
      const LinkSpeed speed = measure_links(ranks, node_of);
      const std::lock_guard lock(mutex);
      all.push_back(speed);
    });
    for (const LinkSpeed& speed : all) {
      CHECK(speed.within == all.front().within);
      CHECK(speed.between == all.front().between);
    }
    return all.front();
  };
  const LinkSpeed both = measured({"a", "a", "b"}, {0, 0, 1});
  CHECK(both.within > 1e6);
  CHECK(both.between > 1e6);
  const LinkSpeed one_node = measured({"a", "a"}, {0, 0});
  CHECK(one_node.within > 1e6);
  CHECK(one_node.between == 0.0);
  const LinkSpeed apart = measured({"a", "b"}, {0, 1});
  CHECK(apart.within == 0.0);
  CHECK(apart.between > 1e6);
}
