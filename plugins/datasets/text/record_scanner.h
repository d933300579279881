// Finds the records of a text: lines, or in CSV with quotes, lines that may go on past a line end inside quotes.
#ifndef RECHOST_TEXT_RECORD_SCANNER_H
#define RECHOST_TEXT_RECORD_SCANNER_H

#include <cstdint>
#include <string>
#include <string_view>

namespace text {

struct RowFormat {
  std::string delimiter = "\t";
  bool quoted = false;            // RFC 4180: fields may stand in double quotes
  std::int64_t header_lines = 0;  // records at the head of each file that are no rows
};

// Goes over a text piece by piece and says where each record ends. Empty lines are no records. The same scanner counts records when a file
// is opened and finds them when a chunk is read, so that the two agree by construction.
class RecordScanner {
 public:
  explicit RecordScanner(const RowFormat& format)
      : quoted_(format.quoted), delimiter_(format.delimiter.empty() ? '\0' : format.delimiter.back()) {}

  // Looks for the end of the record that begins at, or went on to, text[0]. Returns the position of its '\n', or npos when the text ends
  // first: then call again with the text that follows, to go on with the same record.
  std::size_t find_end(std::string_view text);

  // Line ends inside the record that was last found, its own not counted; where it goes on, those so far.
  std::int64_t inner_lines() const { return inner_lines_; }

  // Whether the text that was last looked at ends inside quotes.
  bool in_quotes() const { return !finished_ && state_ == State::kQuoted; }

 private:
  // Where in a field the scan stands. Only a quote that opens a field counts: one in the middle of a field is a mistake of that row and
  // must not swallow the rows after it.
  enum class State : char { kFieldBegin, kPlain, kQuoted, kQuoteInQuoted };

  bool quoted_;
  char delimiter_;
  bool finished_ = true;
  State state_ = State::kFieldBegin;
  std::int64_t inner_lines_ = 0;
};

// The record without its line end.
inline std::string_view without_carriage_return(std::string_view record) {
  if (!record.empty() && record.back() == '\r') record.remove_suffix(1);
  return record;
}

}  // namespace text

#endif  // RECHOST_TEXT_RECORD_SCANNER_H
