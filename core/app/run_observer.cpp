#include "app/run_observer.h"

#include <unistd.h>

#include <cmath>

#include <fmt/format.h>

#include "app/setup.h"
#include "base/log.h"

namespace rechost::app {
namespace {

/// Lines in a log file that nobody watches can be rarer than those on a terminal.
constexpr double kPlainLineFactor = 5.0;

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(std::max(seconds, 0.0)));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

std::string metrics_text(const MetricReport& metrics) {
  // A line has room for some; summary.json has all.
  constexpr std::string_view kShown[] = {"auc", "log_loss", "calibration", "rmse", "mae", "accuracy", "recall@", "ndcg@", "hr@", "mrr@"};
  constexpr std::size_t kRoom = 4;
  std::string text;
  std::size_t shown = 0;
  for (const std::string_view wanted : kShown) {
    for (const MetricValue& metric : metrics.values) {
      const std::size_t dot = metric.name.rfind('.');
      const std::string_view own = std::string_view(metric.name).substr(dot == std::string::npos ? 0 : dot + 1);
      const bool matches = wanted.back() == '@' ? own.rfind(wanted, 0) == 0 : own == wanted;
      if (!matches || !metric.value || shown == kRoom) continue;
      text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", metric.name, *metric.value);
      ++shown;
    }
  }
  return text.empty() ? "no metric is defined" : text;
}

RunObserver::RunObserver(const Config& config, RunDirectory& directory, RunTracker& tracker, std::int64_t first_step, const PreparedData& data)
    : config_(config),
      directory_(directory),
      tracker_(tracker),
      tensorboard_(directory.tensorboard(), first_step, std::chrono::system_clock::now()),
      bad_rows_(data.bad_rows),
      unseen_share_(data.drift.largest_unseen_share()),
      terminal_(isatty(STDERR_FILENO) != 0),
      last_shown_(Clock::now()) {}

void RunObserver::on_step(const StepReport& report) {
  shown_loss_ += report.loss;
  ++shown_steps_;
  const auto now = Clock::now();
  const double since = std::chrono::duration<double>(now - last_shown_).count();
  const double interval = terminal_ ? 0.2 : config_.run.log_every_seconds * kPlainLineFactor;
  if (since < interval && report.step != report.total_steps) return;
  last_shown_ = now;
  const double rate = report.seconds > 0 ? static_cast<double>(report.samples_here) / report.seconds : 0.0;
  const double left = report.steps_here > 0
                          ? report.seconds / static_cast<double>(report.steps_here) * static_cast<double>(report.total_steps - report.step)
                          : 0.0;
  const double waiting = report.seconds > 0 ? 100.0 * report.wait_seconds / report.seconds : 0.0;
  std::string line = fmt::format("step {}/{}  loss {:.4f}  {}{} samples/s  waiting for data {:.0f}%  left {}", count_text(report.step),
                                 count_text(report.total_steps), shown_loss_ / static_cast<double>(shown_steps_), last_metric_,
                                 count_text(std::llround(rate)), waiting, duration_text(left));
  if (bad_rows_ > 0) line += fmt::format("  bad rows left out {}", count_text(bad_rows_));
  shown_loss_ = 0.0;
  shown_steps_ = 0;
  if (terminal_) {
    write_live_line(line);
  } else {
    log_info("{}", line);
  }
}

void RunObserver::on_interval(const IntervalReport& report) {
  Json fields = Json::object();
  fields["epoch"] = report.epoch;
  fields["train.loss"] = report.loss;
  fields["lr_factor"] = report.lr_factor;
  if (report.gradient_norm) fields["train.gradient_norm"] = *report.gradient_norm;
  if (report.sent_bytes) fields["comm.sent_bytes"] = *report.sent_bytes;
  if (report.received_bytes) fields["comm.received_bytes"] = *report.received_bytes;
  if (bad_rows_ > 0) fields["data.bad_rows"] = bad_rows_;
  if (unseen_share_ > 0.0) fields["data.drift.unseen_share"] = unseen_share_;
  for (const KeyedRows* const keys : report.dynamic_tables) {
    const std::string table = fmt::format("tables.{}.", keys->table());
    fields[table + "keys"] = keys->keys();
    fields[table + "admissions"] = keys->counters().admissions;
    fields[table + "evictions"] = keys->counters().evictions;
    fields[table + "unadmitted_share"] = keys->counters().unadmitted_share();
  }
  directory_.metrics(report.step, fields);
  tracker_.metrics(report.step, fields);
  std::vector<Scalar> scalars{{"train/loss", static_cast<float>(report.loss)}, {"lr_factor", static_cast<float>(report.lr_factor)}};
  if (report.gradient_norm) scalars.push_back({"train/gradient_norm", static_cast<float>(*report.gradient_norm)});
  tensorboard_.write(report.step, scalars, std::chrono::system_clock::now());
}

void RunObserver::on_evaluation(const EvaluationReport& report) {
  std::string best;
  if (report.best_auc) best = fmt::format(" (best reachable {:.4f})", *report.best_auc);
  log_info("{} after step {}: {}{}{} in {:.1f} s", report.split, count_text(report.step), metrics_text(*report.metrics), best,
           report.best ? ", best so far" : "", report.seconds);
  for (const MetricValue& metric : report.metrics->values) {
    if (!metric.value) log_debug("{} {} is undefined: {}", report.split, metric.name, metric.reason);
  }
  if (const auto watched = report.metrics->value(report.watched)) last_metric_ = fmt::format("{} {:.4f}  ", report.watched, *watched);
  Json fields = Json::object();
  fields["epoch"] = report.epoch;
  std::vector<Scalar> scalars;
  for (const MetricValue& metric : report.metrics->values) {
    if (!metric.value) continue;
    fields[report.split + "." + metric.name] = *metric.value;
    scalars.push_back({report.split + "/" + metric.name, static_cast<float>(*metric.value)});
  }
  directory_.metrics(report.step, fields);
  tracker_.metrics(report.step, fields);
  tensorboard_.write(report.step, scalars, std::chrono::system_clock::now());
  last_shown_ = Clock::now();
}

void RunObserver::on_checkpoint(std::int64_t step, const std::filesystem::path& checkpoint, double seconds) {
  log_info("checkpoint {} in {:.1f} s", checkpoint.string(), seconds);
  Json fields = Json::object();
  fields["step"] = step;
  fields["path"] = checkpoint.string();
  fields["seconds"] = seconds;
  directory_.event("checkpoint", fields);
  tracker_.checkpoint(checkpoint);
}

void RunObserver::on_finding(const SentinelFinding& finding) {
  log_warning("{}", finding.text);
  directory_.event("sentinel", finding.to_json());
}

}  // namespace rechost::app
