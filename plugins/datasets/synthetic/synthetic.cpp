// Dataset plugin "synthetic": samples with a planted signal, so that the best reachable AUC is known. A sample is a pure function of
// the options and its row number; nothing is stored.
#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "expected_auc.h"
#include "planted_model.h"
#include "rechost/cxx/dataset.hpp"

namespace synthetic {
namespace {

using rechost::ChunkBuilder;
using rechost::Column;
using rechost::ColumnBuilder;
using rechost::Config;
using rechost::ConfigError;
using rechost::ReadRequest;
using rechost::Role;
using rechost::Type;

std::size_t as_size(std::int64_t value) { return static_cast<std::size_t>(value); }

PlantedOptions planted_options(const Config& config) {
  PlantedOptions options;
  options.seed = static_cast<std::uint64_t>(config.get_int("seed"));
  options.dense = config.get_int("dense");
  options.longest_list = config.get_int("longest_list");
  options.zipf_exponent = config.get_float("zipf");
  options.rank = config.get_int("rank");
  options.signal = config.get_float("signal");
  options.interaction_share = config.get_float("interaction_share");
  options.dense_share = config.get_float("dense_share");
  options.positive_rate = config.get_float("positive_rate");
  options.label_noise = config.get_float("label_noise");
  options.regression_noise = config.get_float("regression_noise");
  options.regression = config.get_string("label_kind") == "regression";
  options.side_features_of_key = config.get_string("side_features") == "of_key";
  if (options.interaction_share + options.dense_share > 1)
    throw ConfigError("interaction_share and dense_share are shares of one whole: their sum must not be above 1");

  const std::size_t sparse = as_size(config.get_int("sparse")), lists = as_size(config.get_int("multi_hot"));
  std::vector<std::int64_t> cardinalities = config.get_int_list("cardinality");
  if (cardinalities.size() == 1) cardinalities.assign(sparse + lists, cardinalities[0]);
  if (cardinalities.size() != sparse + lists)
    throw ConfigError("cardinality has " + std::to_string(cardinalities.size()) + " values; it needs one for all features, or " +
                      std::to_string(sparse + lists) + ": one for each of sparse = " + std::to_string(sparse) +
                      ", then one for each of multi_hot = " + std::to_string(lists));
  options.sparse_cardinalities.assign(cardinalities.begin(), cardinalities.begin() + static_cast<std::ptrdiff_t>(sparse));
  options.list_cardinalities.assign(cardinalities.begin() + static_cast<std::ptrdiff_t>(sparse), cardinalities.end());
  return options;
}

// Column order: label, dense, features with one id, features with a list of ids.
std::vector<Column> make_columns(const PlantedOptions& options) {
  std::vector<Column> columns;
  Column label{.name = "label", .role = Role::kLabel};
  label.label_kind = options.regression ? "regression" : "binary";
  columns.push_back(std::move(label));
  for (std::int64_t i = 0; i < options.dense; ++i)
    columns.push_back({.name = "dense_" + std::to_string(i), .role = Role::kDense, .entity = "user"});
  const auto add_sparse = [&columns](std::size_t position, std::string_view infix, std::int64_t cardinality) {
    const std::string entity = position % 2 == 0 ? "user" : "item";
    Column column{.name = entity + std::string(infix) + std::to_string(position / 2), .type = Type::kInt64, .role = Role::kSparse};
    column.entity = entity;
    column.cardinality = cardinality;
    column.list = infix != "_";
    column.key = !column.list && position < 2;
    columns.push_back(std::move(column));
  };
  for (std::size_t i = 0; i < options.sparse_cardinalities.size(); ++i) add_sparse(i, "_", options.sparse_cardinalities[i]);
  for (std::size_t i = 0; i < options.list_cardinalities.size(); ++i) add_sparse(i, "_list_", options.list_cardinalities[i]);
  return columns;
}

class Synthetic final : public rechost::Dataset {
 public:
  static std::vector<rechost::Option> options();

