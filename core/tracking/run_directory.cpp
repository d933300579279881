#include "tracking/run_directory.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <mutex>
#include <regex>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

namespace rechost {
namespace {

constexpr std::string_view kConfigFile = "config.toml";
constexpr std::string_view kEventsFile = "events.jsonl";
constexpr std::string_view kMetricsFile = "metrics.jsonl";
constexpr std::string_view kSummaryFile = "summary.json";
constexpr std::string_view kLockFile = "run.lock";

WallTime now() { return std::chrono::system_clock::now(); }

void require_run_name(std::string_view name) {
  const auto allowed = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-'; };
  if (name.empty() || name.size() > 128 || name.front() == '.' || !std::all_of(name.begin(), name.end(), allowed)) {
    fail<ConfigError>("run.name = \"{}\": use 1 to 128 letters, digits, '.', '_' and '-', not beginning with '.'", name);
  }
}

FileDescriptor open_to_append(const std::filesystem::path& path) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!file) fail("cannot open {}: {}", path.string(), std::generic_category().message(errno));
  return file;
}

/// One write per line: a crash cuts at most the last one.
void append_line(const FileDescriptor& file, const std::filesystem::path& path, const Json& line) {
  const std::string text = json_line(line) + "\n";
  write_all(file, text.data(), text.size(), path);
}

void make_directories(const std::filesystem::path& run) {
  for (const char* name : {"logs", "checkpoints"}) {
    std::error_code reason;
    std::filesystem::create_directories(run / name, reason);
    if (reason) fail("cannot create {}: {}", (run / name).string(), reason.message());
  }
}

bool is_run(const std::filesystem::path& path) { return std::filesystem::is_regular_file(path / kEventsFile); }

/// Whole lines only. The rest after the last line break is what a crash cut.
std::vector<std::string> whole_lines(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  std::vector<std::string> lines;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) return lines;
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

/// The file with the whole lines that `keep` accepts. A line that was cut would otherwise run into the next one.
template <typename Predicate>
void rewrite_lines(const std::filesystem::path& path, Predicate&& keep) {
  if (!std::filesystem::exists(path)) return;
  std::string kept;
  for (const std::string& line : whole_lines(path)) {
    if (keep(line)) kept += line + "\n";
  }
  write_file_atomically(path, kept);
}

RunStatus status_from(const std::string& name) {
  for (const RunStatus status : {RunStatus::kFinished, RunStatus::kFailed, RunStatus::kStopped}) {
    if (name == run_status_name(status)) return status;
  }
  return RunStatus::kKilled;
}

}  // namespace

std::string_view run_status_name(RunStatus status) {
  switch (status) {
    case RunStatus::kRunning:
      return "running";
    case RunStatus::kFinished:
      return "finished";
    case RunStatus::kFailed:
      return "failed";
    case RunStatus::kStopped:
      return "stopped";
    case RunStatus::kKilled:
      break;
  }
  return "killed";
}

struct RunDirectory::Files {
  std::filesystem::path path;
  LockFile lock;
  std::mutex mutex;
  FileDescriptor events;
  FileDescriptor metrics;
  bool finished = false;

  Files(std::filesystem::path run, LockFile held) : path(std::move(run)), lock(std::move(held)) {}

  void open() {
    events = open_to_append(path / kEventsFile);
    metrics = open_to_append(path / kMetricsFile);
  }
};

RunDirectory::RunDirectory(std::unique_ptr<Files> files) : files_(std::move(files)) {}
RunDirectory::RunDirectory(RunDirectory&&) noexcept = default;
RunDirectory& RunDirectory::operator=(RunDirectory&&) noexcept = default;
RunDirectory::~RunDirectory() = default;

const std::filesystem::path& RunDirectory::path() const { return files_->path; }

RunDirectory RunDirectory::create(const std::filesystem::path& root, std::string_view name, std::string_view config_text) {
  require_run_name(name);
  std::error_code reason;
  std::filesystem::create_directories(root, reason);
  if (reason) fail("cannot create {}: {}", root.string(), reason.message());
  const std::string base = fmt::format("{}-{}", name, utc_compact(now()));
  std::filesystem::path path = root / base;
  // mkdir tells which of two processes was first.
  for (int attempt = 2; !std::filesystem::create_directory(path, reason); ++attempt) {
    if (reason) fail("cannot create {}: {}", path.string(), reason.message());
    path = root / fmt::format("{}-{}", base, attempt);
  }
  make_directories(path);
  auto files = std::make_unique<Files>(path, LockFile::acquire(path / kLockFile));
  write_file_atomically(path / kConfigFile, config_text);
  files->open();
  RunDirectory run(std::move(files));
  run.event("started", {{"pid", ::getpid()}});
  return run;
}

