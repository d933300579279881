#include "train/model_checkpoint.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/checksum.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "config/show.h"
#include "embedding/shown_rows.h"

namespace rechost {
namespace {

constexpr std::int64_t kRowsAtOnce = 16384;
constexpr const char* kConfigFile = "config.toml";
constexpr const char* kMosaicStateFile = "mosaic_state.json";
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
  table.precision = config.precision;
  table.state_floats = tables.state_floats_per_row(index);
  table.optimizer = std::string(optimizer_name(config.optimizer.kind));
  return table;
}

/// Writes the rows of all tables that this rank shows.
Json write_own_parts(const std::filesystem::path& staging, const EmbeddingTables& tables, const CheckpointPosition& position, int rank) {
  Json parts = Json::array();
  for (std::size_t i = 0; i < tables.table_count(); ++i) {
    const RowRange shown = tables.shown_rows(i);
    const bool split = shown.count < tables.table(i).rows;
    // The tables keep rows and state side by side and hand out both; the file has all rows first, then all states.
    ShownRows rows(tables, i, ShownRows::What::kValues);
    ShownRows states(tables, i, ShownRows::What::kState);
    TablePartSource source;
    source.part = split ? rank + 1 : 1;
    source.parts = split ? tables.placement().world_size() : 1;
    source.first_row = shown.first;
    source.row_count = shown.count;
    source.read_rows = [&](std::int64_t first, std::int64_t count, float* out) { rows.read(first, count, out); };
    source.read_state = [&](std::int64_t first, std::int64_t count, float* out) {
      rows.finish();
      states.read(first, count, out);
    };
    if (shown.count > 0) parts.push_back(CheckpointWriter::write_table_part(staging, describe(tables, i), position, source).to_json());
    rows.finish();
    states.finish();
  }
  return parts;
}

/// What other ranks do while rank 0 writes the rest.
std::filesystem::path help_to_write(ModelRuntime& model, const CheckpointFacts& facts) {
  Communicator& ranks = model.communicator();
  const std::filesystem::path staging = broadcast_text(ranks, "");
  if (!std::filesystem::is_directory(staging)) {
    fail<CheckpointError>("rank {} cannot see {}, where rank 0 writes a checkpoint: all ranks need one shared file system for --out", ranks.rank(),
                          staging.string());
  }
  ranks.barrier();
  const std::string parts = json_line(write_own_parts(staging, model.tables(), facts.position, ranks.rank()));
  gather_packets(ranks, std::as_bytes(std::span(parts)));
  return broadcast_text(ranks, "");
}

void write_keys(CheckpointWriter& writer, const DynamicFeatures& dynamic, const EmbeddingTables& tables, const CheckpointPosition& position) {
  for (const KeyedRows* const keys : dynamic.all()) {
    const KeyArrays rows = keys->row_arrays();
    const KeyArrays pending = keys->pending_arrays();
    const KeyedRows::Counters& counted = keys->counters();
    const std::vector<std::int64_t> counters{counted.admissions, counted.evictions, counted.ids, counted.unadmitted_ids};
    std::vector<TensorSource> tensors;
    const auto add = [&tensors](std::string name, const std::vector<std::int64_t>& values) {
      tensors.push_back(tensor_of(std::move(name), {static_cast<std::int64_t>(values.size())}, values));
    };
    add("keys", rows.keys);
    add("counts", rows.counts);
    add("last_steps", rows.last_steps);
    add("pending_keys", pending.keys);
    add("pending_counts", pending.counts);
    add("pending_last_steps", pending.last_steps);
    add("counters", counters);
    std::vector<std::string> names;
    for (std::size_t i = 0; i < tables.table_count(); ++i) {
      if (dynamic.keys_of(i) == keys) names.push_back(tables.table(i).name);
    }
    const TensorMetadata metadata{{"table", keys->table()}, {"rows_of", json_line(Json(names))}, {"step", std::to_string(position.step)}};
    writer.add_file(keys_path(keys->table()), [&](const std::filesystem::path& path) { write_safetensors(path, tensors, metadata); });
  }
}

std::vector<std::int64_t> read_integers(const SafetensorsFile& file, const char* name) {
  const SafetensorsFile::Tensor* const found = file.find(name);
  if (found == nullptr) fail<CheckpointError>("{} has no tensor {}; restore it from a copy, or use another checkpoint", file.path().string(), name);
  const SafetensorsFile::Tensor& tensor = file.require(name, ScalarType::kI64, std::vector<std::int64_t>{found->elements()});
  std::vector<std::int64_t> values(static_cast<std::size_t>(tensor.elements()));
  file.read(tensor, 0, tensor.elements(), values.data());
  return values;
}

void load_keys(const CheckpointReader& checkpoint, DynamicFeatures& dynamic) {
  for (const KeyedRows* const keys : dynamic.all()) {
    const SafetensorsFile file(checkpoint.file(keys_path(keys->table())));
    const KeyArrays rows{read_integers(file, "keys"), read_integers(file, "counts"), read_integers(file, "last_steps")};
    const KeyArrays pending{read_integers(file, "pending_keys"), read_integers(file, "pending_counts"), read_integers(file, "pending_last_steps")};
    const std::vector<std::int64_t> counters = read_integers(file, "counters");
    if (counters.size() != 4) fail<CheckpointError>("{} has {} counters, not 4; restore it from a copy, or use another checkpoint", file.path().string(), counters.size());
    try {
      dynamic.restore(keys->table(), rows, pending, {counters[0], counters[1], counters[2], counters[3]});
    } catch (const DataError& error) {
      fail<CheckpointError>("{} is damaged: {}; restore it from a copy, or use another checkpoint", file.path().string(), error.what());
    }
  }
}

void write_vocabularies(CheckpointWriter& writer, const Vocabularies& vocabularies) {
  for (const std::string& name : vocabularies.save(writer.staging() / kVocabularyFolder)) {
    // Already written by save(); the writer makes it durable and records its checksum.
    writer.add_file(std::string(kVocabularyFolder) + "/" + name, [](const std::filesystem::path&) {});
  }
}

/// False: they are to be written anew.
bool link_vocabularies(CheckpointWriter& writer, const std::filesystem::path& earlier) {
  std::vector<FileRecord> files;
  try {
    const std::filesystem::path manifest = earlier / CheckpointManifest::kFileName;
    for (const FileRecord& file : CheckpointManifest::from_text(read_file(manifest), manifest.string()).files) {
      if (file.path.starts_with(fmt::format("{}/", kVocabularyFolder))) files.push_back(file);
    }
  } catch (const Error& error) {
    log_warning("the vocabularies are written once more: {}", error.what());
    return false;
  }
  return !files.empty() && writer.link_files(earlier, files);
}

}  // namespace

