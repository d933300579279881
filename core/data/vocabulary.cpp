#include "data/vocabulary.h"

#include <algorithm>
#include <limits>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"
#include "data/column_derivation.h"

namespace rechost {
namespace {

std::int32_t scale(std::uint64_t hash, std::int64_t rows) {
  return static_cast<std::int32_t>((static_cast<unsigned __int128>(hash) * static_cast<std::uint64_t>(rows)) >> 64);
}

std::int64_t checked_rows(std::int64_t rows, const std::string& table) {
  if (rows > std::numeric_limits<std::int32_t>::max()) {
    fail<ConfigError>("table \"{}\" would have {} rows; row numbers are 32 bits wide (use encoder = \"hash\")", table, rows);
  }
  return rows;
}

/// Another salt per table: values that collide in one do not collide in all. The same for each hash of a table.
std::vector<std::uint64_t> salts_of(const TableEncoding& encoding) {
  const std::string& word = encoding.salt.empty() ? encoding.name : encoding.salt;
  const std::uint64_t first = XXH3_64bits(word.data(), word.size());
  std::vector<std::uint64_t> salts{first};
  for (std::uint64_t hash = 1; hash < static_cast<std::uint64_t>(encoding.hashes); ++hash) {
    salts.push_back(XXH3_64bits_withSeed(&hash, sizeof hash, first));
  }
  return salts;
}

}  // namespace

const char* encoder_name(EncoderKind kind) {
  switch (kind) {
    case EncoderKind::kIdentity: return "identity";
    case EncoderKind::kVocabulary: return "vocabulary";
    case EncoderKind::kHash: return "hash";
    case EncoderKind::kBucket: return "bucket";
    case EncoderKind::kDynamic: return "dynamic";
  }
  return "";
}

const char* eviction_name(EvictionRule rule) { return rule == EvictionRule::kAge ? "age" : "frequency"; }

Vocabulary::Vocabulary(TableEncoding encoding) : encoding_(std::move(encoding)) {
  switch (encoding_.encoder) {
    case EncoderKind::kIdentity:
      rows_ = checked_rows(encoding_.cardinality + (encoding_.can_be_missing ? 1 : 0), encoding_.name);
      missing_row_ = encoding_.can_be_missing ? static_cast<std::int32_t>(encoding_.cardinality) : -1;
      break;
    case EncoderKind::kHash:
      rows_ = checked_rows(encoding_.hash_rows + 1, encoding_.name);
      missing_row_ = static_cast<std::int32_t>(encoding_.hash_rows);
      salts_ = salts_of(encoding_);
      break;
    case EncoderKind::kBucket:
      rows_ = checked_rows(static_cast<std::int64_t>(encoding_.boundaries.size()) + 2, encoding_.name);
      missing_row_ = static_cast<std::int32_t>(rows_ - 1);
      for (const double boundary : encoding_.boundaries) boundary_keys_.push_back(order_key(boundary));
      break;
    case EncoderKind::kVocabulary:
      rows_ = kFirstValueRow;
      missing_row_ = kMissingRow;
      break;
    case EncoderKind::kDynamic:
      rows_ = checked_rows(kFirstValueRow + encoding_.max_rows, encoding_.name);
      missing_row_ = kMissingRow;
      salts_ = salts_of(encoding_);
      return;  // what a row occurs for changes: nothing is counted
  }
  counts_.append(0, rows_);
}

Vocabulary::Vocabulary(TableEncoding encoding, IntegerRows values) : Vocabulary(std::move(encoding)) {
  integers_ = std::move(values);
  rows_ = checked_rows(kFirstValueRow + integers_.size(), encoding_.name);
  counts_.append(0, integers_.size());
}

Vocabulary::Vocabulary(TableEncoding encoding, StringRows values) : Vocabulary(std::move(encoding)) {
  strings_ = std::move(values);
  rows_ = checked_rows(kFirstValueRow + strings_.size(), encoding_.name);
  counts_.append(0, strings_.size());
}

bool Vocabulary::is_value_row(std::int32_t row) const {
  if (row < 0 || row >= rows_ || row == missing_row_) return false;
  return (encoding_.encoder != EncoderKind::kVocabulary && !dynamic()) || row != kUnknownRow;
}

std::int32_t Vocabulary::row(std::int64_t value) const {
  switch (encoding_.encoder) {
    case EncoderKind::kIdentity:
      return static_cast<std::int32_t>(value);
    case EncoderKind::kHash:
      return hashed_row(value, 0);
    case EncoderKind::kBucket:
      return static_cast<std::int32_t>(std::upper_bound(boundary_keys_.begin(), boundary_keys_.end(), value) - boundary_keys_.begin());
    case EncoderKind::kDynamic:
      fail<Error>("table \"{}\" gives rows to keys while training: no value has one by itself", encoding_.name);
    case EncoderKind::kVocabulary:
      break;
  }
  const std::int32_t number = integers_.find(value);
  return number < 0 ? kUnknownRow : number + kFirstValueRow;
}

std::int32_t Vocabulary::hashed_row(std::int64_t value, std::int64_t hash) const {
  return scale(XXH3_64bits_withSeed(&value, sizeof value, salts_[static_cast<std::size_t>(hash)]), encoding_.hash_rows);
}

std::int32_t Vocabulary::hashed_row(std::string_view value, std::int64_t hash) const {
  return scale(XXH3_64bits_withSeed(value.data(), value.size(), salts_[static_cast<std::size_t>(hash)]), encoding_.hash_rows);
}

std::int64_t Vocabulary::key(std::string_view value) const {
  const auto key = static_cast<std::int64_t>(XXH3_64bits_withSeed(value.data(), value.size(), salts_.front()));
  return key == kMissingKey ? kMissingKey + 1 : key;
}

std::string Vocabulary::key_text(std::int64_t key) const {
  if (encoding_.values == ValueKind::kInteger) return std::to_string(key);
  return fmt::format("<key {:016x}>", static_cast<std::uint64_t>(key));
}

std::int32_t Vocabulary::row(std::string_view value) const {
  if (encoding_.encoder == EncoderKind::kHash) return hashed_row(value, 0);
  const std::int32_t number = strings_.find(value);
  return number < 0 ? kUnknownRow : number + kFirstValueRow;
}

void Vocabulary::rows_of(std::span<const std::int64_t> values, std::int32_t* rows) const {
  if (encoding_.encoder == EncoderKind::kIdentity) {
    for (std::size_t i = 0; i < values.size(); ++i) rows[i] = static_cast<std::int32_t>(values[i]);
    return;
  }
  if (encoding_.encoder == EncoderKind::kHash) {
    const std::int64_t* const at = values.data();
    const std::uint64_t salt = salts_.front();
    for (std::size_t i = 0; i < values.size(); ++i) rows[i] = scale(XXH3_64bits_withSeed(at + i, sizeof(std::int64_t), salt), encoding_.hash_rows);
    return;
  }
  if (encoding_.encoder == EncoderKind::kBucket) {
    for (std::size_t i = 0; i < values.size(); ++i) rows[i] = row(values[i]);
    return;
  }
  integers_.find_all(values, rows);
  for (std::size_t i = 0; i < values.size(); ++i) rows[i] = rows[i] < 0 ? kUnknownRow : rows[i] + kFirstValueRow;
}

void Vocabulary::rows_of(std::span<const std::string_view> values, std::int32_t* rows) const {
  if (encoding_.encoder == EncoderKind::kHash) {
    const std::string_view* const at = values.data();
    const std::uint64_t salt = salts_.front();
    for (std::size_t i = 0; i < values.size(); ++i) {
      rows[i] = scale(XXH3_64bits_withSeed(at[i].data(), at[i].size(), salt), encoding_.hash_rows);
    }
    return;
  }
  strings_.find_all(values, rows);
  for (std::size_t i = 0; i < values.size(); ++i) rows[i] = rows[i] < 0 ? kUnknownRow : rows[i] + kFirstValueRow;
}

std::string Vocabulary::value_text(std::int32_t row) const {
  if (row < 0 || row >= rows_) fail<DataError>("table \"{}\" has no row {} (it has {} rows)", encoding_.name, row, rows_);
  if (row == missing_row_) return "<missing>";
  switch (encoding_.encoder) {
    case EncoderKind::kIdentity:
      return std::to_string(row);
    case EncoderKind::kHash:
      return fmt::format("<hash {}>", row);
    case EncoderKind::kBucket: {
      const auto at = static_cast<std::size_t>(row);
      const std::vector<double>& limits = encoding_.boundaries;
      const std::string from = at == 0 ? "(-inf" : fmt::format("[{}", limits[at - 1]);
      return at == limits.size() ? from + ", inf)" : fmt::format("{}, {})", from, limits[at]);
    }
    case EncoderKind::kDynamic:
      return row == kUnknownRow ? "<unknown>" : fmt::format("<row {}>", row);
    case EncoderKind::kVocabulary:
      break;
  }
  if (row == kUnknownRow) return "<unknown>";
  const std::int32_t number = row - kFirstValueRow;
  return encoding_.values == ValueKind::kInteger ? std::to_string(integers_.value(number)) : std::string(strings_.value(number));
}

void Vocabulary::set_counts(RowCounts counts) {
  if (counts.size() != rows_) {
    fail<DataError>("table \"{}\": {} counts for {} rows", encoding_.name, counts.size(), rows_);
  }
  counts_ = std::move(counts);
}

const Vocabulary* Vocabularies::find(std::string_view table) const {
  for (const Vocabulary& vocabulary : tables_) {
    if (vocabulary.name() == table) return &vocabulary;
  }
  return nullptr;
}

const Vocabulary& Vocabularies::at(std::string_view table) const {
  const Vocabulary* const found = find(table);
  if (found == nullptr) fail<DataError>("there is no vocabulary for table \"{}\"", table);
  return *found;
}

const DenseScaling& Vocabularies::scaling(std::string_view feature, DenseScaling::Kind kind) const {
  const auto found = scalings_.find(feature);
  if (found == scalings_.end() || found->second.kind != kind) {
    fail<DataError>("feature \"{}\" is to be scaled by \"{}\", which was not learnt for this model", feature, DenseScaling::name(kind));
  }
  return found->second;
}

}  // namespace rechost
