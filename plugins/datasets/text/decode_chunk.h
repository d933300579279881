// The loop that loaders of rows share: read, split, decode, and take back and report what is bad.
#ifndef RECHOST_TEXT_DECODE_CHUNK_H
#define RECHOST_TEXT_DECODE_CHUNK_H

#include <string>
#include <string_view>
#include <vector>

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

// Calls decode(fields, fault) for each row of the request's chunk. It appends to the builders of `output` and returns true, or fills
// `fault` and returns false: then what it appended is taken back and the row is reported.
template <class Decode>
void decode_chunk(const RowSource& source, const rechost::ReadRequest& request, rechost::ChunkBuilder& output, Decode&& decode) {
  RowReader reader(source, request.chunk());
  FieldSplitter splitter(source.format());
  Row row;
  std::int64_t good_rows = 0;
  for (std::int64_t position = 0; reader.next(row); ++position) {
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

}  // namespace text

#endif  // RECHOST_TEXT_DECODE_CHUNK_H
