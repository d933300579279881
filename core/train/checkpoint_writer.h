#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/safetensors.h"
#include "train/checkpoint_manifest.h"

namespace rechost {

/// A tensor of dense.safetensors: name and role as in DenseTensorInfo.
struct DenseTensor {
  std::string role;
  TensorSource source;
};

/// "optimizer/<state>/<parameter>"
std::string optimizer_state_name(std::string_view state, std::string_view parameter);

/// Hands over rows [first, first + count) of a part, counted from the start of the table, row-major.
using ReadTableFloats = std::function<void(std::int64_t first, std::int64_t count, float* out)>;
using ReadTableIds = std::function<void(std::int64_t first, std::int64_t count, std::int64_t* out)>;

/// One part of a table to be written. Rows are asked for in ascending order, a few MiB at a time: first all rows, then all states.
struct TablePartSource {
  std::int64_t part = 1;   ///< from 1 ...
  std::int64_t parts = 1;  ///< ... to this
  std::int64_t first_row = 0;
  std::int64_t row_count = 0;
  ReadTableFloats read_rows;   ///< [count, dim], numbers of the table's precision
  ReadTableFloats read_state;  ///< [count, state_floats]; unused when that is 0
  ReadTableIds read_ids;       ///< [count]; unused without ids
};

struct CheckpointWriterSettings {
  std::int64_t keep = 2;                 ///< older complete ones that stay beside the one being written
  std::vector<std::int64_t> keep_steps;  ///< those of these steps stay as well: the best one, say
  /// Called before each step that changes the disk, with its name. For tests: a process that dies here must leave a usable run.
  std::function<void(std::string_view step)> before_step;
};

/// Writes a checkpoint: complete and durable when commit() returns, absent before. All files go to a hidden sibling directory; the manifest
/// comes last, then the rename, then the `latest` link, and only then older checkpoints are removed.
///
/// One thread. With several ranks on a shared file system: rank 0 makes the writer, the others write their parts with write_table_part()
/// into rank 0's staging() and send what it returns; rank 0 hands that to add_part().
class CheckpointWriter {
 public:
  /// `checkpoints`: the directory that holds all checkpoints of a run; created if need be. `manifest`: position, versions, plugins and
  /// state filled in by the caller; files, tables and dense by this class. Throws CheckpointError, as do all others.
  CheckpointWriter(std::filesystem::path checkpoints, CheckpointManifest manifest, CheckpointWriterSettings settings = {});
  /// Removes what was staged unless committed.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;  // owns the staging directory
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  const std::filesystem::path& staging() const { return staging_; }

  /// Once.
  void write_dense(std::span<const DenseTensor> tensors);

  /// What the manifest needs to know of a part, and as JSON for the way from rank to rank.
  struct WrittenPart {
    std::string table;
    TablePart part;
    FileRecord file;

    Json to_json() const;
    static WrittenPart from_json(const Json& json);
  };

  /// `table` without parts: its shape. Before its parts, which may come in any order.
  void add_table(CheckpointTable table);
  void add_part(const WrittenPart& part);

  /// Writes into a staging directory, not necessarily of this process.
  static WrittenPart write_table_part(const std::filesystem::path& staging, const CheckpointTable& table,
                                      const CheckpointPosition& position, const TablePartSource& source);

  /// A further file, such as a vocabulary. `path` is relative, without "..".
  void add_file(const std::string& path, std::string_view contents);
  /// `write` gets the absolute path, its directory exists; the file is fsynced afterwards.
  void add_file(const std::string& path, const std::function<void(const std::filesystem::path&)>& write);

  /// Files of another checkpoint that have not changed since, under the same paths and at no cost of room: hard links. Every byte is read first.
  /// False, and nothing was added, when one is not there as `files` describe it or the file system does not link: write them then.
  bool link_files(const std::filesystem::path& checkpoint, std::span<const FileRecord> files);

  /// Returns the directory of the checkpoint. Throws when a table has rows that no part covers.
  std::filesystem::path commit();

 private:
  void before(std::string_view step) const;
  void require_complete();
  void sync_staging() const;
  std::filesystem::path prepare_file(const std::string& path) const;

  std::filesystem::path checkpoints_;
  std::filesystem::path staging_;
  CheckpointManifest manifest_;
  CheckpointWriterSettings settings_;
  bool committed_ = false;
};

}  // namespace rechost
