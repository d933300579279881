#include "app/use_commands.h"

#include <algorithm>
#include <cmath>

#include "app/command.h"
#include "app/output_file.h"
#include "app/run_observer.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "train/evaluation.h"
#include "train/prediction.h"

namespace rechost::app {

namespace options = boost::program_options;

namespace {

/// Which rows the user means: the split that is named, else all rows of other data, else the test split.
struct RowsWanted {
  std::string split;
  bool named = false;

  explicit RowsWanted(const options::variables_map& values) {
    const auto& settings = values["set"].as<std::vector<std::string>>();
    const auto other_data = [](const std::string& setting) { return setting.rfind("data.path=", 0) == 0; };
    named = values.count("split") != 0;
    split = named ? values["split"].as<std::string>() : std::any_of(settings.begin(), settings.end(), other_data) ? kAll : "test";
  }

  const Dataset& of(const LoadedModel& loaded) const {
    if (loaded.data.unsplit) return *loaded.data.prepared.train;
    if (split == kAll && named) throw UsageError("--split all: these data come in splits; name train, valid or test");
    const std::string name = split == kAll ? "test" : split;
    std::string names;
    for (const char* known : {"train", "valid", "test"}) {
      const Dataset* dataset = loaded.data.prepared.split(known);
      if (dataset == nullptr) continue;
      if (name == known) return *dataset;
      names += (names.empty() ? "" : ", ") + std::string(known);
    }
    throw UsageError(fmt::format("--split {}: the data have no such split; there are: {}", name, names));
  }

  std::string name(const LoadedModel& loaded) const { return loaded.data.unsplit ? kAll : of(loaded).name(); }

  static constexpr const char* kAll = "all";
};

options::options_description use_options() {
  options::options_description visible("Options");
  visible.add_options()("model,m", options::value<std::string>(), "run directory, checkpoint directory, or models:/name@alias")(
      "split", options::value<std::string>(), "train, valid or test; all: every row of data that are in no splits (without it: test, or all rows of another data.path)")(
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
  const RowsWanted wanted(values);
  LoadedModel loaded = load_model(find_model(model_argument(values)), values["set"].as<std::vector<std::string>>(),
                                  {.unsplit = wanted.split == RowsWanted::kAll});
  const Dataset& split = wanted.of(loaded);
  const Dataset* train = loaded.data.unsplit ? nullptr : loaded.data.prepared.train.get();
  const MetricReport report = Evaluator(loaded.setup.config, split, train, *loaded.model, *loaded.setup.pool).run();
  if (report.values.empty()) {
    throw UsageError("nothing to measure: no head of this model has a label, and retrieval metrics need a training split beside the one measured");
  }
  if (json) {
    Json result = Json::object();
    result["checkpoint"] = loaded.checkpoint->directory().string();
    result["split"] = wanted.name(loaded);
    result["rows"] = split.samples();
    result["metrics"] = report.values_json();
    if (loaded.data.prepared.drift.found()) result["drift"] = loaded.data.prepared.drift.to_json();
    result["undefined_metrics"] = report.reasons_json();
    if (split.best_auc()) result["reference"]["best_auc"] = *split.best_auc();
    print(json_line(result) + "\n");
    return kDone;
  }
  log_info("{}: {} rows", wanted.name(loaded), count_text(split.samples()));
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
  const RowsWanted wanted(values);
  const bool all = wanted.split == RowsWanted::kAll;
  LoadedModel loaded = load_model(find_model(model_argument(values)), values["set"].as<std::vector<std::string>>(),
                                  {.labels_required = false, .split = all ? "test" : wanted.split, .unsplit = all});
  const Dataset& split = wanted.of(loaded);
  const std::string out = values["out"].as<std::string>();
  OutputFile file(out);
  const std::uint64_t heads = loaded.model->scored_heads();
  if (heads == 0) throw UsageError("this model has no head that scores rows; use rechost eval for its retrieval metrics");
  const ModelSpec& spec = loaded.model->spec();
  std::string lines;
  const auto write = [&](const Batch& batch, std::span<const std::span<float>> outputs) {
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
    file.write(lines);
  };
  for_each_prediction(*loaded.model, split, loaded.setup.config.data.eval_batch_size, heads, write);
  file.finish();
  log_info("{}: {} predictions{}", wanted.name(loaded), count_text(split.samples()), out == "-" ? "" : " in " + out);
  return kDone;
}

}  // namespace rechost::app
