#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "config/document.h"
#include "config/sections.h"
#include "data/prepare.h"
#include "plugin/dataset_instance.h"
#include "plugin/library.h"

namespace rechost {

/// What the host floor of a run needs from outside: where plugins are, and variables for ${NAME}.
struct RunContext {
  PluginPath plugin_path;
  VariableLookup lookup;
  int threads = 1;
};

/// The loader of a run and everything that it gave, encoded.
struct RunData {
  std::unique_ptr<DatasetInstance> loader;
  PreparedData prepared;
  double seconds = 0.0;  ///< that reading and encoding took
  bool unsplit = false;  ///< all rows are in prepared.train, see RunDataOptions

  /// XOR of the splits' fingerprints: changes when the data does.
  std::uint64_t fingerprint() const;
};

/// What a run has learnt from its data; kept with its checkpoints.
struct LearntData {
  std::shared_ptr<const Vocabularies> vocabularies;
  std::vector<LabelInfo> labels;
};

struct RunDataOptions {
  LearntData learnt;                 ///< of an earlier run: nothing new is learnt then
  bool labels_required = true;
  std::string split;                 ///< of a loader that splits by itself, read this one only; empty: all
  bool unsplit = false;              ///< of a loader that leaves it to the host, give all rows as prepared.train
  std::filesystem::path quarantine;  ///< for rows that cannot be used; empty: they are not kept
};

/// Opens the loader named in [data], puts its resolved options back into `config`, reads and encodes its splits.
RunData open_run_data(Config& config, const RunContext& context, RunDataOptions options, ThreadPool& pool);

}  // namespace rechost
