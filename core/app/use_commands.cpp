#include "app/use_commands.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "app/command.h"
#include "app/run_observer.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "data/pipeline.h"
#include "train/evaluation.h"

namespace rechost::app {

namespace options = boost::program_options;

namespace {

const Dataset& split_of(const LoadedModel& loaded, const std::string& name) {
  const Dataset* split = loaded.data.prepared.split(name);
  if (split != nullptr) return *split;
  std::string names;
  for (const char* known : {"train", "valid", "test"}) {
    if (loaded.data.prepared.split(known) != nullptr) names += (names.empty() ? "" : ", ") + std::string(known);
  }
  throw UsageError(fmt::format("--split {}: the data have no such split; there are: {}", name, names));
}

options::options_description use_options() {
  options::options_description visible("Options");
  visible.add_options()("model,m", options::value<std::string>(), "run directory, checkpoint directory, or models:/name@alias")(
      "split", options::value<std::string>()->default_value("test"), "which rows: train, valid or test")(
      "set,s", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "change the configuration, such as data.path=other.tsv");
  return visible;
}

std::string model_argument(const options::variables_map& values) {
  if (values.count("model") == 0) throw UsageError("which model? give a run directory, a checkpoint directory, or models:/name@alias");
  return values["model"].as<std::string>();
}

/// What a reader of a prediction expects: a probability, a number, the most likely class.
void append_prediction(const ModelSpec::Head& head, std::span<const float> outputs, std::size_t row, Json& line) {
  const auto sigmoid = [](float logit) { return 1.0 / (1.0 + std::exp(-static_cast<double>(logit))); };
  const auto width = static_cast<std::size_t>(head.size);
  const std::span<const float> own = outputs.subspan(row * width, width);
  switch (head.kind) {
    case ModelSpec::Head::Kind::kRegression:
      line[head.name] = own[0];
      return;
    case ModelSpec::Head::Kind::kMulticlass: {
      double total = 0.0;
      const float largest = *std::max_element(own.begin(), own.end());
      for (const float logit : own) total += std::exp(static_cast<double>(logit - largest));
      Json probabilities = Json::array();
      for (const float logit : own) probabilities.push_back(std::exp(static_cast<double>(logit - largest)) / total);
      line[head.name] = std::move(probabilities);
      return;
    }
    case ModelSpec::Head::Kind::kMultilabel: {
      Json probabilities = Json::array();
      for (const float logit : own) probabilities.push_back(sigmoid(logit));
      line[head.name] = std::move(probabilities);
      return;
    }
    default:
      line[head.name] = sigmoid(own[0]);
  }
}

}  // namespace

int eval_command(std::span<const std::string> arguments) {
  options::options_description visible = use_options();
  add_output_option(visible);
  options::positional_options_description positional;
  positional.add("model", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("eval", ""), arguments, visible, positional, values)) return kDone;
  const bool json = wants_json(values);
  LoadedModel loaded = load_model(find_model(model_argument(values)), values["set"].as<std::vector<std::string>>(), true);
  const Dataset& split = split_of(loaded, values["split"].as<std::string>());
  const MetricReport report = Evaluator(loaded.setup.config, split, loaded.data.prepared.train.get(), *loaded.model, *loaded.setup.pool).run();
  if (json) {
    Json result = Json::object();
    result["checkpoint"] = loaded.checkpoint->directory().string();
    result["split"] = split.name();
    result["rows"] = split.samples();
    result["metrics"] = report.values_json();
    result["undefined_metrics"] = report.reasons_json();
    if (split.best_auc()) result["reference"]["best_auc"] = *split.best_auc();
    print(json_line(result) + "\n");
    return kDone;
  }
  for (const MetricValue& metric : report.values) {
    print(metric.value ? fmt::format("{:<28} {:.6g}\n", metric.name, *metric.value) : fmt::format("{:<28} undefined: {}\n", metric.name, metric.reason));
  }
  if (split.best_auc()) print(fmt::format("{:<28} {:.6g}\n", "best reachable auc", *split.best_auc()));
  return kDone;
}

int predict_command(std::span<const std::string> arguments) {
  options::options_description visible = use_options();
  visible.add_options()("out,o", options::value<std::string>()->default_value("-"), "file of JSON lines, one per row; -: standard output");
  options::positional_options_description positional;
  positional.add("model", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("predict", ""), arguments, visible, positional, values)) return kDone;
  LoadedModel loaded = load_model(find_model(model_argument(values)), values["set"].as<std::vector<std::string>>(), false);
  const Dataset& split = split_of(loaded, values["split"].as<std::string>());
  const std::string out = values["out"].as<std::string>();
  const auto close_file = [](std::FILE* file) {
    if (file != nullptr && file != stdout) std::fclose(file);
  };
  const std::unique_ptr<std::FILE, decltype(close_file)> file(out == "-" ? stdout : std::fopen(out.c_str(), "we"), close_file);
  if (file == nullptr) fail("cannot write {}", out);

  const std::uint64_t heads = loaded.model->scored_heads();
  if (heads == 0) throw UsageError("this model has no head that scores rows; use rechost eval for its retrieval metrics");
  const SampleOrder order({.shuffle = Shuffle::kNone, .seed = 0, .batch_size = loaded.setup.config.data.eval_batch_size}, split.chunk_samples());
  BatchPipeline::Settings settings;
  settings.end_step = order.steps_per_epoch();
  settings.prefetch = 2;
  std::vector<PreparedBatch> prepared(static_cast<std::size_t>(settings.prefetch) + 1);
  BatchPipeline pipeline(split, order, settings, [&](Batch& batch, int slot) {
    loaded.model->prepare(batch, prepared[static_cast<std::size_t>(slot)], ModelRuntime::Purpose::kUse);
  });
  Batch batch;
  std::string lines;
  const ModelSpec& spec = loaded.model->spec();
  while (pipeline.next(batch)) {
    const auto outputs = loaded.model->predict(batch, prepared[static_cast<std::size_t>(pipeline.slot())], heads);
    lines.clear();
    for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) {
      Json line = Json::object();
      line["row"] = batch.samples[row];
      for (std::size_t head = 0; head < spec.heads.size(); ++head) {
        if (((heads >> head) & 1) != 0) append_prediction(spec.heads[head], outputs[head], row, line);
      }
      lines += json_line(line);
      lines += '\n';
    }
    if (std::fwrite(lines.data(), 1, lines.size(), file.get()) != lines.size()) fail("cannot write {}: is the disk full?", out);
  }
  if (std::fflush(file.get()) != 0) fail("cannot write {}: is the disk full?", out);
  if (out != "-") log_info("{} predictions in {}", count_text(split.samples()), out);
  return kDone;
}

}  // namespace rechost::app
