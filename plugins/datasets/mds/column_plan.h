// Which column of the shards becomes which column of the host, and how.
#ifndef RECHOST_MDS_COLUMN_PLAN_H
#define RECHOST_MDS_COLUMN_PLAN_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "index.h"
#include "rechost/cxx/dataset.hpp"
#include "text/column_roles.h"
#include "strided_column.h"
#include "text/decode_chunk.h"

namespace mds {

class ColumnPlan {
 public:
  // Throws ConfigError as text::plan_roles() does.
  ColumnPlan(const rechost::Config& config, const Index& index, const text::FirstCount& first_count);

  const std::vector<rechost::Column>& columns() const { return plan_.columns; }

  // Appends one sample to the wanted builders, or fills `fault`. Every column is checked, wanted or not, so that the same rows are bad in
  // every read. `payloads` [names of the index], `builders` [columns], null = not wanted.
  bool decode(const std::vector<std::string_view>& payloads, rechost::ColumnBuilder* const* builders, text::Fault& fault) const;

  // Whether all columns are plain numbers.
  bool strided() const { return !strided_.empty(); }

  // The same for `count` samples of one size that lie one after the other, column by column, many times faster. False when a value among
  // them is refused: then what was appended must be taken back, and decode() finds what is wrong.
  bool decode_strided(const char* first, std::size_t stride, std::size_t count, rechost::ColumnBuilder* const* builders) const;

 private:
  using Meaning = text::Meaning;

  // One column of the shards that is read.
  struct Field : text::ColumnUse {
    Encoding encoding{};
  };

  // What is wrong with the value; empty when it was appended.
  std::string decode_field(const Field& field, std::string_view payload, rechost::ColumnBuilder* const* builders) const;
  std::string decode_real(const Field& field, std::string_view payload, rechost::ColumnBuilder* builder) const;
  std::string decode_integer(const Field& field, std::string_view payload, rechost::ColumnBuilder* builder) const;
  std::string decode_text(const Field& field, std::string_view payload, rechost::ColumnBuilder* builder) const;
  std::string decode_group(const Field& field, std::string_view payload, rechost::ColumnBuilder* const* builders) const;
  std::string decode_list(const Field& field, std::string_view payload, rechost::ColumnBuilder* builder) const;
  std::string decode_numbers(const Field& field, std::string_view payload, rechost::ColumnBuilder* builder) const;
  std::string decode_json_list(std::string_view payload, rechost::ColumnBuilder* builder) const;
  std::string decode_text_list(std::string_view payload, rechost::ColumnBuilder* builder) const;

  text::RolePlan plan_;
  std::vector<Field> fields_;
  std::int64_t null_integer_ = 0;
  std::string separator_;
  std::vector<StridedColumn> strided_;  // empty: some column is none of plain numbers
};

}  // namespace mds

#endif  // RECHOST_MDS_COLUMN_PLAN_H
