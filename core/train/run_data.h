#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

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

  /// XOR of the splits' fingerprints: changes when the data does.
  std::uint64_t fingerprint() const;
};

/// Opens the loader named in [data], puts its resolved options back into `config`, reads and encodes all splits. With `vocabularies` of an
/// earlier run nothing new is learnt from the data.
RunData open_run_data(Config& config, const RunContext& context, std::shared_ptr<const Vocabularies> vocabularies, bool labels_required,
                      const std::filesystem::path& quarantine, ThreadPool& pool);

}  // namespace rechost
