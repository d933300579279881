#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <memory>
#include <numeric>

#include "app/command.h"
#include "app/conversion_format.h"
#include "app/data_commands.h"
#include "app/data_loader.h"
#include "app/encoded_splits.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host.h"
#include "data/conversion.h"
#include "data/conversion_journal.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

/// One split on its way into a folder.
struct Split {
  std::string name;
  fs::path path;
  std::shared_ptr<ChunkSource> source;
};

/// All that decides the bytes.
Json identity_of(const std::vector<Split>& splits, const ConversionFormat& format) {
  Json identity = format.identity();
  for (const Split& split : splits) {
    identity[fmt::format("split {}", split.name)] = {{"fingerprint", fmt::format("{:016x}", split.source->fingerprint())}, {"columns", format.columns(*split.source)}};
  }
  return identity;
}

/// Shards of a split that were finished before and are as they were, up to the first that is not.
std::vector<Shard> kept_shards(const ConversionJournal& journal, const std::string& split, const ShardFolder& folder) {
  std::vector<Shard> shards;
  for (const Json& piece : journal.pieces()) {
    if (piece.at("split") != split) continue;
    shards.push_back({.number = piece.at("number"), .first_row = piece.at("first_row"), .rows = piece.at("rows"), .file = piece.at("file"), .bytes = piece.at("bytes"),
                      .checksum = piece.at("checksum"), .entry = piece.at("entry")});
  }
  // Threads finish them in any order, and a conversion that was interrupted twice may have made one twice: the later line holds.
  std::stable_sort(shards.begin(), shards.end(), [](const Shard& left, const Shard& right) { return left.number < right.number; });
  std::vector<Shard> kept;
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (i + 1 < shards.size() && shards[i + 1].number == shards[i].number) continue;
    if (shards[i].number != static_cast<std::int64_t>(kept.size()) || shards[i].first_row != rows || !folder.is_whole(shards[i])) break;
    rows += shards[i].rows;
    kept.push_back(std::move(shards[i]));
  }
  return kept;
}

Json piece_of(const std::string& split, const Shard& shard) {
  return {{"split", split}, {"number", shard.number}, {"first_row", shard.first_row}, {"rows", shard.rows}, {"file", shard.file},
          {"bytes", shard.bytes}, {"checksum", shard.checksum}, {"entry", shard.entry}};
}

template <typename Wanted>
void remove_files(const fs::path& folder, Wanted&& wanted) {
  std::error_code error;
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file(error) && wanted(entry.path().filename().string())) found.push_back(entry.path());
  }
  for (const fs::path& path : found) fs::remove(path, error);
}

/// What a process that was killed while it wrote a file left beside it.
void remove_unfinished_files(const fs::path& folder) {
  remove_files(folder, [](const std::string& name) {
    constexpr std::array kBegins{".shard.", ".index.json.", "._SUCCESS.", ".data.toml.", ".convert.jsonl."};
    return std::any_of(kBegins.begin(), kBegins.end(), [&](const char* begin) { return name.starts_with(begin); });
  });
}

bool is_shard(const std::string& name) { return name.starts_with("shard."); }

/// Shards that nobody knows of any more would be read with the others.
void refuse_other_shards(const fs::path& folder, const std::string& finished_by) {
  std::error_code error;
  std::string found = fs::exists(folder / finished_by, error) ? finished_by : "";
  for (auto entry = fs::directory_iterator(folder, error); found.empty() && entry != fs::directory_iterator(); ++entry) {
    if (is_shard(entry->path().filename().string())) found = entry->path().filename().string();
  }
  if (!found.empty()) fail<ConfigError>("{} has an {} already: choose another folder", folder.string(), found);
}

