// The files of one split: what their footers say, and their row groups, opened one at a time.
#ifndef RECHOST_PARQUET_FILE_SET_H
#define RECHOST_PARQUET_FILE_SET_H

#include <parquet/file_reader.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "leaf.h"
#include "text/text_file.h"

namespace parquet_loader {

// A row group that holds rows.
struct Chunk {
  std::size_t file = 0;
  int row_group = 0;
  std::int64_t rows = 0;
  std::int64_t first_row = 0;  // of the file, from 0
};

class FileSet {
 public:
  // Reads the footers. Throws DataError naming the file when one cannot be read or is no whole Parquet file, and when all together hold no row.
  FileSet(const std::vector<std::string>& paths, bool bytes_are_text);

  const std::vector<Chunk>& chunks() const { return chunks_; }
  const std::string& path_of(const Chunk& chunk) const { return files_[chunk.file].path; }
  std::uint64_t fingerprint() const;
  // The chunks that will be read next, in this order: remote files of theirs are brought ahead.
  void read_ahead(std::span<const std::int64_t> chunks) const;

  // The first file's: what a plan is made of.
  const std::vector<Leaf>& leaves() const { return files_.front().leaves; }

  // Finds these of leaves() in every file; leaf() works for them from then on. Throws DataError naming file and column where one is missing
  // or is something else. `all`: all columns are read, so a column that only another file has is an error too.
  void select(const std::vector<std::size_t>& leaves, bool all);

  // The leaf of leaves()[selected] as it is in that chunk's file.
  const Leaf& leaf(const Chunk& chunk, std::size_t selected) const {
    const File& file = files_[chunk.file];
    return file.leaves[file.selected[selected]];
  }

  // Do most rows of leaves()[selected] come as entries of dictionaries?
  bool is_mostly_dictionary(std::size_t selected) const;

  // Calls read(row group). Any thread. What the library throws, and bad memory sizes in a damaged file, become a DataError that names file,
  // row group and `column`, which read() sets as it goes along.
  void read(const Chunk& chunk, const std::function<void(parquet::RowGroupReader& group, std::string& column)>& read) const;

 private:
  struct File {
    std::string path;
    std::uint64_t fingerprint = 0;
    std::shared_ptr<parquet::FileMetaData> metadata;
    std::vector<Leaf> leaves;
    std::vector<std::size_t> selected;
  };

  void open(const std::string& path, bool bytes_are_text);

  text::FilesAhead ahead_;
  std::vector<File> files_;
  std::vector<Chunk> chunks_;
};

}  // namespace parquet_loader

#endif  // RECHOST_PARQUET_FILE_SET_H