  static std::vector<std::string_view> splits(const Config& config) {
    std::vector<std::string_view> names{"train"};
    if (config.get_int("valid_rows") > 0) names.push_back("valid");
    if (config.get_int("test_rows") > 0) names.push_back("test");
    return names;
  }

  static std::unique_ptr<rechost::Dataset> open(const Config& config, std::string_view split) {
    if (split == "train") return std::make_unique<Synthetic>(config, Stream::kTrain, config.get_int("rows"));
    if (split == "valid") return std::make_unique<Synthetic>(config, Stream::kValid, config.get_int("valid_rows"));
    return std::make_unique<Synthetic>(config, Stream::kTest, config.get_int("test_rows"));
  }

  Synthetic(const Config& config, Stream stream, std::int64_t rows)
      : options_(planted_options(config)),
        columns_(make_columns(options_)),
        model_(options_),
        stream_(stream),
        rows_(rows),
        rows_per_chunk_(config.get_int("chunk_rows")) {}

  const std::vector<Column>& columns() const override { return columns_; }
  std::optional<double> best_auc() override;
  std::int64_t chunk_count() const override { return (rows_ + rows_per_chunk_ - 1) / rows_per_chunk_; }
  std::int64_t chunk_rows(std::int64_t chunk) const override {
    if (chunk < 0 || chunk >= chunk_count()) throw rechost::Error("there is no chunk " + std::to_string(chunk));
    return std::min(rows_per_chunk_, rows_ - chunk * rows_per_chunk_);
  }
  void read_chunk(const ReadRequest& request, ChunkBuilder& output) const override;
  // There is no file; counted like the lines of one.
  void show_rows(const ReadRequest& request, std::span<const std::int64_t> rows) const override {
    for (const std::int64_t row : rows) request.bad_row({row, request.chunk() * rows_per_chunk_ + row + 1, "synthetic samples", {}, {}, {}});
  }
  // Everything is in the options, which the layer adds.
  std::uint64_t fingerprint() const override { return 1; }