void convert_split(const Split& split, const ConversionFormat& format, int threads, ConversionJournal& journal) {
  const auto started = std::chrono::steady_clock::now();
  const std::unique_ptr<ShardFolder> folder = format.folder(split.path, *split.source);
  folder->make();
  remove_unfinished_files(split.path);
  ConversionProgress progress{.kept = kept_shards(journal, split.name, *folder), .finished = [&](const Shard& shard) { journal.add(piece_of(split.name, shard)); }};
  remove_files(split.path, [&](const std::string& name) {
    return is_shard(name) && std::none_of(progress.kept.begin(), progress.kept.end(), [&](const Shard& shard) { return shard.file == name; });
  });
  const std::size_t kept = progress.kept.size();
  const std::vector<Shard> shards = convert(*split.source, *folder, threads, progress);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  const auto bytes = std::accumulate(shards.begin(), shards.end(), std::uint64_t{0}, [](std::uint64_t sum, const Shard& shard) { return sum + shard.bytes; });
  print(fmt::format("{}  {} rows in {} shards, {}, {:.1f} s{}\n", split.path.string(), count_text(shards.empty() ? 0 : shards.back().first_row + shards.back().rows),
                    count_text(static_cast<std::int64_t>(shards.size())), bytes_text(bytes), seconds.count(), kept == 0 ? "" : fmt::format("; {} shards were there already", kept)));
}

}  // namespace

int data_convert_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_loader_options(visible, nullptr);
  ConversionFormat::add_options(visible);
  visible.add_options()("out,o", options::value<std::string>(), "folder to make; one in which a conversion was interrupted is finished")(
      "encoded", options::bool_switch(), "write what [features] makes of the columns: rows of tables in place of ids, numbers after their transform and scale")(
      "threads", options::value<int>()->default_value(usable_cores()), "how many read, pack and write at once; the files do not depend on it");
  options::variables_map values;
  if (!parse_arguments(find_command("data", "convert"), arguments, visible, {}, values)) return kDone;
  if (values.count("out") == 0) throw UsageError("where to? rechost data convert --out FOLDER");
  const int threads = values["threads"].as<int>();
  if (threads < 1) throw UsageError(fmt::format("--threads {}: at least one", threads));
  const ConversionFormat format(values);
  const fs::path folder = fs::absolute(values["out"].as<std::string>());

  Loader loader = open_loader(values);
  std::unique_ptr<EncodedSplits> encoded;
  std::vector<Split> splits;
  if (values["encoded"].as<bool>()) {
    ThreadPool pool(threads);
    encoded = std::make_unique<EncodedSplits>(std::move(loader), folder / "quarantine", pool);
    for (const auto& [name, source] : encoded->splits()) splits.push_back({name, folder / name, source});
  } else {
    for (const std::string& name : loader.instance->list_splits()) splits.push_back({name, name == "all" ? folder : folder / name, loader.instance->open(name)});
  }
  Json identity = identity_of(splits, format);
  if (encoded != nullptr) identity["encoded"] = encoded->identity();
  if (!ConversionJournal::left_in(folder)) {
    for (const Split& split : splits) refuse_other_shards(split.path, format.folder(split.path, *split.source)->finished_by());
  }
  ConversionJournal journal(folder, identity);
  remove_unfinished_files(folder);
  try {
    for (const Split& split : splits) convert_split(split, format, threads, journal);
  } catch (...) {
    // Nothing is lost, so the next attempt may have other options.
    if (journal.pieces().empty()) journal.remove();
    throw;
  }
  std::vector<std::pair<std::string, fs::path>> paths;
  for (const Split& split : splits) paths.emplace_back(split.name, format.loader_path(split.path));
  std::string config = "# Written by rechost data convert; use it with: rechost run --plugin dlrm --config <this file>\n" + loader_config(*splits.front().source, format.name(), paths);
  if (encoded != nullptr) {
    encoded->save_vocabularies(folder / "vocabularies");
    config += encoded->feature_config();
    if (encoded->bad_rows() > 0) print(fmt::format("{} rows could not be used and were left out\n", count_text(encoded->bad_rows())));
  }
  const fs::path config_path = folder / "data.toml";
  write_file_atomically(config_path, config);
  journal.remove();
  print(fmt::format("{}  configuration to train on it\n", config_path.string()));
  return kDone;
}

}  // namespace rechost::app
