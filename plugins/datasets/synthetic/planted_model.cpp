#include "planted_model.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace synthetic {
namespace {

// Counters of the draws of a row: far enough apart that no feature count makes two parts of a row share random numbers.
constexpr std::uint64_t kDrawSparse = 0, kDrawDense = 1u << 20, kDrawList = 2u << 20, kDrawLabel = 3u << 20;
constexpr std::uint64_t kDrawListElements = std::uint64_t{1} << 32;
// Streams of numbers that are drawn once.
constexpr std::uint64_t kPlantedStream = 101, kDenseWeightStream = 102, kUserStream = 103, kItemStream = 104;

// Planted values of a feature are kept in a table up to this many numbers, and worked out again at each use beyond.
constexpr std::int64_t kLargestTable = 1 << 20;

float sigmoid(double logit) { return static_cast<float>(1 / (1 + std::exp(-logit))); }

struct Moments {
  double mean = 0, deviation = 0;
};

Moments moments_of(const std::vector<double>& values) {
  Moments moments;
  for (const double value : values) moments.mean += value;
  moments.mean /= static_cast<double>(values.size());
  for (const double value : values) moments.deviation += (value - moments.mean) * (value - moments.mean);
  moments.deviation = std::sqrt(moments.deviation / static_cast<double>(values.size()));
  return moments;
}

}  // namespace

// What is known of the rows of a block while their features are drawn.
struct PlantedModel::Block {
  Block(std::int64_t count, std::size_t stride)
      : rows(static_cast<std::size_t>(count)), row_keys(rows), user_keys(rows), item_keys(rows), unwanted_ids(rows), linear_dense(rows) {
    user_sums.resize(rows * stride);
    item_sums.resize(rows * stride);
  }
  std::size_t rows;
  std::vector<std::uint64_t> row_keys, user_keys, item_keys;  // [rows] streams of a row, and of its user's and item's features
  std::vector<std::int64_t> unwanted_ids;                     // [rows] room for ids that nobody asked for
  std::vector<float> linear_dense;                            // [rows]
  std::vector<float> user_sums, item_sums;                    // [rows][stride] linear term, then the vector
  bool needs_logit = false;
};

PlantedModel::PlantedModel(const PlantedOptions& options)
    : options_(options),
      normal_(NormalTable::instance()),
      stride_((static_cast<std::size_t>(options.rank) + 1 + 3) / 4 * 4),
      user_center_(stride_),
      item_center_(stride_) {
  for (std::size_t i = 0; i < options.sparse_cardinalities.size(); ++i)
    sparse_.push_back(make_feature(options.sparse_cardinalities[i], i, i % 2 == 1));
  for (std::size_t i = 0; i < options.list_cardinalities.size(); ++i)
    lists_.push_back(make_feature(options.list_cardinalities[i], sparse_.size() + i, i % 2 == 1));
  for (std::int64_t i = 0; i < options.dense; ++i)
    dense_weights_.push_back(normal_(draw(draw(options.seed, kDenseWeightStream), static_cast<std::uint64_t>(i))));
  calibrate();
}

PlantedModel::Feature PlantedModel::make_feature(std::int64_t cardinality, std::uint64_t number, bool of_item) const {
  const std::uint64_t key = draw(draw(options_.seed, kPlantedStream), number);
  Feature feature{key, of_item, ZipfSampler(cardinality, options_.zipf_exponent, key), {}};
  const auto stride = static_cast<std::int64_t>(stride_);
  if (cardinality * stride <= kLargestTable) {
    feature.planted.resize(static_cast<std::size_t>(cardinality * stride));
    for (std::int64_t id = 0; id < cardinality; ++id) plant(feature, id, &feature.planted[static_cast<std::size_t>(id * stride)]);
  }
  return feature;
}

void PlantedModel::plant(const Feature& feature, std::int64_t id, float* values) const {
  const std::uint64_t key = draw(feature.key, static_cast<std::uint64_t>(id));
  for (std::size_t i = 0; i < stride_; ++i) values[i] = i <= static_cast<std::size_t>(options_.rank) ? normal_(draw(key, i)) : 0.0f;
}

// Adds `weight` times the values to `sum`, both [stride].
[[gnu::always_inline]] inline void PlantedModel::add_planted(const Feature& feature, std::int64_t id, float weight, float* sum) const {
  std::array<float, 68> made;  // the largest rank is 64
  const float* values = made.data();
  if (feature.planted.empty())
    plant(feature, id, made.data());
  else
    values = &feature.planted[static_cast<std::size_t>(id) * stride_];
  for (std::size_t i = 0; i < stride_; i += 4)
    for (std::size_t lane = 0; lane < 4; ++lane) sum[i + lane] += weight * values[i + lane];
}