std::filesystem::path save_model_checkpoint(const std::filesystem::path& checkpoints, ModelRuntime& model, const Vocabularies& vocabularies,
                                            const CheckpointFacts& facts) {
  Communicator& ranks = model.communicator();
  if (ranks.rank() != 0) return help_to_write(model, facts);
  CheckpointManifest manifest;
  manifest.position = facts.position;
  manifest.config_checksum = checksum_of(facts.config_text);
  manifest.plugins = facts.plugins;
  manifest.state = facts.state;
  manifest.state["data_fingerprint"] = facts.data_fingerprint;
  manifest.state["labels"] = to_json(facts.labels);
  manifest.state["data_profile"] = facts.profile.to_json();
  CheckpointWriterSettings settings;
  settings.keep = facts.keep;
  settings.keep_steps = facts.keep_steps;
  CheckpointWriter writer(checkpoints, std::move(manifest), settings);
  broadcast_text(ranks, writer.staging().string());
  // Until all have seen the folder: should rank 0 fail at the first file, it takes the folder away.
  ranks.barrier();

  const std::vector<DenseTensor> dense = model.dense().tensors();
  writer.write_dense(dense);
  const EmbeddingTables& tables = model.tables();
  for (std::size_t i = 0; i < tables.table_count(); ++i) writer.add_table(describe(tables, i));
  const std::string own = json_line(write_own_parts(writer.staging(), tables, facts.position, 0));
  for (const std::vector<std::byte>& packet : gather_packets(ranks, std::as_bytes(std::span(own)))) {
    const std::string text(reinterpret_cast<const char*>(packet.data()), packet.size());
    for (const Json& part : Json::parse(text)) writer.add_part(CheckpointWriter::WrittenPart::from_json(part));
  }
  write_keys(writer, model.dynamic(), tables, facts.position);
  if (facts.earlier.empty() || !link_vocabularies(writer, facts.earlier)) write_vocabularies(writer, vocabularies);
  writer.add_file(kConfigFile, facts.config_text);
  if (!facts.mosaic_state.empty()) writer.add_file(kMosaicStateFile, facts.mosaic_state);
  const std::filesystem::path written = writer.commit();
  broadcast_text(ranks, written.string());
  return written;
}

