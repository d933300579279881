#include "interactions.h"

#include <algorithm>

#include "rechost/cxx/dataset.hpp"
#include "text/fields.h"
#include "text/numbers.h"
#include "text/row_source.h"

namespace ratings {
namespace {

// Rows of a file that are read at a time.
constexpr std::int64_t kRowsAtOnce = 4096;
// Past this the files are not what the options say, and remembering each bad row would fill the memory.
constexpr std::size_t kMostUnreadable = 100'000;

constexpr std::size_t kAbsent = static_cast<std::size_t>(-1);

// Where in a row the parts of an interaction stand.
struct Layout {
  std::size_t fields = 0, user = kAbsent, item = kAbsent, rating = kAbsent, time = kAbsent;
};

struct Fault {
  std::string column, reason;
};

std::string delimiter_in(std::string_view line) {
  for (const std::string_view candidate : {"::", "\t", ",", ";", " "})
    if (line.find(candidate) != std::string_view::npos) return std::string(candidate);
  return ",";
}

class FileLoader {
 public:
  FileLoader(const FileOfPart& file, const FileFormat& format, Interactions& into) : file_(file), format_(format), into_(into) {
    std::string first_line;
    if (!format.lists) first_line = text::head_of(file.path, {}, 1).at(0);
    rows_.delimiter = format.lists ? " " : !format.delimiter.empty() ? format.delimiter : delimiter_in(first_line);
    rows_.quoted = !format.lists && (rows_.delimiter == "," || rows_.delimiter == ";");
    rows_.header_lines = format.lists || !format.columns.empty() ? 0 : 1;
    if (!format.lists) make_layout();
  }

  void load() {
    const text::RowSource source({file_.path}, rows_, kRowsAtOnce);
    fingerprint_ = source.fingerprint();
    text::FieldSplitter splitter(rows_);
    for (std::int64_t chunk = 0; chunk < source.chunk_count(); ++chunk) {
      text::RowReader reader(source, chunk);
      for (text::Row row; reader.next(row);) {
        Fault fault;
        bool good = false;
        fault.reason = text::objection_to_record(row.record);
        if (fault.reason.empty()) {
          if (splitter.split(row.record))
            good = format_.lists ? add_list(splitter.fields(), fault) : add_row(splitter.fields(), fault);
          else
            fault.reason = splitter.error();
        }
        if (!good) keep_unreadable(row, fault);
      }
    }
  }

  std::uint64_t fingerprint() const { return fingerprint_; }
  bool has_rating() const { return layout_.rating != kAbsent; }
  bool has_time() const { return layout_.time != kAbsent; }

 private:
  void make_layout() {
    std::vector<std::string> names = format_.columns;
    if (names.empty()) {
      text::FieldSplitter splitter(rows_);
      // The splitter looks a little past the end of what it splits.
      const std::string header = text::head_of(file_.path, rows_, 1).at(0);
      const std::string padded = header + std::string(16, '\0');
      if (!splitter.split({padded.data(), header.size()})) throw rechost::DataError("'" + file_.path + "', header: " + splitter.error());
      names.assign(splitter.fields().begin(), splitter.fields().end());
    }
    const auto find = [&](const std::string& name) {
      const auto found = std::find(names.begin(), names.end(), name);
      return found == names.end() ? kAbsent : static_cast<std::size_t>(found - names.begin());
    };
    const auto need = [&](const std::string& name, const std::string& option) {
      const std::size_t position = find(name);
      if (position != kAbsent) return position;
      std::string message = "'" + file_.path + "' has no column '" + name + "' (" + option + ")";
      const std::string near = text::nearest_name(name, names.data(), names.data() + names.size());
      if (!near.empty()) message += "; did you mean '" + near + "'?";
      message += near.empty() ? ". Its columns are:" : " Its columns are:";
      for (const std::string& column : names) message += " '" + column + "'";
      throw rechost::DataError(message + ". Set " + option + " to one of them, or, where there is no header, name them with the option columns.");
    };
    layout_.fields = names.size();
    layout_.user = need(format_.user, "user_column");
    layout_.item = need(format_.item, "item_column");
    // The usual names are looked for; a name that the user chose must be there.
    layout_.rating = format_.rating.empty() || format_.rating == "rating" ? find(format_.rating) : need(format_.rating, "rating_column");
    layout_.time = format_.time.empty() || format_.time == "time" ? find(format_.time) : need(format_.time, "time_column");
  }

