#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "data/vocabulary.h"
#include "train/model_runtime.h"

namespace rechost {

/// How the rows of one table are, over all ranks.
struct TableFacts {
  std::string name;
  std::int64_t rows = 0;
  std::int64_t looked_at = 0;            ///< rows that the figures below are of; all but in a sample
  std::optional<std::int64_t> touched;   ///< rows that a gradient has reached; nothing: it cannot be known
  bool touched_by_counts = false;        ///< known from what occurs in the training data; else from the optimizer's state beside the rows
  // Dead rows, of two kinds:
  std::int64_t without_gradient = 0;     ///< that occur in the training data and have not been touched in a whole epoch
  std::int64_t shrunk = 0;               ///< touched, and of a norm of nothing
  std::int64_t exploding = 0;            ///< of a norm beyond the limit, or not finite
  // L2 norms, of touched rows where there are any.
  double least_norm = 0.0;
  double median_norm = 0.0;              ///< to 1 %
  double largest_norm = 0.0;
  std::int64_t largest_row = -1;         ///< its global number
};

struct SurveySettings {
  double dead_norm = 0.0;
  double exploding_norm = 0.0;
  bool whole_epoch = false;       ///< every training sample has been read
  bool l2_on_all_rows = false;    ///< the optimizer's state changes in rows that no sample has reached
  std::int64_t most_rows = 0;     ///< of a table: a sample of blocks spread evenly over it; 0: all
};

/// Looks at the rows of every table. All ranks together: each looks at those that it holds, and all get the same figures.
///
/// Nothing is noted down during training: that a gradient has reached a row shows in its optimizer state (sums of squares and
/// moments are no longer zero). Rules without state, an initial_accumulator and L2 on all rows leave what the vocabulary counted in the training data,
/// after a whole epoch.
std::vector<TableFacts> survey_tables(const ModelRuntime& model, const Vocabularies& vocabularies, const SurveySettings& settings, ThreadPool& pool);

/// The vocabulary of the features that read a table; null: none reads it.
const Vocabulary* vocabulary_of_table(const ModelRuntime& model, const Vocabularies& vocabularies, std::size_t table);

}  // namespace rechost
