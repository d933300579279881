// Reads one leaf of one row group, batch by batch, as the few kinds of values that the loader tells apart.
#ifndef RECHOST_PARQUET_LEAF_READER_H
#define RECHOST_PARQUET_LEAF_READER_H

#include <parquet/column_reader.h>
#include <parquet/file_reader.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

#include "leaf.h"

namespace parquet_loader {

// What stands for an unsigned number or a time that does not fit into 64 bits with a sign, in columns for which can_exceed() is true.
inline constexpr std::int64_t kBeyondInteger = std::numeric_limits<std::int64_t>::min();

// A stored integer with or without sign.
template <class Stored>
std::int64_t as_integer(Stored stored, bool is_unsigned) {
  if constexpr (std::is_same_v<Stored, std::int64_t>) return is_unsigned && stored < 0 ? kBeyondInteger : stored;
  if constexpr (std::is_same_v<Stored, std::int32_t>) return is_unsigned ? std::int64_t{static_cast<std::uint32_t>(stored)} : stored;
  return stored;
}

// Value is std::int64_t (integers and instants), double (all numbers), float (numbers stored as such) or std::string_view (texts and bytes);
// the caller picks one that the leaf's kind can be. Errors are parquet::ParquetException.
template <class Value>
class LeafReader {
 public:
  LeafReader(parquet::RowGroupReader& group, const Leaf& leaf);

  // The next levels and values; false at the end. Texts live until the next call.
  bool next();

  // Entries of this batch: a row without value, a list without element, a value, or an element of a list.
  std::size_t size() const { return size_; }
  bool begins_row(std::size_t entry) const { return repetitions_.empty() || repetitions_[entry] == 0; }
  // Lists: there is an element, which may be null.
  bool has_element(std::size_t entry) const { return definitions_.empty() || definitions_[entry] >= leaf_.element_level; }
  bool has_value(std::size_t entry) const { return definitions_.empty() || definitions_[entry] == leaf_.value_level; }
  // The values of the entries that have one, in order.
  const Value* values() const { return values_.data(); }
  std::size_t value_count() const { return value_count_; }

 private:
  // Into `raw`, which has room for a batch.
  template <class PhysicalType>
  bool read_raw(typename PhysicalType::c_type* raw);
  template <class PhysicalType, class Convert>
  bool read(Convert&& convert);

  const Leaf& leaf_;
  std::shared_ptr<parquet::ColumnReader> reader_;
  int fixed_length_;
  std::size_t size_ = 0, value_count_ = 0;
  std::vector<std::int16_t> definitions_, repetitions_;  // empty: the column has no such levels
  std::vector<Value> values_;
  std::unique_ptr<std::max_align_t[]> raw_;  // the batch in the physical type
};

}  // namespace parquet_loader

#endif  // RECHOST_PARQUET_LEAF_READER_H
