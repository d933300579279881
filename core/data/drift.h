#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "config/sections.h"
#include "data/encoded_chunk.h"
#include "data/schema.h"
#include "data/source.h"
#include "data/vocabulary.h"

/// Data that a trained model meets beside those that it was trained on.
namespace rechost {

/// What the data looked like when a model was set up; kept with its checkpoints.
struct DataProfile {
  std::vector<ColumnInfo> columns;             ///< as the loader declared them; empty: an older checkpoint did not say
  std::map<std::string, double> unseen_share;  ///< by feature with a vocabulary: of its values those unknown to it, in the split with most of them

  Json to_json() const;
  /// DataError when the text is no such profile.
  static DataProfile from_json(const Json& json);
};

/// How data differ from a profile although the model can work with them.
struct DataDrift {
  std::vector<std::string> changes;            ///< a sentence each, in the order of the columns
  std::map<std::string, double> unseen_share;  ///< by feature, where it is larger than the profile's by more than data.drift.unseen_share

  bool found() const { return !changes.empty() || !unseen_share.empty(); }
  double largest_unseen_share() const;
  Json to_json() const;
};

/// What is different in `columns` of a split. `plan`: made of the columns of the profile. DataError for a column that a feature is made of and that
/// can no longer be one: numbers and texts, whole numbers and fractions, lists and single values take each other's place. What is missing is
/// locate_columns()'s to refuse.
std::vector<std::string> compare_columns(const DataProfile& profile, const EncodingPlan& plan, std::span<const ColumnInfo> columns, const std::string& split);

/// Values of each sparse feature, and how many of them its vocabulary does not know.
class UnseenValues {
 public:
  /// Those of the good rows of a chunk that was encoded with finished `vocabularies` [tables].
  void add(const EncodedChunk& chunk, const EncodingPlan& plan, const RowLayout& layout, std::span<const Vocabulary* const> vocabularies);
  void merge(const UnseenValues& other);
  void clear() { counts_.clear(); }

  /// By feature with a vocabulary, where there are enough values to speak of a share.
  std::map<std::string, double> shares(const EncodingPlan& plan) const;

 private:
  struct Count {
    std::int64_t values = 0;
    std::int64_t unknown = 0;
  };
  std::vector<Count> counts_;  ///< by sparse feature; features without a vocabulary have none
};

/// Shares among the rows that the vocabularies were learnt from: too rare, or beyond max_rows. By feature, those of its table.
std::map<std::string, double> shares_in_training(const EncodingPlan& plan, const Vocabularies& vocabularies);

/// For each feature the larger of both.
void raise_shares(std::map<std::string, double>& shares, const std::map<std::string, double>& others);

/// Puts features whose share is beyond `profile` by more than settings.unseen_share into `drift`. A feature that the profile does not know is compared
/// with 0.
void find_unseen(const std::map<std::string, double>& shares, const DataProfile& profile, const DriftSection& settings, DataDrift& drift);

/// One sentence for each difference.
std::vector<std::string> describe(const DataDrift& drift, const DriftSection& settings);

}  // namespace rechost
