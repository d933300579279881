#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/dense_scaling.h"
#include "data/row_counts.h"
#include "data/value_rows.h"

namespace rechost {

enum class EncoderKind { kIdentity, kVocabulary, kHash, kBucket, kDynamic };
enum class ValueKind { kInteger, kString };
/// Which key of a full dynamic table gives its row to a new one: the one not used for longest, or the one that has occurred least often.
enum class EvictionRule { kAge, kFrequency };

/// A value of a dynamic table is a 64-bit key: an integer as it is, a string by a hash. Batches hold it as two 32-bit ids, the lower half first;
/// which row it reads, and when, is up to whoever trains. This one stands for a missing value.
inline constexpr std::int64_t kMissingKey = static_cast<std::int64_t>(0x8000000080000000u);
inline constexpr std::int64_t kIdsPerKey = 2;
inline std::int64_t key_of_ids(const std::int32_t* ids) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(static_cast<std::uint32_t>(ids[1])) << 32 | static_cast<std::uint32_t>(ids[0]));
}

/// "identity", ...: as in features.<name>.encoder.
const char* encoder_name(EncoderKind kind);
/// "age", "frequency".
const char* eviction_name(EvictionRule rule);

/// How the values of the features of one table become its rows.
///   identity    value v in [0, cardinality) is row v; row `cardinality` is "missing", when something can be missing
///   vocabulary  row 0 is "unknown" (never seen in training, or too rare), row 1 "missing", then one row per value, most frequent first,
///               equal counts in ascending order of the value: a function of the training values alone
///   hash        row = xxh3(value, salt) scaled to [0, hash_rows); row `hash_rows` is "missing". With several hashes a value has several rows,
///               each by another salt: two values that share one seldom share all
///   bucket      n boundaries cut the numbers into n + 1 buckets, a boundary belongs to the one above it; bucket b is row b, row n + 1 is
///               "missing". Values are integers, the order_key() of numbers
///   dynamic     row 0 is "unknown", row 1 "missing"; max_rows more are given to keys while training, and taken from them. A string's key is
///               xxh3(value, salt)
struct TableEncoding {
  std::string name;
  EncoderKind encoder = EncoderKind::kVocabulary;
  ValueKind values = ValueKind::kInteger;
  std::int64_t cardinality = 0;   ///< identity
  std::int64_t hash_rows = 0;     ///< hash
  std::int64_t hashes = 1;        ///< hash: rows per value
  std::string salt;               ///< hash, dynamic: a word of the user's; empty: the name
  std::vector<double> boundaries; ///< bucket: ascending; empty while they are to be learnt
  std::int64_t buckets = 0;       ///< bucket: so many are to be learnt
  std::int64_t min_count = 1;     ///< vocabulary, dynamic: rarer values are "unknown"
  std::int64_t max_rows = 0;      ///< vocabulary: only so many values, the most frequent; 0: all. Dynamic: as many as have a row at one time
  double admit_probability = 1.0; ///< dynamic: that an occurrence gets its key a row
  EvictionRule evict = EvictionRule::kAge;  ///< dynamic
  std::int64_t max_age_steps = 0;   ///< dynamic: steps after which a key that was not seen is forgotten; 0: never
  std::int64_t half_life_steps = 0; ///< dynamic: steps in which counts of keys halve; 0: they do not
  std::int64_t memory_bytes = 0;    ///< dynamic: what keys and rows may take; max_rows follows once the model has told its dims, and is 0 until then
  bool can_be_missing = false;

  /// Does it need the values of the training rows?
  bool learns_values() const { return encoder == EncoderKind::kVocabulary || (encoder == EncoderKind::kBucket && buckets > 0 && boundaries.empty()); }
};

/// The encoder of one table, finished. Immutable but for the counts; reading is safe from any thread.
class Vocabulary {
 public:
  static constexpr std::int32_t kUnknownRow = 0;     ///< vocabulary and dynamic
  static constexpr std::int32_t kMissingRow = 1;     ///< vocabulary and dynamic
  static constexpr std::int32_t kFirstValueRow = 2;  ///< vocabulary and dynamic

  /// Identity, hash, dynamic or buckets with boundaries, complete; a vocabulary without values: every value is unknown.
  explicit Vocabulary(TableEncoding encoding);
  /// With values in order of rows from kFirstValueRow on.
  Vocabulary(TableEncoding encoding, IntegerRows values);
  Vocabulary(TableEncoding encoding, StringRows values);

