#include "app/plugin_commands.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <sstream>

#include "app/command.h"
#include "app/environment.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "plugin/conformance.h"
#include "plugin/library.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

std::string modules_text(const PluginNote& note) {
  std::string text;
  for (const PluginNote::Module& module : note.modules) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name_of(module.kind), module.id);
  return text;
}

/// All modules of what the user named: a file, or an id of either kind.
std::vector<Module> find_modules(const std::string& name) {
  if (name.find('/') != std::string::npos) return load_plugin(name);
  std::vector<std::string> ids;
  for (const PluginFile& file : list_plugins(plugin_directories())) {
    if (!file.problem.empty()) continue;
    for (const PluginNote::Module& module : file.note.modules) {
      if (module.id == name) return {load_module(module.kind, name, plugin_directories())};
      ids.push_back(module.id);
    }
  }
  // The search itself words the error, with the nearest name.
  return {load_module(ModuleKind::kModel, name, plugin_directories())};
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
}

std::string option_text(const OptionInfo& option) {
  std::string text = fmt::format("  {:<22} {:<16} ", option.name, name_of(option.type));
  text += option.required ? "required" : option.default_value ? option.default_value->text() : "-";
  if (option.deprecated) text += fmt::format("  deprecated, use {}", option.replaced_by);
  std::string limits;
  if (!option.choices.empty()) limits = fmt::format("{}", fmt::join(option.choices, " | "));
  if (option.minimum && option.maximum) limits = fmt::format("{:g} .. {:g}", *option.minimum, *option.maximum);
  return fmt::format("{}\n      {}{}\n", text, option.doc, limits.empty() ? "" : " (" + limits + ")");
}

Json option_json(const OptionInfo& option) {
  Json entry = Json::object();
  entry["name"] = option.name;
  entry["type"] = name_of(option.type);
  entry["default"] = option.default_value ? Json(option.default_value->text()) : Json(nullptr);
  entry["required"] = option.required;
  entry["doc"] = option.doc;
  if (!option.choices.empty()) entry["choices"] = option.choices;
  if (option.minimum) entry["minimum"] = *option.minimum;
  if (option.maximum) entry["maximum"] = *option.maximum;
  return entry;
}

}  // namespace

int plugins_list_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_output_option(visible);
  options::variables_map values;
  if (!parse_arguments(find_command("plugins", "list"), arguments, visible, {}, values)) return kDone;
  const bool json = wants_json(values);
  const auto files = list_plugins(plugin_directories());
  if (files.empty() && !json) {
    std::string folders;
    for (const fs::path& folder : plugin_directories()) folders += "\n  " + folder.string();
    log_info("no plugins; looked in:{}", folders);
  }
  for (const PluginFile& file : files) {
    if (json) {
      Json entry = Json::object();
      entry["file"] = file.path.string();
      entry["name"] = file.note.name;
      entry["version"] = file.note.version;
      Json modules = Json::array();
      for (const PluginNote::Module& module : file.note.modules) modules.push_back({{"kind", name_of(module.kind)}, {"id", module.id}});
      entry["modules"] = std::move(modules);
      entry["torch"] = file.note.torch ? Json(file.note.torch->version) : Json(nullptr);
      entry["problem"] = file.problem;
      print(json_line(entry) + "\n");
      continue;
    }
    print(fmt::format("{:<12} {:<8} {:<24} {}{}\n", file.note.name, file.note.version, modules_text(file.note), file.path.string(),
                      file.problem.empty() ? "" : "\n             cannot be loaded: " + file.problem));
    for (const PluginFile::Shadowed& shadowed : file.shadowed) {
      print(fmt::format("             {} {} is shadowed by {}\n", name_of(shadowed.kind), shadowed.id, shadowed.by.string()));
    }
  }
  return kDone;
}

