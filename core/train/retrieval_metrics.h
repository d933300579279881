#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "train/exact_sum.h"
#include "train/metrics.h"

namespace rechost {

/// Quality of ranked lists, averaged over users, with binary relevance. For each cut-off k:
///  recall@k     |hits in the first k| / |truth|
///  precision@k  |hits in the first k| / k (a shorter list counts as filled up with misses)
///  ndcg@k       sum of 1/log2(1 + rank) over hits, divided by that of the ideal list: min(k, |truth|) hits at the top
///               (Jarvelin & Kekalainen 2002)
///  hr@k         1 if there is a hit
///  mrr@k        1 / rank of the first hit, 0 if none
///  coverage@k   share of the catalogue that is in anyone's first k
/// Users with no truth have no defined value: they are left out and counted. The order in which users come does not matter.
class RankedListMetrics {
 public:
  /// `catalogue_size`: items are 0 <= item < catalogue_size. `prefix` as in MetricSettings.
  RankedListMetrics(std::vector<std::int64_t> cutoffs, std::int64_t catalogue_size, std::string prefix = "");

  /// `ranked`: best first, at least max(cutoffs) items where the catalogue has them, no item twice. `truth`: in any order; an item named
  /// twice counts once. Throws Error for an item twice in `ranked` or outside the catalogue.
  void add_user(std::span<const std::int32_t> ranked, std::span<const std::int32_t> truth);

  std::int64_t users() const { return users_; }
  std::int64_t users_without_truth() const { return users_without_truth_; }
  MetricReport finish() const;

 private:
  struct AtCutoff {
    std::int64_t k = 0;
    ExactSum recall, precision, ndcg, reciprocal_rank;
    std::int64_t users_with_hit = 0;
    std::vector<bool> recommended;  ///< [catalogue]
    std::int64_t recommended_count = 0;
  };

  std::string prefix_;
  std::int64_t catalogue_size_;
  std::int64_t users_ = 0;
  std::int64_t users_without_truth_ = 0;
  std::vector<AtCutoff> cutoffs_;
  std::vector<double> ideal_gain_;   ///< [n] of n hits at the top
  std::vector<std::int32_t> truth_;  ///< sorted; kept for its memory
  std::vector<std::int32_t> seen_;   ///< sorted; kept for its memory
};

/// How candidates with the positive's own score count.
enum class TieRule {
  kPessimistic,  ///< all of them are ranked before it: a model that scores everything alike gets 0
  kHalf,         ///< half of them: the mean rank over all orders of the tie; ranks may end in .5
};

/// Leave-one-out with given negatives (He et al. 2017): each positive is ranked among its own candidates. hr@k, ndcg@k (1/log2(1 + rank)
/// up to k), mrr@k, and mean_rank. NaN loses against everything when it is the positive's score, and wins when it is a negative's.
class CandidateRankMetrics {
 public:
  CandidateRankMetrics(std::vector<std::int64_t> cutoffs, TieRule ties, std::string prefix = "");

  void add(float positive, std::span<const float> negatives);

  /// From 1. What add() uses.
  static double rank(float positive, std::span<const float> negatives, TieRule ties);

  std::int64_t positives() const { return positives_; }
  MetricReport finish() const;

 private:
  struct AtCutoff {
    std::int64_t k = 0;
    std::int64_t hits = 0;
    ExactSum ndcg, reciprocal_rank;
  };

  std::string prefix_;
  TieRule ties_;
  std::int64_t positives_ = 0;
  ExactSum rank_sum_;
  std::vector<AtCutoff> cutoffs_;
};

}  // namespace rechost
