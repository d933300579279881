#include "train/retrieval_metrics.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace rechost {
namespace {

std::vector<std::int64_t> sorted_cutoffs(std::vector<std::int64_t> cutoffs) {
  std::sort(cutoffs.begin(), cutoffs.end());
  cutoffs.erase(std::unique(cutoffs.begin(), cutoffs.end()), cutoffs.end());
  if (cutoffs.empty() || cutoffs.front() < 1) fail<ConfigError>("retrieval metrics need cut-offs k of at least 1");
  return cutoffs;
}

double gain_at(double rank) { return 1.0 / std::log2(1.0 + rank); }

void report_value(MetricReport& report, const std::string& prefix, std::string_view metric, std::int64_t k, std::int64_t count,
                  std::string_view what, double sum) {
  MetricValue value{fmt::format("{}{}@{}", prefix, metric, k), std::nullopt, ""};
  if (count > 0) {
    value.value = sum / static_cast<double>(count);
  } else {
    value.reason = fmt::format("there are no {}", what);
  }
  report.values.push_back(std::move(value));
}

}  // namespace

RankedListMetrics::RankedListMetrics(std::vector<std::int64_t> cutoffs, std::int64_t catalogue_size, std::string prefix)
    : prefix_(std::move(prefix)), catalogue_size_(catalogue_size) {
  if (catalogue_size < 1) fail<ConfigError>("retrieval metrics need a catalogue, not one of {} items", catalogue_size);
  for (const std::int64_t k : sorted_cutoffs(std::move(cutoffs))) {
    AtCutoff at;
    at.k = k;
    at.recommended.resize(static_cast<std::size_t>(catalogue_size));
    cutoffs_.push_back(std::move(at));
  }
  ideal_gain_.push_back(0.0);
  for (std::int64_t n = 1; n <= std::min(cutoffs_.back().k, catalogue_size); ++n) {
    ideal_gain_.push_back(ideal_gain_.back() + gain_at(static_cast<double>(n)));
  }
}

void RankedListMetrics::add_user(std::span<const std::int32_t> ranked, std::span<const std::int32_t> truth) {
  truth_.assign(truth.begin(), truth.end());
  std::sort(truth_.begin(), truth_.end());
  truth_.erase(std::unique(truth_.begin(), truth_.end()), truth_.end());
  if (truth_.empty()) {
    ++users_without_truth_;
    return;
  }
  const std::span<const std::int32_t> list = ranked.first(std::min(ranked.size(), static_cast<std::size_t>(cutoffs_.back().k)));
  seen_.assign(list.begin(), list.end());
  std::sort(seen_.begin(), seen_.end());
  if (const auto twice = std::adjacent_find(seen_.begin(), seen_.end()); twice != seen_.end()) {
    fail("a ranked list holds item {} twice", *twice);
  }
  if (!seen_.empty() && (seen_.front() < 0 || seen_.back() >= catalogue_size_)) {
    fail("a ranked list holds item {}, the catalogue has items 0 to {}", seen_.front() < 0 ? seen_.front() : seen_.back(),
         catalogue_size_ - 1);
  }

  ++users_;
  std::size_t rank = 0;
  std::int64_t hits = 0;
  double gain = 0.0;
  double first_hit = 0.0;
  for (AtCutoff& at : cutoffs_) {  // ascending: each goes on where the one before ended
    for (; rank < list.size() && rank < static_cast<std::size_t>(at.k); ++rank) {
      if (!std::binary_search(truth_.begin(), truth_.end(), list[rank])) continue;
      ++hits;
      gain += gain_at(static_cast<double>(rank + 1));
      if (hits == 1) first_hit = 1.0 / static_cast<double>(rank + 1);
    }
    for (std::size_t i = 0; i < rank; ++i) {
      const auto item = static_cast<std::size_t>(list[i]);
      if (!at.recommended[item]) {
        at.recommended[item] = true;
        ++at.recommended_count;
      }
    }
    const std::size_t ideal_hits = std::min({static_cast<std::size_t>(at.k), truth_.size(), ideal_gain_.size() - 1});
    at.recall.add(static_cast<double>(hits) / static_cast<double>(truth_.size()));
    at.precision.add(static_cast<double>(hits) / static_cast<double>(at.k));
    at.ndcg.add(gain / ideal_gain_[ideal_hits]);
    at.reciprocal_rank.add(first_hit);
    if (hits > 0) ++at.users_with_hit;
  }
}

MetricReport RankedListMetrics::finish() const {
  MetricReport report;
  for (const AtCutoff& at : cutoffs_) {
    const auto add = [&](std::string_view metric, double sum) {
      report_value(report, prefix_, metric, at.k, users_, "users with items to find", sum);
    };
    add("recall", at.recall.value());
    add("ndcg", at.ndcg.value());
    add("hr", static_cast<double>(at.users_with_hit));
    add("mrr", at.reciprocal_rank.value());
    add("precision", at.precision.value());
    report_value(report, prefix_, "coverage", at.k, catalogue_size_, "items", static_cast<double>(at.recommended_count));
  }
  return report;
}

CandidateRankMetrics::CandidateRankMetrics(std::vector<std::int64_t> cutoffs, TieRule ties, std::string prefix)
    : prefix_(std::move(prefix)), ties_(ties) {
  for (const std::int64_t k : sorted_cutoffs(std::move(cutoffs)))
    cutoffs_.push_back({.k = k, .hits = 0, .ndcg = {}, .reciprocal_rank = {}});
}

double CandidateRankMetrics::rank(float positive, std::span<const float> negatives, TieRule ties) {
  std::size_t better = 0;
  std::size_t equal = 0;
  for (const float negative : negatives) {
    if (negative == positive) {
      ++equal;
    } else if (!(negative < positive)) {  // NaN on either side counts against the positive
      ++better;
    }
  }
  return 1.0 + static_cast<double>(better) + static_cast<double>(equal) * (ties == TieRule::kHalf ? 0.5 : 1.0);
}

void CandidateRankMetrics::add(float positive, std::span<const float> negatives) {
  const double place = rank(positive, negatives, ties_);
  ++positives_;
  rank_sum_.add(place);
  for (AtCutoff& at : cutoffs_) {
    if (place > static_cast<double>(at.k)) continue;
    ++at.hits;
    at.ndcg.add(gain_at(place));
    at.reciprocal_rank.add(1.0 / place);
  }
}

MetricReport CandidateRankMetrics::finish() const {
  MetricReport report;
  for (const AtCutoff& at : cutoffs_) {
    const auto add = [&](std::string_view metric, double sum) {
      report_value(report, prefix_, metric, at.k, positives_, "positives", sum);
    };
    add("hr", static_cast<double>(at.hits));
    add("ndcg", at.ndcg.value());
    add("mrr", at.reciprocal_rank.value());
  }
  MetricValue mean{prefix_ + "mean_rank", std::nullopt, ""};
  if (positives_ > 0) {
    mean.value = rank_sum_.value() / static_cast<double>(positives_);
  } else {
    mean.reason = "there are no positives";
  }
  report.values.push_back(std::move(mean));
  return report;
}

}  // namespace rechost
