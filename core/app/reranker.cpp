#include "app/reranker.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "app/entity_keys.h"
#include "base/error.h"

namespace rechost::app {

namespace {

using Head = ModelSpec::Head;

/// Puts the columns of one entity where they belong in rows of the full schema.
void place(const Catalogue& catalogue, Batch& from, std::size_t full_dense, Batch& to) {
  const std::vector<std::size_t>& dense = catalogue.dense_columns();
  for (std::size_t row = 0; row < static_cast<std::size_t>(from.rows); ++row) {
    for (std::size_t i = 0; i < dense.size(); ++i) to.dense[row * full_dense + dense[i]] = from.dense[row * dense.size() + i];
  }
  for (std::size_t i = 0; i < catalogue.sparse_columns().size(); ++i) std::swap(to.sparse[catalogue.sparse_columns()[i]], from.sparse[i]);
}

}  // namespace

Reranker::Reranker(const std::string& model) : loaded_(load_model(find_model(model), {}, {.labels_required = false})) {
  const ModelSpec& spec = loaded_.model->spec();
  const auto scores = [](const Head& head) { return head.kind == Head::Kind::kBinary || head.kind == Head::Kind::kRegression; };
  const auto found = std::find_if(spec.heads.begin(), spec.heads.end(), scores);
  if (found == spec.heads.end()) {
    fail<ConfigError>("--rank {}: the model ({}) has no head with one score a row, binary or regression", model,
                      loaded_.setup.config.model.plugin);
  }
  head_ = static_cast<std::size_t>(found - spec.heads.begin());
  require_entity_features();
  const PreparedData& data = loaded_.data.prepared;
  std::vector<const Dataset*> splits;
  for (const Dataset* split : {data.train.get(), data.valid.get(), data.test.get()}) {
    if (split != nullptr) splits.push_back(split);
  }
  users_ = std::make_unique<Catalogue>("user", splits);
  items_ = std::make_unique<Catalogue>("item", splits);
  user_of_key_ = entries_by_key(*users_, *data.vocabularies);
  item_of_key_ = entries_by_key(*items_, *data.vocabularies);
}

const std::string& Reranker::head_name() const { return loaded_.model->spec().heads[head_].name; }

void Reranker::require_entity_features() const {
  const ModelSpec& spec = loaded_.model->spec();
  const BatchSchema& schema = loaded_.model->schema();
  std::string missing;
  const auto check = [&](const FeatureInfo& feature) {
    if (feature.entity == "user" || feature.entity == "item") return;
    missing += fmt::format("{}\"{}\"", missing.empty() ? "" : ", ", feature.name);
  };
  for (const std::uint32_t column : spec.group(InputGroup::kSamples).dense) check(schema.dense[column]);
  for (std::size_t column = 0; column < schema.sparse.size(); ++column) {
    const auto reads = [&](const ModelSpec::Embedding& embedding) {
      return embedding.group == InputGroup::kSamples && embedding.sparse == column;
    };
    if (std::any_of(spec.embeddings.begin(), spec.embeddings.end(), reads)) check(schema.sparse[column]);
  }
  if (missing.empty()) return;
  fail<ConfigError>(
      "--rank: the ranking model reads features that describe neither a user nor an item, and which nobody knows when items are "
      "recommended: {}. Train it without them, or let the loader say whose they are (csv: user_columns, item_columns)",
      missing);
}

void Reranker::fill_rows(std::int32_t user) {
  const BatchSchema& schema = loaded_.model->schema();
  const std::size_t rows = item_entries_.size();
  user_entries_.assign(rows, user);
  users_->fill(user_entries_, user_features_);
  items_->fill(item_entries_, item_features_);
  rows_.rows = rows_.global_rows = static_cast<std::int64_t>(rows);
  rows_.samples.assign(item_entries_.begin(), item_entries_.end());
  rows_.dense.assign(rows * schema.dense.size(), 0.0F);
  rows_.sparse.resize(schema.sparse.size());
  for (std::size_t column = 0; column < schema.sparse.size(); ++column) {
    // What the model does not read only has to have the right shape.
    IdColumn& ids = rows_.sparse[column];
    ids.ids.assign(schema.sparse[column].in_lists() ? 0 : rows, 0);
    ids.offsets.assign(schema.sparse[column].in_lists() ? rows + 1 : 0, 0);
    ids.weights.clear();
  }
  place(*users_, user_features_, schema.dense.size(), rows_);
  place(*items_, item_features_, schema.dense.size(), rows_);
}

std::vector<double> Reranker::score(const std::string& user, std::span<const std::string> items) {
  std::vector<double> scores(items.size(), std::numeric_limits<double>::quiet_NaN());
  const auto known_user = user_of_key_.find(user);
  if (known_user == user_of_key_.end()) return scores;
  item_entries_.clear();
  places_.clear();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto known = item_of_key_.find(items[i]);
    if (known == item_of_key_.end()) continue;
    item_entries_.push_back(known->second);
    places_.push_back(i);
  }
  if (item_entries_.empty()) return scores;
  fill_rows(known_user->second);
  loaded_.model->prepare(rows_, prepared_);
  const std::span<const float> outputs = loaded_.model->predict(rows_, prepared_, std::uint64_t{1} << head_)[head_];
  const bool logits = loaded_.model->spec().heads[head_].kind == Head::Kind::kBinary;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const auto output = static_cast<double>(outputs[i]);
    scores[places_[i]] = logits ? 1.0 / (1.0 + std::exp(-output)) : output;
  }
  return scores;
}

}  // namespace rechost::app
