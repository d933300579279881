// Which field of a row becomes which column, and how.
#ifndef RECHOST_CSV_COLUMN_PLAN_H
#define RECHOST_CSV_COLUMN_PLAN_H

#include <string>
#include <string_view>
#include <vector>

#include "rechost/cxx/dataset.hpp"
#include "text/decode_chunk.h"

namespace csv {

// How the text of a field is understood.
enum class Meaning { kNumber, kNonNegativeNumber, kBinaryLabel, kClass, kInteger, kText };

class ColumnPlan {
 public:
  // `field_names` are those of the file at `path`. Throws ConfigError when an option names a column that is not there (with the nearest
  // name), names one twice, or contradicts another option.
  ColumnPlan(const rechost::Config& config, const std::vector<std::string>& field_names, const std::string& path);

  const std::vector<rechost::Column>& columns() const { return columns_; }

  // Appends one row to the wanted builders, or fills `fault`. Every column is checked, wanted or not, so that the same rows are bad in
  // every read. `builders` [columns], null = not wanted.
  bool decode(const std::vector<std::string_view>& fields, rechost::ColumnBuilder* const* builders, text::Fault& fault) const;

 private:
  friend class PlanMaker;

  bool decode_list(std::size_t position, std::string_view field, rechost::ColumnBuilder* builder, text::Fault& fault) const;
  bool is_null(std::string_view field) const;

  std::vector<rechost::Column> columns_;
  std::vector<std::size_t> fields_;  // [columns] position in a row
  std::vector<Meaning> meanings_;    // [columns]
  std::size_t field_count_ = 0;
  std::string separator_;
  std::vector<std::string> null_values_;
};

}  // namespace csv

#endif  // RECHOST_CSV_COLUMN_PLAN_H
