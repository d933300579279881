#include "train/dense_gradients.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
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

TEST_CASE("sums of 16 bits on the wire are near the exact ones, and the same on all ranks, in buckets or by slices") {
  const RowPrecision precision = GENERATE(RowPrecision::kFp16, RowPrecision::kBf16);
  // Of a term and of the sum, each rounded once: half a unit in the last place.
  const float bound = 2.0F * (precision == RowPrecision::kFp16 ? 0x1p-11F : 0x1p-8F);
  const int slices = kRanks + GENERATE(0, 2);
  std::mutex mutex;
  std::vector<std::vector<float>> all_sums;
  with_ranks_on(std::vector<std::string>(kRanks, "one"), [&](Communicator& all) {
    std::vector<float> gradients(static_cast<std::size_t>(kAll));
    const PositionRange own = share_of(slices, {all.rank(), kRanks});
    const auto count = static_cast<int>(own.end - own.begin);
    DenseGradients dense(all, {slices, static_cast<int>(own.begin), count, 2}, gradients, first_of_each(), {precision, std::vector<std::string>(kSizes.size(), "w")});
    for (int slice = 0; slice < count; ++slice) {
      for (std::int64_t i = 0; i < kAll; ++i) gradients[static_cast<std::size_t>(i)] = gradient(static_cast<int>(own.begin) + slice, 1, i);
      dense.keep(static_cast<std::size_t>(slice));
    }
    dense.reduce();
    const std::lock_guard lock(mutex);
    all_sums.push_back(gradients);
  });
  for (const std::vector<float>& sums : all_sums) CHECK(sums == all_sums.front());
  float worst = 0.0F;
  for (std::int64_t i = 0; i < kAll; ++i) {
    float sum = 0.0F;
    for (int slice = 0; slice < slices; ++slice) sum += gradient(slice, 1, i);
    worst = std::max(worst, std::abs(all_sums.front()[static_cast<std::size_t>(i)] / sum - 1.0F));
  }
  CHECK(worst > 0.0F);
  CHECK(worst <= bound);
}

TEST_CASE("a gradient that does not fit on the wire is refused by its name, and one that is no number reaches all ranks") {
  const auto reduce = [](float value, std::vector<float>* seen) {
    // Over TCP, where one that ends closes its connections and so is not waited for.
    with_ranks_on({"one", "two"}, [&](Communicator& all) {
      std::vector<float> gradients(static_cast<std::size_t>(kAll), 1.0F);
      std::vector<std::string> names;
      for (std::size_t i = 0; i < kSizes.size(); ++i) names.push_back("layer " + std::to_string(i));
      DenseGradients dense(all, {2, all.rank(), 1, 1}, gradients, first_of_each(), {RowPrecision::kFp16, names});
      if (all.rank() == 1) gradients[700'016 + 123] = value;
      dense.reduce();
      if (all.rank() == 0) *seen = gradients;
    });
  };
  std::vector<float> seen;
  CHECK_THROWS_WITH(reduce(64.5F, &seen),
                    "a gradient of \"layer 2\" has the value 64.5, and comm.wire_precision = \"fp16\" carries dense gradients up to 63.96875: set it to \"bf16\"");
  reduce(std::numeric_limits<float>::infinity(), &seen);
  CHECK(std::isnan(seen[700'016 + 123]));
  CHECK(seen[700'016 + 122] == 2.0F);
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
