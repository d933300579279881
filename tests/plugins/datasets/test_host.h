// The least host that a dataset plugin can run in: errors, option defaults, files. Written against the C ABI alone, so that the
// tests see what a host sees and not what the C++ layer of the SDK believes.
#ifndef RECHOST_TESTS_PLUGINS_DATASETS_TEST_HOST_H
#define RECHOST_TESTS_PLUGINS_DATASETS_TEST_HOST_H

#include <dlfcn.h>

#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/host_files.h"
#include "rechost/abi.h"
#include "rechost/dataset.h"

struct rh_error {
  int32_t code;
  std::string message;
};

namespace datasets_test {

inline std::string text_of(rh_string text) { return std::string(text.data, text.data + text.size); }

// What a plugin's error becomes here; what() is the plugin's text, word for word.
struct PluginError : std::runtime_error {
  PluginError(int32_t error_code, const std::string& message) : std::runtime_error(message), code(error_code) {}
  int32_t code;
};

inline const rh_host* test_host() {
  static const rh_host host = {
      sizeof(rh_host),
      RH_ABI_MAJOR,
      RH_ABI_MINOR,
      0,
      [](const rh_host*, int32_t code, rh_string message) {
        return new rh_error{code, text_of(message)};
      },
      [](const rh_error* error) {
        return rh_string{error->message.data(), error->message.size()};
      },
      [](const rh_error* error) { return error->code; },
      [](rh_error* error) { delete error; },
      [](const rh_host*, rh_string id) -> const void* { return text_of(id) == RH_FILES_EXTENSION ? rechost::files_extension() : nullptr; },
  };
  return &host;
}

inline void throw_if(rh_error* error) {
  if (error == nullptr) return;
  const std::unique_ptr<rh_error> owned(error);
  throw PluginError(owned->code, owned->message);
}

// Options as a user writes them: name -> TOML text ("3", "true", "\"text\"", "[1, 2]").
using Options = std::map<std::string, std::string>;

inline std::string toml_text(std::string_view text) {
  std::string result = "\"";
  for (const char byte : text) {
    if (byte == '"' || byte == '\\') result += '\\';
    if (byte == '\t')
      result += "\\t";
    else
      result += byte;
  }
  return result + "\"";
}

inline std::string toml_list(const std::vector<std::string>& texts) {
  std::string result = "[";
  for (const std::string& text : texts) result += (result.size() > 1 ? ", " : "") + toml_text(text);
  return result + "]";
}

namespace detail {

inline std::string unquote(std::string_view text) {
  std::string result;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] != '\\')
      result += text[i];
    else if (text[++i] == 't')
      result += '\t';
    else if (text[i] == 'n')
      result += '\n';
    else
      result += text[i];
  }
  return result;
}

// The elements of a TOML array of scalars, still as text.
inline std::vector<std::string> elements(std::string_view text) {
  std::vector<std::string> result;
  std::string element;
  bool inside_string = false;
  for (std::size_t i = 1; i < text.size(); ++i) {
    const char byte = text[i];
    if (!inside_string && (byte == ',' || byte == ']')) {
      if (!element.empty()) result.push_back(element);
      element.clear();
    } else if (inside_string || byte != ' ') {
      element += byte;
      if (inside_string && byte == '\\')
        element += text[++i];
      else if (byte == '"')
        inside_string = !inside_string;
    }
  }
  return result;
}

}  // namespace detail

// The validated options of one module, in the form that the ABI wants.
class ModuleConfig {
 public:
  ModuleConfig(const rh_module& module, const Options& given) {
    const auto* at = reinterpret_cast<const char*>(module.options);
    std::size_t used = 0;
    for (uint32_t i = 0; i < module.option_count; ++i, at += module.option_stride) {
      const auto& option = *reinterpret_cast<const rh_option*>(at);
      const std::string name = text_of(option.name);
      const auto found = given.find(name);
      used += found != given.end();
      if (found == given.end() && (option.flags & RH_OPTION_REQUIRED) != 0) throw std::runtime_error("option '" + name + "' is required");
      add(option, found != given.end() ? found->second : text_of(option.default_value));
    }
    if (used != given.size()) throw std::runtime_error("an option was given that the module does not have");
    config_ = {sizeof(rh_config), sizeof(rh_option_value), values_.data(), values_.size(), 7, 1, 0};
  }
  ModuleConfig(const ModuleConfig&) = delete;  // the table points into the object
  ModuleConfig& operator=(const ModuleConfig&) = delete;

