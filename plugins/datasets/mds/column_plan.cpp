#include "column_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

namespace mds {
namespace {

using rechost::ColumnBuilder;
using text::Fault;
using nlohmann::json;

// A number from a scalar payload; NaN stands for a missing one. Empty when all is well.
std::string read_real(const Encoding& encoding, std::string_view payload, double& value) {
  if (encoding.kind == Encoding::Kind::kNumber) {
    value = real_at(*encoding.number, payload.data());
  } else if (payload.empty() || payload == "nan" || payload == "NaN") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (!text::parse_real(payload, value)) {
    return text::refusal(payload, "a number");
  }
  return {};
}

// The id that a JSON value is: what a text says, nothing for null, else the JSON as it was written.
std::string id_of_json(const json& value, std::string_view written) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? std::string() : std::string(written);
}

std::vector<text::SourceColumn> source_columns(const Index& index) {
  using Kind = text::SourceColumn::Kind;
  std::vector<text::SourceColumn> sources;
  for (std::size_t i = 0; i < index.names.size(); ++i) {
    const Encoding& encoding = index.encodings[i];
    const auto kind_of = [](Number number) { return is_integer(number) ? Kind::kInteger : Kind::kReal; };
    text::SourceColumn source{.name = index.names[i], .type = encoding.name};
    switch (encoding.kind) {
      case Encoding::Kind::kNumber:
        source.kind = kind_of(*encoding.number);
        if (source.kind == Kind::kInteger) source.carried = rechost::Type::kInt64;
        break;
      case Encoding::Kind::kText:
        source.kind = Kind::kText;
        source.carried = rechost::Type::kText;
        break;
      case Encoding::Kind::kIntegerText:
        source.kind = Kind::kInteger;
        source.carried = rechost::Type::kText;
        break;
      case Encoding::Kind::kRealText:
        source.kind = Kind::kReal;
        break;
      case Encoding::Kind::kJson:
        source.kind = Kind::kText;
        source.carried = rechost::Type::kText;
        break;
      case Encoding::Kind::kBytes:
        source.kind = Kind::kBytes;
        source.carried = rechost::Type::kBinary;
        break;
      case Encoding::Kind::kArray:
        source.array = true;
        source.kind = !encoding.number ? Kind::kAny : kind_of(*encoding.number);
        if (!encoding.shape.empty()) source.count = *encoding.size / width_of(*encoding.number);
        break;
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

}  // namespace

ColumnPlan::ColumnPlan(const rechost::Config& config, const Index& index, const text::FirstCount& first_count)
    : plan_(text::plan_roles(config, source_columns(index), index.shards[0].index_path, first_count)),
      null_integer_(config.get_int("null_integer")),
      separator_(config.get_string("multi_hot_separator")) {
  if (separator_.empty()) throw rechost::ConfigError("multi_hot_separator must not be empty");
  for (const text::ColumnUse& use : plan_.uses) fields_.push_back({use, index.encodings[use.source]});
  for (const Field& field : fields_) {
    std::size_t offset = 0;
    for (std::size_t i = 0; i < field.source; ++i) offset += index.encodings[i].size.value_or(0);
    if (!add_strided(field, field.encoding, offset, null_integer_, strided_)) {
      strided_.clear();
      break;
    }
  }
}

bool ColumnPlan::decode_strided(const char* first, std::size_t stride, std::size_t count, ColumnBuilder* const* builders) const {
  // So many samples that all columns of them are read while they are in the second-level cache.
  constexpr std::size_t kTile = 512;
  for (std::size_t begin = 0; begin < count; begin += kTile) {
    const char* const tile = first + begin * stride;
    const std::size_t size = std::min(kTile, count - begin);
    for (const StridedColumn& column : strided_)
      if (!column.decode(tile + column.offset, stride, size, builders[column.column])) return false;
  }
  return true;
}

bool ColumnPlan::decode(const std::vector<std::string_view>& payloads, ColumnBuilder* const* builders, Fault& fault) const {
  for (const Field& field : fields_) {
    std::string reason = decode_field(field, payloads[field.source], builders);
    if (reason.empty()) continue;
    fault = {columns()[field.first_column].name, std::move(reason)};
    return false;
  }
  return true;
}

std::string ColumnPlan::decode_field(const Field& field, std::string_view payload, ColumnBuilder* const* builders) const {
  ColumnBuilder* builder = builders[field.first_column];
  switch (field.meaning) {
    case Meaning::kNumber:
    case Meaning::kNonNegativeNumber:
    case Meaning::kBinaryLabel:
    case Meaning::kDense:
      return decode_real(field, payload, builder);
    case Meaning::kDenseGroup:
      return decode_group(field, payload, builders + field.first_column);
    case Meaning::kClass:
    case Meaning::kInteger:
    case Meaning::kId:
      return decode_integer(field, payload, builder);
    case Meaning::kIds:
      if (field.encoding.kind == Encoding::Kind::kJson) return decode_json_list(payload, builder);
      return field.encoding.kind == Encoding::Kind::kText ? decode_text_list(payload, builder) : decode_list(field, payload, builder);
    case Meaning::kNumbers:
      return decode_numbers(field, payload, builder);
    case Meaning::kText:
    case Meaning::kCarried:
      return decode_text(field, payload, builder);
  }
  return {};
}

std::string ColumnPlan::decode_real(const Field& field, std::string_view payload, ColumnBuilder* builder) const {
  double value = 0;
  if (std::string reason = read_real(field.encoding, payload, value); !reason.empty()) return reason;
  if (std::isnan(value)) {
    if (field.meaning != Meaning::kDense) return "NaN stands for a missing value, and this column must have one";
    if (builder != nullptr) builder->append_null();
    return {};
  }
  if (std::string reason = text::objection_to(field.meaning, value); !reason.empty()) return reason;
  if (builder != nullptr) builder->append(static_cast<float>(value));
  return {};
}

std::string ColumnPlan::decode_integer(const Field& field, std::string_view payload, ColumnBuilder* builder) const {
  std::int64_t value = 0;
  const bool nullable = field.meaning == Meaning::kId;
  if (field.encoding.kind == Encoding::Kind::kNumber) {
    if (!integer_at(*field.encoding.number, payload.data(), value)) return "an unsigned number beyond the signed 64-bit ones";
  } else if (nullable && payload.empty()) {
    value = null_integer_;
  } else if (!text::parse_integer(payload, value)) {
    return text::refusal(payload, "a 64-bit integer");
  }
  if (std::string reason = text::objection_to(field.meaning, value); !reason.empty()) return reason;
  if (builder == nullptr) return {};
  if (nullable && value == null_integer_)
    builder->append_null();
  else
    builder->append(value);
  return {};
}

std::string ColumnPlan::decode_text(const Field& field, std::string_view payload, ColumnBuilder* builder) const {
  if (field.encoding.kind != Encoding::Kind::kBytes && text::find_invalid_utf8(payload) != std::string_view::npos)
    return text::quote(payload) + " is not UTF-8";
  std::string value;  // of a JSON text
  if (field.encoding.kind == Encoding::Kind::kJson) {
    const json parsed = json::parse(payload, nullptr, false);
    if (parsed.is_discarded()) return text::quote(payload) + " is not JSON";
    if (field.meaning == Meaning::kText) {
      value = id_of_json(parsed, payload);
      payload = value;
    }
  }
  if (builder == nullptr) return {};
  if (field.meaning == Meaning::kText && payload.empty())
    builder->append_null();
  else
    builder->append_text(payload);
  return {};
}

std::string ColumnPlan::decode_group(const Field& field, std::string_view payload, ColumnBuilder* const* builders) const {
  ArrayView array;
  if (std::string reason = view_array(field.encoding, payload, array); !reason.empty()) return reason;
  if (array.count != field.column_count)
    return "an array of " + std::to_string(array.count) + " numbers, the first sample's has " + std::to_string(field.column_count);
  for (std::size_t i = 0; i < array.count; ++i) {
    const double value = real_at(array.number, array.values + i * width_of(array.number));
    if (const std::string reason = text::objection_to(field.meaning, value); !reason.empty()) return "element " + std::to_string(i) + ": " + reason;
    if (builders[i] == nullptr) continue;
    if (std::isnan(value))
      builders[i]->append_null();
    else
      builders[i]->append(static_cast<float>(value));
  }
  return {};
}

std::string ColumnPlan::decode_list(const Field& field, std::string_view payload, ColumnBuilder* builder) const {
  ArrayView array;
  if (std::string reason = view_array(field.encoding, payload, array); !reason.empty()) return reason;
  if (!is_integer(array.number)) return "an array of " + std::string(name_of(array.number)) + ", ids are integers";
  for (std::size_t i = 0; i < array.count; ++i) {
    std::int64_t value = 0;
    if (!integer_at(array.number, array.values + i * width_of(array.number), value))
      return "element " + std::to_string(i) + ": an unsigned number beyond the signed 64-bit ones";
    // MDS has no empty arrays: this one number alone stands for none.
    if (value == null_integer_ && array.count == 1) break;
    if (builder != nullptr) builder->append(value);
  }
  if (builder != nullptr) builder->end_list();
  return {};
}

std::string ColumnPlan::decode_numbers(const Field& field, std::string_view payload, ColumnBuilder* builder) const {
  ArrayView array;
  if (std::string reason = view_array(field.encoding, payload, array); !reason.empty()) return reason;
  for (std::size_t i = 0; i < array.count; ++i) {
    const double value = real_at(array.number, array.values + i * width_of(array.number));
    // As for ids: this one alone stands for an empty array.
    if (std::isnan(value) && array.count == 1) break;
    std::string reason = std::isnan(value) ? "NaN, which stands for a missing value" : text::objection_to(field.meaning, value);
    if (!reason.empty()) return "element " + std::to_string(i) + ": " + reason;
    if (builder != nullptr) builder->append(static_cast<float>(value));
  }
  if (builder != nullptr) builder->end_list();
  return {};
}

std::string ColumnPlan::decode_json_list(std::string_view payload, ColumnBuilder* builder) const {
  const json list = json::parse(payload, nullptr, false);
  if (list.is_discarded()) return text::quote(payload) + " is not JSON";
  if (!list.is_array() && !list.is_null()) return text::quote(payload) + " is no list of ids";
  for (const json& element : list) {
    const std::string id = element.is_structured() ? std::string() : id_of_json(element, element.dump());
    if (id.empty()) return text::quote(payload) + ": element " + std::to_string(&element - list.get_ptr<const json::array_t*>()->data()) + " is no id";
    if (builder != nullptr) builder->append_text(id);
  }
  if (builder != nullptr) builder->end_list();
  return {};
}

std::string ColumnPlan::decode_text_list(std::string_view payload, ColumnBuilder* builder) const {
  if (text::find_invalid_utf8(payload) != std::string_view::npos) return text::quote(payload) + " is not UTF-8";
  const std::string reason = text::split_ids(payload, separator_, [&](std::string_view id) {
    if (builder != nullptr) builder->append_text(id);
  });
  if (!reason.empty()) return reason;
  if (builder != nullptr) builder->end_list();
  return {};
}

}  // namespace mds
