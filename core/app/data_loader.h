#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <boost/program_options.hpp>

#include "config/sections.h"
#include "data/source.h"
#include "train/stream_loader.h"

/// What the verbs of "data" begin with: a loader with its options, without a model.
namespace rechost::app {

struct Loader {
  Config config;
  std::unique_ptr<StreamLoader> instance;
};

/// --plugin, --config and --set. `default_plugin` may be null.
void add_loader_options(boost::program_options::options_description& visible, const char* default_plugin);

/// Throws UsageError when no loader is named.
Loader open_loader(const boost::program_options::variables_map& values);

/// The positions of all columns.
std::vector<std::uint32_t> all_columns(const ChunkSource& source);

/// A [data] section that reads what was written of `source` by the loader `plugin`, which has the roles of "csv" as options. `splits` are
/// names and paths; a single split "all" becomes `path`.
std::string loader_config(const ChunkSource& source, std::string_view plugin, std::span<const std::pair<std::string, std::filesystem::path>> splits);

}  // namespace rechost::app
