#include "app/report_tables.h"

#include <set>

#include <fmt/format.h>

#include "app/report_chart.h"
#include "app/setup.h"

namespace rechost::app {
namespace {

std::string cell(const std::string& text) { return fmt::format("<td class=\"number\">{}</td>", html_text(text)); }

std::string count_cell(const Json& entry, const char* key) { return cell(entry.contains(key) ? count_text(entry[key].get<std::int64_t>()) : "-"); }

std::string share_text(double share) { return fmt::format("{:.1f} %", 100.0 * share); }

std::string share_cell(const Json& entry, const char* key) { return cell(entry.contains(key) ? share_text(entry[key].get<double>()) : "-"); }

/// A norm that overflowed has no number in JSON.
std::string norm_text(const Json& norm) { return norm.is_number() ? number_text(norm.get<double>()) : "-"; }

std::string collision_text(const Json& entry) {
  const Json share = entry.value("/hash/colliding_share_estimate"_json_pointer, Json());
  if (share.is_number()) return share_text(share.get<double>());
  return entry.contains("hash") ? "all rows full" : "-";
}

}  // namespace

std::string tables_html(const Json& summary) {
  constexpr std::size_t kShown = 100;
  if (!summary.contains("tables") || summary["tables"].empty()) return "";
  std::string rows =
      "<tr><th>table</th><th class=\"number\">rows</th><th class=\"number\">touched</th><th class=\"number\">never touched</th>"
      "<th class=\"number\">norm: min</th><th class=\"number\">median</th><th class=\"number\">max</th><th>largest row</th>"
      "<th class=\"number\">dead</th><th class=\"number\">exploding</th><th class=\"number\">out of vocabulary</th><th class=\"number\">values in shared rows</th></tr>\n";
  const Json& tables = summary["tables"];
  for (std::size_t i = 0; i < std::min(tables.size(), kShown); ++i) {
    const Json& entry = tables[i];
    const Json norm = entry.value("norm", Json::object());
    const Json largest = entry.value("largest_row", Json::object());
    std::string largest_text = largest.contains("row") ? count_text(largest["row"].get<std::int64_t>()) : "-";
    if (largest.contains("value")) largest_text += " = " + largest["value"].get<std::string>();
    rows += fmt::format("<tr><td>{}</td>{}{}{}{}{}{}<td>{}</td>{}{}{}{}</tr>\n", html_text(entry.value("table", "")), count_cell(entry, "rows"),
                        count_cell(entry, "touched_rows"), share_cell(entry, "never_touched_share"), cell(norm_text(norm.value("min", Json()))),
                        cell(norm_text(norm.value("median", Json()))), cell(norm_text(norm.value("max", Json()))), html_text(largest_text), count_cell(entry, "dead_rows"),
                        count_cell(entry, "exploding_rows"), share_cell(entry, "out_of_vocabulary_share"), cell(collision_text(entry)));
  }
  if (tables.size() > kShown) rows += fmt::format("<tr><td>{} more in summary.json</td></tr>\n", tables.size() - kShown);
  return fmt::format("<figure class=\"card wide\"><table>\n{}</table></figure>\n", rows);
}

std::string findings_html(const std::vector<Json>& events) {
  std::string html;
  // A resumed run may have found again what it had found after its last checkpoint.
  std::set<std::string> shown;
  for (const Json& event : events) {
    if (event.value("event", "") != "sentinel") continue;
    const std::string text = event.value("text", "");
    if (shown.insert(event.value("sentinel", "") + event.value("subject", "")).second) html += fmt::format("<p class=\"warning\">{}</p>\n", html_text(text));
  }
  return html;
}

}  // namespace rechost::app
