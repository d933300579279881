#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/json.h"
#include "base/safetensors.h"
#include "kernels/row_precision.h"

namespace rechost {

/// What of a run a checkpoint continues. Nothing here depends on the number of processes.
struct CheckpointPosition {
  std::int64_t step = 0;           ///< optimizer steps done
  std::int64_t epoch = 0;          ///< from 0: the epoch that the next sample belongs to
  std::int64_t sample_cursor = 0;  ///< samples of that epoch already used
  std::uint64_t seed = 0;
};

struct PluginIdentity {
  std::string role;  ///< "model", "dataset"
  std::string id;
  std::string version;
};

/// Rows [first_row, first_row + rows) of a table, in a file of their own: tensors `rows` [rows, dim] F32, F16 or BF16, `state` [rows, state_floats] F32
/// (absent when the optimizer has no state), `ids` [rows] I64 where rows are found by hashing.
struct TablePart {
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::string file;  ///< one of the manifest's files
};

struct CheckpointTable {
  std::string name;
  std::int64_t rows = 0;  ///< over all parts
  std::int64_t dim = 0;
  std::int64_t state_floats = 0;  ///< a row
  RowPrecision precision = RowPrecision::kFp32;  ///< of the rows
  std::string optimizer;
  bool has_ids = false;
  std::vector<TablePart> parts;  ///< in order of rows, without gaps once complete
};

/// What is in dense.safetensors.
struct DenseTensorInfo {
  std::string name;  ///< a parameter's or buffer's own name; "optimizer/<state>/<parameter>" for optimizer state
  std::string role;  ///< "parameter", "buffer", "optimizer_state"
  std::string type;  ///< "F32", ...: of safetensors
  std::vector<std::int64_t> shape;
};

/// manifest.json: the table of contents of a checkpoint, written last. It holds the checksum of its own text as well, so that a changed
/// digit in it does not pass for another step or seed.
struct CheckpointManifest {
  static constexpr std::int64_t kFormatVersion = 1;
  static constexpr std::string_view kFileName = "manifest.json";
  static constexpr std::string_view kDenseFile = "dense.safetensors";

  /// Counts the checkpoints of a run in order of writing. The newest one is that with the highest: after going back to an older checkpoint
  /// steps start over, and clocks may jump.
  std::int64_t sequence = 0;
  std::string created;  ///< UTC
  CheckpointPosition position;
  std::string rechost_version;
  std::string config_checksum;
  std::vector<PluginIdentity> plugins;
  std::vector<CheckpointTable> tables;
  std::vector<DenseTensorInfo> dense;
  Json state = Json::object();    ///< the trainer's own: plateau, best metric, ...
  std::vector<FileRecord> files;  ///< all but the manifest, sorted by path

  std::string to_text() const;

  /// Throws CheckpointError, with `origin` (a path) and what to do, for any text that to_text() has not written.
  static CheckpointManifest from_text(std::string_view text, std::string_view origin);

  const CheckpointTable* find_table(std::string_view name) const;
  const FileRecord* find_file(std::string_view path) const;
};

/// The type of a table's rows in a file.
ScalarType rows_type(RowPrecision precision);

/// "tables/<table>/<part>-of-<parts>.safetensors". Characters of a table's name that a file name should not have are percent-encoded.
std::string table_part_path(std::string_view table, std::int64_t part, std::int64_t parts);

/// "keys/<table>.safetensors": which keys have which rows of a dynamic table. Tensors, all I64: `keys` [n], of rows 2, 3, ..., n + 1 of the tables that
/// it names; `counts` and `last_steps` [n], how often a key has occurred in training and in which step last; the same three with `pending_` before
/// the name, of keys that have no row yet; `counters` [4]: admissions, evictions, ids, ids without a row. Metadata: `table` and `rows_of`.
std::string keys_path(std::string_view table);

/// "step-0000001000"
std::string checkpoint_directory_name(std::int64_t step);

}  // namespace rechost
