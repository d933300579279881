// The distribution that synthetic samples come from.
#ifndef RECHOST_SYNTHETIC_PLANTED_MODEL_H
#define RECHOST_SYNTHETIC_PLANTED_MODEL_H

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "random.h"
#include "zipf.h"

namespace synthetic {

struct PlantedOptions {
  std::uint64_t seed = 1;
  std::int64_t dense = 0;
  std::vector<std::int64_t> sparse_cardinalities;  // one id a row
  std::vector<std::int64_t> list_cardinalities;    // a list of ids a row
  std::int64_t longest_list = 0;
  double zipf_exponent = 1;
  std::int64_t rank = 0;
  double signal = 1;             // standard deviation of the logit
  double interaction_share = 0;  // of the logit's variance
  double dense_share = 0;        // of the logit's variance; the rest is linear in the ids
  double positive_rate = 0.5;
  double label_noise = 0;       // share of binary labels that are coins
  double regression_noise = 0;  // standard deviation added to regression labels
  bool regression = false;
  bool side_features_of_key = false;  // user and item features are functions of the user and item id
};

// Names the stream of random numbers that a split's rows are made from.
enum class Stream : std::uint64_t { kTrain = 1, kValid = 2, kTest = 3, kCalibration = 4 };

// Where the values of up to PlantedModel::kBlockRows rows go; null = not wanted.
struct BlockOutput {
  std::vector<float*> dense;                             // [dense][rows]
  std::vector<std::int64_t*> ids;                        // [sparse][rows]
  std::vector<std::vector<std::int64_t>*> list_ids;      // [lists]: all rows' ids one after the other, appended
  std::vector<std::vector<std::int32_t>*> list_lengths;  // [lists][rows], appended
  float* labels = nullptr;
  float* probabilities = nullptr;  // binary: the true probability of a positive; regression: the expected label
};

// A sample is a pure function of (seed, stream, row): features are drawn independently, then
//   logit = bias + linear(dense) + sum of linear(ids) + (sum of user features' vectors) . (sum of item features' vectors)
// The vectors' sums make the last term the sum of the dot products of all user-item feature pairs, which is within reach of a model
// that multiplies pairs (DLRM, DeepFM) and of one that multiplies two towers. Each part is scaled to its share of the variance, and
// the bias is set to the positive rate, by looking at a fixed sample of rows. All functions after construction: any thread.
class PlantedModel {
 public:
  static constexpr std::int64_t kBlockRows = 256;

  explicit PlantedModel(const PlantedOptions& options);

  BlockOutput no_output() const;
  // Rows first_row .. first_row + count, count <= kBlockRows. Works out only what is wanted.
  void generate(Stream stream, std::int64_t first_row, std::int64_t count, const BlockOutput& output) const;

 private:
  struct Feature {
    std::uint64_t key = 0;  // names the random numbers of its planted values
    bool of_item = false;
    ZipfSampler sampler;
    std::vector<float> planted;  // [cardinality][stride_] linear term, then the vector; empty when too large to keep
  };
  struct Block;

  Feature make_feature(std::int64_t cardinality, std::uint64_t number, bool of_item) const;
  void plant(const Feature& feature, std::int64_t id, float* values) const;
  void add_planted(const Feature& feature, std::int64_t id, float weight, float* sum) const;
  void draw_keys(Stream stream, std::int64_t first_row, Block& block) const;
  void draw_ids(const Feature& feature, std::size_t position, Block& block, std::int64_t* ids) const;
  void draw_dense(std::size_t position, Block& block, float* values) const;
  void draw_list(const Feature& feature, std::size_t position, Block& block, const BlockOutput& output) const;
  void draw_labels(Block& block, const BlockOutput& output) const;
  void calibrate();

  PlantedOptions options_;
  const NormalTable& normal_;
  std::size_t stride_;  // floats per planted id, a multiple of four so that sums vectorise
  std::vector<Feature> sparse_, lists_;
  std::vector<float> dense_weights_;
  // Set by calibrate(): what brings each part to mean zero and to its share of the variance.
  std::vector<float> user_center_, item_center_;  // [stride_]
  float dense_scale_ = 1, linear_scale_ = 1, interaction_scale_ = 1;
  double bias_ = 0;
};

}  // namespace synthetic

#endif  // RECHOST_SYNTHETIC_PLANTED_MODEL_H
