#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>

#include "base/philox.h"
#include "plugin/check_report.h"
#include "plugin/model_instance.h"

namespace rechost {
namespace {

constexpr std::int64_t kRows = 6;
constexpr std::int64_t kCatalogue = 40;
constexpr float kUnwritten = std::numeric_limits<float>::quiet_NaN();

/// Numbers that look like data; the same in every run.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : philox_(derive_seed(20, seed)) {}
  float uniform(float low, float high) { return low + (high - low) * uniform_float(philox_(count_++)[0]); }
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(uniform_below(philox_.word64(count_++), static_cast<std::uint64_t>(n)));
  }

 private:
  Philox philox_;
  std::uint64_t count_ = 0;
};

FeatureInfo sparse(const char* name, const char* entity, const char* table, bool is_key, bool is_list) {
  return {.name = name,
          .kind = FeatureInfo::Kind::kSparse,
          .entity = entity,
          .is_key = is_key,
          .table = table,
          .is_list = is_list,
          .max_length = is_list ? 0 : 1,
          .pooling = is_list ? FeatureInfo::Pooling::kMean : FeatureInfo::Pooling::kSum};
}

/// Data with something for every kind of model: numbers and categories of users and items, a list, two kinds of labels.
BatchSchema data_schema() {
  BatchSchema schema;
  schema.dense = {{.name = "age", .entity = "user"}, {.name = "price", .entity = "item"}, {.name = "hour"}};
  schema.sparse = {sparse("user", "user", "user", true, false), sparse("item", "item", "item", true, false),
                   sparse("country", "user", "country", false, false), sparse("genre", "item", "genre", false, false),
                   sparse("history", "user", "item", false, true)};
  schema.labels = {{.name = "click", .kind = LabelKind::kBinary}, {.name = "rating", .kind = LabelKind::kRegression}};
  return schema;
}
constexpr std::int64_t kTableRows[] = {50, kCatalogue, 7, 11, kCatalogue};

void draw_initial(const ModelSpec::Parameter& parameter, std::span<float> values, Draw& draw) {
  const double columns = parameter.shape.empty() ? 1.0 : static_cast<double>(parameter.shape.back());
  const double rows = parameter.shape.size() < 2 ? 1.0 : static_cast<double>(parameter.shape[parameter.shape.size() - 2]);
  double low = parameter.initializer.a;
  double high = parameter.initializer.b;
  switch (parameter.initializer.kind) {
    case InitializerSpec::Kind::kConstant:
      high = low;
      break;
    case InitializerSpec::Kind::kXavierUniform:
      high = std::sqrt(6.0 / (rows + columns));
      low = -high;
      break;
    case InitializerSpec::Kind::kKaimingUniform:
      high = 1.0 / std::sqrt(columns);
      low = -high;
      break;
    case InitializerSpec::Kind::kNormal:
      // A uniform distribution of the same mean and spread is normal enough here.
      low = parameter.initializer.a - 1.7 * parameter.initializer.b;
      high = parameter.initializer.a + 1.7 * parameter.initializer.b;
      break;
    case InitializerSpec::Kind::kUniform:
      break;
    case InitializerSpec::Kind::kPlugin:
      return;
  }
  for (float& value : values) value = draw.uniform(static_cast<float>(low), static_cast<float>(high));
}

/// One parameter or buffer with its gradient, and how the gradient stood when it was called ready.
struct Tensor {
  std::vector<float> value;
  std::vector<float> gradient;
  std::vector<float> when_ready;
  int times_ready = 0;
};

/// The input of one block.
struct BlockInput {
  std::vector<float> rows;
  std::vector<std::int64_t> offsets;
};

/// A bound model with one step's data.
class Subject {
 public:
  Subject(const Module& module, const ModuleOptions& options) : schema_(data_schema()), model_(module, options) {
    model_.declare(schema_, kTableRows);
  }

  const ModelSpec& spec() const { return model_.spec(); }

