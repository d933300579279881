#include "app/run_report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <sstream>
#include <vector>

#include <fmt/format.h>

#include "app/report_chart.h"
#include "app/report_style.h"
#include "app/report_tables.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/time.h"
#include "base/version.h"
#include "tracking/run_directory.h"

namespace rechost::app {

namespace fs = std::filesystem;

namespace {

/// One line of the configuration: "[section]" or "key = value".
struct Setting {
  std::string section;
  std::string key;
  std::string value;
};

/// All that the page tells.
struct Story {
  RunRecord run;
  std::vector<Json> events;
  std::vector<Setting> settings;
  std::map<std::string, Series> curves;  ///< by the names of metrics.jsonl
  Json metrics = Json::object();         ///< by split: of the summary, before there is one the last that were measured
};

std::vector<Json> lines_if_there(const fs::path& path) { return fs::exists(path) ? read_json_lines(path) : std::vector<Json>{}; }

std::vector<Setting> read_settings(const fs::path& path) {
  std::vector<Setting> settings;
  if (!fs::exists(path)) return settings;
  std::istringstream lines(read_file(path));
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find(" = ");
    if (line.size() > 1 && line.front() == '[' && line.back() == ']' && equals == std::string::npos) {
      section = line.substr(1, line.size() - 2);
    } else if (equals != std::string::npos) {
      settings.push_back({section, line.substr(0, equals), line.substr(equals + 3)});
    }
  }
  return settings;
}

std::string setting(const Story& story, std::string_view section, std::string_view key) {
  for (const Setting& entry : story.settings) {
    if (entry.section != section || entry.key != key) continue;
    const bool quoted = entry.value.size() > 1 && entry.value.front() == '"' && entry.value.back() == '"';
    return quoted ? entry.value.substr(1, entry.value.size() - 2) : entry.value;
  }
  return "";
}

Story read_story(const fs::path& path) {
  Story story;
  story.run = inspect_run(path);
  story.events = lines_if_there(path / "events.jsonl");
  story.settings = read_settings(path / "config.toml");
  for (const Json& line : lines_if_there(path / "metrics.jsonl")) {
    const double step = line.value("step", 0.0);
    for (const auto& [name, value] : line.items()) {
      if (!value.is_number() || name == "step" || name == "epoch") continue;
      story.curves[name].points.emplace_back(step, value.get<double>());
      const std::size_t dot = name.find('.');
      if (dot != std::string::npos && name.rfind("train.", 0) != 0) story.metrics[name.substr(0, dot)][name.substr(dot + 1)] = value;
    }
  }
  if (story.run.summary.contains("metrics")) story.metrics = story.run.summary["metrics"];
  return story;
}

/// Training is blue, validation orange, test green on the whole page.
std::size_t colour_of(std::string_view split) { return split == "valid" ? 1 : split == "test" ? 2 : 0; }

/// "recall@20" of "click.recall@20".
std::string_view bare(std::string_view metric) {
  const std::size_t dot = metric.rfind('.');
  return dot == std::string_view::npos ? metric : metric.substr(dot + 1);
}

bool begins_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

/// What a reader looks at first; the others stand in the table.
bool is_headline(std::string_view metric, const Json& among) {
  const std::string_view name = bare(metric);
  if (name == "auc" || begins_with(name, "recall@") || begins_with(name, "ndcg@") || begins_with(name, "hr@")) return true;
  // A binary head has these too, but is judged by its AUC.
  const std::string prefix(metric.substr(0, metric.size() - name.size()));
  return (name == "rmse" || name == "accuracy") && !among.contains(prefix + "auc");
}

/// A time as our files have it, in seconds since 1970; nothing where there is none.
std::optional<double> seconds_of(const std::string& text) {
  try {
    return unix_seconds(parse_utc(text));
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// "2026-01-01 10:20:30 UTC"
std::string moment_text(const std::string& text) {
  return text.size() < 19 ? text : fmt::format("{} {} UTC", text.substr(0, 10), text.substr(11, 8));
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole >= 3600) return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{:.1f} s", seconds);
}

std::string tile(const std::string& value, std::string_view what) {
  return fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", html_text(value), html_text(what));
}

/// The split that a result is told by: never seen in training if possible.
std::string told_split(const Story& story) {
  return story.metrics.contains("test") ? "test" : story.metrics.contains("valid") ? "valid" : "";
}

std::string header_html(const Story& story) {
  const Json& summary = story.run.summary;
  const std::string_view status = run_status_name(story.run.status);
  std::string html = fmt::format("<header><div class=\"title\"><h1>{}</h1><span class=\"status {}\">{}</span></div>\n",
                                 html_text(story.run.name), status, status);
  std::string lead = setting(story, "model", "plugin");
  if (const std::string data = setting(story, "data", "plugin"); !data.empty()) lead += " on " + data;
  if (!story.run.started.empty()) lead += ", started " + moment_text(story.run.started);
  if (summary.contains("model") && summary["model"].is_string()) lead += ", registered as " + summary["model"].get<std::string>();
  html += fmt::format("<p class=\"lead\">{}</p></header>\n", html_text(lead));
  if (summary.contains("error")) html += fmt::format("<p class=\"error\">{}</p>\n", html_text(summary["error"].get<std::string>()));
  html += findings_html(story.events);
  return html;
}

std::string tiles_html(const Story& story) {
  const Json& summary = story.run.summary;
  std::string tiles;
  if (const std::string split = told_split(story); !split.empty()) {
    int shown = 0;
    for (const auto& [name, value] : story.metrics[split].items()) {
      if (!is_headline(name, story.metrics[split]) || ++shown > 3) continue;
      tiles += tile(number_text(value.get<double>()), split + " " + name);
    }
    const auto best = summary.value("/reference/best_auc"_json_pointer, Json());
    if (best.is_number()) tiles += tile(number_text(best.get<double>()), "best reachable auc");
  }
  if (story.run.last_step || summary.contains("steps"))
    tiles += tile(count_text(summary.value("steps", story.run.last_step.value_or(0))), "steps");
  if (summary.contains("samples")) tiles += tile(count_text(summary["samples"].get<std::int64_t>()), "samples");
  if (summary.contains("samples_per_second"))
    tiles += tile(number_text(std::round(summary["samples_per_second"].get<double>())), "samples/s");
  if (!story.events.empty()) {
    const auto first = seconds_of(story.events.front().value("time", ""));
    const auto last = seconds_of(story.events.back().value("time", ""));
    if (first && last && *last > *first) tiles += tile(duration_text(*last - *first), "first to last event");
  }
  if (summary.contains("peak_memory_bytes")) tiles += tile(bytes_text(summary["peak_memory_bytes"].get<std::uint64_t>()), "peak memory");
  return tiles.empty() ? "" : "<div class=\"tiles\">\n" + tiles + "</div>\n";
}

/// Training loss and the evaluations' log loss in one chart, where one scale suits both.
std::string loss_chart(const Story& story) {
  const auto train = story.curves.find("train.loss");
  if (train == story.curves.end()) return "";
  Chart chart{.title = "Loss", .x_label = "step", .series = {{"training", train->second.points}}, .reference = {}};
  const auto [low, high] = std::minmax_element(train->second.points.begin(), train->second.points.end(),
                                               [](const auto& left, const auto& right) { return left.second < right.second; });
  for (const char* split : {"valid", "test"}) {
    const auto found = story.curves.find(std::string(split) + ".log_loss");
    if (found == story.curves.end() || found->second.points.size() < 2) continue;
    // A model that learns by another loss than log loss is on another scale: one axis would flatten both curves.
    const double last = found->second.points.back().second;
    if (last > 0.5 * low->second && last < 2.0 * high->second)
      chart.series.push_back({std::string(split) + " log loss", found->second.points, colour_of(split)});
  }
  return chart_html(chart);
}

std::string metric_charts(const Story& story) {
  std::map<std::string, Chart> charts;
  for (const auto& [name, curve] : story.curves) {
    const std::size_t dot = name.find('.');
    if (dot == std::string::npos || curve.points.size() < 2) continue;
    const std::string split = name.substr(0, dot);
    const std::string metric = name.substr(dot + 1);
    if (!story.metrics.contains(split) || !is_headline(metric, story.metrics[split])) continue;
    Chart& chart = charts[metric];
    chart.title = metric;
    chart.x_label = "step";
    chart.series.push_back({split, curve.points, colour_of(split)});
    const auto best = story.run.summary.value("/reference/best_auc"_json_pointer, Json());
    if (metric == "auc" && best.is_number()) chart.reference = {"best reachable", best.get<double>()};
  }
  std::string html;
  for (const auto& [metric, chart] : charts) html += chart_html(chart);
  return html;
}

std::string learning_rate_chart(const Story& story) {
  const auto found = story.curves.find("lr_factor");
  if (found == story.curves.end() || found->second.points.size() < 2) return "";
  const auto same = [&](const auto& point) { return point.second == found->second.points.front().second; };
  if (std::all_of(found->second.points.begin(), found->second.points.end(), same)) return "";
  return chart_html({.title = "Learning rate, share of the configured one",
                     .x_label = "step",
                     .series = {{"factor", found->second.points}},
                     .reference = {}});
}

std::string gradient_chart(const Story& story) {
  const auto found = story.curves.find("train.gradient_norm");
  if (found == story.curves.end() || found->second.points.size() < 2) return "";
  return chart_html({.title = "Norm of the dense gradients", .x_label = "step", .series = {{"training", found->second.points}}, .reference = {}});
}

std::string reliability_charts(const Story& story) {
  if (!story.run.summary.contains("reliability")) return "";
  const Json& tables = story.run.summary["reliability"];
  const std::string split = tables.contains("test") ? "test" : tables.contains("valid") ? "valid" : "";
  if (split.empty()) return "";
  std::string html;
  for (const Json& table : tables[split]) {
    Series series{.name = split + " rows in bins of equal count", .points = {}, .colour = colour_of(split)};
    for (const Json& bin : table["bins"]) series.points.emplace_back(bin["mean_prediction"].get<double>(), bin["mean_label"].get<double>());
    if (series.points.empty()) continue;
    const std::string head = table.value("head", "");
    html += chart_html(
        {.title = head.empty() ? "Reliability: observed over predicted rate" : "Reliability of " + head + ": observed over predicted rate",
         .x_label = "predicted",
         .series = {series},
         .reference = {},
         .against_itself = true});
  }
  return html;
}

std::string time_html(const Story& story) {
  if (!story.run.summary.contains("time")) return "";
  const Json& time = story.run.summary["time"];
  std::vector<std::pair<std::string, double>> shares;
  for (const auto& [key, name] :
       {std::pair{"data", "waiting for data"}, std::pair{"lookup", "table lookup"}, std::pair{"model", "model forward and backward"},
        std::pair{"update", "optimizers"}, std::pair{"comm", "communication"}, std::pair{"other", "everything else"}}) {
    shares.emplace_back(name, time.value(key, 0.0));
  }
  return shares_html("Where a step's time goes", shares);
}

std::string evaluation_html(const Story& story) {
  std::vector<std::string> splits;
  std::vector<std::string> names;
  for (const char* split : {"test", "valid", "train"}) {
    if (!story.metrics.contains(split)) continue;
    splits.emplace_back(split);
    for (const auto& [name, value] : story.metrics[split].items()) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  if (names.empty()) return "";
  std::string rows = "<tr><th>metric</th>";
  for (const std::string& split : splits) rows += fmt::format("<th class=\"number\">{}</th>", html_text(split));
  rows += "</tr>\n";
  for (const std::string& name : names) {
    rows += fmt::format("<tr><td>{}</td>", html_text(name));
    for (const std::string& split : splits) {
      const Json& values = story.metrics[split];
      rows += fmt::format("<td class=\"number\">{}</td>",
                          values.contains(name) && values[name].is_number() ? number_text(values[name].get<double>()) : "-");
    }
    rows += "</tr>\n";
  }
  std::string undefined;
  const Json undefined_metrics = story.run.summary.value("undefined_metrics", Json::object());
  for (const auto& [split, reasons] : undefined_metrics.items()) {
    for (const auto& [name, reason] : reasons.items()) {
      undefined += fmt::format("<p class=\"lead\">{} {} is undefined: {}</p>", html_text(split), html_text(name),
                               html_text(reason.get<std::string>()));
    }
  }
  return fmt::format("<figure class=\"card\"><figcaption><h3>Evaluation</h3></figcaption><table>\n{}</table>{}</figure>\n", rows,
                     undefined);
}

std::string events_html(const Story& story) {
  constexpr std::size_t kShown = 12;
  std::string rows;
  const std::size_t first = story.events.size() > kShown ? story.events.size() - kShown : 0;
  if (first > 0) rows += fmt::format("<tr><td>{} earlier events</td><td></td><td></td></tr>\n", first);
  for (std::size_t i = first; i < story.events.size(); ++i) {
    const Json& event = story.events[i];
    std::string details;
    if (event.contains("step")) details = fmt::format("step {}", count_text(event["step"].get<std::int64_t>()));
    if (event.contains("seconds")) details += fmt::format("{}{:.1f} s", details.empty() ? "" : ", ", event["seconds"].get<double>());
    rows += fmt::format("<tr><td>{}</td><td>{}</td><td class=\"number\">{}</td></tr>\n", html_text(moment_text(event.value("time", ""))),
                        html_text(event.value("event", "")), html_text(details));
  }
  if (rows.empty()) return "";
  return fmt::format("<figure class=\"card\"><figcaption><h3>Events</h3></figcaption><table>\n{}</table></figure>\n", rows);
}

std::string settings_html(const Story& story) {
  std::string html;
  for (std::size_t i = 0; i < story.settings.size();) {
    const std::string& section = story.settings[i].section;
    std::string rows;
    for (; i < story.settings.size() && story.settings[i].section == section; ++i) {
      rows += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", html_text(story.settings[i].key), html_text(story.settings[i].value));
    }
    html += fmt::format("<div class=\"card\"><h3>[{}]</h3><table>\n{}</table></div>\n", html_text(section), rows);
  }
  return html.empty() ? "" : "<h2>Configuration</h2>\n<div class=\"settings\">\n" + html + "</div>\n";
}

std::string part(std::string_view title, const std::string& cards) {
  return cards.empty() ? "" : fmt::format("<h2>{}</h2>\n<div class=\"cards\">\n{}</div>\n", title, cards);
}

}  // namespace

std::string run_report(const fs::path& run) {
  const Story story = read_story(run);
  std::string body = header_html(story) + tiles_html(story);
  body += part("Learning", loss_chart(story) + metric_charts(story) + gradient_chart(story) + learning_rate_chart(story));
  body += part("Result", evaluation_html(story) + reliability_charts(story));
  body += part("Tables", tables_html(story.run.summary));
  body += part("Course", time_html(story) + events_html(story));
  body += settings_html(story);
  body += fmt::format("<footer>{} &middot; rechost {}</footer>\n", html_text(story.run.path.string()), html_text(version()));
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n"
      "<title>{}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
      html_text(story.run.name), kReportStyle, body);
}

}  // namespace rechost::app