int plugins_inspect_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("plugin", options::value<std::string>(), "id or file");
  add_output_option(visible);
  options::positional_options_description positional;
  positional.add("plugin", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("plugins", "inspect"), arguments, visible, positional, values)) return kDone;
  if (values.count("plugin") == 0) throw UsageError("which plugin? rechost plugins list shows them");
  const bool json = wants_json(values);
  for (const Module& module : find_modules(values["plugin"].as<std::string>())) {
    if (json) {
      Json entry = Json::object();
      entry["kind"] = name_of(module.kind());
      entry["id"] = module.id();
      entry["doc"] = module.doc();
      entry["plugin"] = module.plugin_name();
      entry["version"] = module.plugin_version();
      entry["file"] = module.file().string();
      Json list = Json::array();
      for (const OptionInfo& option : module.options()) list.push_back(option_json(option));
      entry["options"] = std::move(list);
      print(json_line(entry) + "\n");
      continue;
    }
    print(fmt::format("{} {} ({} {}, {})\n{}\n\nOptions, as keys of [{}]:\n", name_of(module.kind()), module.id(), module.plugin_name(),
                      module.plugin_version(), module.file().string(), module.doc(), module.kind() == ModuleKind::kModel ? "model" : "data"));
    for (const OptionInfo& option : module.options()) print(option_text(option));
  }
  return kDone;
}

int plugins_check_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("plugin", options::value<std::string>(), "id or file")(
      "set,s", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "an option of the module: path=clicks.tsv");
  options::positional_options_description positional;
  positional.add("plugin", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("plugins", "check"), arguments, visible, positional, values)) return kDone;
  if (values.count("plugin") == 0) throw UsageError("which plugin? give its file");
  ConfigLayers layers;
  for (const std::string& setting : values["set"].as<std::vector<std::string>>()) layers.settings.push_back("options." + setting);
  layers.lookup = [](std::string_view name) { return environment_variable(std::string(name)); };
  const ConfigNode document = load_document(layers);
  const ConfigNode* given = document.find("options");
  std::int64_t findings = 0;
  for (const Module& module : find_modules(values["plugin"].as<std::string>())) {
    const auto results = check_module(module, given == nullptr ? ConfigNode{ConfigNode::Table{}, ""} : *given);
    for (const CheckResult& result : results) {
      print(fmt::format("{} {}: {} {}{}\n", name_of(module.kind()), module.id(), result.passed ? "ok    " : "FAILED", result.check,
                        result.detail.empty() ? "" : ": " + result.detail));
      if (!result.passed) ++findings;
    }
  }
  if (findings > 0) fail<PluginError>("{} checks failed", findings);
  return kDone;
}

int plugins_new_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  visible.add_options()("name", options::value<std::string>(), "folder to make; its last part names the plugin");
  options::positional_options_description positional;
  positional.add("name", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("plugins", "new"), arguments, visible, positional, values)) return kDone;
  if (values.count("name") == 0) throw UsageError("which name? rechost plugins new mymodel");
  fs::path folder = values["name"].as<std::string>();
  if (!folder.has_filename()) folder = folder.parent_path();  // a slash at the end
  const std::string name = folder.filename().string();
  const bool good = !name.empty() && std::islower(static_cast<unsigned char>(name[0])) != 0 &&
                    std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '_'; });
  if (!good) throw UsageError(fmt::format("\"{}\" cannot name a plugin: lower-case letters, digits and _, beginning with a letter", name));
  if (fs::exists(folder)) throw UsageError(fmt::format("{} exists already", folder.string()));
  const fs::path source = share_directory() / "template";
  const std::string prefix = program_directory().parent_path().string();
  if (!fs::is_directory(source)) fail("the template is not installed ({}): install the SDK: package rechost-dev or rechost-devel", source.string());
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(source, fs::directory_options::follow_directory_symlink)) {
    if (!entry.is_regular_file()) continue;
    std::string relative = fs::relative(entry.path(), source).string();
    std::string text = read_file(entry.path());
    replace_all(relative, "@NAME@", name);
    replace_all(text, "@NAME@", name);
    replace_all(text, "@PREFIX@", prefix);
    fs::create_directories((folder / relative).parent_path());
    write_file_atomically(folder / relative, text);
  }
  print(fmt::format("{0}: a model plugin, complete and trainable. Next:\n"
                    "  cmake -S {0} -B {0}/build\n"
                    "  cmake --build {0}/build\n"
                    "  rechost run --plugin {0}/build/{1}.so\n",
                    folder.string(), name));
  return kDone;
}

}  // namespace rechost::app
