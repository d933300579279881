// Dataset plugin "criteo": click logs in the format of the Criteo challenges: one row a line, fields separated by tabs:
// label, 13 counts, 26 categorical values; empty = missing.
#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rechost/cxx/dataset.hpp"
#include "text/decode_chunk.h"

namespace criteo {
namespace {

using rechost::ChunkBuilder;
using rechost::Column;
using rechost::ColumnBuilder;
using rechost::Config;
using rechost::ReadRequest;
using rechost::Role;
using rechost::Type;
using text::Fault;

constexpr std::size_t kDense = 13, kCategorical = 26;

enum class Categorical { kText, kInteger, kHexadecimal };

Categorical categorical_of(const Config& config) {
  const std::string& name = config.get_string("categorical");
  return name == "text" ? Categorical::kText : name == "integer" ? Categorical::kInteger : Categorical::kHexadecimal;
}

std::vector<Column> make_columns(const Config& config) {
  std::vector<Column> columns;
  if (config.get_bool("has_label")) columns.push_back({.name = "label", .role = Role::kLabel, .label_kind = "binary"});
  for (std::size_t i = 1; i <= kDense; ++i) columns.push_back({.name = "i" + std::to_string(i), .role = Role::kDense, .nullable = true});
  const Type type = categorical_of(config) == Categorical::kText ? Type::kText : Type::kInt64;
  for (std::size_t i = 1; i <= kCategorical; ++i)
    columns.push_back({.name = "c" + std::to_string(i), .type = type, .role = Role::kSparse, .nullable = true});
  return columns;
}

bool parse_hexadecimal(std::string_view text, std::int64_t& value) {
  // Sixteen digits would not fit a signed number.
  if (text.empty() || text.size() > 15) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return error == std::errc() && end == text.data() + text.size() && text[0] != '-';
}

class Criteo final : public rechost::Dataset {
 public:
  static std::vector<rechost::Option> options() {
    using namespace rechost;
    return {
        option_path("path", "file, folder or pattern (day_*.gz), also s3:, a file also http:; plain, gzip or zstd; training data when other splits are given")
            .required(),
        option_path("valid_path", "validation data"),
        option_path("test_path", "test data"),
        option_int("chunk_rows", 65'536, "rows decoded at once").range(1, 1 << 24),
        option_bool("has_label", true, "false: the files begin with the first count, as those to be predicted"),
        option_string("categorical", "text", "how to deliver c1 to c26: as they are, or as the numbers that they are written as")
            .choices({"text", "integer", "hexadecimal"}),
    };
  }

  static std::vector<std::string_view> splits(const Config& config) {
    const bool valid = !config.get_path("valid_path").empty(), test = !config.get_path("test_path").empty();
    if (!valid && !test) return {"all"};
    std::vector<std::string_view> names{"train"};
    if (valid) names.push_back("valid");
    if (test) names.push_back("test");
    return names;
  }

  static std::unique_ptr<rechost::Dataset> open(const Config& config, std::string_view split) {
    return std::make_unique<Criteo>(config, split == "valid" ? "valid_path" : split == "test" ? "test_path" : "path");
  }

  Criteo(const Config& config, const std::string& path_option)
      : columns_(make_columns(config)),
        has_label_(config.get_bool("has_label")),
        categorical_(categorical_of(config)),
        source_(text::files_of(config.get_path(path_option), path_option), {.delimiter = "\t"}, config.get_int("chunk_rows")) {}

  const std::vector<Column>& columns() const override { return columns_; }
  std::int64_t chunk_count() const override { return source_.chunk_count(); }
  std::int64_t chunk_rows(std::int64_t chunk) const override { return source_.chunk_rows(chunk); }
  std::uint64_t fingerprint() const override { return source_.fingerprint(); }
  void prefetch(std::span<const std::int64_t> chunks) const override { source_.read_ahead(chunks); }

  void read_chunk(const ReadRequest& request, ChunkBuilder& output) const override {
    std::array<ColumnBuilder*, 1 + kDense + kCategorical> builders{};
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      builders[i] = output.column(i);
      if (builders[i] != nullptr) builders[i]->reserve(static_cast<std::size_t>(chunk_rows(request.chunk())));
    }
    text::decode_chunk(source_, request, output, columns_.size(), [&](const text::FieldBlock& block) { return decode_block(block, builders.data()); },
                       [&](const std::vector<std::string_view>& fields, Fault& fault) { return decode(fields, builders.data(), fault); });
  }

  void show_rows(const ReadRequest& request, std::span<const std::int64_t> rows) const override { text::show_rows(source_, request, rows); }

