#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "app/setup.h"
#include "data/catalogue.h"

namespace rechost::app {

/// A ranking model that scores items for a user: the second stage behind retrieval. It has data and vocabularies of its own; users and
/// items are known to it by their original ids, and their features are those of its data.
class Reranker {
 public:
  /// Loads the model. ConfigError when it has no head that scores a row, or when it reads a feature that describes neither user nor item:
  /// such a feature (the hour, the device) is not known when items are recommended.
  explicit Reranker(const std::string& model);

  /// The probability (of a regression head: the value) of each item for the user; NaN for those of which the model's data know nothing,
  /// all of them when that is the user.
  std::vector<double> score(const std::string& user, std::span<const std::string> items);

  /// Name of the head that scores.
  const std::string& head_name() const;

 private:
  void require_entity_features() const;
  void fill_rows(std::int32_t user);

  LoadedModel loaded_;
  std::size_t head_ = 0;
  std::unique_ptr<Catalogue> users_;
  std::unique_ptr<Catalogue> items_;
  std::unordered_map<std::string, std::int32_t> user_of_key_;
  std::unordered_map<std::string, std::int32_t> item_of_key_;

  // Reused from user to user.
  std::vector<std::int32_t> item_entries_;
  std::vector<std::int32_t> user_entries_;
  std::vector<std::size_t> places_;  ///< of item_entries_ in the list that was asked for
  Batch user_features_;
  Batch item_features_;
  Batch rows_;
  PreparedBatch prepared_;
};

}  // namespace rechost::app
