// The C++20 layer over rechost/abi.h that every kind of plugin starts from: strings, errors, options, the plugin table.
// Header-only, needs nothing but the standard library.
//
//   static std::vector<rechost::Option> options() {
//     return {rechost::option_int("batch", 1, "rows read at once").range(1, 4096),
//             rechost::option_path("path", "folder with the files").required()};
//   }
//   RECHOST_PLUGIN("mine", "1.0.0", rechost::Module{RH_MODULE_DATASET, "mine", "my files", options(), &get_interface})
//
// Everything sits in an inline namespace that carries the header's version and is hidden: two plugins built from different
// headers may be loaded into one process and must not share a single symbol.
#ifndef RECHOST_CXX_PLUGIN_HPP
#define RECHOST_CXX_PLUGIN_HPP

#include "rechost/abi.h"
#include "rechost/ext/log.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace rechost {
inline namespace v1_0 __attribute__((visibility("hidden"))) {

// ---- strings ----

// The result borrows from `text`.
inline rh_string to_abi(std::string_view text) noexcept { return {text.data(), text.size()}; }

// The result borrows what `text` points to.
inline std::string_view to_view(rh_string text) noexcept {
  return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}

inline std::string to_string(rh_string text) { return std::string(to_view(text)); }

// ---- errors ----

enum class ErrorCode : int32_t {
  kFailed = RH_ERROR_FAILED,
  kConfig = RH_ERROR_CONFIG,
  kData = RH_ERROR_DATA,
  kDevice = RH_ERROR_DEVICE,
  kUnsupported = RH_ERROR_UNSUPPORTED,
  kVersion = RH_ERROR_VERSION,
};

// What a plugin throws. The message says what went wrong, with which value, and what to do; the user reads it as it stands.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : Error(ErrorCode::kFailed, message) {}
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

class ConfigError : public Error {
 public:
  explicit ConfigError(const std::string& message) : Error(ErrorCode::kConfig, message) {}
};

class DataError : public Error {
 public:
  explicit DataError(const std::string& message) : Error(ErrorCode::kData, message) {}
};

// ---- the host ----

// A view of what the host offers. It lives as long as the process; copies are cheap. All functions: any thread.
class Host {
 public:
  explicit Host(const rh_host* table) noexcept : table_(table) {
    constexpr std::string_view id = RH_LOG_EXTENSION;
    if (RH_HAS(table_, get_extension) && table_->get_extension != nullptr)
      log_ = static_cast<const rh_log*>(table_->get_extension(table_, to_abi(id)));
  }

  const rh_host* table() const noexcept { return table_; }

  // A service of the host by id ("rechost.log/1"), or null when this host does not have it.
  template <class Extension>
  const Extension* extension(std::string_view id) const noexcept {
    return static_cast<const Extension*>(table_->get_extension(table_, to_abi(id)));
  }

  // Lines in the host's log; a host without one drops them.
  void debug(std::string_view line) const noexcept { log(RH_LOG_DEBUG, line); }
  void info(std::string_view line) const noexcept { log(RH_LOG_INFO, line); }
  void warning(std::string_view line) const noexcept { log(RH_LOG_WARNING, line); }
  void log(int32_t level, std::string_view line) const noexcept {
    if (log_ != nullptr) log_->write(table_, level, to_abi(line));
  }

  // The host copies `message`; the caller owns the result and normally returns it to the host.
  rh_error* error_new(ErrorCode code, std::string_view message) const noexcept {
    return table_->error_new(table_, static_cast<int32_t>(code), to_abi(message));
  }

  // Throws what `error` says and releases it; does nothing for null. For errors that the host's own functions return.
  void throw_if(rh_error* error) const {
    if (error == nullptr) return;
    const auto code = static_cast<ErrorCode>(table_->error_code(error));
    std::string message;
    try {
      message = to_string(table_->error_message(error));
    } catch (...) {
      table_->error_free(error);
      throw;
    }
    table_->error_free(error);
    throw Error(code, message);
  }

 private:
  const rh_host* table_;
  const rh_log* log_ = nullptr;
};

// The host of this plugin, set before any module of it runs. One per plugin library, because it is hidden.
inline const rh_host* plugin_host_table = nullptr;

inline Host host() noexcept { return Host(plugin_host_table); }

// ---- the fence: no exception leaves a plugin ----

struct Failure {
  ErrorCode code = ErrorCode::kFailed;
  std::string message;
};

// Call in a catch block only: what the exception in flight says.
inline Failure describe_exception() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {ErrorCode::kDevice, "out of memory"};
  } catch (const std::system_error& error) {
    return {ErrorCode::kData, error.what()};
  } catch (const std::exception& error) {
    return {ErrorCode::kFailed, error.what()};
  } catch (...) {
    return {ErrorCode::kFailed, "the plugin threw something that is not a std::exception"};
  }
}

