#include "row_source.h"

#include <algorithm>

#include "rechost/cxx/dataset.hpp"

namespace text {
namespace {

constexpr std::int64_t kBlockBytes = 1 << 20;
constexpr std::size_t kReadableBytesBefore = 8, kReadableBytesPastEnd = 64;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// Past these a "record" is no row: a quote that is not closed, which takes the rows after it along, or a file that is no text.
constexpr std::int64_t kLongestRecord = 16 << 20;
constexpr std::int64_t kMostInnerLines = 1000;
// A chunk is decoded as a whole: whatever its rows are, it fits into memory.
constexpr std::int64_t kMostChunkBytes = 256 << 20;

struct Record {
  std::int64_t begin, end;  // bytes, without the line end
  std::int64_t line;
};

// Throws when a record, so far or as a whole, cannot be a row. Such a file is refused: what would be left out is not one row but many.
void check_extent(const TextFile& file, const Record& record, const RecordScanner& scanner) {
  const auto place = [&] { return "'" + file.path() + "', line " + std::to_string(record.line) + ": "; };
  if (scanner.inner_lines() > kMostInnerLines)
    throw rechost::DataError(place() + "a quote opens here and is not closed for " + std::to_string(kMostInnerLines) +
                             " lines: close it, or say that quotes mean nothing (quoted = false)");
  if (record.end - record.begin > kLongestRecord)
    throw rechost::DataError(place() + "a row of more than " + std::to_string(kLongestRecord >> 20) +
                             " MiB: is a line end missing, or a quote not closed, or is this no text?");
}

// Calls visit(record) for each record that is not empty, until it returns false.
template <class Visit>
void for_each_record(const TextFile& file, const RowFormat& format, Visit&& visit) {
  RecordScanner scanner(format);
  std::vector<char> block(static_cast<std::size_t>(std::min(kBlockBytes, file.size())));
  Record record{0, 0, 1};
  char last_byte = 0;  // of the record so far, which may have begun in an earlier block
  // A line end may be written \r\n: a lone carriage return is an empty line too.
  const auto is_empty = [&] { return record.end == record.begin || (record.end == record.begin + 1 && last_byte == '\r'); };
  for (std::int64_t offset = 0; offset < file.size(); offset += kBlockBytes) {
    const auto size = static_cast<std::size_t>(std::min(kBlockBytes, file.size() - offset));
    file.read(offset, size, block.data());
    std::string_view rest(block.data(), size);
    if (offset == 0 && rest.starts_with(kByteOrderMark)) {
      rest.remove_prefix(kByteOrderMark.size());
      record.begin = static_cast<std::int64_t>(kByteOrderMark.size());
    }
    while (!rest.empty()) {
      const std::size_t end = scanner.find_end(rest);
      const std::string_view piece = rest.substr(0, end);
      if (!piece.empty()) last_byte = piece.back();
      record.end = offset + static_cast<std::int64_t>(size - rest.size() + piece.size());
      check_extent(file, record, scanner);
      if (end == std::string_view::npos) break;
      if (!is_empty() && !visit(record)) return;
      record.line += 1 + scanner.inner_lines();
      record.begin = record.end + 1;
      rest.remove_prefix(end + 1);
    }
  }
  if (const std::int64_t lost = scanner.inner_lines() - (last_byte == '\n'); scanner.in_quotes() && lost > 0)
    throw rechost::DataError("'" + file.path() + "', line " + std::to_string(record.line) + ": a quote opens here and is never closed: the " +
                             std::to_string(lost) + " lines after it would be lost. Close it, or say that quotes mean nothing (quoted = false)");
  if (record.end > record.begin && !is_empty()) visit(record);
}

}  // namespace

RowSource::RowSource(const std::vector<std::string>& paths, const RowFormat& format, std::int64_t rows_per_chunk) : format_(format), ahead_(paths) {
  for (const std::string& path : paths) {
    files_.emplace_back(path);
    index_file(files_.size() - 1, rows_per_chunk);
    files_.back().let_go();
  }
  if (chunks_.empty()) {
    const std::string what =
        files_.size() == 1 ? "'" + files_[0].path() + "' holds" : "the " + std::to_string(files_.size()) + " files hold";
    throw rechost::DataError(what + " no rows" + (format.header_lines > 0 ? " after the header" : ""));
  }
}

void RowSource::index_file(std::size_t file, std::int64_t rows_per_chunk) {
  std::int64_t skip = format_.header_lines;
  std::int64_t rows = 0;  // of the last chunk
  for_each_record(files_[file], format_, [&](const Record& record) {
    if (skip > 0) {
      --skip;
      return true;
    }
    if (rows == 0 || rows == rows_per_chunk || record.end - chunks_.back().begin > kMostChunkBytes) {
      chunks_.push_back({file, record.begin, record.end, record.line, 0});
      rows = 0;
    }
    chunks_.back().end = record.end;
    chunks_.back().rows = ++rows;
    return true;
  });
}

void RowSource::read_ahead(std::span<const std::int64_t> chunks) const {
  std::vector<std::string> paths;
  for (const std::int64_t chunk : chunks) {
    const TextFile& file = files_[chunks_.at(static_cast<std::size_t>(chunk)).file];
    if (file.absent() && std::find(paths.begin(), paths.end(), file.path()) == paths.end()) paths.push_back(file.path());
  }
  ahead_.expect(paths);
}

std::int64_t RowSource::row_count() const {
  std::int64_t rows = 0;
  for (const Chunk& chunk : chunks_) rows += chunk.rows;
  return rows;
}

std::uint64_t RowSource::fingerprint() const {
  rechost::Fingerprint fingerprint;
  for (const TextFile& file : files_) fingerprint.add(static_cast<std::int64_t>(file.fingerprint()));
  return fingerprint.value();
}

RowReader::RowReader(const RowSource& source, std::int64_t chunk)
    : source_(source), chunk_(source.chunks_.at(static_cast<std::size_t>(chunk))), scanner_(source.format_), line_(chunk_.first_line) {
  const auto size = static_cast<std::size_t>(chunk_.end - chunk_.begin);
  bytes_ = std::make_unique_for_overwrite<char[]>(kReadableBytesBefore + size + kReadableBytesPastEnd);
  char* const begin = bytes_.get() + kReadableBytesBefore;
  std::fill_n(bytes_.get(), kReadableBytesBefore, '\0');
  std::fill_n(begin + size, kReadableBytesPastEnd, '\0');
  source.files_[chunk_.file].read(chunk_.begin, size, begin);
  rest_ = {begin, size};
}

bool RowReader::next(Row& row) {
  while (!rest_.empty()) {
    const std::size_t end = scanner_.find_end(rest_);
    row.record = without_carriage_return(rest_.substr(0, end));
    row.line = line_;
    line_ += 1 + scanner_.inner_lines();
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    if (row.record.empty()) continue;
    if (++rows_ <= chunk_.rows) return true;
  }
  if (rows_ != chunk_.rows)
    throw rechost::DataError("'" + source_.files_[chunk_.file].path() +
                             "' changed while it was being read: " + std::to_string(chunk_.rows) + " rows were expected from line " +
                             std::to_string(chunk_.first_line) + ", " + std::to_string(rows_) + " found");
  return false;
}

void show_rows(const RowSource& source, const rechost::ReadRequest& request, std::span<const std::int64_t> rows) {
  RowReader reader(source, request.chunk());
  Row row;
  std::int64_t number = 0;
  for (const std::int64_t wanted : rows) {
    for (; number <= wanted; ++number)
      if (!reader.next(row)) return;
    request.bad_row({wanted, row.line, source.path_of(request.chunk()), {}, {}, row.record});
  }
}

std::vector<std::string> head_of(const std::string& path, const RowFormat& format, std::int64_t count) {
  const TextFile file(path);
  std::vector<std::string> records;
  for_each_record(file, format, [&](const Record& record) {
    if (static_cast<std::int64_t>(records.size()) == count) return false;
    std::string bytes(static_cast<std::size_t>(record.end - record.begin), '\0');
    file.read(record.begin, bytes.size(), bytes.data());
    records.emplace_back(without_carriage_return(bytes));
    return true;
  });
  if (static_cast<std::int64_t>(records.size()) < count)
    throw rechost::DataError("'" + path + "' has " + std::to_string(records.size()) + " lines, its header should have " +
                             std::to_string(count));
  return records;
}

}  // namespace text
