#include "app/show_commands.h"

#include "app/command.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "config/parse.h"
#include "config/show.h"
#include "tracking/run_directory.h"
#include "train/checkpoint_reader.h"
#include "train/checkpoint_store.h"
#include "train/memory_plan.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

void add_config_options(options::options_description& visible) {
  visible.add_options()("plugin,p", options::value<std::string>(), "model: its example configuration")(
      "config,c", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "configuration file; may be repeated")(
      "set,s", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "key=value over everything else");
}

Setup setup_from(const options::variables_map& values) {
  std::optional<std::string> plugin;
  if (values.count("plugin") != 0) plugin = values["plugin"].as<std::string>();
  auto files = values["config"].as<std::vector<std::string>>();
  if (files.empty() && !plugin) throw UsageError("say which configuration: --plugin NAME or --config FILE");
  return load_setup(requested_config(plugin, std::move(files), values["set"].as<std::vector<std::string>>()));
}

ModelSource checkpoint_argument(const options::variables_map& values) {
  if (values.count("path") == 0) throw UsageError("which checkpoint? give a checkpoint directory, a run directory, or models:/name@alias");
  return find_model(values["path"].as<std::string>());
}

}  // namespace

int config_show_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_config_options(visible);
  options::variables_map values;
  if (!parse_arguments(find_command("config", "show"), arguments, visible, {}, values)) return kDone;
  print(show_config(setup_from(values).config, ShowOrigins::kYes));
  return kDone;
}

int config_schema_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  options::variables_map values;
  if (!parse_arguments(find_command("config", "schema"), arguments, visible, {}, values)) return kDone;
  print(config_schema() + "\n");
  return kDone;
}

int plan_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_config_options(visible);
  visible.add_options()("nproc", options::value<int>()->default_value(1), "ranks that share the tables");
  add_output_option(visible);
  options::variables_map values;
  if (!parse_arguments(find_command("plan", ""), arguments, visible, {}, values)) return kDone;
  const bool json = wants_json(values);
  const int ranks = values["nproc"].as<int>();
  if (ranks < 1) throw UsageError("--nproc: at least one rank");
  Setup setup = setup_from(values);
  setup.config.run.deterministic = false;  // slices of a batch move nothing between processes
  const RunData data = open_run_data(setup.config, std::move(setup.loader), {}, *setup.pool);
  const auto model = build_model(setup, data, data.prepared.train.get(), true);
  const EmbeddingTables& tables = model->tables();
  std::vector<TableConfig> configs;
  for (std::size_t i = 0; i < tables.table_count(); ++i) configs.push_back(tables.table(i));
  const std::vector<TableSize> sizes = table_sizes(configs);
  const Placement placement(sizes, ranks);
  Json plan = Json::object();
  Json list = Json::array();
  for (std::size_t i = 0; i < tables.table_count(); ++i) {
    const TableConfig& table = tables.table(i);
    Json entry = Json::object();
    entry["table"] = table.name;
    entry["rows"] = table.rows;
    entry["dim"] = table.dim;
    entry["precision"] = row_precision_name(table.precision);
    entry["optimizer"] = optimizer_name(table.optimizer.kind);
    entry["state_floats_per_row"] = tables.state_floats_per_row(i);
    entry["bytes"] = table.rows * sizes[i].bytes_per_row;
    entry["placement"] = placement.describe(i);
    list.push_back(std::move(entry));
  }
  // Each lookup reads a row, and each update reads and writes one with its state; at most one row per id.
  double row_bytes = 0.0;
  for (const ModelSpec::Embedding& embedding : model->spec().embeddings) {
    const TableConfig& table = tables.table(embedding.table);
    row_bytes += static_cast<double>(table.dim * value_bytes(table.precision) + 2 * sizes[embedding.table].bytes_per_row);
  }
  plan["tables"] = list;
  for (int rank = 0; rank < ranks; ++rank) plan["table_bytes_by_rank"].push_back(placement.bytes(rank));
  const MemoryPlan memory = plan_memory(setup.config, data, *model);
  plan["memory_bytes"]["tables"] = memory.tables;
  plan["memory_bytes"]["dense"] = memory.dense;
  plan["memory_bytes"]["decoded_rows"] = memory.decoded_rows;
  plan["memory_bytes"]["batches"] = memory.batches;
  plan["memory_bytes"]["libraries"] = MemoryPlan::kLibraries;
  plan["memory_bytes"]["total"] = memory.total();
  plan["bytes_moved_per_step"] = static_cast<std::uint64_t>(row_bytes * static_cast<double>(setup.config.data.batch_size));
  plan["steps_per_epoch"] = (data.prepared.train->samples() + setup.config.data.batch_size - 1) / setup.config.data.batch_size;
  if (json) {
    print(json_line(plan) + "\n");
    return kDone;
  }
  print(fmt::format("{:<24} {:>14} {:>6} {:>5}  {:<16} {:>10}  {}\n", "table", "rows", "dim", "", "optimizer", "memory", "placement"));
  for (const Json& entry : list) {
    print(fmt::format("{:<24} {:>14} {:>6} {:>5}  {:<16} {:>10}  {}\n", entry["table"].get<std::string>(), count_text(entry["rows"].get<std::int64_t>()),
                      entry["dim"].get<std::int64_t>(), entry["precision"].get<std::string>(), entry["optimizer"].get<std::string>(), bytes_text(entry["bytes"].get<std::uint64_t>()),
                      entry["placement"].get<std::string>()));
  }
  for (int rank = 0; rank < ranks && ranks > 1; ++rank) {
    print(fmt::format("{}rank {}: {} of tables and their state\n", rank == 0 ? "\n" : "", rank, bytes_text(static_cast<std::uint64_t>(placement.bytes(rank)))));
  }
  print(fmt::format("\nmemory{}: {} (tables {}, dense part {}, decoded rows {}, batches {}, libraries {})\n", ranks > 1 ? " of one process with all tables" : "",
                    bytes_text(memory.total()),
                    bytes_text(memory.tables), bytes_text(memory.dense), bytes_text(memory.decoded_rows), bytes_text(memory.batches),
                    bytes_text(MemoryPlan::kLibraries)));
  print(fmt::format("step: {} samples, at most {} moved to and from tables; {} steps per epoch\n", count_text(setup.config.data.batch_size),
                    bytes_text(plan["bytes_moved_per_step"].get<std::uint64_t>()), count_text(plan["steps_per_epoch"].get<std::int64_t>())));
  return kDone;
}

