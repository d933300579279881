// Which column of the shards becomes which column of the host, and how.
#ifndef RECHOST_MDS_COLUMN_PLAN_H
#define RECHOST_MDS_COLUMN_PLAN_H

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "index.h"
#include "rechost/cxx/dataset.hpp"
#include "text/decode_chunk.h"

namespace mds {

// How the value of a column is understood.
enum class Meaning { kNumber, kNonNegativeNumber, kBinaryLabel, kClass, kDense, kDenseGroup, kInteger, kId, kIds, kText, kCarried };

class ColumnPlan {
 public:
  // Number of values in the first sample's array of a column [names of the index]; asked only for dense arrays whose encoding has no shape.
  using FirstCount = std::function<std::size_t(std::size_t column)>;

  // Throws ConfigError when an option names a column that is not there (with the nearest name), names one twice, or asks of a column
  // what its encoding cannot give.
  ColumnPlan(const rechost::Config& config, const Index& index, const FirstCount& first_count);

  const std::vector<rechost::Column>& columns() const { return columns_; }

  // Appends one sample to the wanted builders, or fills `fault`. Every column is checked, wanted or not, so that the same rows are bad in
  // every read. `payloads` [names of the index], `builders` [columns], null = not wanted.
  bool decode(const std::vector<std::string_view>& payloads, rechost::ColumnBuilder* const* builders, text::Fault& fault) const;

 private:
  friend class PlanMaker;

  // One column of the shards that is read.
  struct Field {
    std::size_t source = 0;  // in the index
    Encoding encoding{};
    Meaning meaning = Meaning::kText;
    std::size_t first_column = 0;
    std::size_t column_count = 1;  // more for a group of dense columns
  };

  // What is wrong with the value; empty when it was appended.
  std::string decode_field(const Field& field, std::string_view payload, rechost::ColumnBuilder* const* builders) const;
  std::string decode_real(const Field& field, std::string_view payload, rechost::ColumnBuilder* builder) const;
  std::string decode_integer(const Field& field, std::string_view payload, rechost::ColumnBuilder* builder) const;
  std::string decode_text(const Field& field, std::string_view payload, rechost::ColumnBuilder* builder) const;
  std::string decode_group(const Field& field, std::string_view payload, rechost::ColumnBuilder* const* builders) const;
  std::string decode_list(const Field& field, std::string_view payload, rechost::ColumnBuilder* builder) const;
  std::string decode_text_list(std::string_view payload, rechost::ColumnBuilder* builder) const;

  std::vector<rechost::Column> columns_;
  std::vector<Field> fields_;
  std::int64_t null_integer_ = 0;
  std::string separator_;
};

}  // namespace mds

#endif  // RECHOST_MDS_COLUMN_PLAN_H
