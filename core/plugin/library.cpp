#include "plugin/library.h"

#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include <boost/dll/shared_library.hpp>

#include "base/error.h"
#include "base/nearest_name.h"
#include "plugin/host_table.h"
#include "rechost/abi.h"
#include "rechost/dataset.h"
#include "rechost/model.h"

namespace rechost {
namespace {

std::string file_label(const std::filesystem::path& file) { return fmt::format("plugin {}", file.string()); }

/// Throws unless the writer of `*object` knew `field`, without which nothing works.
#define RECHOST_CHECK_FIELD(object, field, label)                                                          \
  do {                                                                                                     \
    if (!RH_HAS(object, field)) {                                                                          \
      fail<PluginError>("{}: struct_size {} ends before the field " #field, label, (object)->struct_size); \
    }                                                                                                      \
  } while (false)

/// The same, and the function must be there.
#define RECHOST_CHECK_FUNCTION(table, function, label)                                                    \
  do {                                                                                                    \
    RECHOST_CHECK_FIELD(table, function, label);                                                          \
    if ((table)->function == nullptr) fail<PluginError>("{}: the function " #function " is null", label); \
  } while (false)

void check_model_table(const rh_model_interface* table, const std::string& label) {
  RECHOST_CHECK_FUNCTION(table, create, label);
  RECHOST_CHECK_FUNCTION(table, declare, label);
  RECHOST_CHECK_FUNCTION(table, bind, label);
  RECHOST_CHECK_FUNCTION(table, forward, label);
  RECHOST_CHECK_FUNCTION(table, backward, label);
  RECHOST_CHECK_FUNCTION(table, destroy, label);
}

void check_dataset_table(const rh_dataset_interface* table, const std::string& label) {
  RECHOST_CHECK_FUNCTION(table, list_splits, label);
  RECHOST_CHECK_FUNCTION(table, open, label);
  RECHOST_CHECK_FUNCTION(table, schema, label);
  RECHOST_CHECK_FUNCTION(table, chunk_count, label);
  RECHOST_CHECK_FUNCTION(table, chunk_rows, label);
  RECHOST_CHECK_FUNCTION(table, read_chunk, label);
  RECHOST_CHECK_FUNCTION(table, fingerprint, label);
  RECHOST_CHECK_FUNCTION(table, close, label);
}

/// Text that must be there.
std::string required_text(rh_string text, std::string_view field, const std::string& label) {
  const std::string_view view = to_view(text, fmt::format("{}: {}", label, field));
  if (view.empty()) fail<PluginError>("{}: {} is empty", label, field);
  return std::string(view);
}

/// Modules that this host knows how to use.
std::vector<Module> read_modules(const rh_plugin& plugin, const std::filesystem::path& file) {
  const std::string label = file_label(file);
  RECHOST_CHECK_FIELD(&plugin, module_stride, label + ": rh_plugin");
  if (plugin.abi_major != RH_ABI_MAJOR) {
    fail<PluginError>("{}: rh_plugin.abi_major is {}, this rechost has {}", label, plugin.abi_major, RH_ABI_MAJOR);
  }
  if (plugin.minor_needed > RH_ABI_MINOR) {
    fail<PluginError>("{}: needs SDK {}.{}, this rechost has SDK {}.{}; get a newer rechost", label, plugin.abi_major, plugin.minor_needed,
                      RH_ABI_MAJOR, RH_ABI_MINOR);
  }
  const std::string name = required_text(plugin.name, "rh_plugin.name", label);
  const std::string version = required_text(plugin.version, "rh_plugin.version", label);
  if (plugin.module_count == 0) fail<PluginError>("{}: rh_plugin.module_count is 0", label);
  if (plugin.modules == nullptr) fail<PluginError>("{}: rh_plugin.modules is null", label);
  constexpr std::size_t kLeastStride = offsetof(rh_module, get_interface) + sizeof(rh_module::get_interface);
  if (plugin.module_stride < kLeastStride) {
    fail<PluginError>("{}: rh_plugin.module_stride is {}, a module has at least {} bytes", label, plugin.module_stride, kLeastStride);
  }
  std::vector<Module> modules;
  std::set<std::pair<ModuleKind, std::string>> seen;
  for (std::uint32_t i = 0; i < plugin.module_count; ++i) {
    const auto* table =
        reinterpret_cast<const rh_module*>(reinterpret_cast<const char*>(plugin.modules) + std::size_t{i} * plugin.module_stride);
    RECHOST_CHECK_FIELD(table, get_interface, fmt::format("{}: modules[{}]", label, i));
    // Kinds that a later SDK may add are none of ours.
    if (table->kind != RH_MODULE_MODEL && table->kind != RH_MODULE_DATASET) continue;
    Module module(table, name, version, file);
    if (!seen.emplace(module.kind(), module.id()).second) {
      fail<PluginError>("{}: has two {} modules with the id \"{}\"", label, name_of(module.kind()), module.id());
    }
    modules.push_back(std::move(module));
  }
  return modules;
}

/// What `plugins list` promised from the note alone must be there.
void check_promise(const PluginNote& note, const std::vector<Module>& modules, const std::filesystem::path& file) {
  for (const PluginNote::Module& promised : note.modules) {
    const bool kept = std::any_of(modules.begin(), modules.end(),
                                  [&](const Module& module) { return module.kind() == promised.kind && module.id() == promised.id; });
    if (!kept)
      fail<PluginError>("{}: its note names the {} \"{}\", its table does not", file_label(file), name_of(promised.kind), promised.id);
  }
}

const rh_plugin* enter(boost::dll::shared_library& library, const std::filesystem::path& file) {
  const std::string label = file_label(file);
  if (!library.has(RH_ENTRY_NAME)) {
    fail<PluginError>("{}: does not export {}; is RECHOST_PLUGIN, or the function, missing in its source?", label, RH_ENTRY_NAME);
  }
  const auto entry = reinterpret_cast<rh_entry>(&library.get<const rh_plugin*(const rh_host*, rh_error**)>(RH_ENTRY_NAME));
  rh_error* error = nullptr;
  const rh_plugin* plugin = guarded(label, RH_ENTRY_NAME, [&] { return entry(host_table(), &error); });
  throw_if(error, label);
  if (plugin == nullptr) fail<PluginError>("{}: {} returned neither a plugin nor an error", label, RH_ENTRY_NAME);
  return plugin;
}

/// All plugins of the process. They are never unloaded: code of theirs may be on any stack and in any callback, and libraries that they
/// bring along (OpenMP, torch) do not survive it.
struct LoadedPlugins {
  std::mutex mutex;
  std::vector<boost::dll::shared_library> libraries;
  std::map<std::filesystem::path, std::vector<Module>> modules;
};

LoadedPlugins& loaded_plugins() {
  // Not destroyed at exit either, for the same reason.
  static LoadedPlugins* const kLoaded = new LoadedPlugins;
  return *kLoaded;
}

std::string list_ids(const std::vector<Module>& modules, ModuleKind kind) {
  std::string text;
  for (const Module& module : modules) {
    if (module.kind() == kind) text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", module.id());
  }
  return text;
}

/// `file.so` or `file.so:id`.
Module load_from_file(ModuleKind kind, std::string_view name) {
  std::filesystem::path file = name;
  std::string id;
  std::error_code ignored;
  const std::size_t colon = name.rfind(':');
  if (!std::filesystem::exists(file, ignored) && colon != std::string_view::npos) {
    file = name.substr(0, colon);
    id = name.substr(colon + 1);
  }
  const std::vector<Module> modules = load_plugin(file);
  std::vector<const Module*> candidates;
  for (const Module& module : modules) {
    if (module.kind() == kind && (id.empty() || module.id() == id)) candidates.push_back(&module);
  }
  if (candidates.size() == 1) return *candidates.front();
  const std::string ids = list_ids(modules, kind);
  if (ids.empty()) fail<PluginError>("{}: has no {}", file_label(file), name_of(kind));
  if (candidates.empty()) fail<PluginError>("{}: has no {} \"{}\"; it has {}", file_label(file), name_of(kind), id, ids);
  fail<PluginError>("{}: has several {}s: {}; say which, as in {}:{}", file_label(file), name_of(kind), ids, file.string(),
                    candidates.front()->id());
}

[[noreturn]] void not_found(ModuleKind kind, const std::string& id, const std::vector<PluginFile>& files, const PluginPath& path) {
  std::vector<std::string> ids;
  std::string folders;
  std::string problems;
  for (const std::filesystem::path& folder : path) folders += (folders.empty() ? "" : ", ") + folder.string();
  for (const PluginFile& file : files) {
    // The file may be there and only be unusable: then that is the answer.
    if (!file.problem.empty() && file.path.stem() == id) problems += "; " + file.problem;
    for (const PluginNote::Module& module : file.note.modules) {
      if (module.kind == kind) ids.push_back(module.id);
    }
  }
  fail<PluginError>("there is no {} plugin \"{}\"{}; looked in {}{}", name_of(kind), id, suggestion(id, ids), folders, problems);
}

}  // namespace

Module::Module(const rh_module* table, std::string plugin_name, std::string plugin_version, std::filesystem::path file)
    : table_(table),
      kind_(table->kind == RH_MODULE_MODEL ? ModuleKind::kModel : ModuleKind::kDataset),
      plugin_name_(std::move(plugin_name)),
      plugin_version_(std::move(plugin_version)),
      file_(std::move(file)) {
  id_ = required_text(table->id, "rh_module.id", file_label(file_));
  doc_ = to_view(table->doc, label() + ": rh_module.doc");
  options_ = read_options(table->options, table->option_count, table->option_stride, label());
  if (table->get_interface == nullptr) fail<PluginError>("{}: the function get_interface is null", label());
  if (kind_ == ModuleKind::kModel) {
    check_model_table(static_cast<const rh_model_interface*>(interface(RH_MODEL_INTERFACE)), label() + ": " RH_MODEL_INTERFACE);
  } else {
    check_dataset_table(static_cast<const rh_dataset_interface*>(interface(RH_DATASET_INTERFACE)), label() + ": " RH_DATASET_INTERFACE);
  }
}

std::string Module::label() const { return fmt::format("{} \"{}\" ({})", name_of(kind_), id_, file_.string()); }

const void* Module::interface(std::string_view id) const {
  const void* table = guarded(label(), "get_interface", [&] { return table_->get_interface(to_abi(id)); });
  if (table == nullptr) fail<PluginError>("{}: has no interface {}", label(), id);
  return table;
}

std::string sdk_version() { return fmt::format("{}.{}", RH_ABI_MAJOR, RH_ABI_MINOR); }

std::vector<Module> load_plugin(const std::filesystem::path& file) {
  LoadedPlugins& loaded = loaded_plugins();
  const std::scoped_lock lock(loaded.mutex);
  std::error_code ignored;
  std::filesystem::path identity = std::filesystem::canonical(file, ignored);
  if (const auto known = loaded.modules.find(identity); known != loaded.modules.end()) return known->second;

  const PluginNote note = check_plugin_file(file);
  boost::dll::shared_library library;
  boost::system::error_code error;
  // Every symbol now, not at the first call that needs it in the middle of a run; and none of them visible to other plugins.
  library.load(identity.string(), error, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  if (error) {
    const char* reason = dlerror();
    fail<PluginError>("{}: cannot be loaded: {}", file_label(file), reason != nullptr ? reason : error.message());
  }
  loaded.libraries.push_back(library);
  std::vector<Module> modules = read_modules(*enter(library, file), file);
  check_promise(note, modules, file);
  return loaded.modules.emplace(std::move(identity), std::move(modules)).first->second;
}

Module load_module(ModuleKind kind, std::string_view name, const PluginPath& path) {
  if (name.find('/') != std::string_view::npos) return load_from_file(kind, name);
  const std::string id(name);
  const std::vector<PluginFile> files = list_plugins(path);
  for (const PluginFile& file : files) {
    for (const PluginNote::Module& promised : file.note.modules) {
      if (!file.problem.empty() || promised.kind != kind || promised.id != id) continue;
      for (const Module& module : load_plugin(file.path)) {
        if (module.kind() == kind && module.id() == id) return module;
      }
    }
  }
  not_found(kind, id, files, path);
}

}  // namespace rechost
