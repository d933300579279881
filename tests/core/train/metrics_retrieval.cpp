#include "train/retrieval_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.h"

using namespace rechost;

namespace {

using Items = std::vector<std::int32_t>;

double gain(std::size_t rank) { return 1.0 / std::log2(static_cast<double>(rank) + 1.0); }

}  // namespace

TEST_CASE("One user by hand") {
  RankedListMetrics metrics({3, 5}, 10);
  metrics.add_user(Items{7, 1, 2, 3, 9}, Items{1, 9, 4, 8});
  const MetricReport report = metrics.finish();
  CHECK(*report.value("recall@3") == 0.25);
  CHECK(*report.value("recall@5") == 0.5);
  CHECK(*report.value("precision@3") == Approx(1.0 / 3));
  CHECK(*report.value("precision@5") == Approx(0.4));
  CHECK(*report.value("hr@3") == 1.0);
  CHECK(*report.value("mrr@3") == 0.5);
  CHECK(*report.value("ndcg@3") == Approx(gain(2) / (gain(1) + gain(2) + gain(3))));
  CHECK(*report.value("ndcg@5") == Approx((gain(2) + gain(5)) / (gain(1) + gain(2) + gain(3) + gain(4))));
  CHECK(*report.value("coverage@3") == 0.3);
  CHECK(*report.value("coverage@5") == 0.5);
}

TEST_CASE("Averages are over users who have something to find") {
  RankedListMetrics metrics({2}, 4, "head.");
  metrics.add_user(Items{0, 1}, Items{0});
  metrics.add_user(Items{0, 1}, Items{3});
  metrics.add_user(Items{2, 3}, Items{});
  CHECK(metrics.users() == 2);
  CHECK(metrics.users_without_truth() == 1);
  const MetricReport report = metrics.finish();
  CHECK(*report.value("head.recall@2") == 0.5);
  CHECK(*report.value("head.hr@2") == 0.5);
  CHECK(*report.value("head.ndcg@2") == 0.5);
  CHECK(*report.value("head.coverage@2") == 0.5);
}

TEST_CASE("A perfect list scores 1, whatever the size of the truth") {
  RankedListMetrics metrics({2, 4}, 6);
  metrics.add_user(Items{5, 4, 3, 2}, Items{2, 3, 4, 5});
  metrics.add_user(Items{1, 0, 2, 3}, Items{1, 1, 1});
  const MetricReport report = metrics.finish();
  CHECK(*report.value("ndcg@2") == Approx(1.0));
  CHECK(*report.value("ndcg@4") == Approx(1.0));
  CHECK(*report.value("recall@4") == 1.0);
  CHECK(*report.value("recall@2") == 0.75);
}

TEST_CASE("Lists shorter than k, and a catalogue smaller than k") {
  RankedListMetrics metrics({10}, 3);
  metrics.add_user(Items{2}, Items{2, 1});
  metrics.add_user(Items{}, Items{0});
  const MetricReport report = metrics.finish();
  CHECK(*report.value("recall@10") == 0.25);
  CHECK(*report.value("precision@10") == Approx(0.05));
  CHECK(*report.value("ndcg@10") == Approx(gain(1) / (gain(1) + gain(2)) / 2));
  CHECK(*report.value("mrr@10") == 0.5);
}

TEST_CASE("No users: reasons instead of numbers") {
  const RankedListMetrics metrics({1}, 3);
  const MetricReport report = metrics.finish();
  CHECK_FALSE(report.value("recall@1").has_value());
  CHECK(report.find("recall@1")->reason == "there are no users with items to find");
}

TEST_CASE("Lists that cannot be are refused") {
  RankedListMetrics metrics({3}, 5);
  CHECK_THROWS_WITH(metrics.add_user(Items{1, 2, 1}, Items{1}), Catch::Contains("item 1 twice"));
  CHECK_THROWS_WITH(metrics.add_user(Items{1, 5}, Items{1}), Catch::Contains("item 5"));
  CHECK_THROWS_WITH(metrics.add_user(Items{-1}, Items{1}), Catch::Contains("item -1"));
  CHECK_THROWS_AS(RankedListMetrics({0}, 5), ConfigError);
  CHECK_THROWS_AS(RankedListMetrics({}, 5), ConfigError);
}

