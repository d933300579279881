#include "tracking/mlflow_limits.h"

#include <cctype>

#include "base/checksum.h"

namespace rechost {

std::string mlflow_key(std::string_view name) {
  std::string key;
  for (const char c : name) {
    if (c == '@') {
      key += "_at_";
    } else if (std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("_-. ").find(c) != std::string_view::npos) {
      key += c;
    } else if (c == '/') {
      if (!key.empty() && key.back() != '/') key += c;
    } else {
      key += '_';
    }
  }
  while (!key.empty() && key.back() == '/') key.pop_back();
  // "." and ".." mean folders, where MLflow makes a path of the key.
  for (std::size_t begin = 0; begin <= key.size();) {
    const std::size_t end = std::min(key.find('/', begin), key.size());
    const std::string_view part = std::string_view(key).substr(begin, end - begin);
    if (part == "." || part == "..") key.replace(begin, part.size(), part.size(), '_');
    begin = end + 1;
  }
  if (key.empty()) key = "_";
  if (key.size() > kMlflowKeyLength) {
    const std::string checksum = checksum_of(name).substr(5);  // without "xxh3:"
    key = key.substr(0, kMlflowKeyLength - checksum.size() - 1) + "-" + checksum;
  }
  return key;
}

std::string mlflow_metric_key(std::string_view name) {
  std::string grouped(name);
  if (const std::size_t dot = grouped.find('.'); dot != std::string::npos && dot > 0 && dot + 1 < grouped.size()) grouped[dot] = '/';
  return mlflow_key(grouped);
}

std::string mlflow_value(std::string_view text, std::size_t limit) {
  constexpr std::string_view kEllipsis = "...";
  const auto begins_character = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  std::size_t characters = 0;
  std::size_t room = text.size();  // where the ellipsis would go
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!begins_character(text[i])) continue;
    if (characters == limit - kEllipsis.size()) room = i;
    if (++characters > limit) return std::string(text.substr(0, room)) + std::string(kEllipsis);
  }
  return std::string(text);
}

}  // namespace rechost