int runs_list_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("root", options::value<std::string>()->default_value("runs"), "folder that holds the run directories");
  add_output_option(visible);
  options::variables_map values;
  if (!parse_arguments(find_command("runs", "list"), arguments, visible, {}, values)) return kDone;
  const bool json = wants_json(values);
  const auto runs = list_runs(values["root"].as<std::string>());
  if (runs.empty() && !json) log_info("no runs in {}", values["root"].as<std::string>());
  for (const RunRecord& run : runs) {
    if (json) {
      Json entry = Json::object();
      entry["run"] = run.path.string();
      entry["status"] = run_status_name(run.status);
      entry["started"] = run.started;
      entry["step"] = run.last_step ? Json(*run.last_step) : Json(nullptr);
      entry["metrics"] = run.summary.value("metrics", Json::object());
      print(json_line(entry) + "\n");
      continue;
    }
    std::string best;
    if (run.summary.contains("metrics")) {
      for (const auto& [split, metrics] : run.summary["metrics"].items()) {
        for (const auto& [name, value] : metrics.items()) {
          if (name == "auc" || name == "rmse" || name.rfind("recall@", 0) == 0) best += fmt::format("{}.{} {:.4f}  ", split, name, value.get<double>());
        }
      }
    }
    print(fmt::format("{:<40} {:<9} {:<20} step {:<9} {}\n", run.name, run_status_name(run.status), run.started.substr(0, 19),
                      run.last_step ? count_text(*run.last_step) : "-", best));
  }
  return kDone;
}

int runs_show_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("run", options::value<std::string>(), "run directory");
  add_output_option(visible);
  options::positional_options_description positional;
  positional.add("run", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("runs", "show"), arguments, visible, positional, values)) return kDone;
  if (values.count("run") == 0) throw UsageError("which run? rechost runs list shows them");
  const RunRecord run = inspect_run(values["run"].as<std::string>());
  if (wants_json(values)) {
    Json entry = run.summary;
    entry["run"] = run.path.string();
    entry["status"] = run_status_name(run.status);
    print(json_line(entry) + "\n");
    return kDone;
  }
  print(fmt::format("{}\nstatus   {}\nstarted  {}\nstep     {}\n", run.path.string(), run_status_name(run.status), run.started,
                    run.last_step ? count_text(*run.last_step) : "-"));
  for (const auto& [key, value] : run.summary.items()) {
    if (key != "run_dir" && key != "status" && key != "steps") print(fmt::format("{:<20} {}\n", key, json_line(value)));
  }
  return kDone;
}

int checkpoint_show_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("path", options::value<std::string>(), "checkpoint directory, run directory, or models:/name@alias");
  add_output_option(visible);
  options::positional_options_description positional;
  positional.add("path", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("checkpoint", "show"), arguments, visible, positional, values)) return kDone;
  const CheckpointReader checkpoint(checkpoint_argument(values).checkpoint);
  const CheckpointManifest& manifest = checkpoint.manifest();
  if (wants_json(values)) {
    print(json_line(parse_json(manifest.to_text(), "manifest")) + "\n");
    return kDone;
  }
  print(fmt::format("{}\nwritten {} by rechost {} at step {} (epoch {}, seed {})\n\n", checkpoint.directory().string(), manifest.created,
                    manifest.rechost_version, count_text(manifest.position.step), manifest.position.epoch, manifest.position.seed));
  for (const CheckpointTable& table : manifest.tables) {
    print(fmt::format("table   {:<30} {:>12} rows x {:<5} {} {} ({} state floats a row, {} parts)\n", table.name, count_text(table.rows), table.dim,
                      row_precision_name(table.precision), table.optimizer, table.state_floats, table.parts.size()));
  }
  for (const DenseTensorInfo& tensor : manifest.dense) {
    print(fmt::format("{:<7} {:<40} {} [{}]\n", tensor.role == "parameter" ? "dense" : tensor.role == "buffer" ? "buffer" : "state", tensor.name,
                      tensor.type, fmt::join(tensor.shape, ", ")));
  }
  std::uint64_t bytes = 0;
  for (const FileRecord& file : manifest.files) bytes += file.bytes;
  print(fmt::format("\n{} files, {}\n", manifest.files.size(), bytes_text(bytes)));
  return kDone;
}

int checkpoint_verify_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("path", options::value<std::string>(), "checkpoint directory, run directory, or models:/name@alias");
  options::positional_options_description positional;
  positional.add("path", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("checkpoint", "verify"), arguments, visible, positional, values)) return kDone;
  const ModelSource source = checkpoint_argument(values);
  const CheckpointReader checkpoint(source.checkpoint);
  if (!source.verified) checkpoint.verify();
  print(fmt::format("{}: complete, every byte as written ({} files)\n", checkpoint.directory().string(), checkpoint.manifest().files.size()));
  return kDone;
}

}  // namespace rechost::app
