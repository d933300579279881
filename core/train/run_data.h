#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "config/document.h"
#include "config/sections.h"
#include "data/order.h"
#include "data/prepare.h"
#include "plugin/library.h"
#include "train/stream_loader.h"

namespace rechost {

/// What the host floor of a run needs from outside: where plugins are, and variables for ${NAME}.
struct RunContext {
  PluginPath plugin_path;
  VariableLookup lookup;
  int threads = 1;
};

/// The loader of a run and everything that it gave, encoded.
struct RunData {
  std::unique_ptr<StreamLoader> loader;
  PreparedData prepared;
  double seconds = 0.0;  ///< that reading and encoding took
  bool unsplit = false;  ///< all rows are in prepared.train, see RunDataOptions

  /// 16 hexadecimal digits that change when the data does: XOR of the splits' fingerprints.
  std::string fingerprint() const;
};

/// What a run has learnt from its data; kept with its checkpoints.
struct LearntData {
  std::shared_ptr<const Vocabularies> vocabularies;
  std::vector<LabelInfo> labels;
  DataProfile profile;
};

struct RunDataOptions {
  LearntData learnt;                 ///< of an earlier run: nothing new is learnt then
  bool labels_required = true;
  std::string split;                 ///< of a loader that splits by itself, read this one only; empty: all
  bool unsplit = false;              ///< of a loader that leaves it to the host, give all rows as prepared.train
  std::function<void(EncodingPlan&)> settle_rows = {};  ///< as in PrepareOptions
  std::filesystem::path quarantine;  ///< for rows that cannot be used; empty: they are not kept
};

/// Loads the plugin named in [data], checks its options and those of [data.streams], and puts them, resolved, back into `config`. Reads no data.
std::unique_ptr<StreamLoader> load_dataset(Config& config, const RunContext& context);

/// The splits that `loader` offers, opened; the one called options.split alone if the loader splits by itself.
std::vector<SplitSource> open_splits(const StreamLoader& loader, const RunDataOptions& options);

/// The order of the training samples of `streams`; reads data.mosaic.state.
SampleOrder training_order(const Config& config, std::vector<StreamShape> streams);

/// The same, known without reading a row: as it is when none is bad.
SampleOrder declared_training_order(const Config& config, const std::vector<SplitSource>& sources);

/// Reads and encodes the splits that `loader` offers. `options.unsplit` resets config.data.split where it has a meaning.
RunData open_run_data(Config& config, std::unique_ptr<StreamLoader> loader, RunDataOptions options, ThreadPool& pool);

}  // namespace rechost
