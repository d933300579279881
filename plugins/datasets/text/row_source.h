// Rows of one or several text files, cut into chunks.
#ifndef RECHOST_TEXT_ROW_SOURCE_H
#define RECHOST_TEXT_ROW_SOURCE_H

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rechost/cxx/dataset.hpp"
#include "record_scanner.h"
#include "text_file.h"

namespace text {

// One record as it stands in the file.
struct Row {
  std::string_view record;  // without line end; whoever reads may look up to 8 bytes before it and 64 past its end
  std::int64_t line;        // 1-based, of its beginning
};

class RowReader;

// Goes over all files once, at construction, to learn where each chunk begins; keeps no row. All functions after construction: any thread.
class RowSource {
 public:
  // Throws DataError when a file cannot be read, and when there is not one row in all of them.
  RowSource(const std::vector<std::string>& paths, const RowFormat& format, std::int64_t rows_per_chunk);

  std::int64_t chunk_count() const { return static_cast<std::int64_t>(chunks_.size()); }
  std::int64_t chunk_rows(std::int64_t chunk) const { return chunks_.at(static_cast<std::size_t>(chunk)).rows; }
  std::int64_t row_count() const;
  const std::string& path_of(std::int64_t chunk) const { return files_[chunks_.at(static_cast<std::size_t>(chunk)).file].path(); }
  const RowFormat& format() const { return format_; }
  std::uint64_t fingerprint() const;

  // The chunks that will be read next, in this order: remote files of theirs that are not at hand are brought ahead.
  void read_ahead(std::span<const std::int64_t> chunks) const;

 private:
  friend class RowReader;
  struct Chunk {
    std::size_t file;
    std::int64_t begin, end;  // bytes
    std::int64_t first_line;  // 1-based
    std::int64_t rows;
  };

  void index_file(std::size_t file, std::int64_t rows_per_chunk);

  RowFormat format_;
  FilesAhead ahead_;
  std::vector<TextFile> files_;
  std::vector<Chunk> chunks_;
};

// The rows of one chunk, in order. Holds the bytes of the whole chunk.
class RowReader {
 public:
  RowReader(const RowSource& source, std::int64_t chunk);

  // False when there is none left. The record lives as long as the reader. Throws DataError when the file changed since it was indexed.
  bool next(Row& row);

  // What next() has not gone over yet. Readable as a row is.
  std::string_view rest() const { return rest_; }
  // Goes over `rows` rows, one line each, that take `bytes` of rest().
  void skip(std::size_t bytes, std::int64_t rows) {
    rest_.remove_prefix(bytes);
    rows_ += rows;
    line_ += rows;
  }

 private:
  const RowSource& source_;
  const RowSource::Chunk& chunk_;
  RecordScanner scanner_;
  std::unique_ptr<char[]> bytes_;
  std::string_view rest_;
  std::int64_t line_, rows_ = 0;
};

// Reports where `rows` (ascending) of the request's chunk stand.
void show_rows(const RowSource& source, const rechost::ReadRequest& request, std::span<const std::int64_t> rows);

// The records at the head of a file (column names). Throws DataError when there are fewer than `count`.
std::vector<std::string> head_of(const std::string& path, const RowFormat& format, std::int64_t count);

}  // namespace text

#endif  // RECHOST_TEXT_ROW_SOURCE_H
