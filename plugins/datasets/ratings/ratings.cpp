// Dataset plugin "ratings": who interacted with what: rating files such as MovieLens, and the implicit-feedback splits of the retrieval
// literature. The interactions are kept in memory, eight bytes each and what else the file says; a chunk is a range of them.
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "prepared.h"
#include "rechost/cxx/dataset.hpp"

namespace ratings {
namespace {

using rechost::ChunkBuilder;
using rechost::Column;
using rechost::ColumnBuilder;
using rechost::Config;
using rechost::ReadRequest;
using rechost::Role;
using rechost::Type;

enum class Label { kImplicit, kBinary, kRating };

class Ratings final : public rechost::Dataset {
 public:
  static std::vector<rechost::Option> options() { return loader_options(); }
  static std::vector<std::string_view> splits(const Config& config) { return splits_of(config); }
  static std::unique_ptr<rechost::Dataset> open(const Config& config, std::string_view split) {
    return std::make_unique<Ratings>(config, split);
  }

  Ratings(const Config& config, std::string_view split)
      : prepared_(prepare(config)),
        rows_per_chunk_(config.get_int("chunk_rows")),
        history_(static_cast<std::size_t>(config.get_int("history"))),
        min_rating_(static_cast<float>(config.get_float("min_rating"))) {
    const std::string& label = config.get_string("label");
    label_ = label == "implicit" ? Label::kImplicit : label == "binary" ? Label::kBinary : Label::kRating;
    select_rows(split == "valid" ? Part::kValid : split == "test" ? Part::kTest : Part::kTrain);
    if (declared_rows() == 0)
      throw rechost::DataError("the split '" + std::string(split) +
                               "' is empty: no interaction of the files belongs to it under these options");
    make_columns(split == "test");
  }

  const std::vector<Column>& columns() const override { return columns_; }
  std::int64_t chunk_count() const override { return (declared_rows() + rows_per_chunk_ - 1) / rows_per_chunk_; }
  std::int64_t chunk_rows(std::int64_t chunk) const override {
    if (chunk < 0 || chunk >= chunk_count()) throw rechost::Error("there is no chunk " + std::to_string(chunk));
    return std::min(rows_per_chunk_, declared_rows() - chunk * rows_per_chunk_);
  }
  std::uint64_t fingerprint() const override { return prepared_->fingerprint; }

  void read_chunk(const ReadRequest& request, ChunkBuilder& output) const override {
    const std::int64_t first = request.chunk() * rows_per_chunk_, last = first + chunk_rows(request.chunk());
    const auto first_bad = std::lower_bound(bad_positions_.begin(), bad_positions_.end(), first);
    const auto last_bad = std::lower_bound(first_bad, bad_positions_.end(), last);
    for (auto bad = first_bad; bad != last_bad; ++bad) {
      const UnreadableRow& row = prepared_->interactions.unreadable[bad_rows_[static_cast<std::size_t>(bad - bad_positions_.begin())]];
      request.bad_row({*bad - first, row.line, row.path, row.column, row.reason, row.raw});
    }
    const auto begin = static_cast<std::size_t>(first - (first_bad - bad_positions_.begin()));
    const auto rows = static_cast<std::size_t>(last - first - (last_bad - first_bad));
    const std::span<const std::uint32_t> selected = std::span(rows_).subspan(begin, rows);
    for (std::size_t position = 0; position < columns_.size(); ++position)
      if (ColumnBuilder* builder = output.column(position)) fill(position, selected, *builder);
    output.set_rows(static_cast<std::int64_t>(rows));
  }

 private:
  std::int64_t declared_rows() const { return static_cast<std::int64_t>(rows_.size() + bad_rows_.size()); }