BlockOutput PlantedModel::no_output() const {
  BlockOutput output;
  output.dense.resize(dense_weights_.size());
  output.ids.resize(sparse_.size());
  output.list_ids.resize(lists_.size());
  output.list_lengths.resize(lists_.size());
  return output;
}

void PlantedModel::generate(Stream stream, std::int64_t first_row, std::int64_t count, const BlockOutput& output) const {
  Block block(count, stride_);
  block.needs_logit = output.labels != nullptr || output.probabilities != nullptr;
  draw_keys(stream, first_row, block);
  for (std::size_t i = 0; i < sparse_.size(); ++i)
    if (block.needs_logit || output.ids[i] != nullptr) draw_ids(sparse_[i], i, block, output.ids[i]);
  for (std::size_t i = 0; i < dense_weights_.size(); ++i)
    if (block.needs_logit || output.dense[i] != nullptr) draw_dense(i, block, output.dense[i]);
  for (std::size_t i = 0; i < lists_.size(); ++i)
    if (block.needs_logit || output.list_ids[i] != nullptr) draw_list(lists_[i], i, block, output);
  if (block.needs_logit) draw_labels(block, output);
}

void PlantedModel::draw_keys(Stream stream, std::int64_t first_row, Block& block) const {
  const std::uint64_t stream_key = draw(options_.seed, static_cast<std::uint64_t>(stream));
  for (std::size_t row = 0; row < block.rows; ++row) block.row_keys[row] = draw(stream_key, static_cast<std::uint64_t>(first_row) + row);
  block.user_keys = block.row_keys;
  block.item_keys = block.row_keys;
  if (!options_.side_features_of_key) return;
  // The key features themselves come from the row; everything else about the user or item follows from the key.
  const std::uint64_t user_stream = draw(options_.seed, kUserStream), item_stream = draw(options_.seed, kItemStream);
  for (std::size_t row = 0; row < block.rows; ++row) {
    if (!sparse_.empty())
      block.user_keys[row] = draw(user_stream, static_cast<std::uint64_t>(sparse_[0].sampler(draw(block.row_keys[row], kDrawSparse))));
    if (sparse_.size() > 1)
      block.item_keys[row] = draw(item_stream, static_cast<std::uint64_t>(sparse_[1].sampler(draw(block.row_keys[row], kDrawSparse + 1))));
  }
}

void PlantedModel::draw_ids(const Feature& feature, std::size_t position, Block& block, std::int64_t* ids) const {
  const bool is_key = position < 2;
  const std::uint64_t* keys = (is_key ? block.row_keys : feature.of_item ? block.item_keys : block.user_keys).data();
  if (ids == nullptr) ids = block.unwanted_ids.data();
  for (std::size_t row = 0; row < block.rows; ++row) ids[row] = feature.sampler(draw(keys[row], kDrawSparse + position));
  if (!block.needs_logit) return;
  float* sum = (feature.of_item ? block.item_sums : block.user_sums).data();
  for (std::size_t row = 0; row < block.rows; ++row, sum += stride_) add_planted(feature, ids[row], 1, sum);
}

void PlantedModel::draw_dense(std::size_t position, Block& block, float* values) const {
  for (std::size_t row = 0; row < block.rows; ++row) {
    const float value = normal_(draw(block.user_keys[row], kDrawDense + position));
    if (values != nullptr) values[row] = value;
    block.linear_dense[row] += dense_weights_[position] * value;
  }
}

void PlantedModel::draw_list(const Feature& feature, std::size_t position, Block& block, const BlockOutput& output) const {
  const std::uint64_t* keys = (feature.of_item ? block.item_keys : block.user_keys).data();
  float* sums = (feature.of_item ? block.item_sums : block.user_sums).data();
  // Weighs a list of average length about as much as a feature with one id.
  const float weight = 1 / std::sqrt(0.5f * static_cast<float>(std::max<std::int64_t>(options_.longest_list, 1)));
  for (std::size_t row = 0; row < block.rows; ++row) {
    const std::uint64_t bits = draw(keys[row], kDrawList + position);
    // Lengths 0 .. longest_list, equally likely.
    const auto length = static_cast<std::uint32_t>(((bits >> 32) * static_cast<std::uint64_t>(options_.longest_list + 1)) >> 32);
    for (std::uint32_t element = 0; element < length; ++element) {
      const std::int64_t id = feature.sampler(draw(bits, kDrawListElements + element));
      if (output.list_ids[position] != nullptr) output.list_ids[position]->push_back(id);
      if (block.needs_logit) add_planted(feature, id, weight, sums + row * stride_);
    }
    if (output.list_lengths[position] != nullptr) output.list_lengths[position]->push_back(static_cast<std::int32_t>(length));
  }
}