  /// `source`: take the values from this one as if they came from a checkpoint.
  void bind(const Subject* source) {
    Draw draw(1);
    ModelBinding binding;
    binding.initialize = source == nullptr;
    make_tensors(spec().parameters, parameters_, draw, binding.parameters, true);
    make_tensors(spec().buffers, buffers_, draw, binding.buffers, false);
    if (source != nullptr) {
      for (std::size_t i = 0; i < parameters_.size(); ++i) parameters_[i].value = source->parameters_[i].value;
      for (std::size_t i = 0; i < buffers_.size(); ++i) buffers_[i].value = source->buffers_[i].value;
      // The vectors were replaced, so the views must be taken again.
      for (std::size_t i = 0; i < parameters_.size(); ++i) binding.parameters[i].value = parameters_[i].value.data();
      for (std::size_t i = 0; i < buffers_.size(); ++i) binding.buffers[i].value = buffers_[i].value.data();
    }
    binding.gradients_ready = [this](std::uint32_t first, std::uint32_t count) {
      for (std::uint32_t i = first; i < first + count; ++i) {
        ++parameters_[i].times_ready;
        parameters_[i].when_ready = parameters_[i].gradient;
      }
    };
    model_.bind(binding);
    step_ = std::make_unique<StepBuilder>(spec(), schema_);
    draw_inputs(2);
  }

  /// All that a host asks for in this phase: losses are for training.
  std::uint64_t heads_of(StepPhase phase) const {
    std::uint64_t heads = 0;
    for (std::size_t i = 0; i < spec().heads.size(); ++i) {
      const bool wanted = phase == StepPhase::kTrain || spec().heads[i].kind != ModelSpec::Head::Kind::kLoss;
      heads |= std::uint64_t{wanted} << i;
    }
    return heads;
  }

