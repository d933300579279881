#include "train/model_checkpoint.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/checksum.h"
#include "base/error.h"
#include "config/show.h"

namespace rechost {
namespace {

constexpr std::int64_t kRowsAtOnce = 16384;
constexpr const char* kConfigFile = "config.toml";
constexpr const char* kVocabularyFolder = "vocabulary";

constexpr std::array<std::pair<LabelKind, const char*>, 3> kLabelKinds{
    {{LabelKind::kBinary, "binary"}, {LabelKind::kRegression, "regression"}, {LabelKind::kMulticlass, "multiclass"}}};

Json to_json(const std::vector<LabelInfo>& labels) {
  Json list = Json::array();
  for (const LabelInfo& label : labels) {
    Json entry = Json::object();
    entry["name"] = label.name;
    for (const auto& [kind, name] : kLabelKinds) {
      if (kind == label.kind) entry["kind"] = name;
    }
    if (label.kind == LabelKind::kMulticlass) entry["classes"] = label.classes;
    list.push_back(std::move(entry));
  }
  return list;
}

LabelInfo label_from(const Json& entry) {
  LabelInfo label;
  label.name = entry.at("name").get<std::string>();
  for (const auto& [kind, name] : kLabelKinds) {
    if (entry.at("kind") == name) label.kind = kind;
  }
  label.classes = label.kind == LabelKind::kMulticlass ? entry.at("classes").get<std::int64_t>() : label.kind == LabelKind::kBinary ? 2 : 1;
  return label;
}

CheckpointTable describe(const EmbeddingTables& tables, std::size_t index) {
  const TableConfig& config = tables.table(index);
  CheckpointTable table;
  table.name = config.name;
  table.rows = config.rows;
  table.dim = config.dim;
  table.state_floats = tables.state_floats_per_row(index);
  table.optimizer = std::string(optimizer_name(config.optimizer.kind));
  return table;
}

}  // namespace

std::filesystem::path save_model_checkpoint(const std::filesystem::path& checkpoints, const ModelRuntime& model,
                                            const Vocabularies& vocabularies, const CheckpointFacts& facts) {
  CheckpointManifest manifest;
  manifest.position = facts.position;
  manifest.config_checksum = checksum_of(facts.config_text);
  manifest.plugins = facts.plugins;
  manifest.state = facts.state;
  manifest.state["data_fingerprint"] = facts.data_fingerprint;
  manifest.state["labels"] = to_json(facts.labels);
  CheckpointWriterSettings settings;
  settings.keep = facts.keep;
  settings.keep_steps = facts.keep_steps;
  CheckpointWriter writer(checkpoints, std::move(manifest), settings);

  const std::vector<DenseTensor> dense = model.dense().tensors();
  writer.write_dense(dense);
  const EmbeddingTables& tables = model.tables();
  for (std::size_t i = 0; i < tables.table_count(); ++i) {
    const CheckpointTable table = describe(tables, i);
    writer.add_table(table);
    TablePartSource source;
    source.row_count = table.rows;
    // The engine keeps rows and state side by side and hands out both; the file has all rows first, then all states.
    source.read_rows = [&, i](std::int64_t first, std::int64_t count, float* out) { tables.read_rows(i, first, count, out, nullptr); };
    source.read_state = [&, i](std::int64_t first, std::int64_t count, float* out) { tables.read_rows(i, first, count, nullptr, out); };
    writer.add_part(CheckpointWriter::write_table_part(writer.staging(), table, facts.position, source));
  }
  const std::filesystem::path folder = writer.staging() / kVocabularyFolder;
  for (const std::string& name : vocabularies.save(folder)) {
    // Already written by save(); the writer makes it durable and records its checksum.
    writer.add_file(std::string(kVocabularyFolder) + "/" + name, [](const std::filesystem::path&) {});
  }
  writer.add_file(kConfigFile, facts.config_text);
  return writer.commit();
}

void load_model_checkpoint(const CheckpointReader& checkpoint, ModelRuntime& model, bool with_optimizer_state) {
  model.dense().load(checkpoint, with_optimizer_state);
  EmbeddingTables& tables = model.tables();
  std::vector<float> rows;
  std::vector<float> state;
  for (std::size_t i = 0; i < tables.table_count(); ++i) {
    const CheckpointTable wanted = describe(tables, i);
    const CheckpointTable& table = checkpoint.require_table(wanted.name, wanted.rows, wanted.dim, wanted.state_floats);
    rows.resize(static_cast<std::size_t>(kRowsAtOnce * table.dim));
    state.resize(static_cast<std::size_t>(kRowsAtOnce * table.state_floats));
    for (std::int64_t first = 0; first < table.rows; first += kRowsAtOnce) {
      const std::int64_t count = std::min(kRowsAtOnce, table.rows - first);
      float* const state_out = table.state_floats > 0 ? state.data() : nullptr;
      checkpoint.read_table(table, first, count, rows.data(), state_out);
      tables.write_rows(i, first, count, rows.data(), state_out);
    }
  }
}

LearntData load_learnt_data(const CheckpointReader& checkpoint) {
  LearntData learnt;
  learnt.vocabularies = std::make_shared<Vocabularies>(Vocabularies::load(checkpoint.directory() / kVocabularyFolder));
  const Json& state = checkpoint.manifest().state;
  if (state.contains("labels")) {
    for (const Json& entry : state.at("labels")) learnt.labels.push_back(label_from(entry));
  }
  return learnt;
}

std::string training_identity(const Config& config) {
  // Defaults stand in for everything that may differ between a run and its continuation without changing a number of it.
  Config identity = config;
  const RunSection defaults;
  identity.run.name = defaults.name;
  // A decay to the end of the run makes its length part of the numbers.
  if (config.schedule.kind == "constant" || config.schedule.kind == "plateau" || config.schedule.decay_steps > 0) {
    identity.run.epochs = defaults.epochs;
    identity.run.steps = defaults.steps;
  }
  identity.run.device = defaults.device;
  identity.run.log_every_seconds = defaults.log_every_seconds;
  identity.run.threads = defaults.threads;
  const DataSection data;
  identity.data.eval_batch_size = data.eval_batch_size;
  identity.data.prefetch = data.prefetch;
  identity.data.reader_threads = data.reader_threads;
  identity.data.memory_gib = data.memory_gib;
  if (identity.eval.early_stop == 0 && !identity.eval.restore_best && identity.schedule.kind != "plateau") identity.eval = {};
  identity.checkpoint = {};
  identity.registry = {};
  identity.tracking = {};
  return show_config(identity, ShowOrigins::kNo);
}

}  // namespace rechost
