#include "registry/model_name.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::string_view kScheme = "models:/";

bool is_plain_name(std::string_view name) {
  const auto alphanumeric = [](char c) { return static_cast<unsigned char>(c) < 0x80 && std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return !name.empty() && name.size() <= 128 && alphanumeric(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

void require_model_name(std::string_view name) {
  if (is_plain_name(name)) return;
  fail<ConfigError>(
      "\"{}\" cannot be the name of a model: use 1 to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit", name);
}

void require_alias_name(std::string_view alias) {
  if (!is_plain_name(alias) || is_number(alias) || alias == "latest") {
    fail<ConfigError>(
        "\"{}\" cannot be an alias: use 1 to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit; not a number, and "
        "not "
        "\"latest\", which always means the newest version",
        alias);
  }
}

bool ModelReference::is_reference(std::string_view text) { return text.starts_with(kScheme); }

ModelReference ModelReference::parse(std::string_view text) {
  ModelReference reference;
  std::string_view rest = text;
  if (is_reference(rest)) rest.remove_prefix(kScheme.size());
  const std::size_t at = rest.find('@');
  const std::size_t slash = rest.find('/');
  const auto reject = [&] {
    fail<ConfigError>("\"{}\" names no model: write models:/NAME (newest version), models:/NAME/3 or models:/NAME@ALIAS", text);
  };
  if (at != std::string_view::npos) {
    reference.alias = rest.substr(at + 1);
    // "@latest" is what many write; it can mean only one thing.
    if (reference.alias == "latest") {
      reference.alias.clear();
    } else if (!is_plain_name(reference.alias) || is_number(reference.alias)) {
      reject();
    }
  } else if (slash != std::string_view::npos) {
    const std::string_view number = rest.substr(slash + 1);
    std::int64_t version = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), version);
    if (!is_number(number) || error != std::errc() || end != number.data() + number.size() || version < 1) reject();
    reference.version = version;
  }
  reference.name = rest.substr(0, at != std::string_view::npos ? at : slash);
  if (!is_plain_name(reference.name)) reject();
  return reference;
}

std::string ModelReference::text() const {
  if (version) return fmt::format("{}{}/{}", kScheme, name, *version);
  return fmt::format("{}{}{}{}", kScheme, name, alias.empty() ? "" : "@", alias);
}

}  // namespace rechost
