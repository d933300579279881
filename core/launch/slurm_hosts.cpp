#include "launch/slurm_hosts.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::size_t kMostHosts = 1u << 20;

[[noreturn]] void malformed(std::string_view list, std::string_view why) { fail<ConfigError>("\"{}\" is not a Slurm host list: {}", list, why); }

int number(std::string_view digits, std::string_view list) {
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty() || value < 0) {
    fail<ConfigError>("\"{}\" in \"{}\" is not a number", digits, list);
  }
  return value;
}

/// Cuts at commas outside of brackets.
std::vector<std::string_view> parts_of(std::string_view list) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i <= list.size(); ++i) {
    if (i < list.size() && list[i] == '[') ++depth;
    if (i < list.size() && list[i] == ']') --depth;
    if (depth < 0 || depth > 1) malformed(list, "the brackets do not match");
    if (i == list.size() || (list[i] == ',' && depth == 0)) {
      parts.push_back(list.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  if (depth != 0) malformed(list, "a bracket is not closed");
  return parts;
}

/// "1-3,07" -> "1", "2", "3", "07".
std::vector<std::string> expand_ranges(std::string_view ranges, std::string_view list) {
  std::vector<std::string> numbers;
  while (true) {
    const std::size_t comma = ranges.find(',');
    const std::string_view range = ranges.substr(0, comma);
    const std::size_t dash = range.find('-');
    const std::string_view first = range.substr(0, dash);
    const std::string_view last = dash == std::string_view::npos ? first : range.substr(dash + 1);
    const int end = number(last, list);
    for (int value = number(first, list); value <= end; ++value) {
      numbers.push_back(fmt::format("{:0{}}", value, first.size()));
      if (numbers.size() > kMostHosts) malformed(list, "it names too many hosts");
    }
    if (comma == std::string_view::npos) return numbers;
    ranges.remove_prefix(comma + 1);
  }
}

}  // namespace

std::vector<std::string> expand_slurm_hosts(std::string_view list) {
  std::vector<std::string> hosts;
  for (std::string_view part : parts_of(list)) {
    if (part.empty()) malformed(list, "a name is empty");
    std::vector<std::string> names{""};
    while (!part.empty()) {
      const std::size_t open = part.find('[');
      for (std::string& name : names) name += part.substr(0, open);
      if (open == std::string_view::npos) break;
      const std::size_t close = part.find(']', open);
      const std::vector<std::string> numbers = expand_ranges(part.substr(open + 1, close - open - 1), list);
      if (names.size() * numbers.size() > kMostHosts) malformed(list, "it names too many hosts");
      std::vector<std::string> longer;
      for (const std::string& name : names) {
        for (const std::string& added : numbers) longer.push_back(name + added);
      }
      names = std::move(longer);
      part.remove_prefix(close + 1);
    }
    hosts.insert(hosts.end(), names.begin(), names.end());
  }
  return hosts;
}

std::vector<int> expand_tasks_per_node(std::string_view list) {
  std::vector<int> tasks;
  std::string_view rest = list;
  while (true) {
    const std::size_t comma = rest.find(',');
    std::string_view entry = rest.substr(0, comma);
    int times = 1;
    if (const std::size_t repeat = entry.find("(x"); repeat != std::string_view::npos && entry.back() == ')') {
      times = number(entry.substr(repeat + 2, entry.size() - repeat - 3), list);
      entry = entry.substr(0, repeat);
    }
    tasks.insert(tasks.end(), static_cast<std::size_t>(times), number(entry, list));
    if (comma == std::string_view::npos) return tasks;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace rechost