  void forward(StepPhase phase, std::uint64_t heads, std::uint64_t seed = 3) {
    step_->begin(phase, 10, seed, heads);
    const bool training = phase == StepPhase::kTrain;
    set_group(InputGroup::kSamples, kRows, training && !spec().indexed_entities.empty());
    if (spec().negatives && training) set_group(InputGroup::kNegatives, spec().negatives->rows(kRows), true);
    if (phase != StepPhase::kPredict) step_->set_labels(labels_.data(), nullptr);
    outputs_.resize(spec().heads.size());
    std::vector<std::span<float>> views(outputs_.size());
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      outputs_[i].assign(((heads >> i) & 1) != 0 ? static_cast<std::size_t>(spec().heads[i].output_size(kRows)) : 0, kUnwritten);
      views[i] = outputs_[i];
    }
    model_.forward(*step_, views);
  }

  void backward() {
    std::vector<std::span<const float>> views(spec().heads.size());
    for (std::size_t i = 0; i < views.size(); ++i) {
      if (spec().heads[i].trained()) views[i] = slopes_[i];
    }
    for (Tensor& parameter : parameters_) {
      std::fill(parameter.gradient.begin(), parameter.gradient.end(), kUnwritten);
      parameter.times_ready = 0;
    }
    model_.backward(*step_, views, block_gradients_);
  }

  /// A weighted sum of all outputs of a train step: what the gradients of backward are the derivatives of.
  double objective() {
    forward(StepPhase::kTrain, heads_of(StepPhase::kTrain));
    double sum = 0.0;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (!spec().heads[i].trained()) continue;
      for (std::size_t k = 0; k < outputs_[i].size(); ++k) sum += static_cast<double>(outputs_[i][k]) * slopes_[i][k];
    }
    return sum;
  }

  std::vector<Tensor>& parameters() { return parameters_; }
  std::vector<Tensor>& buffers() { return buffers_; }
  std::vector<std::vector<float>>& outputs() { return outputs_; }
  std::vector<BlockInput>& blocks() { return blocks_; }
  const BlockGradients& block_gradients() const { return block_gradients_; }

 private:
  static void make_tensors(const std::vector<ModelSpec::Parameter>& declared, std::vector<Tensor>& tensors, Draw& draw,
                           std::vector<ParameterView>& views, bool with_gradient) {
    tensors.resize(declared.size());
    for (std::size_t i = 0; i < declared.size(); ++i) {
      const auto size = static_cast<std::size_t>(declared[i].size);
      tensors[i].value.assign(size, 0.0f);
      tensors[i].gradient.assign(with_gradient ? size : 0, kUnwritten);
      draw_initial(declared[i], tensors[i].value, draw);
      views.push_back({tensors[i].value.data(), with_gradient ? tensors[i].gradient.data() : nullptr});
    }
  }

  void draw_inputs(std::uint64_t seed) {
    Draw draw(seed);
    for (std::size_t g = 0; g < kInputGroups; ++g) {
      const ModelSpec::Group& group = spec().groups[g];
      const std::int64_t rows = g == 0 ? kRows : spec().negatives ? spec().negatives->rows(kRows) : 0;
      for (std::int64_t i = 0; i < rows * static_cast<std::int64_t>(group.dense.size()); ++i) dense_[g].push_back(draw.uniform(-1, 1));
      for (const ModelSpec::Block& block : group.blocks) {
        BlockInput& input = blocks_.emplace_back();
        std::int64_t vectors = rows * static_cast<std::int64_t>(block.embeddings.size());
        if (block.sequence) {
          // Lengths 0 to 3: an empty list is what models forget.
          input.offsets.push_back(0);
          for (std::int64_t i = 0; i < rows; ++i) input.offsets.push_back(input.offsets.back() + (i + 3) % 4);
          vectors = input.offsets.back();
        }
        for (std::int64_t i = 0; i < vectors * block.dim; ++i) input.rows.push_back(draw.uniform(-0.5f, 0.5f));
      }
      for (std::int64_t i = 0; i < rows; ++i) {
        entity_index_[g].push_back(draw.below(kCatalogue));
        log_probability_[g].push_back(-std::log(static_cast<float>(kCatalogue)));
      }
    }
    for (std::int64_t i = 0; i < kRows; ++i) {
      labels_.push_back(i % 2 == 0 ? 1.0f : 0.0f);
      labels_.push_back(static_cast<float>(1 + draw.below(5)));
    }
    for (const ModelSpec::Head& head : spec().heads) {
      std::vector<float>& slope = slopes_.emplace_back(static_cast<std::size_t>(head.output_size(kRows)));
      for (float& value : slope) value = head.kind == ModelSpec::Head::Kind::kLoss ? 1.0f : draw.uniform(0.2f, 1.0f);
    }
  }

  void set_group(InputGroup which, std::int64_t rows, bool with_entity) {
    const auto g = static_cast<std::size_t>(which);
    step_->set_rows(which, rows, dense_[g].empty() ? nullptr : dense_[g].data());
    const std::size_t first = g == 0 ? 0 : spec().groups[0].blocks.size();
    for (std::uint32_t b = 0; b < spec().groups[g].blocks.size(); ++b) {
      const BlockInput& input = blocks_[first + b];
      if (spec().groups[g].blocks[b].sequence) {
        step_->set_sequence(which, b, input.rows.data(), input.offsets.data());
      } else {
        step_->set_pooled(which, b, input.rows.data());
      }
    }
    if (with_entity) step_->set_entity(which, entity_index_[g].data(), log_probability_[g].data());
  }

  BatchSchema schema_;
  ModelInstance model_;
  std::vector<Tensor> parameters_;
  std::vector<Tensor> buffers_;
  std::vector<BlockInput> blocks_;  ///< of the samples, then of the negatives
  std::array<std::vector<float>, kInputGroups> dense_;
  std::array<std::vector<std::int64_t>, kInputGroups> entity_index_;
  std::array<std::vector<float>, kInputGroups> log_probability_;
  std::vector<float> labels_;
  std::vector<std::vector<float>> slopes_;
  std::vector<std::vector<float>> outputs_;
  std::unique_ptr<StepBuilder> step_;
  BlockGradients block_gradients_;
};

void require_finite(std::span<const float> values, const std::string& what) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) fail<PluginError>("{}: element {} of {} is {} (or was not written)", what, i, values.size(), values[i]);
  }
}

void require_same(std::span<const float> first, std::span<const float> second, const std::string& what) {
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (std::memcmp(&first[i], &second[i], sizeof(float)) != 0) {
      fail<PluginError>("{}: element {} was {}, then {}", what, i, first[i], second[i]);
    }
  }
}

std::string head_name(const Subject& subject, std::size_t head) { return fmt::format("head \"{}\"", subject.spec().heads[head].name); }

std::string check_forward(Subject& subject, StepPhase phase) {
  subject.forward(phase, subject.heads_of(phase));
  for (std::size_t i = 0; i < subject.outputs().size(); ++i) require_finite(subject.outputs()[i], head_name(subject, i));
  return "";
}