  // Rows of the split in the order of the files, bad ones at their place among them.
  void select_rows(Part part) {
    const Interactions& all = prepared_->interactions;
    std::size_t bad = 0;
    const auto pass_bad_rows_before = [&](std::size_t interaction) {
      for (; bad < all.unreadable.size() && all.unreadable[bad].before <= interaction; ++bad) {
        if (all.unreadable[bad].part != part) continue;
        bad_positions_.push_back(declared_rows());
        bad_rows_.push_back(bad);
      }
    };
    for (std::size_t i = 0; i < all.size(); ++i) {
      pass_bad_rows_before(i);
      if (all.part[i] == part) rows_.push_back(static_cast<std::uint32_t>(i));
    }
    pass_bad_rows_before(all.size());
    rows_.shrink_to_fit();
  }

  void make_columns(bool is_test) {
    const Interactions& all = prepared_->interactions;
    const auto id_type = [](const IdTable& table) { return table.is_text() ? Type::kText : Type::kInt64; };
    const auto add = [this](Column column, What what) {
      columns_.push_back(std::move(column));
      what_.push_back(what);
    };
    add({.name = "label", .role = Role::kLabel, .label_kind = label_ == Label::kRating ? "regression" : "binary"}, What::kLabel);
    add({.name = "user", .type = id_type(all.users), .role = Role::kSparse, .entity = "user", .key = true}, What::kUser);
    add({.name = "item", .type = id_type(all.items), .role = Role::kSparse, .entity = "item", .key = true}, What::kItem);
    if (!all.time.empty()) add({.name = "time", .type = Type::kInt64, .role = Role::kTime}, What::kTime);
    if (history_ > 0)
      add({.name = "history", .type = id_type(all.items), .role = Role::kSparse, .list = true, .entity = "user"}, What::kHistory);
    if (is_test && prepared_->candidates)
      add({.name = "candidates", .type = id_type(all.items), .role = Role::kCandidates, .list = true, .entity = "item"}, What::kCandidates);
  }

  static void append_id(const IdTable& table, std::int32_t number, ColumnBuilder& builder) {
    if (table.is_text())
      builder.append_text(table.text(number));
    else
      builder.append(table.integer(number));
  }

  float label_of(std::uint32_t row) const {
    if (label_ == Label::kImplicit) return 1;
    const float rating = prepared_->interactions.rating[row];
    return label_ == Label::kRating ? rating : rating >= min_rating_ ? 1.0f : 0.0f;
  }

  void fill(std::size_t position, std::span<const std::uint32_t> rows, ColumnBuilder& builder) const {
    const Interactions& all = prepared_->interactions;
    builder.reserve(rows.size());
    std::vector<std::int32_t> history;
    for (const std::uint32_t row : rows) {
      switch (what_[position]) {
        case What::kLabel:
          builder.append(label_of(row));
          break;
        case What::kUser:
          append_id(all.users, all.user[row], builder);
          break;
        case What::kItem:
          append_id(all.items, all.item[row], builder);
          break;
        case What::kTime:
          builder.append(all.time[row]);
          break;
        case What::kHistory:
          history_of(all, prepared_->order, row, history_, history);
          for (const std::int32_t item : history) append_id(all.items, item, builder);
          builder.end_list();
          break;
        case What::kCandidates:
          for (const std::int32_t item : prepared_->candidates->of(all.user[row], all.item[row])) append_id(all.items, item, builder);
          builder.end_list();
          break;
      }
    }
  }

  enum class What { kLabel, kUser, kItem, kTime, kHistory, kCandidates };

  std::shared_ptr<const Prepared> prepared_;
  std::int64_t rows_per_chunk_;
  std::size_t history_;
  float min_rating_;
  Label label_ = Label::kImplicit;
  std::vector<Column> columns_;
  std::vector<What> what_;                   // [columns]
  std::vector<std::uint32_t> rows_;          // interactions of this split
  std::vector<std::int64_t> bad_positions_;  // among the declared rows, ascending
  std::vector<std::size_t> bad_rows_;        // [bad_positions_] in Interactions::unreadable
};

}  // namespace
}  // namespace ratings

RECHOST_PLUGIN("ratings", RECHOST_VERSION,
               rechost::dataset_module<ratings::Ratings>("ratings", "interactions of users with items, rated or not, and their splits"))
