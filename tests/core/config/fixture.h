#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "core/folder.h"

namespace rechost::test {

/// What the ConfigError says, without the folder's name; "" when nothing is thrown.
inline std::string complaint(const Folder& folder, const std::function<void()>& action) {
  try {
    action();
  } catch (const ConfigError& error) {
    std::string text = error.what();
    const std::string prefix = folder.path().string() + "/";
    for (std::size_t at; (at = text.find(prefix)) != std::string::npos;) text.erase(at, prefix.size());
    return text;
  }
  return "";
}

}  // namespace rechost::test
