#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "config/sections.h"
#include "data/dataset.h"
#include "data/drift.h"

namespace rechost {

/// A split as a loader offers it: "train", "valid", "test", or "all", which the host splits by DataSection::split.
struct SplitSource {
  /// Chunks that came from one of several streams; the next stream's follow.
  struct Stream {
    std::string name;
    std::int64_t chunks = 0;
  };

  std::string name;
  std::shared_ptr<ChunkSource> source;
  std::vector<Stream> streams;  ///< empty: all chunks are of one, without a name
};

/// A split's chunks by the streams that they came from; with their weights when `weighted` (training rows). `chunk_samples` [all chunks].
std::vector<StreamShape> shapes_of_streams(const DataSection& data, const std::vector<SplitSource::Stream>& streams,
                                           std::vector<std::int64_t> chunk_samples, bool weighted);

struct PrepareOptions {
  DataSection data;
  FeatureSettings feature_settings;
  std::vector<std::string> derived_features;   ///< those with a source of another name
  std::uint64_t seed = 1;                      ///< for split.by = "random"
  std::filesystem::path quarantine_directory;  ///< created when wanted
  std::filesystem::path temporary_directory;   ///< exists; for vocabularies larger than data.vocabulary_memory_gib
  /// Of an earlier run (resume, eval, predict); null: built from the training rows.
  std::shared_ptr<const Vocabularies> vocabularies;
  std::vector<LabelInfo> labels;  ///< of that run: they keep their kinds and classes, whatever these data hold
  DataProfile profile;            ///< of that run: its columns are the model's, whatever others these data have
  /// Without vocabularies: gives dynamic tables with memory_bytes their max_rows, before anything is read; null: nobody will train on them.
  std::function<void(EncodingPlan&)> settle_rows = {};
  /// Without vocabularies: fails when no split holds training rows. With: labels may be absent when false; they read NaN then.
  bool labels_required = true;
};

/// Everything that steps and evaluations read.
struct PreparedData {
  std::shared_ptr<const EncodingPlan> plan;
  std::shared_ptr<const Vocabularies> vocabularies;
  std::unique_ptr<Dataset> train;  ///< null: the sources have no such split
  std::unique_ptr<Dataset> valid;
  std::unique_ptr<Dataset> test;
  std::int64_t bad_rows = 0;
  std::map<std::string, std::int64_t> bad_rows_by_split;
  std::map<std::string, std::int64_t> bad_rows_by_column;
  DataProfile profile;  ///< that of PrepareOptions, or of these data when they are what vocabularies were learnt from
  DataDrift drift;      ///< how these data differ from it

  const Dataset* split(std::string_view name) const;
};

/// Reads every chunk of every source once: checks and counts rows, builds the vocabularies from training rows, and keeps the encoded rows as
/// long as data.memory_gib allows. Vocabularies are learnt within data.vocabulary_memory_gib: beyond, they are sorted on disk. The result does not depend on the number of threads. With shuffle = "full" a training split that does
/// not fit is a DataError; otherwise such a split is decoded again, chunk by chunk, while it is used.
///
/// split.by = "tail": of the declared rows in file order the first are for training, then validation, then test. "random": each declared
/// row is drawn by seed. Data that differ from an earlier run's are compared with its profile: DataError where the model cannot work with them, and
/// for any difference when data.drift.action = "fail". Bad rows belong to the split of their position and are left out of it.
PreparedData prepare_data(const std::vector<SplitSource>& sources, const PrepareOptions& options, ThreadPool& pool);

}  // namespace rechost