TEST_CASE("Ranked lists agree with a brute force") {
  const std::uint32_t seed = GENERATE(1u, 2u, 3u);
  INFO("seed " << seed);
  std::mt19937 random(seed);
  constexpr std::int64_t kCatalogue = 30;
  const std::vector<std::int64_t> cutoffs{1, 5, 12};
  RankedListMetrics metrics(cutoffs, kCatalogue);
  struct User {
    Items ranked, truth;
  };
  std::vector<User> users;
  for (int u = 0; u < 50; ++u) {
    User user;
    for (std::int32_t item = 0; item < kCatalogue; ++item) user.ranked.push_back(item);
    std::shuffle(user.ranked.begin(), user.ranked.end(), random);
    user.ranked.resize(12);
    for (std::size_t n = 1 + random() % 20; n > 0; --n) user.truth.push_back(static_cast<std::int32_t>(random() % kCatalogue));
    metrics.add_user(user.ranked, user.truth);
    users.push_back(user);
  }
  const MetricReport report = metrics.finish();
  for (const std::int64_t k : cutoffs) {
    double recall = 0, precision = 0, ndcg = 0, hr = 0, mrr = 0;
    std::set<std::int32_t> covered;
    for (const User& user : users) {
      const std::set<std::int32_t> truth(user.truth.begin(), user.truth.end());
      double hits = 0, dcg = 0, first = 0, ideal = 0;
      for (std::size_t rank = 1; rank <= static_cast<std::size_t>(k); ++rank) {
        const std::int32_t item = user.ranked[rank - 1];
        covered.insert(item);
        if (rank <= truth.size()) ideal += gain(rank);
        if (!truth.contains(item)) continue;
        if (hits == 0) first = 1.0 / static_cast<double>(rank);
        hits += 1;
        dcg += gain(rank);
      }
      recall += hits / static_cast<double>(truth.size()) / 50;
      precision += hits / static_cast<double>(k) / 50;
      ndcg += dcg / ideal / 50;
      hr += hits > 0 ? 1.0 / 50 : 0.0;
      mrr += first / 50;
    }
    const auto at = [&](const std::string& name) { return *report.value(name + "@" + std::to_string(k)); };
    CHECK(at("recall") == Approx(recall));
    CHECK(at("precision") == Approx(precision));
    CHECK(at("ndcg") == Approx(ndcg));
    CHECK(at("hr") == Approx(hr));
    CHECK(at("mrr") == Approx(mrr));
    CHECK(at("coverage") == Approx(static_cast<double>(covered.size()) / kCatalogue));
  }
}

TEST_CASE("The order of users changes no bit") {
  std::mt19937 random(9);
  std::vector<std::pair<Items, Items>> users;
  for (int u = 0; u < 40; ++u) {
    Items ranked{0, 1, 2, 3, 4, 5, 6};
    std::shuffle(ranked.begin(), ranked.end(), random);
    users.push_back({ranked, Items{static_cast<std::int32_t>(random() % 7), static_cast<std::int32_t>(random() % 7), 3}});
  }
  const auto values = [&] {
    RankedListMetrics metrics({2, 5}, 7);
    for (const auto& [ranked, truth] : users) metrics.add_user(ranked, truth);
    return metrics.finish().values_json();
  };
  const Json expected = values();
  std::reverse(users.begin(), users.end());
  CHECK(values() == expected);
}

TEST_CASE("The rank of a positive among its negatives") {
  using R = CandidateRankMetrics;
  const std::vector<float> negatives{0.1f, 0.5f, 0.5f, 0.9f};
  CHECK(R::rank(1.0f, negatives, TieRule::kPessimistic) == 1.0);
  CHECK(R::rank(0.5f, negatives, TieRule::kPessimistic) == 4.0);
  CHECK(R::rank(0.5f, negatives, TieRule::kHalf) == 3.0);
  CHECK(R::rank(0.0f, negatives, TieRule::kHalf) == 5.0);
  CHECK(R::rank(std::nanf(""), negatives, TieRule::kHalf) == 5.0);
  CHECK(R::rank(1.0f, std::vector<float>{std::nanf(""), 0.0f}, TieRule::kHalf) == 2.0);
}

TEST_CASE("Leave-one-out by hand") {
  CandidateRankMetrics metrics({1, 3}, TieRule::kPessimistic);
  metrics.add(0.9f, std::vector<float>{0.1f, 0.2f});                    // rank 1
  metrics.add(0.5f, std::vector<float>{0.1f, 0.7f});                    // rank 2
  metrics.add(0.0f, std::vector<float>{0.1f, 0.7f, 0.8f, 0.9f, 1.0f});  // rank 6
  const MetricReport report = metrics.finish();
  CHECK(*report.value("hr@1") == Approx(1.0 / 3));
  CHECK(*report.value("hr@3") == Approx(2.0 / 3));
  CHECK(*report.value("ndcg@3") == Approx((1.0 + gain(2)) / 3));
  CHECK(*report.value("mrr@3") == Approx(1.5 / 3));
  CHECK(*report.value("mean_rank") == Approx(3.0));
}

TEST_CASE("A model that scores everything alike gets nothing under the pessimistic rule") {
  CandidateRankMetrics metrics({5}, TieRule::kPessimistic);
  for (int i = 0; i < 10; ++i) metrics.add(0.0f, std::vector<float>(99, 0.0f));
  CHECK(*metrics.finish().value("hr@5") == 0.0);
  CHECK_FALSE(CandidateRankMetrics({5}, TieRule::kHalf).finish().value("hr@5").has_value());
}
