// Which column of files whose columns have names and types becomes which column of the host: the options of loaders of such files.
#ifndef RECHOST_TEXT_COLUMN_ROLES_H
#define RECHOST_TEXT_COLUMN_ROLES_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rechost/cxx/dataset.hpp"

namespace text {

// A column as the files declare it.
struct SourceColumn {
  // What one value is. kInstant: an integer that counts time; kAny: the file says it value by value; kOther: nothing that a loader reads.
  enum class Kind { kInteger, kReal, kText, kBytes, kInstant, kAny, kOther };

  std::string name;
  std::string type;  // as the files call it, for messages
  Kind kind = Kind::kOther;
  bool array = false;                        // each row holds any number of values
  std::optional<std::size_t> count{};        // arrays that always hold as many
  std::optional<rechost::Type> carried{};    // how the id role carries it; nothing: it cannot be carried
};

// How the values of a column are understood.
enum class Meaning { kNumber, kNonNegativeNumber, kBinaryLabel, kClass, kDense, kDenseGroup, kInteger, kId, kIds, kNumbers, kText, kCarried };

// One column of the files that is read.
struct ColumnUse {
  std::size_t source = 0;  // among the source columns
  Meaning meaning = Meaning::kText;
  std::size_t first_column = 0;  // of the host
  std::size_t column_count = 1;  // more for a group of dense columns
};

struct RolePlan {
  std::vector<rechost::Column> columns;  // of the host
  std::vector<ColumnUse> uses;
};

// The options that plan_roles() reads.
std::vector<rechost::Option> role_options();

// Number of values in the first row's array of a source column; asked for dense arrays only, and where SourceColumn::count is not set.
using FirstCount = std::function<std::size_t(std::size_t column)>;

// Throws ConfigError when an option names a column that is not there (with the nearest name), names one twice, or asks of a column what its
// type cannot give. `origin` is what the columns are of, for messages.
RolePlan plan_roles(const rechost::Config& config, const std::vector<SourceColumn>& sources, const std::string& origin,
                    const FirstCount& first_count);

// Why a value cannot be what the column should hold, in words; empty: it can. Numbers are not NaN.
std::string objection_to(Meaning meaning, double value);
std::string objection_to(Meaning meaning, std::int64_t value);

// Calls take(id) for each id of a text that lists them. Empty when all is well, else what is wrong.
template <class Take>
std::string split_ids(std::string_view list, std::string_view separator, Take&& take) {
  for (bool more = !list.empty(); more;) {
    const std::size_t end = list.find(separator);
    const std::string_view element = list.substr(0, end);
    if (element.empty()) return "an element of the list is empty";
    take(element);
    more = end != std::string_view::npos;
    if (more) list.remove_prefix(end + separator.size());
  }
  return {};
}

}  // namespace text

#endif  // RECHOST_TEXT_COLUMN_ROLES_H