  const rh_config* table() const { return &config_; }

 private:
  void add(const rh_option& option, const std::string& toml) {
    rh_option_value value{};
    value.struct_size = sizeof value;
    value.type = option.type;
    value.name = option.name;
    const auto keep = [this](std::string text) {
      texts_.push_back(std::move(text));
      return rh_string{texts_.back().data(), texts_.back().size()};
    };
    switch (option.type) {
      case RH_OPTION_BOOL:
        value.integer = toml == "true";
        break;
      case RH_OPTION_INT:
        value.integer = std::strtoll(toml.c_str(), nullptr, 10);
        break;
      case RH_OPTION_FLOAT:
        value.real = std::strtod(toml.c_str(), nullptr);
        break;
      case RH_OPTION_STRING:
      case RH_OPTION_PATH:
        value.text = keep(detail::unquote(toml));
        break;
      case RH_OPTION_INT_LIST: {
        auto& list = integers_.emplace_back();
        for (const std::string& element : detail::elements(toml)) list.push_back(std::strtoll(element.c_str(), nullptr, 10));
        value.integers = list.data();
        value.count = list.size();
        break;
      }
      case RH_OPTION_FLOAT_LIST: {
        auto& list = reals_.emplace_back();
        for (const std::string& element : detail::elements(toml)) list.push_back(std::strtod(element.c_str(), nullptr));
        value.reals = list.data();
        value.count = list.size();
        break;
      }
      case RH_OPTION_STRING_LIST: {
        auto& list = strings_.emplace_back();
        for (const std::string& element : detail::elements(toml)) list.push_back(keep(detail::unquote(element)));
        value.texts = list.data();
        value.count = list.size();
        break;
      }
      default:
        throw std::runtime_error("an option of unknown type");
    }
    values_.push_back(value);
  }

  std::deque<std::string> texts_;
  std::deque<std::vector<int64_t>> integers_;
  std::deque<std::vector<double>> reals_;
  std::deque<std::vector<rh_string>> strings_;
  std::vector<rh_option_value> values_;
  rh_config config_{};
};

// The first dataset module of a plugin file. Never unloaded, like in the host.
class Loader {
 public:
  // A bare name is one of the plugins of this build.
  explicit Loader(const std::string& name_or_path) {
    std::string path = name_or_path;
    if (path.find('/') == std::string::npos) {
      const char* build = std::getenv("RECHOST_BUILD_DIR");
      if (build == nullptr) throw std::runtime_error("RECHOST_BUILD_DIR is not set: run this test with ctest");
      path = std::string(build) + "/lib/rechost/plugins/" + path + ".so";
    }
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(dlerror());
    const auto entry = reinterpret_cast<rh_entry>(dlsym(library, RH_ENTRY_NAME));
    if (entry == nullptr) throw std::runtime_error(path + " has no " RH_ENTRY_NAME);
    enter(entry, path);
  }
  // A plugin that is part of this program.
  explicit Loader(rh_entry entry) { enter(entry, "this program"); }

  std::vector<std::string> splits(const Options& options) const {
    const ModuleConfig config(*module, options);
    rh_string names[8];
    uint32_t count = 0;
    throw_if(functions->list_splits(test_host(), config.table(), names, 8, &count));
    std::vector<std::string> result;
    for (uint32_t i = 0; i < count; ++i) result.push_back(text_of(names[i]));
    return result;
  }

  const rh_module* module = nullptr;
  const rh_dataset_interface* functions = nullptr;

 private:
  void enter(rh_entry entry, const std::string& path) {
    rh_error* error = nullptr;
    const rh_plugin* plugin = entry(test_host(), &error);
    throw_if(error);
    const auto* at = reinterpret_cast<const char*>(plugin->modules);
    for (uint32_t i = 0; i < plugin->module_count && module == nullptr; ++i, at += plugin->module_stride)
      if (reinterpret_cast<const rh_module*>(at)->kind == RH_MODULE_DATASET) module = reinterpret_cast<const rh_module*>(at);
    if (module == nullptr) throw std::runtime_error(path + " has no dataset module");
    const std::string_view id = RH_DATASET_INTERFACE;
    functions = static_cast<const rh_dataset_interface*>(module->get_interface({id.data(), id.size()}));
    if (functions == nullptr) throw std::runtime_error(path + " lacks " RH_DATASET_INTERFACE);
  }
};

}  // namespace datasets_test

#endif  // RECHOST_TESTS_PLUGINS_DATASETS_TEST_HOST_H
