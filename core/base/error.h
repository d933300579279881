#pragma once

#include <stdexcept>
#include <string>

#include <fmt/format.h>

namespace rechost {

/// What the core throws. The message says what happened, with which value, and what to do; the kind decides the exit code.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A key, value or combination in the configuration, or a command-line argument. Exit code 78.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A file, row or value of the data.
class DataError : public Error {
 public:
  using Error::Error;
};

/// Memory, processor or accelerator.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// A peer or the wire between. Exit code 76.
class CommError : public Error {
 public:
  using Error::Error;
};

/// A plugin that cannot be loaded or broke its contract.
class PluginError : public Error {
 public:
  using Error::Error;
};

/// A checkpoint that is missing, incomplete or does not fit.
class CheckpointError : public Error {
 public:
  using Error::Error;
};

/// Throws `Kind` with a formatted message.
template <typename Kind = Error, typename... Arguments>
[[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw Kind(fmt::format(format, std::forward<Arguments>(arguments)...));
}

}  // namespace rechost
