#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>

#include "app/command.h"
#include "app/data_commands.h"
#include "app/data_loader.h"
#include "app/environment.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/host.h"
#include "base/json.h"
#include "base/log.h"
#include "config/parse.h"
#include "data/bad_rows.h"
#include "data/verification.h"

namespace rechost::app {

namespace options = boost::program_options;

namespace {

using Clock = std::chrono::steady_clock;

/// One split of the data, and why it could not be opened, if it could not.
struct VerifiedSplit {
  std::string name;
  std::string not_opened;
  SplitVerification found;

  bool sound() const { return not_opened.empty() && found.sound(); }
};

VerifiedSplit verify_split(const Loader& loader, const std::string& name, std::int64_t kept, ThreadPool& pool) {
  VerifiedSplit split{.name = name};
  std::shared_ptr<ChunkSource> source;
  try {
    source = loader.instance->open(name);
  } catch (const DataError& error) {
    split.not_opened = error.what();
    return split;
  }
  VerificationOptions verification;
  verification.kept = kept;
  verification.feature_settings = [&](const std::string& feature) { return feature_settings(loader.config, feature); };
  verification.derived_features = derived_features(loader.config);
  // A terminal shows where the work stands, a file only that it goes on.
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const std::chrono::seconds interval(terminal ? 1 : 30);
  Clock::time_point shown = Clock::now();
  verification.progress = [&](std::int64_t chunks, std::int64_t rows) {
    if (Clock::now() - shown < interval) return;
    shown = Clock::now();
    const std::string line = fmt::format("split {}: {} of {} chunks, {} rows", name, count_text(chunks), count_text(source->chunk_count()), count_text(rows));
    if (terminal) {
      write_live_line(line);
    } else {
      log_info("{}", line);
    }
  };
  split.found = verify_rows(*source, verification, pool);
  return split;
}

void print_split(const VerifiedSplit& split) {
  if (!split.not_opened.empty()) {
    print(fmt::format("split {}: cannot be opened\n  {}\n", split.name, split.not_opened));
    return;
  }
  const SplitVerification& found = split.found;
  print(fmt::format("split {}: {} of {} rows are sound, {} bad; {} of {} chunks cannot be read\n", split.name, count_text(found.sound_rows),
                    count_text(found.declared_rows), count_text(found.bad_rows), count_text(found.broken_chunks), count_text(found.chunks)));
  for (const BrokenChunk& broken : found.first_broken_chunks) print(fmt::format("  chunk {}: {}\n", broken.chunk, broken.reason));
  if (const auto more = found.broken_chunks - static_cast<std::int64_t>(found.first_broken_chunks.size()); more > 0) {
    print(fmt::format("  and {} chunks more\n", count_text(more)));
  }
  for (const BadRow& row : found.first_bad_rows) print(fmt::format("  {}\n", describe(split.name, row)));
  if (const auto more = found.bad_rows - static_cast<std::int64_t>(found.first_bad_rows.size()); more > 0) print(fmt::format("  and {} rows more\n", count_text(more)));
  for (const auto& [column, count] : found.bad_rows_by_column) {
    print(fmt::format("  {:<20} {:>12} bad rows\n", column.empty() ? "(the row as a whole)" : column, count_text(count)));
  }
}

Json split_json(const VerifiedSplit& split) {
  Json entry = Json::object();
  entry["split"] = split.name;
  entry["sound"] = split.sound();
  if (!split.not_opened.empty()) {
    entry["error"] = split.not_opened;
    return entry;
  }
  const SplitVerification& found = split.found;
  entry["chunks"] = found.chunks;
  entry["rows"] = found.declared_rows;
  entry["sound_rows"] = found.sound_rows;
  entry["bad_rows"] = found.bad_rows;
  entry["broken_chunks"] = found.broken_chunks;
  entry["bad_rows_by_column"] = found.bad_rows_by_column;
  entry["first_broken_chunks"] = Json::array();
  for (const BrokenChunk& broken : found.first_broken_chunks) {
    Json chunk = Json::object();
    chunk["chunk"] = broken.chunk;
    chunk["reason"] = broken.reason;
    entry["first_broken_chunks"].push_back(std::move(chunk));
  }
  entry["first_bad_rows"] = Json::array();
  for (const BadRow& row : found.first_bad_rows) entry["first_bad_rows"].push_back(bad_row_json(row));
  return entry;
}

/// The first thing that is wrong, for the message that ends the program.
std::string first_finding(const VerifiedSplit& split) {
  if (!split.not_opened.empty()) return split.not_opened;
  if (!split.found.first_broken_chunks.empty()) return split.found.first_broken_chunks.front().reason;
  return split.found.first_bad_rows.empty() ? "" : describe(split.name, split.found.first_bad_rows.front());
}

}  // namespace

int data_verify_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_loader_options(visible, nullptr);
  visible.add_options()("findings", options::value<std::int64_t>()->default_value(20), "how many bad rows and chunks of each split to list");
  add_output_option(visible);
  options::variables_map values;
  if (!parse_arguments(find_command("data", "verify"), arguments, visible, {}, values)) return kDone;
  const bool json = wants_json(values);
  const auto kept = values["findings"].as<std::int64_t>();
  if (kept < 1) throw UsageError(fmt::format("--findings {}: at least one", kept));
  const Loader loader = open_loader(values);
  ThreadPool pool(usable_cores());
  Json splits = Json::array();
  std::int64_t damaged = 0;
  std::string first;
  for (const std::string& name : loader.instance->list_splits()) {
    const VerifiedSplit split = verify_split(loader, name, kept, pool);
    if (json) {
      splits.push_back(split_json(split));
    } else {
      print_split(split);
    }
    if (split.sound()) continue;
    if (damaged++ == 0) first = first_finding(split);
  }
  if (json) {
    Json document = Json::object();
    document["sound"] = damaged == 0;
    document["splits"] = std::move(splits);
    print(json_line(document) + "\n");
  }
  if (damaged > 0) fail<DataError>("the data are damaged, beginning with: {}", first);
  return kDone;
}

}  // namespace rechost::app
