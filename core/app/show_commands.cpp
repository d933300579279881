#include "app/show_commands.h"

#include "app/command.h"
#include "app/config_options.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "config/parse.h"
#include "config/show.h"
#include "tracking/run_directory.h"
#include "train/checkpoint_reader.h"
#include "train/checkpoint_store.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

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
