// All interactions of the files, in memory: numbers of user and item, and what else the files say of them.
#ifndef RECHOST_RATINGS_INTERACTIONS_H
#define RECHOST_RATINGS_INTERACTIONS_H

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "id_table.h"

namespace ratings {

enum class Part : std::uint8_t { kTrain, kValid, kTest };

// How the files are written. Which column is what is said by name; a name that is not in the file means that there is none, except for
// user and item.
struct FileFormat {
  bool lists = false;                // lines "user item item ..."
  std::string delimiter;             // empty: seen from the first line
  std::vector<std::string> columns;  // names of the fields; empty: the first line has them
  std::string user = "user", item = "item", rating = "rating", time = "time";
  float drop_below = -std::numeric_limits<float>::infinity();  // rows with a lower rating are left out, silently: they are not bad
};

struct FileOfPart {
  std::string path;
  Part part;
};

// A row that could not be read; kept until its chunk is read, when the host is told.
struct UnreadableRow {
  std::string path, column, reason, raw;
  std::int64_t line;
  std::size_t before;  // it stands before this interaction
  Part part;
};

struct Interactions {
  explicit Interactions(IdTable::Kind kind) : users(kind), items(kind) {}

  std::size_t size() const { return user.size(); }
  // In the order of the files.
  std::vector<std::int32_t> user, item;
  std::vector<float> rating;       // empty: the files have none
  std::vector<std::int64_t> time;  // empty: the files have none
  std::vector<Part> part;
  IdTable users, items;
  std::vector<UnreadableRow> unreadable;
  std::uint64_t fingerprint = 0;  // of the files
};

// Reads all files. Throws DataError when one cannot be read or has no rows, or when more rows are bad than can be kept for reporting.
Interactions load_interactions(const std::vector<FileOfPart>& files, const FileFormat& format, IdTable::Kind ids);

}  // namespace ratings

#endif  // RECHOST_RATINGS_INTERACTIONS_H
