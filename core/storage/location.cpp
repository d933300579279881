#include "storage/location.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "storage/http_client.h"

namespace rechost {
namespace {

/// Length of "scheme:" at the head of the text; 0: a plain path. One letter is no scheme, and a path may have a colon after a slash.
std::size_t scheme_length(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon < 2) return 0;
  const bool known = text.substr(0, colon) == "file" || text.substr(colon, 3) == "://";
  const bool word = std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon),
                                [](unsigned char c) { return std::isalnum(c) != 0 || c == '+' || c == '-' || c == '.'; });
  return known && word ? colon + 1 : 0;
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

std::string without_slashes_at_end(std::string text) {
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

}  // namespace

bool Location::is_remote(std::string_view text) {
  const std::size_t length = scheme_length(text);
  return length > 0 && lower_case(text.substr(0, length)) != "file:";
}

Location Location::parse(std::string_view text) {
  if (text.empty()) throw ConfigError("an empty path names no file");
  if (text.find('\0') != std::string_view::npos || text.find('\n') != std::string_view::npos) fail<ConfigError>("\"{}\" is no path", text);
  Location location;
  const std::size_t length = scheme_length(text);
  const std::string scheme = lower_case(text.substr(0, length));
  std::string_view rest = text.substr(length);
  if (length == 0 || scheme == "file:") {
    if (rest.starts_with("//")) {
      rest.remove_prefix(2);
      // "file://host/path" is what browsers write of their own machine.
      if (rest.starts_with("localhost/")) rest.remove_prefix(9);
      if (length > 0 && !rest.starts_with('/')) fail<ConfigError>("\"{}\" names another machine; write file:///path", text);
      if (length == 0) rest = text;
    }
    location.path_ = without_slashes_at_end(std::string(rest));
    if (location.path_.empty()) fail<ConfigError>("\"{}\" names no file", text);
    location.text_ = location.path_;
    return location;
  }
  if (scheme == "s3:") {
    location.scheme_ = Scheme::kS3;
    rest.remove_prefix(2);
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    location.bucket_ = std::string(rest.substr(0, slash));
    if (location.bucket_.empty()) fail<ConfigError>("\"{}\" names no bucket: write s3://bucket/path", text);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
    while (rest.ends_with('/')) rest.remove_suffix(1);
    location.path_ = std::string(rest);
    location.text_ = fmt::format("s3://{}/{}", location.bucket_, location.path_);
    return location;
  }
  if (scheme == "http:" || scheme == "https:") {
    location.scheme_ = Scheme::kHttp;
    if (rest.substr(2).empty() || rest.substr(2).front() == '/') fail<ConfigError>("\"{}\" names no server", text);
    location.path_ = scheme + std::string(rest);
    if (location.path_.find('?') == std::string::npos) location.path_ = without_slashes_at_end(location.path_);
    location.text_ = location.path_;
    return location;
  }
  fail<ConfigError>("\"{}\": data is read from a path, file:, http:, https: and s3:, not from {}//", text, scheme);
}

Location Location::child(std::string_view name) const {
  Location result = *this;
  if (scheme_ == Scheme::kHttp) {
    const std::size_t query = std::min(path_.find('?'), path_.size());
    result.path_ = fmt::format("{}/{}{}", without_slashes_at_end(path_.substr(0, query)), percent_encoded(name, true), path_.substr(query));
    result.text_ = result.path_;
    return result;
  }
  result.path_ = path_.empty() ? std::string(name) : path_ == "/" ? fmt::format("/{}", name) : fmt::format("{}/{}", path_, name);
  result.text_ = scheme_ == Scheme::kS3 ? fmt::format("s3://{}/{}", bucket_, result.path_) : result.path_;
  return result;
}

}  // namespace rechost