// Runs `body`; whatever it throws becomes an error that the host owns. `Describe` names exceptions that this header does not know.
// `body` may return nothing, or an rh_error* of its own, which is passed on.
template <Failure (*Describe)() = &describe_exception, class Body>
rh_error* fence(Body&& body) noexcept {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Body>>) {
      body();
      return nullptr;
    } else {
      return body();
    }
  } catch (...) {
    // Describing may itself run out of memory; that must not end the process.
    try {
      const Failure failure = Describe();
      return host().error_new(failure.code, failure.message);
    } catch (...) {
      return host().error_new(ErrorCode::kDevice, "out of memory while reporting an error");
    }
  }
}

// For functions of the ABI that return a plain value: `fallback` stands for failure, the reason goes to the log.
template <class Value, class Body>
Value fence_value(Value fallback, Body&& body) noexcept {
  try {
    return body();
  } catch (...) {
    try {
      host().warning(describe_exception().message);
    } catch (...) {
      host().warning("out of memory while reporting an error");
    }
    return fallback;
  }
}

// ---- options: what a module can be configured with ----

// One option, made by the option_*() functions below; `default_value` is kept as TOML text.
struct Option {
  uint32_t type = 0;
  uint32_t flags = 0;
  std::string name;
  std::string default_value;
  std::string doc;
  double minimum = 0;
  double maximum = 0;
  std::vector<std::string> allowed;
  std::string successor;

  // Both ends are allowed values; for lists they hold for each element.
  Option range(double least, double most) && {
    flags |= RH_OPTION_HAS_RANGE;
    minimum = least;
    maximum = most;
    return std::move(*this);
  }
  Option at_least(double least) && { return std::move(*this).range(least, HUGE_VAL); }
  Option choices(std::vector<std::string> values) && {
    allowed = std::move(values);
    return std::move(*this);
  }
  // The user must give it; its default is dropped.
  Option required() && {
    flags |= RH_OPTION_REQUIRED;
    default_value.clear();
    return std::move(*this);
  }
  // Still understood; the host warns and names the successor.
  Option deprecated(std::string replaced_by) && {
    flags |= RH_OPTION_DEPRECATED;
    successor = std::move(replaced_by);
    return std::move(*this);
  }
};

namespace toml {

inline std::string text(std::string_view value) {
  std::string result = "\"";
  for (const char character : value) {
    switch (character) {
      case '"': result += "\\\""; break;
      case '\\': result += "\\\\"; break;
      case '\n': result += "\\n"; break;
      case '\t': result += "\\t"; break;
      case '\r': result += "\\r"; break;
      default: result += character;
    }
  }
  return result + "\"";
}

inline std::string real(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  std::string result(buffer, end);
  // "1" would be an integer to a TOML reader.
  if (result.find_first_of(".en") == std::string::npos) result += ".0";
  return result;
}

template <class Value, class Format>
std::string list(const std::vector<Value>& values, Format format) {
  std::string result = "[";
  for (const auto& value : values) result += (result.size() > 1 ? ", " : "") + format(value);
  return result + "]";
}

}  // namespace toml

inline Option make_option(uint32_t type, std::string_view name, std::string default_value, std::string_view doc) {
  Option option;
  option.type = type;
  option.name = name;
  option.default_value = std::move(default_value);
  option.doc = doc;
  return option;
}

