#include "storage/aws_profile.h"

#include <sstream>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace rechost {
namespace {

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1));
}

std::map<std::string, std::map<std::string, std::string>> read_sections(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return {};
  return parse_aws_file(read_file(path), path.string());
}

std::filesystem::path named_file(const Variables& variables, const char* variable, const char* fallback) {
  if (const auto named = variables(variable); named && !named->empty()) return *named;
  const std::string home = variables("HOME").value_or("");
  return home.empty() ? std::filesystem::path() : std::filesystem::path(home) / ".aws" / fallback;
}

}  // namespace

std::string AwsProfile::value(const std::string& key) const {
  const auto found_key = keys.find(key);
  return found_key == keys.end() ? "" : found_key->second;
}

std::map<std::string, std::map<std::string, std::string>> parse_aws_file(const std::string& text, const std::string& origin) {
  std::map<std::string, std::map<std::string, std::string>> sections;
  std::map<std::string, std::string>* section = nullptr;
  std::string block;  // of indented lines below "key ="
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::string content = trimmed(line);
    if (content.empty() || content[0] == '#' || content[0] == ';') continue;
    if (content[0] == '[') {
      const std::size_t end = content.find(']');
      if (end == std::string::npos) fail<ConfigError>("{}:{}: \"{}\" has no closing ]", origin, number, content);
      std::string name = trimmed(std::string_view(content).substr(1, end - 1));
      if (name.starts_with("profile ")) name = trimmed(std::string_view(name).substr(8));
      section = &sections[name];
      block.clear();
      continue;
    }
    const std::size_t equals = content.find('=');
    const bool indented = line[0] == ' ' || line[0] == '\t';
    if (equals == std::string::npos || section == nullptr) {
      fail<ConfigError>("{}:{}: expected [profile] or key = value", origin, number);  // the line may be a secret: it is not shown
    }
    const std::string key = trimmed(std::string_view(content).substr(0, equals));
    const std::string value = trimmed(std::string_view(content).substr(equals + 1));
    if (!indented) block = value.empty() ? key : "";
    (*section)[indented && !block.empty() ? block + "." + key : key] = value;
  }
  return sections;
}

AwsProfile read_aws_profile(const Variables& variables) {
  AwsProfile profile;
  const std::string asked = variables("AWS_PROFILE").value_or("");
  profile.name = asked.empty() ? "default" : asked;
  profile.credentials_file = named_file(variables, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
  profile.config_file = named_file(variables, "AWS_CONFIG_FILE", "config");
  for (const auto* file : {&profile.credentials_file, &profile.config_file}) {
    if (file->empty()) continue;
    auto sections = read_sections(*file);
    const auto section = sections.find(profile.name);
    if (section == sections.end()) continue;
    profile.found = true;
    profile.keys.merge(section->second);  // keeps what is there
    // "services = name" leads to [services name] with the addresses of each service.
    const auto services = sections.find("services " + profile.value("services"));
    if (services != sections.end()) profile.keys.merge(services->second);
  }
  if (!asked.empty() && !profile.found) {
    fail<ConfigError>("AWS_PROFILE = {}: neither {} nor {} has this profile", asked, profile.credentials_file.string(), profile.config_file.string());
  }
  return profile;
}

}  // namespace rechost