/// Dropout masks and the like may only come from the step's seed.
std::string check_repeatable(Subject& subject, StepPhase phase) {
  const std::vector<Tensor> buffers = subject.buffers();
  subject.forward(phase, subject.heads_of(phase));
  const std::vector<std::vector<float>> first = subject.outputs();
  // Batch-norm statistics have moved in training: the same step begins with the same ones. Copied in place, the plugin holds pointers.
  for (std::size_t i = 0; i < buffers.size(); ++i)
    std::copy(buffers[i].value.begin(), buffers[i].value.end(), subject.buffers()[i].value.begin());
  subject.forward(phase, subject.heads_of(phase));
  for (std::size_t i = 0; i < first.size(); ++i) require_same(first[i], subject.outputs()[i], head_name(subject, i));
  return "";
}

/// Exporting one tower asks for one head only.
std::string check_single_heads(Subject& subject) {
  const std::uint64_t heads = subject.heads_of(StepPhase::kEval);
  subject.forward(StepPhase::kEval, heads);
  const std::vector<std::vector<float>> all = subject.outputs();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (((heads >> i) & 1) == 0) continue;
    subject.forward(StepPhase::kEval, 1ull << i);
    for (std::size_t k = 0; k < all[i].size(); ++k) {
      const float difference = std::abs(all[i][k] - subject.outputs()[i][k]);
      if (!(difference <= 1e-4f * std::max(1.0f, std::abs(all[i][k])))) {
        fail<PluginError>("{} alone: element {} is {}, with all heads {}", head_name(subject, i), k, subject.outputs()[i][k], all[i][k]);
      }
    }
  }
  return fmt::format("{} heads", std::popcount(heads));
}

std::string check_gradients_written(Subject& subject) {
  subject.forward(StepPhase::kTrain, subject.heads_of(StepPhase::kTrain));
  subject.backward();
  for (std::size_t i = 0; i < subject.parameters().size(); ++i) {
    const std::string name = fmt::format("gradient of \"{}\"", subject.spec().parameters[i].name);
    const Tensor& parameter = subject.parameters()[i];
    require_finite(parameter.gradient, name);
    if (parameter.times_ready > 1) fail<PluginError>("{}: called ready {} times", name, parameter.times_ready);
    if (parameter.times_ready == 1) require_same(parameter.when_ready, parameter.gradient, name + " when ready and at return");
  }
  for (std::size_t b = 0; b < subject.blocks().size(); ++b) {
    const float* gradient = subject.block_gradients()[b];
    if (gradient != nullptr) require_finite({gradient, subject.blocks()[b].rows.size()}, fmt::format("block gradient {}", b));
  }
  return fmt::format("{} parameters, {} blocks", subject.parameters().size(), subject.blocks().size());
}

/// Derivative along the signs of the gradient, so that no part of it can cancel another.
void check_direction(Subject& subject, std::span<float> values, std::span<const float> gradient, const std::string& what) {
  const std::vector<float> start(values.begin(), values.end());
  double expected = 0.0;
  for (const float slope : gradient) expected += std::abs(static_cast<double>(slope));
  double nearest = std::numeric_limits<double>::infinity();
  double found = 0.0;
  // Large steps bend, small ones drown in rounding, and both meet kinks; a wrong gradient fits at no size.
  for (const double size : {1e-3, 1e-2, 1e-4, 1e-5}) {
    double objectives[2];
    for (int side = 0; side < 2; ++side) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double direction = gradient[i] > 0 ? 1.0 : gradient[i] < 0 ? -1.0 : 0.0;
        // Where the gradient says "no influence", every direction must show none.
        const double along = expected == 0.0 ? 1.0 : direction;
        values[i] = static_cast<float>(start[i] + (side == 0 ? size : -size) * along);
      }
      objectives[side] = subject.objective();
    }
    std::copy(start.begin(), start.end(), values.begin());
    const double measured = (objectives[0] - objectives[1]) / (2.0 * size);
    const double rounding = 4e-7 * (std::abs(objectives[0]) + 1.0) / size;
    const double off = std::abs(measured - expected) - rounding;
    if (off < nearest) {
      nearest = off;
      found = measured;
    }
    if (nearest <= 0.02 * expected) return;
  }
  fail<PluginError>("{}: backward says {:.6g} along its own signs, finite differences say {:.6g}", what, expected, found);
}

