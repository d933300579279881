#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What the data floor needs from a loader, in the host's own words. The plugin floor adapts a dataset module to it.
namespace rechost {

enum class ColumnRole { kDense, kSparse, kLabel, kWeight, kId, kTime, kCandidates };
enum class ValueType { kBool, kInt8, kInt16, kInt32, kInt64, kUint8, kUint16, kUint32, kFloat32, kFloat64, kString };
enum class LabelKind { kBinary, kRegression, kMulticlass };

struct ColumnInfo {
  std::string name;
  ColumnRole role = ColumnRole::kDense;
  ValueType type = ValueType::kFloat32;  ///< of the values; lists: of their elements
  bool is_list = false;
  bool is_binary = false;                ///< kString: any bytes, which need be no text
  bool nullable = false;
  std::string entity;                        ///< "user", "item" or empty
  bool is_key = false;                       ///< identifies its entity
  std::optional<std::int64_t> cardinality;   ///< integer ids lie in [0, cardinality)
  LabelKind label_kind = LabelKind::kBinary;
};

/// Values of one column of one chunk. All memory is borrowed from the ChunkData that it came with.
struct ColumnView {
  ValueType type = ValueType::kFloat32;
  std::int64_t rows = 0;
  const std::uint8_t* validity = nullptr;  ///< bit (validity_offset + row); null: all valid
  std::int64_t validity_offset = 0;
  /// Lists: row r owns elements list_begin(r) .. list_begin(r + 1); null for plain columns. Exactly one of the two widths is set.
  const std::int32_t* list_offsets32 = nullptr;
  const std::int64_t* list_offsets64 = nullptr;
  /// Null, or: element e is entry indices[e] of a dictionary, and what stands below are its entries. Every index is in range, those of missing
  /// values too.
  const std::int32_t* indices = nullptr;
  std::int64_t entries = 0;
  /// Plain values: element 0 of the (first row's) values. kBool: bits, from bit value_offset on.
  const void* values = nullptr;
  std::int64_t value_offset = 0;
  /// kString: character data and offsets (one width set).
  const char* characters = nullptr;
  const std::int32_t* string_offsets32 = nullptr;
  const std::int64_t* string_offsets64 = nullptr;

  bool is_list() const { return list_offsets32 != nullptr || list_offsets64 != nullptr; }
  bool valid(std::int64_t row) const {
    const std::int64_t bit = validity_offset + row;
    return validity == nullptr || ((validity[bit >> 3] >> (bit & 7)) & 1) != 0;
  }
  std::int64_t list_begin(std::int64_t row) const { return list_offsets32 != nullptr ? list_offsets32[row] : list_offsets64[row]; }
  /// Where the value of an element stands among `values` or the strings.
  std::int64_t place(std::int64_t element) const { return indices != nullptr ? indices[element] : element; }
  std::string_view string(std::int64_t element) const { return string_at(place(element)); }
  std::string_view string_at(std::int64_t element) const {
    if (string_offsets32 != nullptr) {
      return {characters + string_offsets32[element], static_cast<std::size_t>(string_offsets32[element + 1] - string_offsets32[element])};
    }
    return {characters + string_offsets64[element], static_cast<std::size_t>(string_offsets64[element + 1] - string_offsets64[element])};
  }
};

/// How many of the coming chunks a source is told of. It brings fewer when they are large.
constexpr std::int64_t kChunksAhead = 64;

/// A row that the loader could not decode.
struct BadRow {
  std::int64_t chunk = 0;
  std::int64_t row_in_chunk = 0;
  std::int64_t line = 0;  ///< 1-based in `source`; 0: unknown
  std::string source;
  std::string column;
  std::string reason;
  std::string raw;             ///< its bytes, or the first of them
  std::int64_t raw_bytes = 0;  ///< how many there were
};

/// Decoded columns of one chunk; owns their memory. `bad_rows` ascends; rows() = declared rows - bad_rows.
class ChunkData {
 public:
  virtual ~ChunkData() = default;
  virtual std::span<const ColumnView> columns() const = 0;
  virtual std::int64_t rows() const = 0;
};

/// One split of a dataset. Thread-safe as each function says.
class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  virtual const std::vector<ColumnInfo>& columns() const = 0;
  virtual std::int64_t chunk_count() const = 0;
  /// Declared rows, bad ones included.
  virtual std::int64_t chunk_rows(std::int64_t chunk) const = 0;
  /// Any thread, several at once. `wanted` are positions in columns(); the result has them in that order. `bad_row` is called on the
  /// same thread for each row left out; what it throws ends the read and is rethrown. Throws DataError.
  virtual std::unique_ptr<ChunkData> read(std::int64_t chunk, std::span<const std::uint32_t> wanted,
                                          const std::function<void(BadRow&&)>& bad_row) = 0;
  /// Tells where `rows` (declared rows of the chunk, ascending) stand and what their bytes are: `show` is called for each, in this order, on the
  /// same thread, without column and reason. A source that cannot tell calls it for none. Any thread, several at once. Throws DataError.
  virtual void show_rows(std::int64_t /*chunk*/, std::span<const std::int64_t> /*rows*/, const std::function<void(BadRow&&)>& /*show*/) {}
  /// The chunks that will be read next, in this order: a source that brings them from afar may begin. Replaces what was said before. Any
  /// thread; does not wait.
  virtual void read_ahead(std::span<const std::int64_t>) {}
  /// Whether read_ahead() may be worth while: anything is brought from afar. Any thread.
  virtual bool remote() const { return false; }
  /// Changes when the data does.
  virtual std::uint64_t fingerprint() = 0;
  /// Best AUC that any model can reach on this split, when the loader knows it.
  virtual std::optional<double> best_auc() const = 0;
};

}  // namespace rechost
