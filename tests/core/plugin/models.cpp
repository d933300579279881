// A model through its life, and every way in which it can break the contract.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "fixture.h"
#include "plugin/model_instance.h"

namespace rechost::test {
namespace {

/// One dense feature, three sparse ones, three labels.
BatchSchema schema() {
  BatchSchema schema;
  schema.dense = {{.name = "age", .kind = FeatureInfo::Kind::kDense, .entity = "user"}};
  schema.sparse = {
      {.name = "user", .kind = FeatureInfo::Kind::kSparse, .entity = "user", .is_key = true, .table = "user"},
      {.name = "item", .kind = FeatureInfo::Kind::kSparse, .entity = "item", .is_key = true, .table = "item"},
      {.name = "history", .kind = FeatureInfo::Kind::kSparse, .entity = "user", .table = "item", .is_list = true, .max_length = 0},
  };
  schema.labels = {{.name = "click", .kind = LabelKind::kBinary},
                   {.name = "rating", .kind = LabelKind::kRegression},
                   {.name = "kind", .kind = LabelKind::kMulticlass, .classes = 3}};
  return schema;
}
constexpr std::int64_t kTableRows[] = {10, 20, 20};

const Module& mistakes() {
  static const Module kModule = load_plugin(plugin_file("mistakes")).front();
  return kModule;
}

std::int64_t gradients_alive() { return *static_cast<const std::int64_t*>(mistakes().interface("test.gradients_alive")); }

/// A model, its memory and one step of two samples.
class Run {
 public:
  explicit Run(const std::string& mistake) : model_(mistakes(), options_of(mistakes(), {{"mistake", value("\"" + mistake + "\"")}})) {}

  void declare() { model_.declare(schema(), kTableRows); }
  void bind() {
    ModelBinding binding;
    for (const ModelSpec::Parameter& parameter : model_.spec().parameters) {
      values_.emplace_back(static_cast<std::size_t>(parameter.size) * 2);
      binding.parameters.push_back({values_.back().data(), values_.back().data() + parameter.size});
    }
    binding.gradients_ready = [this](std::uint32_t first, std::uint32_t count) {
      ready_ += count + first;
      if (throw_when_ready_) throw CommError("peer 3 is gone");
    };
    model_.bind(binding);
    step_ = std::make_unique<StepBuilder>(model_.spec(), schema());
  }
  void forward() {
    step_->begin(StepPhase::kTrain, 7, 1, 1);
    step_->set_rows(InputGroup::kSamples, 2, dense_);
    step_->set_pooled(InputGroup::kSamples, 0, pooled_);
    step_->set_sequence(InputGroup::kSamples, 1, sequence_, offsets_);
    const std::span<float> outputs[] = {output_};
    model_.forward(*step_, outputs);
  }
  void backward() {
    const std::span<const float> gradients[] = {output_};
    model_.backward(*step_, gradients, gradients_);
  }
  void all() {
    declare();
    bind();
    forward();
    backward();
  }

  ModelInstance& model() { return model_; }
  BlockGradients& gradients() { return gradients_; }
  const float* output() const { return output_; }
  std::uint32_t ready() const { return ready_; }
  void throw_when_ready() { throw_when_ready_ = true; }

