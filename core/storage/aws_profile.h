#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace rechost {

/// A variable of the process, or nothing when it is unset: only the app floor reads the environment, and hands this down.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;

/// What ~/.aws/credentials and ~/.aws/config (or the files that AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name) say of one profile.
struct AwsProfile {
  std::string name;                         ///< AWS_PROFILE, else "default"
  bool found = false;                       ///< in either file
  std::map<std::string, std::string> keys;  ///< of both; the credentials file wins
  std::filesystem::path credentials_file;
  std::filesystem::path config_file;

  /// Empty when the profile has no such key.
  std::string value(const std::string& key) const;
};

/// A missing file holds no profile. Throws ConfigError naming file and line for what is not in the form of these files, and when AWS_PROFILE
/// names a profile that neither file has.
AwsProfile read_aws_profile(const Variables& variables);

/// The sections of such a file by their names, "profile " left out; keys of a nested block are "block.key". `origin` is for messages.
std::map<std::string, std::map<std::string, std::string>> parse_aws_file(const std::string& text, const std::string& origin);

}  // namespace rechost
