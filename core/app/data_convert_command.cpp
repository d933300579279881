#include <algorithm>
#include <chrono>
#include <filesystem>
#include <limits>
#include <memory>
#include <numeric>

#include "app/command.h"
#include "app/data_commands.h"
#include "app/data_loader.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/host.h"
#include "data/conversion_journal.h"
#include "data/mds_conversion.h"

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

MdsOptions mds_options(const options::variables_map& values) {
  const auto shard_bytes = values["shard-bytes"].as<std::int64_t>();
  if (shard_bytes < 1 || shard_bytes > std::numeric_limits<std::uint32_t>::max()) {
    throw UsageError(fmt::format("--shard-bytes {}: a shard has less than 4 GiB", shard_bytes));
  }
  const auto& compression = values["compression"].as<std::string>();
  const auto& hashes = values["hashes"].as<std::string>();
  return {.compression = MdsCompression(compression == "none" ? "" : compression),
          .hashes = mds_hashes(hashes == "none" ? "" : hashes),
          .shard_bytes = static_cast<std::uint32_t>(shard_bytes)};
}

/// All that decides the bytes.
Json identity_of(const std::vector<Split>& splits, const MdsOptions& options) {
  Json identity{{"to", "mds"}, {"compression", options.compression.name()}, {"hashes", options.hashes}, {"shard_bytes", options.shard_bytes}};
  for (const Split& split : splits) {
    Json columns = Json::array();
    for (const MdsColumn& column : mds_columns(*split.source)) columns.push_back({column.name, column.encoding});
    identity[fmt::format("split {}", split.name)] = {{"fingerprint", fmt::format("{:016x}", split.source->fingerprint())}, {"columns", std::move(columns)}};
  }
  return identity;
}

/// Shards of a split that were finished before and are as they were, up to the first that is not.
std::vector<MdsShard> kept_shards(const ConversionJournal& journal, const std::string& split, const MdsFolder& folder) {
  std::vector<MdsShard> shards;
  for (const Json& piece : journal.pieces()) {
    if (piece.at("split") != split) continue;
    shards.push_back({.number = piece.at("number"), .first_row = piece.at("first_row"), .rows = piece.at("rows"), .file = piece.at("file"), .bytes = piece.at("bytes"),
                      .checksum = piece.at("checksum"), .entry = piece.at("entry")});
  }
  // Threads finish them in any order, and a conversion that was interrupted twice may have made one twice: the later line holds.
  std::stable_sort(shards.begin(), shards.end(), [](const MdsShard& left, const MdsShard& right) { return left.number < right.number; });
  std::vector<MdsShard> kept;
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (i + 1 < shards.size() && shards[i + 1].number == shards[i].number) continue;
    if (shards[i].number != static_cast<std::int64_t>(kept.size()) || shards[i].first_row != rows || !folder.is_whole(shards[i])) break;
    rows += shards[i].rows;
    kept.push_back(std::move(shards[i]));
  }
  return kept;
}

Json piece_of(const std::string& split, const MdsShard& shard) {
  return {{"split", split}, {"number", shard.number}, {"first_row", shard.first_row}, {"rows", shard.rows}, {"file", shard.file},
          {"bytes", shard.bytes}, {"checksum", shard.checksum}, {"entry", shard.entry}};
}

/// What a process that was killed while it wrote a file left beside it.
void remove_unfinished_files(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> left;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    for (const char* begin : {".shard.", ".index.json.", ".data.toml.", ".convert.jsonl."}) {
      if (name.starts_with(begin)) left.push_back(entry.path());
    }
  }
  for (const fs::path& path : left) fs::remove(path, error);
}

void convert_split(const Split& split, const MdsOptions& options, int threads, ConversionJournal& journal) {
  const auto started = std::chrono::steady_clock::now();
  const MdsFolder folder(split.path, mds_columns(*split.source), options);
  folder.make();
  remove_unfinished_files(split.path);
  MdsProgress progress{.kept = kept_shards(journal, split.name, folder), .finished = [&](const MdsShard& shard) { journal.add(piece_of(split.name, shard)); }};
  const std::size_t kept = progress.kept.size();
  const std::vector<MdsShard> shards = convert_to_mds(*split.source, folder, threads, progress);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  const auto bytes = std::accumulate(shards.begin(), shards.end(), std::uint64_t{0}, [](std::uint64_t sum, const MdsShard& shard) { return sum + shard.bytes; });
  print(fmt::format("{}  {} rows in {} shards, {}, {:.1f} s{}\n", split.path.string(), count_text(shards.empty() ? 0 : shards.back().first_row + shards.back().rows),
                    count_text(static_cast<std::int64_t>(shards.size())), bytes_text(bytes), seconds.count(), kept == 0 ? "" : fmt::format("; {} shards were there already", kept)));
}

}  // namespace

int data_convert_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_loader_options(visible, nullptr);
  visible.add_options()("to", options::value<std::string>()->default_value("mds"), "what to write: mds")(
      "out,o", options::value<std::string>(), "folder to make; one in which a conversion was interrupted is finished")(
      "compression", options::value<std::string>()->default_value("none"), "none, zstd, gz, bz2, br (with a level if need be: zstd:7) or snappy")(
      "hashes", options::value<std::string>()->default_value("xxh3_64"), "digests of each shard for the index, with commas between them, or none: xxh3_64,sha256")(
      "shard-bytes", options::value<std::int64_t>()->default_value(MdsOptions{}.shard_bytes), "size of a shard before compression, at most")(
      "threads", options::value<int>()->default_value(usable_cores()), "how many read, pack and write at once; the files do not depend on it");
  options::variables_map values;
  if (!parse_arguments(find_command("data", "convert"), arguments, visible, {}, values)) return kDone;
  if (values.count("out") == 0) throw UsageError("where to? rechost data convert --out FOLDER");
  if (const auto& format = values["to"].as<std::string>(); format != "mds") throw UsageError(fmt::format("--to {}: mds is what can be written", format));
  const int threads = values["threads"].as<int>();
  if (threads < 1) throw UsageError(fmt::format("--threads {}: at least one", threads));
  const MdsOptions options = mds_options(values);

  const Loader loader = open_loader(values);
  const fs::path folder = fs::absolute(values["out"].as<std::string>());
  std::vector<Split> splits;
  for (const std::string& name : loader.instance->list_splits()) splits.push_back({name, name == "all" ? folder : folder / name, loader.instance->open(name)});
  const Json identity = identity_of(splits, options);
  if (!ConversionJournal::left_in(folder)) {
    std::error_code error;
    for (const Split& split : splits) {
      if (fs::exists(split.path / "index.json", error)) fail<ConfigError>("{} has an index.json already: choose another folder", split.path.string());
    }
  }
  ConversionJournal journal(folder, identity);
  remove_unfinished_files(folder);
  try {
    for (const Split& split : splits) convert_split(split, options, threads, journal);
  } catch (...) {
    // Nothing is lost, so the next attempt may have other options.
    if (journal.pieces().empty()) journal.remove();
    throw;
  }
  std::vector<std::pair<std::string, fs::path>> folders;
  for (const Split& split : splits) folders.emplace_back(split.name, split.path);
  const fs::path config_path = folder / "data.toml";
  write_file_atomically(config_path, "# Written by rechost data convert; use it with: rechost run --plugin dlrm --config <this file>\n" +
                                         loader_config(*splits.front().source, "mds", folders));
  journal.remove();
  print(fmt::format("{}  configuration to train on it\n", config_path.string()));
  return kDone;
}

}  // namespace rechost::app
