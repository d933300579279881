#include "train/buffer_average.h"

#include <mutex>

#include <catch2/catch.hpp>

#include "comm/single_communicator.h"
#include "core/comm/in_threads.h"

using namespace rechost;

namespace {

constexpr int kSlices = 5;

/// What so many ranks make of three buffers in two steps. In the second, slice 3 has no samples.
std::vector<float> after_two_steps(int ranks) {
  std::mutex mutex;
  std::vector<std::vector<float>> found;
  const auto train = [&](Communicator& all) {
    const PositionRange own = share_of(kSlices, {all.rank(), ranks});
    const SlicePlan plan{kSlices, static_cast<int>(own.begin), static_cast<int>(own.end - own.begin), kSlices};
    std::vector<float> values{0.1F, 7.0F, 16'777'000.0F};
    BufferAverage average(all, plan, values);
    for (int step = 0; step < 2; ++step) {
      average.begin();
      for (std::int64_t slice = own.begin; slice < own.end; ++slice) {
        if (step == 1 && slice == 3) continue;
        values[0] = 0.9F * values[0] + 0.1F * static_cast<float>(slice);
        values[1] -= 0.3F * static_cast<float>(slice * slice);
        values[2] += 1.0F;  // a count of batches
        average.keep(static_cast<std::size_t>(slice - own.begin));
      }
      average.finish();
    }
    const std::lock_guard lock(mutex);
    found.push_back(values);
  };
  rechost::test::with_tcp(ranks, train);
  REQUIRE(found.size() == static_cast<std::size_t>(ranks));
  for (const std::vector<float>& values : found) REQUIRE(values == found.front());
  return found.front();
}

}  // namespace

TEST_CASE("buffers are the mean of what the slices make of them, with the same bits for any number of ranks") {
  const std::vector<float> alone = after_two_steps(1);
  const float first = 0.9F * 0.1F + 0.1F * 2.0F;
  CHECK(alone[0] == Approx(0.9F * first + 0.1F * 1.75F));
  CHECK(alone[1] == Approx(7.0F - 0.3F * 6.0F - 0.3F * 5.25F));
  CHECK(alone[2] == 16'777'002.0F);
  for (const int ranks : {2, 3, 5}) CHECK(after_two_steps(ranks) == alone);
}

TEST_CASE("buffers stay as they were when no slice has samples") {
  SingleCommunicator single;
  std::vector<float> values{1.0F, 2.0F};
  BufferAverage average(single, {2, 0, 2, 2}, values);
  average.begin();
  average.finish();
  CHECK(values == std::vector<float>{1.0F, 2.0F});
}