 private:
  ModelInstance model_;
  std::vector<std::vector<float>> values_;
  std::unique_ptr<StepBuilder> step_;
  BlockGradients gradients_;
  float dense_[2] = {30, 40};
  float pooled_[8] = {1, 2, 3, 4, 5, 6, 7, 8};  // [2, 2, 2]
  float sequence_[6] = {1, 2, 3, 4, 5, 6};      // [3, 2]
  std::int64_t offsets_[3] = {0, 1, 3};
  float output_[2] = {-1, -1};
  std::uint32_t ready_ = 0;
  bool throw_when_ready_ = false;
};

constexpr std::string_view kLabel = "model \"mistakes\" (mistakes.so): ";

template <typename Kind = PluginError>
std::string problem(const std::string& mistake, void (Run::*action)() = &Run::all) {
  return complaint<Kind>(plugin_folder(), [&] {
    Run run(mistake);
    (run.*action)();
  });
}

}  // namespace

TEST_CASE("a model that makes no mistake runs a step") {
  Run run("");
  run.all();
  const ModelSpec& spec = run.model().spec();
  REQUIRE(spec.groups[0].blocks.size() == 2);
  CHECK_FALSE(spec.groups[0].blocks[0].sequence);
  CHECK(spec.groups[0].blocks[0].embeddings == std::vector<std::uint32_t>{0, 1});
  CHECK(spec.groups[0].blocks[1].sequence);
  CHECK(spec.embeddings[1].slot == 1);
  CHECK(spec.embeddings[1].sparse == 1);
  CHECK(spec.embeddings[2].block == 1);
  CHECK(spec.uses(InputGroup::kSamples));
  CHECK_FALSE(spec.uses(InputGroup::kNegatives));
  CHECK(spec.heads[0].label == 0);
  CHECK(spec.parameters[0].size == 3);
  CHECK(run.output()[1] == 0.5f);
  CHECK(run.ready() == 1);
  REQUIRE(run.gradients().size() == 2);
  CHECK(run.gradients()[0][7] == 7.0f);
  CHECK(run.gradients()[1][5] == 5.0f);
  CHECK(gradients_alive() == 2);
  run.gradients().clear();
  CHECK(gradients_alive() == 0);
  CHECK(run.gradients()[0] == nullptr);
}

TEST_CASE("gradients are given back once, at the latest with their object") {
  {
    Run run("");
    run.all();
    run.forward();
    run.backward();
    CHECK(gradients_alive() == 2);
  }
  CHECK(gradients_alive() == 0);
}

TEST_CASE("a gradient that is not contiguous is packed, one that is not given is zero") {
  Run run("gradient with strides");
  run.all();
  // [3, 2] with strides (1, 3): element (i, j) is number i + 3 j.
  const float expected[] = {0, 3, 1, 4, 2, 5};
  CHECK(std::memcmp(run.gradients()[1], expected, sizeof(expected)) == 0);
  Run none("no gradients");
  none.all();
  CHECK(none.gradients()[0] == nullptr);
}

TEST_CASE("each mistake while declaring is named with function and value") {
  const std::pair<const char*, const char*> cases[] = {
      {"unknown dense feature", "add_dense_features: the data has no dense feature \"aeg\" (did you mean \"age\"?)"},
      {"dense feature twice", "add_dense_features: \"age\" is named twice"},
      {"dense feature without name", "add_dense_features: name is empty"},
      {"dense name of nothing", "add_dense_features: name has a size but no data"},
      {"dense group", "add_dense_features: group 2; there are 0 (samples) and 1 (negatives)"},
      {"dense called twice", "add_dense_features: called twice for group 0"},
      {"table twice", "add_table: \"user\" was declared before"},
      {"table without dim", "add_table \"t\": dim is 0"},
      {"table with negative rows", "add_table \"t\": rows is -1"},
      {"table made by plugin", "add_table \"t\": initializer.kind is 6; here 1 to 5 are possible"},
      {"table unread", "no embedding reads the table \"t\""},
      {"table too small", "add_embedding \"item\": table \"t\" has 3 rows, the feature needs 20"},
      {"unknown sparse feature", "add_embedding: the data has no sparse feature \"itm\" (did you mean \"item\"?)"},
      {"embedding table", "add_embedding \"item\": table 9; 3 were declared"},
      {"embedding pooling", "add_embedding \"item\": pooling is 3; it is 0 to 2"},
      {"embedding group", "add_embedding: group 5; there are 0 (samples) and 1 (negatives)"},
      {"embedding of negatives", "\"item\" is read for negatives, but request_negatives was not called"},
      {"parameter twice", "add_parameter: \"weight\" was declared before"},
      {"parameter without extent", "add_parameter \"p\": shape[1] is 0"},
      {"parameter too large", "add_parameter \"p\": shape[1] is 1073741824"},
      {"parameter initializer", "add_parameter \"p\": initializer.kind is 7; here 1 to 6 are possible"},
      {"parameter without shape", "add_parameter \"p\": shape is null"},
      {"parameter spec of nothing", "add_parameter: the spec is null"},
      {"parameter spec too short", "add_parameter: struct_size 8 ends before the field decay"},
      {"head kind", "add_head \"h\": kind is 8; it is 1 to 7"},
      {"head twice", "add_head: \"click\" was declared before"},
      {"head size", "add_head \"h\": size is 2"},
      {"head weight", "add_head \"h\": weight is -1"},
      {"head without label", "add_head \"h\": label is empty"},
      {"head with unknown label", "add_head \"h\": the data has no label \"clik\" (did you mean \"click\"?)"},
      {"head with wrong label", "add_head \"h\": the head is binary, the label \"rating\" is not"},
      {"head with wrong classes", "add_head \"h\": the head has 4 classes, the label \"kind\" has 3"},
      {"head with too many labels", "add_head \"h\": 2 labels from \"kind\" on; there are 1"},
      {"head without entity", "add_head \"h\": entity is empty"},
      {"head without similarity", "add_head \"h\": similarity is 0; it is 1 (dot) or 2 (cosine)"},
      {"no head", "declare added no head"},
      {"negatives of nobody", "request_negatives: the data has no key feature of the entity \"planet\""},
      {"negatives twice over", "request_negatives: per_sample is 1, per_batch is 1; exactly one must be positive"},
      {"negatives distribution", "request_negatives: distribution is 0; it is 1 or 2"},
      {"index of nobody", "request_entity_index: the data has no key feature of the entity \"planet\""},
      {"error dropped", "add_head \"h\": the data has no label \"clik\" (did you mean \"click\"?)"},
      {"declare throws", "declare threw a C++ exception through the C interface: thrown by declare"},
  };
  for (const auto& [mistake, message] : cases) {
    INFO(mistake);
    CHECK(problem(mistake, &Run::declare) == std::string(kLabel) + message);
  }
}

TEST_CASE("each mistake while running is named with the field") {
  const std::pair<const char*, const char*> cases[] = {
      {"create throws", "create threw a C++ exception through the C interface: thrown by create"},
      {"create throws a number", "create threw a C++ exception through the C interface"},
      {"create returns nothing", "create returned neither a model nor an error"},
      {"bind throws", "bind threw a C++ exception through the C interface: thrown by bind"},
      {"forward throws", "forward threw a C++ exception through the C interface: thrown by forward"},
      {"backward throws", "backward threw a C++ exception through the C interface: thrown by backward"},
      {"ready too many", "grad_ready: parameters 0 to 2; there are 1"},
      {"gradient of wrong shape", "block_gradients[1] has the shape [4, 2], the block has [3, 2]"},
      {"gradient of wrong rank", "block_gradients[1] has the shape [3], the block has [3, 2]"},
      {"gradient in double", "block_gradients[1] has the dtype (code 2, bits 64, lanes 1), not float32"},
      {"gradient in integers", "block_gradients[1] has the dtype (code 0, bits 32, lanes 1), not float32"},
      {"gradient elsewhere", "block_gradients[1] lies on device 2:1, the step runs on 1:0"},
      {"gradient without data", "block_gradients[1] has no data"},
      {"gradient of another version", "block_gradients[1] has version 2.0, not 1"},
      {"gradient twice", "block_gradients[1] is the same tensor as block_gradients[0]"},
      {"gradient without deleter", "block_gradients[1] has no deleter"},
      {"first gradient without deleter", "block_gradients[0] has no deleter"},
  };
  for (const auto& [mistake, message] : cases) {
    INFO(mistake);
    const std::int64_t before = gradients_alive();
    CHECK(problem(mistake) == std::string(kLabel) + message);
    // Whatever could be given back was: all but a tensor without deleter or of an unknown version.
    const std::string_view kind(mistake);
    const bool lost = kind.ends_with("gradient without deleter") || kind == "gradient of another version";
    CHECK(gradients_alive() - before == (lost ? 1 : 0));
  }
}

TEST_CASE("errors that the plugin reports keep their kind") {
  CHECK(problem<ConfigError>("create fails") == "mistakes: layers must not be empty");
  CHECK(problem<ConfigError>("declare fails") == "mistakes: two dense features are needed");
  CHECK(problem<DeviceError>("forward fails") == "mistakes: out of memory");
  CHECK(problem("backward fails") == "mistakes: no gradient today");
}

TEST_CASE("an exception while destroying is only a warning") { CHECK_NOTHROW(Run("destroy throws").all()); }

TEST_CASE("what the host throws while gradients become ready comes out of backward") {
  const std::int64_t before = gradients_alive();
  Run run("");
  run.declare();
  run.bind();
  run.throw_when_ready();
  run.forward();
  CHECK_THROWS_WITH(run.backward(), "peer 3 is gone");
  run.gradients().clear();
  CHECK(gradients_alive() == before);
}

TEST_CASE("memory of the wrong size is an error of the host before the plugin runs") {
  Run run("");
  run.declare();
  run.bind();
  StepBuilder step(run.model().spec(), schema());
  step.begin(StepPhase::kEval, 0, 0, 1);
  step.set_rows(InputGroup::kSamples, 2, nullptr);
  std::vector<float> three(3);
  const std::span<float> wrong[] = {three};
  CHECK_THROWS_WITH(run.model().forward(step, wrong), "head \"click\": 3 elements given, 2 expected");
  const std::span<float> none[] = {{}};
  CHECK_THROWS_WITH(run.model().forward(step, none), "head \"click\" is wanted, but has no memory for its output");
  CHECK_THROWS_WITH(step.set_pooled(InputGroup::kSamples, 1, nullptr), "block 1 of group 0 is a sequence");
}

TEST_CASE("the plain C model learns what its data was made from") {
  const std::vector<Module> modules = load_plugin(plugin_file("plain_c_plugin"));
  ModelInstance model(modules[0], options_of(modules[0], {{"bias", value("0.25")}}));
  BatchSchema plain;
  plain.dense = {{.name = "a"}, {.name = "b"}};
  plain.sparse = {{.name = "s", .kind = FeatureInfo::Kind::kSparse, .table = "s"}};
  plain.labels = {{.name = "click"}};
  const std::int64_t rows[] = {4};
  const ModelSpec& spec = model.declare(plain, rows);
  float weight[4] = {};  // values, then gradients
  float bias[2] = {};
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ready;
  model.bind({.parameters = {{weight, weight + 2}, {bias, bias + 1}},
              .buffers = {},
              .initialize = true,
              .threads = 1,
              .gradients_ready = [&](std::uint32_t first, std::uint32_t count) { ready.emplace_back(first, count); }});
  CHECK(bias[0] == 0.25f);
  bias[0] = 0.0f;

  float table[4] = {};
  StepBuilder step(spec, plain);
  BlockGradients gradients;
  double loss = 0.0;
  for (int i = 0; i < 400; ++i) {
    // Label 1 exactly when a > b; the sparse value is noise.
    const float dense[4] = {static_cast<float>(i % 7), 3.0f, 1.0f, static_cast<float>(i % 5)};
    const float labels[2] = {dense[0] > dense[1] ? 1.0f : 0.0f, dense[2] > dense[3] ? 1.0f : 0.0f};
    const float embedded[2] = {table[i % 4], table[(i + 1) % 4]};
    step.begin(StepPhase::kTrain, i, 1, 1);
    step.set_rows(InputGroup::kSamples, 2, dense);
    step.set_pooled(InputGroup::kSamples, 0, embedded);
    step.set_labels(labels, nullptr);
    float logits[2];
    const std::span<float> outputs[] = {logits};
    model.forward(step, outputs);
    float slope[2];
    for (int k = 0; k < 2; ++k) slope[k] = (1.0f / (1.0f + std::exp(-logits[k])) - labels[k]) / 2.0f;
    loss = 0.9 * loss + 0.1 * (std::abs(slope[0]) + std::abs(slope[1]));
    const std::span<const float> slopes[] = {slope};
    model.backward(step, slopes, gradients);
    CHECK(gradients[0][1] == slope[1]);
    for (int k = 0; k < 2; ++k) weight[k] -= 0.5f * weight[2 + k];
    bias[0] -= 0.5f * bias[1];
  }
  CHECK(loss < 0.25);
  CHECK(weight[0] > 0.5f);
  CHECK(weight[1] < -0.5f);
  REQUIRE(ready.size() == 800);
  CHECK(ready[0] == std::pair<std::uint32_t, std::uint32_t>{1, 1});
}

}  // namespace rechost::test