inline Option option_bool(std::string_view name, bool value, std::string_view doc) {
  return make_option(RH_OPTION_BOOL, name, value ? "true" : "false", doc);
}
inline Option option_int(std::string_view name, int64_t value, std::string_view doc) {
  return make_option(RH_OPTION_INT, name, std::to_string(value), doc);
}
inline Option option_float(std::string_view name, double value, std::string_view doc) {
  return make_option(RH_OPTION_FLOAT, name, toml::real(value), doc);
}
inline Option option_string(std::string_view name, std::string_view value, std::string_view doc) {
  return make_option(RH_OPTION_STRING, name, toml::text(value), doc);
}
// A path without default is the empty string unless it is required.
inline Option option_path(std::string_view name, std::string_view doc) {
  return make_option(RH_OPTION_PATH, name, "\"\"", doc);
}
inline Option option_int_list(std::string_view name, const std::vector<int64_t>& value, std::string_view doc) {
  return make_option(RH_OPTION_INT_LIST, name, toml::list(value, [](int64_t element) { return std::to_string(element); }), doc);
}
inline Option option_float_list(std::string_view name, const std::vector<double>& value, std::string_view doc) {
  return make_option(RH_OPTION_FLOAT_LIST, name, toml::list(value, toml::real), doc);
}
inline Option option_string_list(std::string_view name, const std::vector<std::string>& value, std::string_view doc) {
  return make_option(RH_OPTION_STRING_LIST, name,
                     toml::list(value, [](const std::string& element) { return toml::text(element); }), doc);
}

// ---- config: the values that the host validated ----

// A copy of one module's options that may be kept. Reading a name that was not declared, or as another type, is a fault of the
// plugin and says so.
class Config {
 public:
  Config() = default;
  explicit Config(const rh_config& config) : seed_(config.seed), threads_(config.threads) {
    const auto* at = reinterpret_cast<const char*>(config.values);
    for (uint64_t index = 0; index < config.value_count; ++index, at += config.value_stride)
      values_.emplace_back(*reinterpret_cast<const rh_option_value*>(at));
  }

  bool get_bool(std::string_view name) const { return find(name, RH_OPTION_BOOL).integer != 0; }
  int64_t get_int(std::string_view name) const { return find(name, RH_OPTION_INT).integer; }
  double get_float(std::string_view name) const { return find(name, RH_OPTION_FLOAT).real; }
  const std::string& get_string(std::string_view name) const { return find(name, RH_OPTION_STRING).text; }
  const std::string& get_path(std::string_view name) const { return find(name, RH_OPTION_PATH).text; }
  const std::vector<int64_t>& get_int_list(std::string_view name) const { return find(name, RH_OPTION_INT_LIST).integers; }
  const std::vector<double>& get_float_list(std::string_view name) const { return find(name, RH_OPTION_FLOAT_LIST).reals; }
  const std::vector<std::string>& get_string_list(std::string_view name) const {
    return find(name, RH_OPTION_STRING_LIST).texts;
  }

  // For whatever the module draws when it is made; a function of the run's seed.
  uint64_t seed() const noexcept { return seed_; }
  // How many threads the module may keep busy.
  uint32_t threads() const noexcept { return threads_; }

 private:
  struct Value {
    explicit Value(const rh_option_value& value)
        : name(to_string(value.name)), type(value.type), integer(value.integer), real(value.real), text(to_string(value.text)) {
      if (type == RH_OPTION_INT_LIST && value.count > 0) integers.assign(value.integers, value.integers + value.count);
      if (type == RH_OPTION_FLOAT_LIST && value.count > 0) reals.assign(value.reals, value.reals + value.count);
      if (type == RH_OPTION_STRING_LIST)
        for (uint64_t index = 0; index < value.count; ++index) texts.push_back(to_string(value.texts[index]));
    }
    std::string name;
    uint32_t type;
    int64_t integer;
    double real;
    std::string text;
    std::vector<int64_t> integers;
    std::vector<double> reals;
    std::vector<std::string> texts;
  };

  const Value& find(std::string_view name, uint32_t type) const {
    for (const Value& value : values_) {
      if (value.name != name) continue;
      if (value.type != type) throw std::logic_error("the plugin reads its option '" + value.name + "' as another type than it declared");
      return value;
    }
    throw std::logic_error("the plugin reads an option '" + std::string(name) + "' that it did not declare");
  }

  std::vector<Value> values_;
  uint64_t seed_ = 0;
  uint32_t threads_ = 1;
};

// ---- the plugin ----

// One thing that a plugin brings. `get_interface` answers for an interface id ("rechost.model/1") with a static table, or null.
struct Module {
  uint32_t kind = 0;
  std::string id;
  std::string doc;
  std::vector<Option> options;
  const void* (*get_interface)(rh_string id) = nullptr;
};

