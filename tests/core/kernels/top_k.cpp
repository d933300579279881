#include "kernels/top_k.h"

#include <catch2/catch.hpp>
#include <limits>

#include "base/error.h"
#include "core/kernels/random_values.h"

using namespace rechost;
using rechost::test::RandomValues;

namespace {

/// Whole numbers of a small range: sums are exact in float, so ties are real and every order of summing agrees.
std::vector<float> whole_numbers(std::int64_t count, RandomValues& random) {
  std::vector<float> result(static_cast<std::size_t>(count));
  for (float& value : result) value = static_cast<float>(random.below(7) - 3);
  return result;
}

struct Lists {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> items;

  void close_user() { offsets.push_back(static_cast<std::int64_t>(items.size())); }
  ItemLists view() const { return {offsets, items}; }
};

Lists random_lists(std::int64_t users, std::int64_t items, std::int64_t most, RandomValues& random) {
  Lists lists;
  for (std::int64_t user = 0; user < users; ++user) {
    const std::int64_t count = random.below(most + 1);
    const auto begin = static_cast<std::ptrdiff_t>(lists.items.size());
    for (std::int64_t i = 0; i < count; ++i) lists.items.push_back(static_cast<std::int32_t>(random.below(items)));
    std::sort(lists.items.begin() + begin, lists.items.end());
    lists.close_user();
  }
  return lists;
}

}  // namespace

TEST_CASE("top-k agrees with the reference, ties and exclusions included") {
  constexpr std::uint64_t kSeed = 5;
  CAPTURE(kSeed);
  RandomValues random(kSeed);
  for (const InstructionSet set : test::instruction_sets()) {
    const test::WithInstructionSet limit(set);
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      for (const std::int64_t user_count : {0, 1, 7, 50}) {
        for (const std::int64_t item_count : {0, 1, 47, 1000, 40000}) {
          if (item_count == 40000 && user_count > 7) continue;
          for (const std::int64_t k : {1, 20, 100}) {
            const std::int64_t dim = 1 + random.below(20);
            CAPTURE(instruction_set_name(set), threads, user_count, item_count, k, dim);
            const std::vector<float> user_values = whole_numbers(user_count * dim, random);
            const std::vector<float> item_values = whole_numbers(item_count * dim, random);
            const VectorsView users{user_values.data(), user_count, dim};
            const VectorsView items{item_values.data(), item_count, dim};
            const Lists excluded = random_lists(user_count, std::max<std::int64_t>(item_count, 1), item_count == 0 ? 0 : 30, random);
            std::vector<std::int32_t> ours(static_cast<std::size_t>(user_count * k));
            std::vector<std::int32_t> expected = ours;
            std::vector<float> our_scores(ours.size());
            std::vector<float> expected_scores(ours.size());
            top_k(users, items, k, excluded.view(), ours.data(), our_scores.data(), pool);
            top_k_reference(users, items, k, excluded.view(), expected.data(), expected_scores.data());
            REQUIRE(ours == expected);
            REQUIRE(our_scores == expected_scores);
          }
        }
      }
    }
  }
}

