#include "plugin/host_table.h"

#include <utility>

#include "base/log.h"
#include "plugin/host_files.h"
#include "rechost/ext/log.h"

struct rh_error {
  std::int32_t code;
  std::string message;
};

namespace rechost {
namespace {

std::string_view lenient_view(rh_string text) { return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.size); }

// These functions are called by plugins through C, so nothing may leave them but their result.

rh_error* make_error(const rh_host*, std::int32_t code, rh_string message) noexcept {
  return new rh_error{code, std::string(lenient_view(message))};
}

rh_string error_message(const rh_error* error) noexcept { return error == nullptr ? rh_string{nullptr, 0} : to_abi(error->message); }

std::int32_t error_code(const rh_error* error) noexcept { return error == nullptr ? 0 : error->code; }

void free_error(rh_error* error) noexcept { delete error; }

void write_line(const rh_host*, std::int32_t level, rh_string line) noexcept {
  const LogLevel level_of_host = level >= RH_LOG_WARNING ? LogLevel::kWarning : level == RH_LOG_INFO ? LogLevel::kInfo : LogLevel::kDebug;
  write_log(level_of_host, lenient_view(line));
}

const void* find_extension(const rh_host*, rh_string id) noexcept {
  static const rh_log log{.struct_size = sizeof(rh_log), .reserved = 0, .write = write_line};
  if (lenient_view(id) == RH_LOG_EXTENSION) return &log;
  if (lenient_view(id) == RH_FILES_EXTENSION) return files_extension();
  return nullptr;
}

}  // namespace

const rh_host* host_table() {
  static const rh_host host{.struct_size = sizeof(rh_host),
                            .abi_major = RH_ABI_MAJOR,
                            .abi_minor = RH_ABI_MINOR,
                            .reserved = 0,
                            .error_new = make_error,
                            .error_message = error_message,
                            .error_code = error_code,
                            .error_free = free_error,
                            .get_extension = find_extension};
  return &host;
}

std::string_view to_view(rh_string text, std::string_view field) {
  if (text.size == 0) return {};
  if (text.data == nullptr) fail<PluginError>("{} has a size but no data", field);
  return {text.data, text.size};
}

rh_error* new_error(std::int32_t code, std::string_view message) { return make_error(host_table(), code, to_abi(message)); }

void throw_if(rh_error* error, std::string_view label) {
  if (error == nullptr) return;
  const std::int32_t code = error->code;
  const std::string message = fmt::format("{}: {}", label, error->message.empty() ? "failed without a message" : error->message);
  free_error(error);
  switch (code) {
    case RH_ERROR_CONFIG:
      throw ConfigError(message);
    case RH_ERROR_DATA:
      throw DataError(message);
    case RH_ERROR_DEVICE:
      throw DeviceError(message);
    default:
      throw PluginError(message);
  }
}

rh_error* error_from_exception(std::int32_t code) {
  try {
    throw;
  } catch (const std::exception& error) {
    return new_error(code, error.what());
  } catch (...) {
    return new_error(code, "an exception of unknown kind");
  }
}

}  // namespace rechost