  bool add_pair(std::string_view user, std::string_view item, Fault& fault) {
    if (user.empty() || item.empty()) {
      fault = {user.empty() ? "user" : "item", "the id is empty"};
      return false;
    }
    const std::int32_t user_number = into_.users.number_of(user);
    const std::int32_t item_number = user_number < 0 ? -1 : into_.items.number_of(item);
    if (item_number < 0) {
      fault = {user_number < 0 ? "user" : "item",
               text::refusal(user_number < 0 ? user : item, "an integer, which ids = \"integer\" asks for")};
      return false;
    }
    into_.user.push_back(user_number);
    into_.item.push_back(item_number);
    into_.part.push_back(file_.part);
    return true;
  }

  bool add_row(const std::vector<std::string_view>& fields, Fault& fault) {
    if (fields.size() != layout_.fields) {
      fault.reason = std::to_string(fields.size()) + " fields, there should be " + std::to_string(layout_.fields);
      return false;
    }
    float rating = 0;
    std::int64_t time = 0;
    if (has_rating() && !text::parse_float(fields[layout_.rating], rating)) {
      fault = {"rating", text::refusal(fields[layout_.rating], "a number")};
      return false;
    }
    if (has_time() && !text::parse_integer(fields[layout_.time], time)) {
      fault = {"time", text::refusal(fields[layout_.time], "an integer (seconds or the like)")};
      return false;
    }
    if (has_rating() && rating < format_.drop_below) return true;
    if (!add_pair(fields[layout_.user], fields[layout_.item], fault)) return false;
    if (has_rating()) into_.rating.push_back(rating);
    if (has_time()) into_.time.push_back(time);
    return true;
  }

  // A line is one row to whoever reads the file: it is added as a whole or not at all.
  bool add_list(const std::vector<std::string_view>& fields, Fault& fault) {
    const std::size_t before = into_.size();
    for (std::size_t i = 1; i < fields.size(); ++i) {
      // Lines of published splits end in a space.
      if (fields[i].empty() && i + 1 == fields.size()) break;
      if (add_pair(fields[0], fields[i], fault)) continue;
      into_.user.resize(before);
      into_.item.resize(before);
      into_.part.resize(before);
      return false;
    }
    return true;
  }

  void keep_unreadable(const text::Row& row, const Fault& fault) {
    if (into_.unreadable.size() >= kMostUnreadable) {
      const UnreadableRow& first = into_.unreadable.front();
      throw rechost::DataError("more than " + std::to_string(kMostUnreadable) + " rows are bad, beginning with line " +
                               std::to_string(first.line) + " of '" + first.path + "': " + first.reason);
    }
    into_.unreadable.push_back({file_.path, fault.column, fault.reason, std::string(row.record), row.line, into_.size(), file_.part});
  }

  FileOfPart file_;
  const FileFormat& format_;
  Interactions& into_;
  text::RowFormat rows_;
  Layout layout_;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace

Interactions load_interactions(const std::vector<FileOfPart>& files, const FileFormat& format, IdTable::Kind ids) {
  Interactions result(ids);
  rechost::Fingerprint fingerprint;
  bool has_rating = false, has_time = false;
  std::vector<std::string> paths;
  for (const FileOfPart& file : files) paths.push_back(file.path);
  const text::FilesAhead ahead(paths);
  for (std::size_t i = 0; i < files.size(); ++i) {
    FileLoader loader(files[i], format, result);
    if (i == 0) {
      has_rating = loader.has_rating();
      has_time = loader.has_time();
    } else if (has_rating != loader.has_rating() || has_time != loader.has_time()) {
      throw rechost::DataError("'" + files[0].path + "' and '" + files[i].path +
                               "' do not have the same columns: rating and time must be in all files or in none");
    }
    loader.load();
    fingerprint.add(static_cast<std::int64_t>(loader.fingerprint()));
  }
  if (result.size() >= std::numeric_limits<std::uint32_t>::max())
    throw rechost::DataError("more than 2^32 interactions: this loader keeps them in memory and numbers them with 32 bits");
  result.fingerprint = fingerprint.value();
  return result;
}

}  // namespace ratings
