// The loop that loaders of rows share: read, split, decode, and take back and report what is bad.
#ifndef RECHOST_TEXT_DECODE_CHUNK_H
#define RECHOST_TEXT_DECODE_CHUNK_H

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "field_ends.h"
#include "fields.h"
#include "numbers.h"
#include "rechost/cxx/dataset.hpp"
#include "row_source.h"

namespace text {

// Why a row is bad.
struct Fault {
  std::string column;  // empty: the row as a whole
  std::string reason;
};

// Rows of one chunk whose fields all lie as they should: ASCII, no quotes, the same number in each line.
class FieldBlock {
 public:
  FieldBlock(const char* text, const std::uint32_t* ends, std::size_t rows, std::size_t fields) : text_(text), ends_(ends), rows_(rows), fields_(fields) {}

  std::size_t rows() const { return rows_; }
  // Readable as a row is.
  std::string_view field(std::size_t row, std::size_t column) const {
    const std::size_t at = row * fields_ + column;
    const std::size_t begin = at == 0 ? 0 : ends_[at - 1] + std::size_t{1};
    return {text_ + begin, ends_[at] - begin};
  }

 private:
  const char* text_;
  const std::uint32_t* ends_;
  std::size_t rows_, fields_;
};

// Calls decode(fields, fault) for each row of the request's chunk. It appends to the builders of `output` and returns true, or fills
// `fault` and returns false: then what it appended is taken back and the row is reported.
//
// Where the next rows form a block of `field_count` fields, decode_block(block) comes first and may append all of them, column by column;
// when it returns false, what it appended is taken back and the rows go one by one. 0: there is no such block.
template <class DecodeBlock, class Decode>
void decode_chunk(const RowSource& source, const rechost::ReadRequest& request, rechost::ChunkBuilder& output, std::size_t field_count,
                  DecodeBlock&& decode_block, Decode&& decode) {
  constexpr std::size_t kBlockRows = 256;
  RowReader reader(source, request.chunk());
  FieldSplitter splitter(source.format());
  FieldEnds ends;
  Row row;
  std::int64_t good_rows = 0, position = 0;
  const bool blocks = field_count > 0 && source.format().delimiter.size() == 1;
  for (std::size_t one_by_one = 0;; ++position) {
    if (one_by_one > 0) --one_by_one;
    while (blocks && one_by_one == 0) {
      const std::string_view rest = reader.rest();
      find_field_ends(rest, source.format().delimiter[0], kBlockRows * field_count, ends);
      const std::size_t rows = ends.ends.size() / field_count;
      bool even = rows > 0 && ends.plain && ends.lines == rows && ends.ends.size() == rows * field_count;
      for (std::size_t i = 1; even && i <= rows; ++i) even = rest[ends.ends[i * field_count - 1]] == '\n';
      if (!even || !decode_block(FieldBlock(rest.data(), ends.ends.data(), rows, field_count))) {
        output.truncate(good_rows);
        one_by_one = kBlockRows;
        break;
      }
      reader.skip(ends.ends.back() + std::size_t{1}, static_cast<std::int64_t>(rows));
      good_rows += static_cast<std::int64_t>(rows);
      position += static_cast<std::int64_t>(rows);
    }
    if (!reader.next(row)) break;
    Fault fault;
    bool good = false;
    // Text columns promise UTF-8 to whoever reads them.
    fault.reason = objection_to_record(row.record);
    if (fault.reason.empty()) {
      if (splitter.split(row.record))
        good = decode(splitter.fields(), fault);
      else
        fault.reason = splitter.error();
    }
    if (good) {
      ++good_rows;
      continue;
    }
    output.truncate(good_rows);
    request.bad_row({position, row.line, source.path_of(request.chunk()), fault.column, fault.reason, row.record});
  }
  output.set_rows(good_rows);
}

template <class Decode>
void decode_chunk(const RowSource& source, const rechost::ReadRequest& request, rechost::ChunkBuilder& output, Decode&& decode) {
  decode_chunk(source, request, output, 0, [](const FieldBlock&) { return false; }, std::forward<Decode>(decode));
}

}  // namespace text

#endif  // RECHOST_TEXT_DECODE_CHUNK_H
