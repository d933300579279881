#include "file_set.h"

#include <arrow/io/file.h>
#include <arrow/result.h>

#include <algorithm>
#include <new>

#include "dictionary.h"
#include "rechost/cxx/dataset.hpp"
#include "rechost/cxx/files.hpp"
#include "text/text_file.h"

namespace parquet_loader {
namespace {

using rechost::DataError;

parquet::ReaderProperties reader_properties() {
  parquet::ReaderProperties properties;
  // Of the pages that carry one.
  properties.set_page_checksum_verification(true);
  return properties;
}

std::shared_ptr<arrow::io::ReadableFile> open_file(const std::string& path) {
  // A remote file is read where the host keeps its copy; Arrow closes the descriptor.
  auto opened = rechost::is_remote(path) ? arrow::io::ReadableFile::Open(rechost::open_file(path).release()) : arrow::io::ReadableFile::Open(path);
  if (!opened.ok()) throw DataError("cannot open '" + path + "': " + opened.status().message());
  return std::move(opened).ValueUnsafe();
}

// The library's sentences end in more than one way; ours go on after them.
std::string without_end(std::string text) {
  while (!text.empty() && (text.back() == '.' || text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::size_t position_of(const std::vector<Leaf>& leaves, const std::string& name) {
  const auto found = std::find_if(leaves.begin(), leaves.end(), [&](const Leaf& leaf) { return leaf.declared.name == name; });
  return static_cast<std::size_t>(found - leaves.begin());
}

// Integers may be of any width, and a value may be required in one file and not in the other. A unit of time may not differ.
bool agree(const text::SourceColumn& one, const text::SourceColumn& other) {
  using Kind = text::SourceColumn::Kind;
  return one.kind == other.kind && one.array == other.array && one.carried == other.carried && (one.kind != Kind::kInstant || one.type == other.type);
}

}  // namespace

FileSet::FileSet(const std::vector<std::string>& paths, bool bytes_are_text) : ahead_(paths) {
  for (const std::string& path : paths) open(path, bytes_are_text);
  if (chunks_.empty()) throw DataError("'" + paths.front() + "'" + (paths.size() > 1 ? " and the files beside it hold no row" : " holds no row"));
}

void FileSet::open(const std::string& path, bool bytes_are_text) {
  File file{.path = path, .fingerprint = text::file_fingerprint(path), .metadata = nullptr, .leaves = {}, .selected = {}};
  const std::shared_ptr<arrow::io::ReadableFile> source = open_file(path);
  try {
    file.metadata = parquet::ParquetFileReader::Open(source, reader_properties())->metadata();
    file.leaves = leaves_of(*file.metadata->schema(), bytes_are_text);
    std::int64_t first_row = 0;
    for (int group = 0; group < file.metadata->num_row_groups(); ++group) {
      const std::int64_t rows = file.metadata->RowGroup(group)->num_rows();
      if (rows < 0) throw parquet::ParquetException("row group " + std::to_string(group) + " has " + std::to_string(rows) + " rows");
      // A wrong number would be found by reading, but memory for that many rows is taken before.
      for (int column = 0; column < file.metadata->num_columns(); ++column) {
        if (file.metadata->schema()->Column(column)->max_repetition_level() > 0) continue;
        const std::int64_t values = file.metadata->RowGroup(group)->ColumnChunk(column)->num_values();
        if (values != rows)
          throw parquet::ParquetException("row group " + std::to_string(group) + " has " + std::to_string(rows) + " rows, its column '" +
                                          file.metadata->schema()->Column(column)->path()->ToDotString() + "' " + std::to_string(values) + " values");
      }
      if (rows > 0) chunks_.push_back({files_.size(), group, rows, first_row});
      first_row += rows;
    }
  } catch (const std::exception& error) {
    throw DataError("'" + path + "' is no whole Parquet file: " + without_end(error.what()) +
                    ". If it was cut short, copy or write it again; if it is something else, keep it out of the folder");
  }
  files_.push_back(std::move(file));
}

void FileSet::read_ahead(std::span<const std::int64_t> chunks) const {
  std::vector<std::string> paths;
  for (const std::int64_t chunk : chunks) {
    const std::string& path = path_of(chunks_.at(static_cast<std::size_t>(chunk)));
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
  }
  ahead_.expect(paths);
}

std::uint64_t FileSet::fingerprint() const {
  rechost::Fingerprint fingerprint;
  for (const File& file : files_) fingerprint.add(static_cast<std::int64_t>(file.fingerprint));
  return fingerprint.value();
}

void FileSet::select(const std::vector<std::size_t>& leaves, bool all) {
  const File& first = files_.front();
  for (File& file : files_) {
    for (const std::size_t wanted : leaves) {
      const text::SourceColumn& declared = first.leaves[wanted].declared;
      const std::size_t here = position_of(file.leaves, declared.name);
      if (here == file.leaves.size())
        throw DataError("'" + file.path + "' has no column '" + declared.name + "', which '" + first.path +
                        "' has: files that are read together need the same columns");
      const text::SourceColumn& other = file.leaves[here].declared;
      if (!agree(declared, other))
        throw DataError("'" + file.path + "': column '" + declared.name + "' has type '" + other.type + "', in '" + first.path + "' it is '" +
                        declared.type + "': files that are read together need the same types; write one of them again");
      file.selected.push_back(here);
    }
    if (!all) continue;
    for (const Leaf& leaf : file.leaves)
      if (position_of(first.leaves, leaf.declared.name) == first.leaves.size())
        throw DataError("'" + file.path + "' has a column '" + leaf.declared.name + "', which '" + first.path +
                        "' does not have: list the columns to read in dense, sparse and multi_hot");
  }
}

bool FileSet::is_mostly_dictionary(std::size_t selected) const {
  std::int64_t rows = 0;
  for (const Chunk& chunk : chunks_) {
    const bool dictionary = is_all_dictionary(*files_[chunk.file].metadata->RowGroup(chunk.row_group)->ColumnChunk(leaf(chunk, selected).column));
    rows += dictionary ? chunk.rows : -chunk.rows;
  }
  return rows > 0;
}

void FileSet::read(const Chunk& chunk, const std::function<void(parquet::RowGroupReader& group, std::string& column)>& read) const {
  const File& file = files_[chunk.file];
  if (text::file_fingerprint(file.path) != file.fingerprint)
    throw DataError("'" + file.path + "' changed while it was being read; run again, and write new data to another file");
  std::string column;
  const auto fail = [&](const std::string& reason) {
    throw DataError("'" + file.path + "', row group " + std::to_string(chunk.row_group) + (column.empty() ? "" : ", column '" + column + "'") +
                    ": " + without_end(reason) + ". The file is damaged or uses what this build cannot read; write it again");
  };
  try {
    const auto reader = parquet::ParquetFileReader::Open(open_file(file.path), reader_properties(), file.metadata);
    read(*reader->RowGroup(chunk.row_group), column);
  } catch (const parquet::ParquetException& error) {
    fail(error.what());
  } catch (const std::length_error& error) {
    throw DataError("'" + file.path + "', row group " + std::to_string(chunk.row_group) + ", column '" + column +
                    "': more than 2^31 bytes or elements; write the file with smaller row groups (" + error.what() + ")");
  } catch (const std::bad_alloc&) {
    fail("not enough memory for what it says that it holds");
  }
}

}  // namespace parquet_loader