TEST_CASE("the rank of an item is its place in a full top-k") {
  RandomValues random(6);
  for (const InstructionSet set : test::instruction_sets()) {
    const test::WithInstructionSet limit(set);
    for (const int threads : {1, 2}) {
      ThreadPool pool(threads);
      constexpr std::int64_t kUsers = 23;
      constexpr std::int64_t kItems = 301;
      constexpr std::int64_t kDim = 5;
      const std::vector<float> user_values = random.floats(kUsers * kDim);
      std::vector<float> item_values = random.floats(kItems * kDim);
      // Every third item is a copy of its neighbour, so there are ties.
      for (std::int64_t item = 3; item < kItems; item += 3) std::copy_n(&item_values[(item - 1) * kDim], kDim, &item_values[item * kDim]);
      const VectorsView users{user_values.data(), kUsers, kDim};
      const VectorsView items{item_values.data(), kItems, kDim};
      const Lists excluded = random_lists(kUsers, kItems, 40, random);
      const Lists candidates = random_lists(kUsers, kItems, 60, random);
      std::vector<std::int64_t> ranks(candidates.items.size());
      rank_of(users, items, candidates.view(), excluded.view(), ranks.data(), pool);
      std::vector<std::int32_t> order(kUsers * kItems);
      std::vector<float> scores(order.size());
      top_k(users, items, kItems, excluded.view(), order.data(), scores.data(), pool);
      for (std::int64_t user = 0; user < kUsers; ++user) {
        for (std::int64_t c = candidates.offsets[user]; c < candidates.offsets[user + 1]; ++c) {
          const std::int32_t item = candidates.items[c];
          const auto begin = excluded.items.begin() + excluded.offsets[user];
          const auto end = excluded.items.begin() + excluded.offsets[user + 1];
          if (std::binary_search(begin, end, item)) continue;
          CAPTURE(user, item, threads);
          REQUIRE(order[user * kItems + ranks[c]] == item);
        }
      }
    }
  }
}

TEST_CASE("an excluded candidate is ranked against the items that are left") {
  ThreadPool pool(1);
  const std::vector<float> user{1.0f};
  const std::vector<float> item_values{5.0f, 4.0f, 3.0f, 2.0f};
  Lists excluded;
  excluded.items = {0, 2};
  excluded.close_user();
  Lists candidates;
  candidates.items = {2, 3, 0};
  candidates.close_user();
  std::vector<std::int64_t> ranks(3);
  rank_of({user.data(), 1, 1}, {item_values.data(), 4, 1}, candidates.view(), excluded.view(), ranks.data(), pool);
  REQUIRE(ranks == std::vector<std::int64_t>{1, 1, 0});
}

TEST_CASE("scores that are no numbers are never chosen and rank last") {
  ThreadPool pool(1);
  const std::vector<float> user{1.0f};
  const std::vector<float> item_values{1.0f, std::numeric_limits<float>::quiet_NaN(), 2.0f};
  std::vector<std::int32_t> top(3);
  std::vector<float> scores(3);
  top_k({user.data(), 1, 1}, {item_values.data(), 3, 1}, 3, {}, top.data(), scores.data(), pool);
  REQUIRE(top == std::vector<std::int32_t>{2, 0, -1});
  Lists candidates;
  candidates.items = {1};
  candidates.close_user();
  std::int64_t rank = 0;
  rank_of({user.data(), 1, 1}, {item_values.data(), 3, 1}, candidates.view(), {}, &rank, pool);
  REQUIRE(rank == 2);
}

TEST_CASE("top-k refuses what does not fit together") {
  ThreadPool pool(1);
  const std::vector<float> values(12);
  std::vector<std::int32_t> top(2);
  std::vector<float> scores(2);
  const auto run = [&](std::int64_t item_dim, const Lists& excluded) {
    top_k({values.data(), 1, 2}, {values.data(), 3, item_dim}, 1, excluded.view(), top.data(), scores.data(), pool);
  };
  Lists none;
  none.close_user();
  REQUIRE_THROWS_WITH(run(3, none), Catch::Contains("dim"));
  Lists unsorted;
  unsorted.items = {2, 1};
  unsorted.close_user();
  REQUIRE_THROWS_WITH(run(2, unsorted), Catch::Contains("user 0 is not ascending"));
  Lists unknown;
  unknown.items = {3};
  unknown.close_user();
  REQUIRE_THROWS_WITH(run(2, unknown), Catch::Contains("item 3"));
  Lists short_of_users;
  REQUIRE_NOTHROW(run(2, none));
  short_of_users.offsets = {0, 0, 0};
  REQUIRE_THROWS_AS(run(2, short_of_users), Error);
}
