#include "app/model_commands.h"

#include <filesystem>

#include "app/command.h"
#include "app/environment.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "registry/model_registry.h"
#include "tracking/run_directory.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

struct Parsed {
  bool go_on = false;
  options::variables_map values;
};

/// Arguments of a command that takes positional words and --output.
Parsed parse(std::string_view noun, std::span<const std::string> arguments, std::initializer_list<std::pair<const char*, const char*>> words) {
  options::options_description visible("Options");
  options::positional_options_description positional;
  for (const auto& [word, meaning] : words) {
    visible.add_options()(word, options::value<std::string>(), meaning);
    positional.add(word, 1);
  }
  add_output_option(visible);
  Parsed parsed;
  parsed.go_on = parse_arguments(find_command("models", noun), arguments, visible, positional, parsed.values);
  if (!parsed.go_on) return parsed;
  for (const auto& [word, meaning] : words) {
    if (parsed.values.count(word) == 0) throw UsageError(fmt::format("{} is missing: {}", word, meaning));
  }
  return parsed;
}

std::string word(const Parsed& parsed, const char* name) { return parsed.values[name].as<std::string>(); }

void print_version(const ModelVersion& version) {
  print(fmt::format("models:/{}/{}{}\n", version.model, version.version,
                    version.aliases.empty() ? "" : fmt::format("  @{}", fmt::join(version.aliases, " @"))));
  print(fmt::format("  created     {}\n  plugin      {} {} (SDK {})\n  checkpoint  {}\n  run         {}\n  data        {}\n", version.created, version.plugin_id,
                    version.plugin_version, version.sdk_version, version.checkpoint.string(), version.run_directory.string(), version.data_fingerprint));
  for (const auto& [name, value] : version.metrics.items()) print(fmt::format("  {:<28} {}\n", name, json_line(value)));
}

}  // namespace

int models_list_command(std::span<const std::string> arguments) {
  const Parsed parsed = parse("list", arguments, {});
  if (!parsed.go_on) return kDone;
  const bool json = wants_json(parsed.values);
  const auto models = ModelRegistry(registry_directory()).models();
  if (models.empty() && !json) log_info("no models in {}; rechost models register NAME RUN adds one", registry_directory().string());
  for (const ModelSummary& model : models) {
    if (json) {
      Json entry = Json::object();
      entry["model"] = model.model;
      entry["versions"] = model.versions;
      entry["latest"] = model.latest;
      entry["updated"] = model.updated;
      entry["aliases"] = Json::object();
      for (const auto& [alias, version] : model.aliases) entry["aliases"][alias] = version;
      print(json_line(entry) + "\n");
      continue;
    }
    std::string aliases;
    for (const auto& [alias, version] : model.aliases) aliases += fmt::format("@{} -> {}  ", alias, version);
    print(fmt::format("{:<24} {:>3} versions  latest {:<4} {}  {}\n", model.model, model.versions, model.latest, model.updated, aliases));
  }
  return kDone;
}

int models_show_command(std::span<const std::string> arguments) {
  const Parsed parsed = parse("show", arguments, {{"model", "name, models:/name/3 or models:/name@alias"}});
  if (!parsed.go_on) return kDone;
  const ModelReference reference = ModelReference::parse(word(parsed, "model"));
  const ModelRegistry registry(registry_directory());
  const bool one = reference.version || !reference.alias.empty();
  const auto versions = one ? std::vector<ModelVersion>{registry.find(reference)} : registry.versions(reference.name);
  for (const ModelVersion& version : versions) {
    if (wants_json(parsed.values)) {
      print(json_line(version.to_json()) + "\n");
    } else {
      print_version(version);
    }
  }
  return kDone;
}

int models_register_command(std::span<const std::string> arguments) {
  const Parsed parsed = parse("register", arguments, {{"name", "under which the model is known"}, {"run", "run or checkpoint directory"}});
  if (!parsed.go_on) return kDone;
  const fs::path run = word(parsed, "run");
  ModelDescription description = describe_checkpoint(find_model(run.string()).checkpoint);
  if (fs::is_directory(run / "checkpoints")) {
    description.run_directory = fs::absolute(run);
    const RunRecord record = inspect_run(run);
    if (record.summary.contains("metrics")) {
      for (const auto& [split, metrics] : record.summary["metrics"].items()) {
        for (const auto& [name, value] : metrics.items()) description.metrics[split + "." + name] = value;
      }
    }
  }
  ModelRegistry registry(registry_directory());
  const ModelVersion version = registry.add(word(parsed, "name"), description);
  if (wants_json(parsed.values)) {
    print(json_line(version.to_json()) + "\n");
  } else {
    print(fmt::format("models:/{}/{}\n", version.model, version.version));
  }
  return kDone;
}

int models_alias_command(std::span<const std::string> arguments) {
  const Parsed parsed = parse("alias", arguments, {{"model", "models:/name/3"}, {"alias", "such as champion"}});
  if (!parsed.go_on) return kDone;
  ModelRegistry registry(registry_directory());
  const ModelVersion version = registry.find(ModelReference::parse(word(parsed, "model")));
  registry.set_alias(version.model, word(parsed, "alias"), version.version);
  print(fmt::format("models:/{}@{} -> {}\n", version.model, word(parsed, "alias"), version.version));
  return kDone;
}

int models_promote_command(std::span<const std::string> arguments) {
  const Parsed parsed = parse("promote", arguments, {{"model", "models:/name/3 or models:/name@challenger"}, {"alias", "the alias to move, such as champion"}});
  if (!parsed.go_on) return kDone;
  const ModelVersion version = ModelRegistry(registry_directory()).promote(ModelReference::parse(word(parsed, "model")), word(parsed, "alias"));
  print(fmt::format("models:/{}@{} -> {}\n", version.model, word(parsed, "alias"), version.version));
  return kDone;
}

int models_rollback_command(std::span<const std::string> arguments) {
  const Parsed parsed = parse("rollback", arguments, {{"name", "the model"}, {"alias", "the alias to move back"}});
  if (!parsed.go_on) return kDone;
  const ModelVersion version = ModelRegistry(registry_directory()).rollback(word(parsed, "name"), word(parsed, "alias"));
  print(fmt::format("models:/{}@{} -> {}\n", version.model, word(parsed, "alias"), version.version));
  return kDone;
}

int models_remove_command(std::span<const std::string> arguments) {
  const Parsed parsed = parse("remove", arguments, {{"model", "models:/name/3"}});
  if (!parsed.go_on) return kDone;
  const ModelReference reference = ModelReference::parse(word(parsed, "model"));
  if (!reference.version) throw UsageError("say which version: models:/name/3");
  ModelRegistry(registry_directory()).remove(reference.name, *reference.version);
  print(fmt::format("{} removed\n", reference.text()));
  return kDone;
}

int models_verify_command(std::span<const std::string> arguments) {
  const Parsed parsed = parse("verify", arguments, {{"model", "models:/name/3 or models:/name@alias"}});
  if (!parsed.go_on) return kDone;
  const ModelReference reference = ModelReference::parse(word(parsed, "model"));
  const auto defects = ModelRegistry(registry_directory()).verify(reference);
  for (const std::string& defect : defects) print(defect + "\n");
  if (!defects.empty()) fail<CheckpointError>("{} is damaged: {} defects", reference.text(), defects.size());
  print(fmt::format("{}: sound\n", reference.text()));
  return kDone;
}

}  // namespace rechost::app