 private:
  // Every field is checked whether the host wants it or not, so that the same rows are bad in every read. `builders` [columns].
  bool decode(const std::vector<std::string_view>& fields, ColumnBuilder* const* builders, Fault& fault) const {
    if (fields.size() != columns_.size()) {
      fault.reason = std::to_string(fields.size()) + " fields, there should be " + std::to_string(columns_.size());
      return false;
    }
    std::size_t position = 0;
    if (has_label_) {
      if (fields[0] != "0" && fields[0] != "1") {
        fault = {"label", text::refusal(fields[0], "a label: 0 or 1")};
        return false;
      }
      if (builders[0] != nullptr) builders[0]->append(fields[0] == "1" ? 1.0f : 0.0f);
      position = 1;
    }
    for (const std::size_t end = position + kDense; position < end; ++position)
      if (!decode_count(fields[position], builders[position])) {
        fault = {columns_[position].name, text::refusal(fields[position], "a number")};
        return false;
      }
    for (; position < columns_.size(); ++position)
      if (!decode_category(fields[position], builders[position])) {
        fault = {columns_[position].name,
                 text::refusal(fields[position], categorical_ == Categorical::kInteger ? "a 64-bit integer" : "a hexadecimal number")};
        return false;
      }
    return true;
  }

  // The same column by column. False when something in the block is not as in nearly all of them; decode() finds what.
  bool decode_block(const text::FieldBlock& block, ColumnBuilder* const* builders) const {
    std::size_t position = 0;
    if (has_label_ && !decode_labels(block, builders[position++])) return false;
    for (const std::size_t end = position + kDense; position < end; ++position)
      if (!decode_counts(block, position, builders[position])) return false;
    for (; position < columns_.size(); ++position) {
      ColumnBuilder* const builder = builders[position];
      if (categorical_ == Categorical::kText) {
        if (builder != nullptr) decode_texts(block, position, *builder);
        continue;
      }
      for (std::size_t row = 0; row < block.rows(); ++row)
        if (!decode_category(block.field(row, position), builder)) return false;
    }
    return true;
  }

  static bool decode_labels(const text::FieldBlock& block, ColumnBuilder* builder) {
    float* const values = builder != nullptr ? builder->append_uninitialised<float>(block.rows()) : nullptr;
    for (std::size_t row = 0; row < block.rows(); ++row) {
      const std::string_view field = block.field(row, 0);
      if (field.size() != 1 || (field[0] != '0' && field[0] != '1')) return false;
      if (values != nullptr) values[row] = static_cast<float>(field[0] - '0');
    }
    return true;
  }

  static bool decode_counts(const text::FieldBlock& block, std::size_t position, ColumnBuilder* builder) {
    const std::int64_t first = builder != nullptr ? builder->rows() : 0;
    float* const values = builder != nullptr ? builder->append_uninitialised<float>(block.rows()) : nullptr;
    for (std::size_t row = 0; row < block.rows(); ++row) {
      const std::string_view field = block.field(row, position);
      std::uint32_t count = 0;
      float value = 0;
      if (text::parse_digits(field, count))
        value = static_cast<float>(count);
      else if (!field.empty() && !text::parse_float(field, value))
        return false;
      if (values == nullptr) continue;
      values[row] = value;
      if (field.empty()) builder->set_null(first + static_cast<std::int64_t>(row));
    }
    return true;
  }

  static void decode_texts(const text::FieldBlock& block, std::size_t position, ColumnBuilder& builder) {
    const std::int64_t first = builder.rows();
    builder.append_texts(block.rows(), [&](std::size_t row) { return block.field(row, position); });
    for (std::size_t row = 0; row < block.rows(); ++row)
      if (block.field(row, position).empty()) builder.set_null(first + static_cast<std::int64_t>(row));
  }

  static bool decode_count(std::string_view field, ColumnBuilder* builder) {
    float value = 0;
    if (!field.empty() && !text::parse_float(field, value)) return false;
    if (builder == nullptr) return true;
    if (field.empty())
      builder->append_null();
    else
      builder->append(value);
    return true;
  }

  bool decode_category(std::string_view field, ColumnBuilder* builder) const {
    std::int64_t value = 0;
    if (field.empty()) {
      if (builder != nullptr) builder->append_null();
      return true;
    }
    if (categorical_ == Categorical::kText) {
      if (builder != nullptr) builder->append_text(field);
      return true;
    }
    if (!(categorical_ == Categorical::kInteger ? text::parse_integer(field, value) : parse_hexadecimal(field, value))) return false;
    if (builder != nullptr) builder->append(value);
    return true;
  }

  std::vector<Column> columns_;
  bool has_label_;
  Categorical categorical_;
  text::RowSource source_;
};

}  // namespace
}  // namespace criteo

RECHOST_PLUGIN("criteo", RECHOST_VERSION,
               rechost::dataset_module<criteo::Criteo>("criteo", "click logs in the format of the Criteo challenges"))
