#include "numbers.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace text {
namespace {

std::string_view stripped(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  return text;
}

}  // namespace

bool parse_integer(std::string_view text, std::int64_t& value) {
  text = stripped(text);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_real(std::string_view text, double& value) {
  text = stripped(text);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
}

bool parse_float(std::string_view text, float& value) {
  // Counts of a few digits are the most frequent numbers in such files, and exact in a float.
  if (!text.empty() && text.size() <= 7) {
    std::int32_t count = 0;
    bool digits = true;
    for (const char byte : text) {
      digits = digits && byte >= '0' && byte <= '9';
      count = count * 10 + (byte - '0');
    }
    if (digits) {
      value = static_cast<float>(count);
      return true;
    }
  }
  double wide;
  if (!parse_real(text, wide) || std::abs(wide) > static_cast<double>(std::numeric_limits<float>::max())) return false;
  value = static_cast<float>(wide);
  return true;
}

std::string quote(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string result = "\"";
  for (const char byte : text.substr(0, kLongest)) {
    const auto code = static_cast<unsigned char>(byte);
    if (code < 0x20 || code >= 0x7f) {
      constexpr char kDigits[] = "0123456789abcdef";
      result += std::string("\\x") + kDigits[code >> 4] + kDigits[code & 15];
    } else {
      result += byte;
    }
  }
  return result + (text.size() > kLongest ? "…\"" : "\"");
}

std::string refusal(std::string_view text, std::string_view wanted) {
  if (stripped(text).empty()) return "the value is empty, it should be " + std::string(wanted);
  return quote(text) + " is not " + std::string(wanted);
}

std::string nearest_name(std::string_view name, const std::string* begin, const std::string* end) {
  const auto lower = [](char byte) { return std::tolower(static_cast<unsigned char>(byte)); };
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const std::string* candidate = begin; candidate != end; ++candidate) {
    // Levenshtein distance, upper and lower case alike.
    std::vector<std::size_t> row(candidate->size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < name.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i + 1;
      for (std::size_t j = 0; j < candidate->size(); ++j) {
        const std::size_t replaced = diagonal + (lower(name[i]) != lower((*candidate)[j]));
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = *candidate;
    }
  }
  return best;
}

}  // namespace text
