// From the values of one leaf to columns of the host.
#ifndef RECHOST_PARQUET_COLUMN_DECODER_H
#define RECHOST_PARQUET_COLUMN_DECODER_H

#include <parquet/file_reader.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "leaf.h"
#include "leaf_reader.h"
#include "text/column_roles.h"

namespace parquet_loader {

// Why a row is left out.
struct Fault {
  std::int64_t row = 0;  // of the row group
  std::string column;    // of the host
  std::string reason;
};

// Whether a column can hold a value that is refused. When not, reading it is not needed to know which rows are bad.
bool can_fail(const Leaf& leaf, text::Meaning meaning);

// Decodes one leaf of one row group. For one call of decode().
class ColumnDecoder {
 public:
  // `columns`, `builders` [use.column_count]: of the use; a null builder is not wanted. `left_out` [rows, or empty]: rows to pass over.
  ColumnDecoder(const text::ColumnUse& use, const rechost::Column* columns, const Leaf& leaf, std::string_view separator,
                std::vector<rechost::ColumnBuilder*> builders, const std::vector<bool>& left_out)
      : use_(use), columns_(columns), leaf_(leaf), separator_(separator), builders_(std::move(builders)), left_out_(left_out) {}

  // Returns how many rows there are. Adds the faults to `faults`, by row; after the first one nothing more is appended to the builders.
  std::int64_t decode(parquet::RowGroupReader& group, std::vector<Fault>& faults);

 private:
  template <class Value, class TakeAll, class Take>
  void for_each_row(LeafReader<Value>& reader, TakeAll&& take_all, Take&& take);
  template <class Value, class Take, class End>
  void for_each_element(LeafReader<Value>& reader, Take&& take, End&& end);
  void end_row(std::string reason);
  // Appends a batch as a whole, or nothing when it holds something to look at value by value.
  template <class Value>
  bool append_reals(const LeafReader<Value>& reader);
  bool append_integers(const LeafReader<std::int64_t>& reader);
  // A null for each row without value, and for each NaN.
  template <class Number, class Value>
  void append_values(const LeafReader<Value>& reader, bool missing);
  // The whole column by its dictionary, or nothing.
  bool append_dictionary(parquet::RowGroupReader& group);
  bool passes_over() const { return !left_out_.empty() && left_out_[static_cast<std::size_t>(row_)]; }

  template <class Value>
  void decode_reals(parquet::RowGroupReader& group);
  void decode_integers(parquet::RowGroupReader& group);
  void decode_texts(parquet::RowGroupReader& group);
  void decode_separated(parquet::RowGroupReader& group);
  void decode_integer_lists(parquet::RowGroupReader& group);
  void decode_number_lists(parquet::RowGroupReader& group);
  void decode_text_lists(parquet::RowGroupReader& group);
  void decode_group(parquet::RowGroupReader& group);

  const text::ColumnUse& use_;
  const rechost::Column* columns_;
  const Leaf& leaf_;
  std::string_view separator_;
  std::vector<rechost::ColumnBuilder*> builders_;
  const std::vector<bool>& left_out_;
  std::vector<Fault>* faults_ = nullptr;
  std::int64_t row_ = 0;
};

}  // namespace parquet_loader

#endif  // RECHOST_PARQUET_COLUMN_DECODER_H