RunDirectory RunDirectory::resume(const std::filesystem::path& path, std::int64_t step, std::string_view config_text) {
  if (!is_run(path)) fail("{} is not a run directory: it has no {}", path.string(), kEventsFile);
  auto files = std::make_unique<Files>(path, LockFile::acquire(path / kLockFile));
  make_directories(path);
  rewrite_lines(path / kEventsFile, [](const std::string&) { return true; });
  rewrite_lines(path / kMetricsFile, [&](const std::string& line) {
    const Json entry = parse_json(line, (path / kMetricsFile).string());
    return entry.is_object() && entry.contains("step") && entry["step"].is_number_integer() && entry["step"].get<std::int64_t>() <= step;
  });
  // A summary says that a run has ended, which this one has not.
  std::error_code reason;
  std::filesystem::remove(path / kSummaryFile, reason);
  if (reason) fail("cannot remove {}: {}", (path / kSummaryFile).string(), reason.message());
  write_file_atomically(path / kConfigFile, config_text);
  files->open();
  RunDirectory run(std::move(files));
  run.event("resumed", {{"pid", ::getpid()}, {"step", step}});
  return run;
}

void RunDirectory::event(std::string_view kind, const Json& fields) {
  Json line{{"time", utc_text(now())}, {"event", kind}};
  line.update(fields);
  const std::lock_guard lock(files_->mutex);
  append_line(files_->events, files_->path / kEventsFile, line);
}

void RunDirectory::metrics(std::int64_t step, const Json& fields) {
  Json line{{"step", step}, {"time", utc_text(now())}};
  line.update(fields);
  const std::lock_guard lock(files_->mutex);
  append_line(files_->metrics, files_->path / kMetricsFile, line);
}

Json RunDirectory::finish(RunStatus status, const Json& summary) {
  if (status == RunStatus::kRunning || status == RunStatus::kKilled || std::exchange(files_->finished, true)) {
    fail("a run ends once, as finished, failed or stopped");
  }
  Json written{{"run_dir", std::filesystem::absolute(files_->path).lexically_normal().string()}, {"status", run_status_name(status)}};
  for (const auto& [key, value] : summary.items()) {
    if (!written.contains(key)) written[key] = value;
  }
  write_file_atomically(files_->path / kSummaryFile, json_document(written));
  event(run_status_name(status));
  sync_file(files_->events, files_->path / kEventsFile);
  sync_file(files_->metrics, files_->path / kMetricsFile);
  return written;
}

std::string given_name(std::string_view directory_name) {
  // A name may hold anything that the rest does: only the end says where it stops.
  static const std::regex kPattern(R"((.+?)-\d{8}-\d{6}(-\d+)?)");
  std::cmatch match;
  return std::regex_match(directory_name.data(), directory_name.data() + directory_name.size(), match, kPattern) ? match[1].str() : "";
}

RunRecord inspect_run(const std::filesystem::path& path) {
  if (!is_run(path)) fail("{} is not a run directory: it has no {}", path.string(), kEventsFile);
  RunRecord record;
  record.path = path;
  record.name = std::filesystem::absolute(path).lexically_normal().filename().string();
  if (record.name.empty()) record.name = std::filesystem::absolute(path).lexically_normal().parent_path().filename().string();
  // The lock is asked first: a run that ends between the two questions is then called running, never killed.
  const bool alive = LockFile::held(path / kLockFile);
  const std::vector<std::string> events = whole_lines(path / kEventsFile);
  if (!events.empty()) record.started = parse_json(events.front(), (path / kEventsFile).string()).value("time", "");
  if (std::filesystem::exists(path / kMetricsFile)) {
    const std::vector<std::string> lines = whole_lines(path / kMetricsFile);
    if (!lines.empty()) {
      const Json last = parse_json(lines.back(), (path / kMetricsFile).string());
      if (last.contains("step")) record.last_step = last["step"].get<std::int64_t>();
    }
  }
  if (std::filesystem::exists(path / kSummaryFile)) {
    record.summary = parse_json(read_file(path / kSummaryFile), (path / kSummaryFile).string());
    record.status = status_from(record.summary.value("status", ""));
  } else {
    record.status = alive ? RunStatus::kRunning : RunStatus::kKilled;
  }
  return record;
}

std::vector<RunRecord> list_runs(const std::filesystem::path& root) {
  std::vector<RunRecord> runs;
  std::error_code reason;
  for (std::filesystem::directory_iterator entry(root, reason), end; !reason && entry != end; entry.increment(reason)) {
    if (!entry->is_directory() || !is_run(entry->path())) continue;
    try {
      runs.push_back(inspect_run(entry->path()));
    } catch (const std::exception& error) {
      log_warning("leaving out a damaged run: {}", error.what());  // the others are still worth a list
    }
  }
  if (reason && reason != std::errc::no_such_file_or_directory) fail("cannot list {}: {}", root.string(), reason.message());
  std::sort(runs.begin(), runs.end(),
            [](const RunRecord& a, const RunRecord& b) { return std::pair(a.started, a.name) > std::pair(b.started, b.name); });
  return runs;
}

std::vector<Json> read_json_lines(const std::filesystem::path& path) {
  std::vector<Json> entries;
  for (const std::string& line : whole_lines(path)) {
    entries.push_back(parse_json(line, fmt::format("{}:{}", path.string(), entries.size() + 1)));
  }
  return entries;
}

}  // namespace rechost
