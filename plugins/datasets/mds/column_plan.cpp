#include "column_plan.h"

#include <cmath>
#include <limits>

namespace mds {
namespace {

using rechost::ColumnBuilder;
using text::Fault;

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

// Finite in float32, or NaN.
bool fits(double value) { return !(std::fabs(value) > static_cast<double>(std::numeric_limits<float>::max())); }

std::string refused(double value, std::string_view wanted) { return rechost::toml::real(value) + " is not " + std::string(wanted); }

}  // namespace

bool ColumnPlan::decode(const std::vector<std::string_view>& payloads, ColumnBuilder* const* builders, Fault& fault) const {
  for (const Field& field : fields_) {
    std::string reason = decode_field(field, payloads[field.source], builders);
    if (reason.empty()) continue;
    fault = {columns_[field.first_column].name, std::move(reason)};
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
      return field.encoding.kind == Encoding::Kind::kText ? decode_text_list(payload, builder) : decode_list(field, payload, builder);
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
  if (field.meaning == Meaning::kBinaryLabel && value != 0 && value != 1) return refused(value, "a label: 0 or 1");
  if (field.meaning == Meaning::kNonNegativeNumber && value < 0) return refused(value, "a number of at least 0");
  if (!fits(value)) return refused(value, "a number of float32");
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
  if (field.meaning == Meaning::kClass && value < 0) return std::to_string(value) + " is not a class: an integer of at least 0";
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
    if (!fits(value)) return "element " + std::to_string(i) + ": " + refused(value, "a number of float32");
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

std::string ColumnPlan::decode_text_list(std::string_view payload, ColumnBuilder* builder) const {
  if (text::find_invalid_utf8(payload) != std::string_view::npos) return text::quote(payload) + " is not UTF-8";
  for (bool more = !payload.empty(); more;) {
    const std::size_t end = payload.find(separator_);
    const std::string_view element = payload.substr(0, end);
    if (element.empty()) return "an element of the list is empty";
    if (builder != nullptr) builder->append_text(element);
    more = end != std::string_view::npos;
    if (more) payload.remove_prefix(end + separator_.size());
  }
  if (builder != nullptr) builder->end_list();
  return {};
}

}  // namespace mds