void PlantedModel::draw_labels(Block& block, const BlockOutput& output) const {
  for (std::size_t row = 0; row < block.rows; ++row) {
    const float* user = &block.user_sums[row * stride_];
    const float* item = &block.item_sums[row * stride_];
    float interaction = 0;
    for (std::size_t i = 1; i < stride_; ++i) interaction += (user[i] - user_center_[i]) * (item[i] - item_center_[i]);
    const double logit = bias_ + static_cast<double>(dense_scale_ * block.linear_dense[row]) +
                         static_cast<double>(linear_scale_ * (user[0] + item[0] - user_center_[0] - item_center_[0])) +
                         static_cast<double>(interaction_scale_ * interaction);
    const std::uint64_t bits = draw(block.row_keys[row], kDrawLabel);
    float expected, label;
    if (options_.regression) {
      expected = static_cast<float>(logit);
      label = expected + static_cast<float>(options_.regression_noise) * normal_(bits);
    } else {
      // A label that is a coin keeps the positive rate and, being a monotone change of the probability, the best order.
      expected = static_cast<float>((1 - options_.label_noise) * static_cast<double>(sigmoid(logit)) +
                                    options_.label_noise * options_.positive_rate);
      label = uniform(bits) < static_cast<double>(expected) ? 1.0f : 0.0f;
    }
    if (output.labels != nullptr) output.labels[row] = label;
    if (output.probabilities != nullptr) output.probabilities[row] = expected;
  }
}

void PlantedModel::calibrate() {
  constexpr std::int64_t kRows = 64 * kBlockRows;
  std::vector<Block> blocks;
  for (std::int64_t first = 0; first < kRows; first += kBlockRows) {
    Block& block = blocks.emplace_back(kBlockRows, stride_);
    block.needs_logit = true;
    draw_keys(Stream::kCalibration, first, block);
    const BlockOutput nothing = no_output();
    for (std::size_t i = 0; i < sparse_.size(); ++i) draw_ids(sparse_[i], i, block, nullptr);
    for (std::size_t i = 0; i < dense_weights_.size(); ++i) draw_dense(i, block, nullptr);
    for (std::size_t i = 0; i < lists_.size(); ++i) draw_list(lists_[i], i, block, nothing);
  }
  for (std::size_t i = 0; i < stride_; ++i) {
    double user = 0, item = 0;
    for (const Block& block : blocks)
      for (std::size_t row = 0; row < block.rows; ++row) {
        user += static_cast<double>(block.user_sums[row * stride_ + i]);
        item += static_cast<double>(block.item_sums[row * stride_ + i]);
      }
    user_center_[i] = static_cast<float>(user / kRows);
    item_center_[i] = static_cast<float>(item / kRows);
  }
  std::vector<double> dense, linear, interaction;
  for (const Block& block : blocks)
    for (std::size_t row = 0; row < block.rows; ++row) {
      const float* user = &block.user_sums[row * stride_];
      const float* item = &block.item_sums[row * stride_];
      dense.push_back(static_cast<double>(block.linear_dense[row]));
      linear.push_back(static_cast<double>(user[0] + item[0] - user_center_[0] - item_center_[0]));
      float product = 0;
      for (std::size_t i = 1; i < stride_; ++i) product += (user[i] - user_center_[i]) * (item[i] - item_center_[i]);
      interaction.push_back(static_cast<double>(product));
    }
  // A part that these options leave without any variance gives its share to the others.
  const double deviations[] = {moments_of(dense).deviation, moments_of(linear).deviation, moments_of(interaction).deviation};
  double shares[] = {options_.dense_share, 1 - options_.dense_share - options_.interaction_share, options_.interaction_share};
  double present = 0;
  for (int part = 0; part < 3; ++part) present += deviations[part] > 1e-9 ? shares[part] : 0;
  float* scales[] = {&dense_scale_, &linear_scale_, &interaction_scale_};
  for (int part = 0; part < 3; ++part)
    *scales[part] = deviations[part] > 1e-9 && present > 0
                        ? static_cast<float>(options_.signal * std::sqrt(std::max(shares[part], 0.0) / present) / deviations[part])
                        : 0.0f;
  if (options_.regression) return;
  // The mean probability rises with the bias, so that bisection finds the positive rate.
  double low = -60, high = 60;
  for (int step = 0; step < 60; ++step) {
    bias_ = 0.5 * (low + high);
    double mean = 0;
    for (std::size_t row = 0; row < dense.size(); ++row)
      mean += static_cast<double>(sigmoid(bias_ + static_cast<double>(dense_scale_) * dense[row] +
                                          static_cast<double>(linear_scale_) * linear[row] +
                                          static_cast<double>(interaction_scale_) * interaction[row]));
    (mean / static_cast<double>(dense.size()) < options_.positive_rate ? low : high) = bias_;
  }
}

}  // namespace synthetic