// The tables of the ABI, and the strings that they point into. Lives as long as the process.
class Plugin {
 public:
  Plugin(std::string name, std::string version, std::vector<Module> modules)
      : name_(std::move(name)), version_(std::move(version)), modules_(std::move(modules)) {
    for (const Module& module : modules_) module_tables_.push_back(make_module(module));
    table_.struct_size = sizeof(table_);
    table_.abi_major = RH_ABI_MAJOR;
    table_.minor_needed = 0;
    table_.module_count = static_cast<uint32_t>(module_tables_.size());
    table_.name = to_abi(name_);
    table_.version = to_abi(version_);
    table_.modules = module_tables_.data();
    table_.module_stride = sizeof(rh_module);
  }
  // The tables point into this object.
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  const rh_plugin* table() const noexcept { return &table_; }

 private:
  rh_module make_module(const Module& module) {
    auto& options = option_tables_.emplace_back(std::make_unique<std::vector<rh_option>>());
    for (const Option& option : module.options) options->push_back(make_option_table(option));
    rh_module table{};
    table.struct_size = sizeof(table);
    table.kind = module.kind;
    table.id = to_abi(module.id);
    table.doc = to_abi(module.doc);
    table.options = options->data();
    table.option_count = static_cast<uint32_t>(options->size());
    table.option_stride = sizeof(rh_option);
    table.get_interface = module.get_interface;
    return table;
  }

  rh_option make_option_table(const Option& option) {
    rh_option table{};
    table.struct_size = sizeof(table);
    table.type = option.type;
    table.flags = option.flags;
    table.name = to_abi(option.name);
    table.default_value = to_abi(option.default_value);
    table.doc = to_abi(option.doc);
    table.minimum = option.minimum;
    table.maximum = option.maximum;
    if (!option.allowed.empty()) {
      auto& choices = choice_tables_.emplace_back(std::make_unique<std::vector<rh_string>>());
      for (const std::string& choice : option.allowed) choices->push_back(to_abi(choice));
      table.choices = choices->data();
      table.choice_count = static_cast<uint32_t>(choices->size());
    }
    table.replaced_by = to_abi(option.successor);
    return table;
  }

  std::string name_;
  std::string version_;
  std::vector<Module> modules_;
  std::vector<std::unique_ptr<std::vector<rh_string>>> choice_tables_;
  std::vector<std::unique_ptr<std::vector<rh_option>>> option_tables_;
  std::vector<rh_module> module_tables_;
  rh_plugin table_{};
};

// The body of rechost_plugin_v1. `make_table` runs inside the fence, so that a throwing option table is an error text too.
template <class MakeTable>
const rh_plugin* enter_plugin(const rh_host* table, rh_error** error, std::string_view name, MakeTable&& make_table) noexcept {
  // Nothing can be said to a caller without an error function.
  if (table == nullptr || error == nullptr || !RH_HAS(table, error_free)) return nullptr;
  *error = nullptr;
  if (table->abi_major != RH_ABI_MAJOR) {
    // plugin_host_table stays unset: past the error functions a host of another major may look different.
    char text[256];
    char* end = text;
    const auto append = [&](std::string_view piece) {
      const auto room = static_cast<std::size_t>(text + sizeof(text) - end);
      end += piece.copy(end, room);
    };
    const auto append_number = [&](uint32_t number) { end = std::to_chars(end, text + sizeof(text), number).ptr; };
    append("plugin '");
    append(name.substr(0, 64));
    append("' was built for plugin ABI ");
    append_number(RH_ABI_MAJOR);
    append(", this rechost speaks plugin ABI ");
    append_number(table->abi_major);
    append(": install a build of the plugin for this rechost");
    *error = table->error_new(table, RH_ERROR_VERSION, {text, static_cast<uint64_t>(end - text)});
    return nullptr;
  }
  plugin_host_table = table;
  const rh_plugin* result = nullptr;
  *error = fence([&] { result = make_table(); });
  return *error == nullptr ? result : nullptr;
}

}  // namespace v1_0
}  // namespace rechost

// Defines the one symbol that a plugin exports. Once per library, in namespace scope; the rest of the arguments are
// rechost::Module values. The tables are made at the first call, not when the library is loaded.
#define RECHOST_PLUGIN(plugin_name, plugin_version, ...)                                                            \
  extern "C" RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host_table, rh_error** error) {            \
    return ::rechost::enter_plugin(host_table, error, plugin_name, [] {                                             \
      static const ::rechost::Plugin plugin(plugin_name, plugin_version, std::vector<::rechost::Module>{__VA_ARGS__}); \
      return plugin.table();                                                                                        \
    });                                                                                                             \
  }

#endif  // RECHOST_CXX_PLUGIN_HPP