void load_model_checkpoint(const CheckpointReader& checkpoint, ModelRuntime& model, bool with_optimizer_state) {
  model.dense().load(checkpoint, with_optimizer_state);
  load_keys(checkpoint, model.dynamic());
  EmbeddingTables& tables = model.tables();
  std::vector<float> rows;
  std::vector<float> state;
  for (std::size_t i = 0; i < tables.table_count(); ++i) {
    CheckpointTable wanted = describe(tables, i);
    const CheckpointTable* const there = checkpoint.manifest().find_table(wanted.name);
    if (!with_optimizer_state && there != nullptr) wanted.state_floats = there->state_floats;
    const CheckpointTable& table = checkpoint.require_table(wanted.name, wanted.rows, wanted.dim, wanted.state_floats);
    if (table.precision != wanted.precision) {
      log_info("table \"{}\": the checkpoint has its rows in {}, this run in {}{}", table.name, row_precision_name(table.precision),
               row_precision_name(wanted.precision), wanted.precision == RowPrecision::kFp32 ? "" : "; they are rounded to the nearest");
    }
    rows.resize(static_cast<std::size_t>(kRowsAtOnce * table.dim));
    state.resize(static_cast<std::size_t>(kRowsAtOnce * table.state_floats));
    const RowRange held = tables.held_rows(i);
    for (std::int64_t first = held.first; first < held.end(); first += kRowsAtOnce) {
      const std::int64_t count = std::min(kRowsAtOnce, held.end() - first);
      float* const state_out = with_optimizer_state && table.state_floats > 0 ? state.data() : nullptr;
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
  if (state.contains("data_profile")) learnt.profile = DataProfile::from_json(state.at("data_profile"));
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
  identity.run.log_samples = defaults.log_samples;
  identity.run.threads = defaults.threads;
  const DataSection data;
  identity.data.eval_batch_size = data.eval_batch_size;
  identity.data.prefetch = data.prefetch;
  identity.data.prefetch_gib = data.prefetch_gib;
  identity.data.drift = data.drift;
  identity.data.reader_threads = data.reader_threads;
  identity.data.memory_gib = data.memory_gib;
  identity.data.vocabulary_memory_gib = data.vocabulary_memory_gib;
  identity.data.temporary_path = data.temporary_path;
  if (identity.eval.early_stop == 0 && !identity.eval.restore_best && identity.schedule.kind != "plateau") identity.eval = {};
  // Where rows lie.
  for (auto& [pattern, table] : identity.tables) {
    for (const char* key : {"sharding", "rank", "placement", "cached_rows"}) table.table().erase(key);
  }
  std::erase_if(identity.tables, [](const auto& entry) { return entry.second.table().empty(); });
  identity.sentinels = {};
  identity.checkpoint = {};
  identity.comm = {};
  identity.comm.wire_precision = config.comm.wire_precision;
  identity.placement = {};
  identity.registry = {};
  identity.tracking = {};
  return show_config(identity, ShowOrigins::kNo);
}

}  // namespace rechost