  const TableEncoding& encoding() const { return encoding_; }
  const std::string& name() const { return encoding_.name; }
  /// Rows of the table, those for unknown and missing included.
  std::int64_t rows() const { return rows_; }
  /// -1: nothing can be missing (identity).
  std::int32_t missing_row() const { return missing_row_; }
  bool dynamic() const { return encoding_.encoder == EncoderKind::kDynamic; }
  /// What stands in a batch for a missing value: that row, or each half of kMissingKey.
  std::int32_t missing_id() const { return dynamic() ? static_cast<std::int32_t>(kMissingKey >> 32) : missing_row_; }
  /// Does the row stand for a value of the data, and not for "unknown" or "missing"?
  bool is_value_row(std::int32_t row) const;

  /// The row of a value, with several hashes the first. Identity: the caller has checked the range. Vocabulary: kUnknownRow when not there.
  std::int32_t row(std::int64_t value) const;
  std::int32_t row(std::string_view value) const;
  /// The row by one of encoding().hashes.
  std::int32_t hashed_row(std::int64_t value, std::int64_t hash) const;
  std::int32_t hashed_row(std::string_view value, std::int64_t hash) const;
  /// Dynamic: the key of a value, never kMissingKey for a string.
  std::int64_t key(std::int64_t value) const { return value; }
  std::int64_t key(std::string_view value) const;
  /// rows[i] for values[i]; faster than one by one.
  void rows_of(std::span<const std::int64_t> values, std::int32_t* rows) const;
  void rows_of(std::span<const std::string_view> values, std::int32_t* rows) const;

  /// The original value as text; "<unknown>", "<missing>", for a hash "<hash 17>", for a bucket "[0.5, 2)". Dynamic: "<row 17>", whichever key has it.
  std::string value_text(std::int32_t row) const;

  /// The original value of a key as text; of a string its hash, "<key 0123456789abcdef>".
  std::string key_text(std::int64_t key) const;

  /// How often each row occurs in the training split, over all features of the table. [rows()]; dynamic: none
  const RowCounts& counts() const { return counts_; }
  void set_counts(RowCounts counts);

  /// Writes `<table>.json` (what it is) and `<table>.tsv` (per row: count, tab, value; \t \n \r \\ escaped) into `directory`, which exists.
  /// Appends the names of both files. Reads only what save wrote; DataError names file and line.
  void save(const std::filesystem::path& directory, std::vector<std::string>& files) const;
  static Vocabulary load(const std::filesystem::path& header_file);

 private:
  TableEncoding encoding_;
  std::int64_t rows_ = 0;
  std::int32_t missing_row_ = -1;
  std::vector<std::uint64_t> salts_;              ///< hash: one for each; dynamic: one
  std::vector<std::int64_t> boundary_keys_;       ///< bucket: order_key() of the boundaries
  IntegerRows integers_;
  StringRows strings_;
  RowCounts counts_;
};

/// The vocabularies of a run, by table.
class Vocabularies {
 public:
  Vocabularies() = default;
  explicit Vocabularies(std::vector<Vocabulary> tables) : tables_(std::move(tables)) {}

  std::size_t size() const { return tables_.size(); }
  const Vocabulary& operator[](std::size_t index) const { return tables_[index]; }
  Vocabulary& operator[](std::size_t index) { return tables_[index]; }
  auto begin() const { return tables_.begin(); }
  auto end() const { return tables_.end(); }
  const Vocabulary* find(std::string_view table) const;
  /// DataError when there is none.
  const Vocabulary& at(std::string_view table) const;

  /// Of dense features, by name: learnt with them, and kept with them.
  void set_scalings(std::map<std::string, DenseScaling, std::less<>> scalings) { scalings_ = std::move(scalings); }
  /// DataError when there is none of that kind.
  const DenseScaling& scaling(std::string_view feature, DenseScaling::Kind kind) const;

  /// Creates `directory`; returns the names of the files in it, for the checkpoint's list of checksums.
  std::vector<std::string> save(const std::filesystem::path& directory) const;
  /// Every `*.json` of `directory`, sorted by name.
  static Vocabularies load(const std::filesystem::path& directory);

 private:
  std::vector<Vocabulary> tables_;
  std::map<std::string, DenseScaling, std::less<>> scalings_;
};

}  // namespace rechost