 private:
  PlantedOptions options_;
  std::vector<Column> columns_;
  PlantedModel model_;
  Stream stream_;
  std::int64_t rows_;
  std::int64_t rows_per_chunk_;
  std::optional<double> best_auc_;
};

std::vector<rechost::Option> Synthetic::options() {
  using namespace rechost;
  return {
      option_int("rows", 1'000'000, "training samples").at_least(1),
      option_int("valid_rows", 100'000, "validation samples; 0 = no such split").at_least(0),
      option_int("test_rows", 100'000, "test samples; 0 = no such split").at_least(0),
      option_int("chunk_rows", 65'536, "samples decoded at once").range(1, 1 << 24),
      option_int("seed", 1, "names the data: same seed, same samples, whatever the run's seed is").at_least(0),
      option_int("dense", 4, "dense features, standard normal, of the user").range(0, 4096),
      option_int("sparse", 8, "features with one id, of user and item in turn; user_0 and item_0 are the keys").range(0, 4096),
      option_int("multi_hot", 0, "features with a list of ids, of user and item in turn; their ids add up (pooling sum)").range(0, 4096),
      option_int_list("cardinality", {200}, "ids of each feature: one number for all, or one each (sparse first, then multi_hot)")
          .range(1, 4e18),
      option_int("longest_list", 8, "lists have 0 to this many ids, all lengths equally likely").range(0, 4096),
      option_float("zipf", 1.2, "the id of rank r is drawn in proportion to 1 / r^zipf; 0 = uniform").range(0, 8),
      option_int("rank", 2, "length of the planted vectors whose products are the user-item interaction").range(0, 64),
      option_float("signal", 1.7, "standard deviation of the true logit (regression: of the expected label)").range(0, 100),
      option_float("interaction_share", 0.2, "share of the signal's variance that is user-item interaction").range(0, 1),
      option_float("dense_share", 0.2, "share of the signal's variance that is linear in the dense features").range(0, 1),
      option_float("positive_rate", 0.25, "share of positive labels").range(0.0001, 0.9999),
      option_float("label_noise", 0, "share of binary labels that are coins instead").range(0, 1),
      option_float("regression_noise", 0.5, "standard deviation of what is added to regression labels").range(0, 1e6),
      option_string("label_kind", "binary", "what the label is").choices({"binary", "regression"}),
      option_string("side_features", "independent",
                    "independent: each feature is drawn for itself; of_key: a user's and an item's features follow from its id, "
                    "as in a catalogue")
          .choices({"independent", "of_key"}),
  };
}

// The split is gone through once. Not for training data, which may be too much to do that with.
std::optional<double> Synthetic::best_auc() {
  if (options_.regression || stream_ == Stream::kTrain) return std::nullopt;
  if (!best_auc_) {
    std::vector<float> probabilities(as_size(rows_));
    BlockOutput output = model_.no_output();
    for (std::int64_t first = 0; first < rows_; first += PlantedModel::kBlockRows) {
      output.probabilities = probabilities.data() + first;
      model_.generate(stream_, first, std::min(PlantedModel::kBlockRows, rows_ - first), output);
    }
    best_auc_ = expected_auc(std::move(probabilities));
  }
  return best_auc_;
}

void Synthetic::read_chunk(const ReadRequest& request, ChunkBuilder& output) const {
  const std::int64_t first_row = request.chunk() * rows_per_chunk_;
  const std::int64_t rows = chunk_rows(request.chunk());
  const std::size_t dense = as_size(options_.dense), sparse = options_.sparse_cardinalities.size();
  const std::size_t lists = options_.list_cardinalities.size();

  BlockOutput block = model_.no_output();
  const auto place = [&](std::size_t position, auto*& target) {
    using Value = std::remove_reference_t<decltype(*target)>;
    if (ColumnBuilder* column = output.column(position)) target = column->append_uninitialised<Value>(as_size(rows));
  };
  place(0, block.labels);
  for (std::size_t i = 0; i < dense; ++i) place(1 + i, block.dense[i]);
  for (std::size_t i = 0; i < sparse; ++i) place(1 + dense + i, block.ids[i]);
  std::vector<std::vector<std::int64_t>> list_ids(lists);
  std::vector<std::vector<std::int32_t>> list_lengths(lists);
  for (std::size_t i = 0; i < lists; ++i)
    if (output.column(1 + dense + sparse + i) != nullptr) {
      block.list_ids[i] = &list_ids[i];
      block.list_lengths[i] = &list_lengths[i];
    }

  for (std::int64_t done = 0; done < rows;) {
    const std::int64_t count = std::min(PlantedModel::kBlockRows, rows - done);
    model_.generate(stream_, first_row + done, count, block);
    for (std::size_t i = 0; i < lists; ++i) {
      ColumnBuilder* column = output.column(1 + dense + sparse + i);
      if (column == nullptr) continue;
      const std::int64_t* ids = list_ids[i].data();
      for (const std::int32_t length : list_lengths[i]) {
        std::copy_n(ids, length, column->append_uninitialised<std::int64_t>(as_size(length)));
        column->end_list();
        ids += length;
      }
      list_ids[i].clear();
      list_lengths[i].clear();
    }
    done += count;
    if (block.labels != nullptr) block.labels += count;
    for (float*& values : block.dense)
      if (values != nullptr) values += count;
    for (std::int64_t*& values : block.ids)
      if (values != nullptr) values += count;
  }
  output.set_rows(rows);
}

}  // namespace
}  // namespace synthetic

RECHOST_PLUGIN("synthetic", RECHOST_VERSION,
               rechost::dataset_module<synthetic::Synthetic>("synthetic", "samples with a planted signal, whose best AUC is known"))