std::string check_finite_differences(Subject& subject) {
  subject.forward(StepPhase::kTrain, subject.heads_of(StepPhase::kTrain));
  subject.backward();
  std::vector<std::vector<float>> parameter_gradients;
  std::vector<std::vector<float>> block_gradients;
  for (const Tensor& parameter : subject.parameters()) parameter_gradients.push_back(parameter.gradient);
  for (std::size_t b = 0; b < subject.blocks().size(); ++b) {
    const float* gradient = subject.block_gradients()[b];
    std::vector<float>& copy = block_gradients.emplace_back(subject.blocks()[b].rows.size(), 0.0f);
    if (gradient != nullptr) std::copy_n(gradient, copy.size(), copy.begin());
  }
  for (std::size_t i = 0; i < parameter_gradients.size(); ++i) {
    check_direction(subject, subject.parameters()[i].value, parameter_gradients[i],
                    fmt::format("parameter \"{}\"", subject.spec().parameters[i].name));
  }
  for (std::size_t b = 0; b < block_gradients.size(); ++b) {
    check_direction(subject, subject.blocks()[b].rows, block_gradients[b], fmt::format("block {}", b));
  }
  return fmt::format("{} tensors", parameter_gradients.size() + block_gradients.size());
}

/// A second instance with the first one's values must be the same model: nothing may hide outside of parameters and buffers.
std::string check_restored(Subject& subject, const Module& module, const ModuleOptions& options) {
  Subject restored(module, options);
  restored.bind(&subject);
  for (std::size_t i = 0; i < subject.parameters().size(); ++i) {
    require_same(subject.parameters()[i].value, restored.parameters()[i].value,
                 fmt::format("parameter \"{}\" before and after a bind that must not initialise", subject.spec().parameters[i].name));
  }
  subject.forward(StepPhase::kEval, subject.heads_of(StepPhase::kEval));
  restored.forward(StepPhase::kEval, restored.heads_of(StepPhase::kEval));
  for (std::size_t i = 0; i < subject.outputs().size(); ++i) {
    require_same(subject.outputs()[i], restored.outputs()[i], head_name(subject, i) + " of the first and the restored model");
  }
  return "";
}

}  // namespace

void check_model(const Module& module, const ConfigNode& given, CheckReport& report) {
  std::optional<ModuleOptions> options;
  std::unique_ptr<Subject> subject;
  const bool usable = report.run("options are accepted", [&] {
    options.emplace(module, given, ModuleOptions::Context{.section = "model", .seed = 1, .threads = 1, .lookup = {}});
    return fmt::format("{} options", module.options().size());
  }) && report.run("create and declare", [&] {
    subject = std::make_unique<Subject>(module, *options);
    const ModelSpec& spec = subject->spec();
    return fmt::format("{} parameters, {} embeddings, {} heads", spec.parameters.size(), spec.embeddings.size(), spec.heads.size());
  }) && report.run("bind", [&] {
    subject->bind(nullptr);
    for (std::size_t i = 0; i < subject->parameters().size(); ++i) {
      require_finite(subject->parameters()[i].value, fmt::format("parameter \"{}\"", subject->spec().parameters[i].name));
    }
    return std::string();
  });
  if (!usable) return;
  report.run("forward in training gives finite numbers", [&] { return check_forward(*subject, StepPhase::kTrain); });
  report.run("forward in evaluation gives finite numbers", [&] { return check_forward(*subject, StepPhase::kEval); });
  report.run("the same seed gives the same training step", [&] { return check_repeatable(*subject, StepPhase::kTrain); });
  report.run("evaluation repeats itself", [&] { return check_repeatable(*subject, StepPhase::kEval); });
  report.run("each head can be asked for alone", [&] { return check_single_heads(*subject); });
  const bool written = report.run("backward writes every gradient once", [&] { return check_gradients_written(*subject); });
  if (written) report.run("backward agrees with finite differences", [&] { return check_finite_differences(*subject); });
  report.run("a restored model is the same", [&] { return check_restored(*subject, module, *options); });
  report.run("destroy", [&] {
    subject.reset();
    return std::string();
  });
}

}  // namespace rechost
