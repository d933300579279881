// The fields of one record.
#ifndef RECHOST_TEXT_FIELDS_H
#define RECHOST_TEXT_FIELDS_H

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "record_scanner.h"

namespace text {

// Splits records of one format; keeps its memory from record to record. One per thread.
class FieldSplitter {
 public:
  explicit FieldSplitter(const RowFormat& format) : format_(format) {}

  // The record must be readable up to 16 bytes past its end (as RowReader gives it). False when the quoting is wrong; then error() says
  // how. The fields live until the next call or the end of the record's bytes.
  bool split(std::string_view record);

  const std::vector<std::string_view>& fields() const { return fields_; }
  const std::string& error() const { return error_; }

 private:
  void split_at_byte(std::string_view record, char delimiter);
  void split_at_text(std::string_view record);
  bool split_quoted(std::string_view record);

  RowFormat format_;
  std::vector<std::string_view> fields_;
  std::deque<std::string> unescaped_;  // fields in which "" stood for a quote
  std::string error_;
};

// Why a record can be no row, whatever its fields: a byte that is not UTF-8, or NUL. Empty when all is well.
std::string objection_to_record(std::string_view record);

// Position of the first byte that is not UTF-8, or npos.
std::size_t find_invalid_utf8(std::string_view text);

}  // namespace text

#endif  // RECHOST_TEXT_FIELDS_H
