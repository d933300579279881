#include "train/dense_gradients.h"

#include <algorithm>
#include <numeric>
#include <random>

#include <catch2/catch.hpp>

#include "core/comm/in_threads.h"

using namespace rechost;
using rechost::test::with_ranks_on;

namespace {

constexpr int kRanks = 3;
/// Parameters of these sizes: several buckets of a MiB, one parameter larger than a bucket, many in one.
const std::vector<std::int64_t> kSizes{700'000, 16, 300'000, 16, 100'000, 16, 16, 400'000, 16};

std::vector<std::int64_t> first_of_each() {
  std::vector<std::int64_t> firsts(kSizes.size());
  std::exclusive_scan(kSizes.begin(), kSizes.end(), firsts.begin(), std::int64_t{0});
  return firsts;
}

const std::int64_t kAll = std::accumulate(kSizes.begin(), kSizes.end(), std::int64_t{0});

float gradient(int rank, int step, std::int64_t i) { return 0.1F * static_cast<float>(rank + 1) + 1e-3F * static_cast<float>((i + step) % 97); }

/// The bits that adding up in the order of the ranks gives.
bool is_sum(const std::vector<float>& gradients, int step) {
  for (std::int64_t i = 0; i < kAll; ++i) {
    float sum = gradient(0, step, i);
    for (int rank = 1; rank < kRanks; ++rank) sum += gradient(rank, step, i);
    if (gradients[static_cast<std::size_t>(i)] != sum) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("gradients have the same sum in whatever order parameters are ready, or if nobody says that they are") {
  with_ranks_on(std::vector<std::string>(kRanks, "one"), [](Communicator& all) {
    std::vector<float> gradients(static_cast<std::size_t>(kAll));
    DenseGradients dense(all, {kRanks, all.rank(), 1, 1}, gradients, first_of_each());
    std::mt19937 random(static_cast<unsigned>(all.rank()));
    for (int step = 0; step < 8; ++step) {
      std::vector<std::uint32_t> order(kSizes.size());
      std::iota(order.begin(), order.end(), 0U);
      std::shuffle(order.begin(), order.end(), random);
      // In some steps a rank says nothing, or says things twice.
      const std::size_t told = step % 3 == all.rank() ? random() % order.size() : order.size();
      for (std::size_t i = 0; i < order.size(); ++i) {
        const std::uint32_t parameter = order[i];
        const std::int64_t first = first_of_each()[parameter];
        for (std::int64_t k = first; k < first + kSizes[parameter]; ++k) gradients[static_cast<std::size_t>(k)] = gradient(all.rank(), step, k);
        if (i < told) dense.ready(parameter, 1);
        if (i < told && i % 4 == 0) dense.ready(parameter, 1);
      }
      dense.keep(0);
      dense.reduce();
      if (!is_sum(gradients, step)) throw std::runtime_error("a sum differs in some bit in step " + std::to_string(step));
    }
  });
}

TEST_CASE("a rank that fails in its backward pass lets go of the bucket that others do not come to") {
  const auto fail_in_backward = [](Communicator& all) {
    std::vector<float> gradients(static_cast<std::size_t>(kAll));
    if (all.rank() == 0) {
      DenseGradients dense(all, {2, 0, 1, 1}, gradients, first_of_each());
      // All but the last bucket: its thread waits for rank 1, which never comes.
      dense.ready(1, static_cast<std::uint32_t>(kSizes.size()) - 1);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    throw std::runtime_error("over");  // there is nothing more to do together
  };
  CHECK_THROWS_WITH(with_ranks_on({"one", "one"}, fail_in_backward), "over");
}
