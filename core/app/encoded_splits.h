#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/data_loader.h"
#include "base/json.h"
#include "base/thread_pool.h"
#include "train/run_data.h"

namespace rechost::app {

/// The splits of a loader, encoded as [features] says: what `data convert --encoded` writes.
class EncodedSplits {
 public:
  /// Reads all of the data once, to check it and to learn vocabularies; rows are not kept. Of the configuration it takes [data], [features] and
  /// run.seed. `quarantine`: for rows that cannot be used, where data.bad_rows asks for it.
  EncodedSplits(Loader loader, const std::filesystem::path& quarantine, ThreadPool& pool);

  /// Training rows first; splits without a row are left out.
  const std::vector<std::pair<std::string, std::shared_ptr<ChunkSource>>>& splits() const { return splits_; }
  /// All of the configuration that decides what is written.
  Json identity() const;
  /// [features] for the written data: what each column of ids is by now.
  std::string feature_config() const;
  /// Writes the vocabularies as a checkpoint has them.
  void save_vocabularies(const std::filesystem::path& folder) const;
  std::int64_t bad_rows() const { return data_.prepared.bad_rows; }

 private:
  Config config_;
  RunData data_;
  std::vector<std::pair<std::string, std::shared_ptr<ChunkSource>>> splits_;
};

}  // namespace rechost::app
