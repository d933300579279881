#include <chrono>
#include <filesystem>
#include <limits>

#include "app/command.h"
#include "app/data_commands.h"
#include "app/data_loader.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/file.h"
#include "data/mds_conversion.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

int data_convert_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_loader_options(visible, nullptr);
  visible.add_options()("to", options::value<std::string>()->default_value("mds"), "what to write: mds")(
      "out,o", options::value<std::string>(), "folder to make")(
      "compression", options::value<std::string>()->default_value("none"), "none, zstd, gz, bz2, br (with a level if need be: zstd:7) or snappy")(
      "hashes", options::value<std::string>()->default_value("xxh3_64"), "digests of each shard for the index, with commas between them, or none: xxh3_64,sha256")(
      "shard-bytes", options::value<std::int64_t>()->default_value(MdsOptions{}.shard_bytes), "size of a shard before compression, at most");
  options::variables_map values;
  if (!parse_arguments(find_command("data", "convert"), arguments, visible, {}, values)) return kDone;
  if (values.count("out") == 0) throw UsageError("where to? rechost data convert --out FOLDER");
  if (const auto& format = values["to"].as<std::string>(); format != "mds") throw UsageError(fmt::format("--to {}: mds is what can be written", format));
  const auto shard_bytes = values["shard-bytes"].as<std::int64_t>();
  if (shard_bytes < 1 || shard_bytes > std::numeric_limits<std::uint32_t>::max()) {
    throw UsageError(fmt::format("--shard-bytes {}: a shard has less than 4 GiB", shard_bytes));
  }
  const auto& compression = values["compression"].as<std::string>();
  const auto& hashes = values["hashes"].as<std::string>();
  const MdsOptions mds_options{.compression = MdsCompression(compression == "none" ? "" : compression),
                               .hashes = mds_hashes(hashes == "none" ? "" : hashes),
                               .shard_bytes = static_cast<std::uint32_t>(shard_bytes)};

  const Loader loader = open_loader(values);
  const fs::path folder = fs::absolute(values["out"].as<std::string>());
  std::vector<std::pair<std::string, fs::path>> folders;
  for (const std::string& split : loader.instance->list_splits()) folders.emplace_back(split, split == "all" ? folder : folder / split);
  std::string config;
  for (const auto& [split, split_folder] : folders) {
    const auto source = loader.instance->open(split);
    std::vector<MdsColumn> columns;
    for (const ColumnInfo& column : source->columns()) columns.push_back(mds_column(column));
    const auto started = std::chrono::steady_clock::now();
    MdsWriter writer(split_folder, std::move(columns), mds_options);
    convert_to_mds(*source, writer);
    writer.finish();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
    print(fmt::format("{}  {} rows in {} shards, {}, {:.1f} s\n", split_folder.string(), count_text(writer.samples()), count_text(writer.shards()),
                      bytes_text(writer.bytes()), seconds.count()));
    if (config.empty()) config = loader_config(*source, "mds", folders);
  }
  const fs::path config_path = folder / "data.toml";
  write_file_atomically(config_path, "# Written by rechost data convert; use it with: rechost run --plugin dlrm --config <this file>\n" + config);
  print(fmt::format("{}  configuration to train on it\n", config_path.string()));
  return kDone;
}

}  // namespace rechost::app
