#include "column_decoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "dictionary.h"
#include "text/decode_chunk.h"

namespace parquet_loader {
namespace {

using text::Meaning;
using Kind = text::SourceColumn::Kind;

constexpr const char* kMissing = "the value is missing, and this column must have one";
constexpr const char* kBeyond = "a number or time beyond the signed 64-bit integers";

// For for_each_row().
constexpr auto one_by_one = [](const LeafReader<std::string_view>&) { return false; };

// Is none infinite, not a number, or beyond float32? May say no of numbers of 64 bits that are close to that. Integers compare in any order, and
// so several at once.
bool all_plain(const float* values, std::size_t count) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::bit_cast<std::uint32_t>(values[i]) & 0x7fffffffU);
  return largest < std::bit_cast<std::uint32_t>(std::numeric_limits<float>::infinity());
}

bool all_plain(const double* values, std::size_t count) {
  double largest = 0.0;
  bool ordered = true;
  for (std::size_t i = 0; i < count; ++i) {
    ordered &= values[i] == values[i];
    largest = std::max(largest, std::fabs(values[i]));
  }
  return ordered && largest < static_cast<double>(std::numeric_limits<float>::max());
}

std::string not_text(std::string_view value) { return text::quote(value) + " is not UTF-8"; }

}  // namespace

bool can_fail(const Leaf& leaf, Meaning meaning) {
  const bool integer = leaf.declared.kind == Kind::kInteger;
  switch (meaning) {
    case Meaning::kDense:
      return !integer;
    case Meaning::kId:
      return leaf.can_exceed;
    case Meaning::kNumber:
    case Meaning::kInteger:
      return !integer || leaf.can_exceed || leaf.value_level > 0;
    case Meaning::kIds:
      return !integer || leaf.can_exceed || leaf.value_level > leaf.element_level;
    case Meaning::kText:
    case Meaning::kCarried:
    case Meaning::kClass:
    case Meaning::kBinaryLabel:
    case Meaning::kNonNegativeNumber:
    case Meaning::kDenseGroup:
    case Meaning::kNumbers:
      return true;
  }
  return true;
}

std::int64_t ColumnDecoder::decode(parquet::RowGroupReader& group, std::vector<Fault>& faults) {
  faults_ = &faults;
  switch (use_.meaning) {
    case Meaning::kNumber:
    case Meaning::kNonNegativeNumber:
    case Meaning::kBinaryLabel:
    case Meaning::kDense:
      if (group.metadata()->schema()->Column(leaf_.column)->physical_type() == parquet::Type::FLOAT)
        decode_reals<float>(group);
      else
        decode_reals<double>(group);
      break;
    case Meaning::kClass:
    case Meaning::kInteger:
    case Meaning::kId:
      decode_integers(group);
      break;
    case Meaning::kText:
    case Meaning::kCarried:
      decode_texts(group);
      break;
    case Meaning::kDenseGroup:
      decode_group(group);
      break;
    case Meaning::kNumbers:
      decode_number_lists(group);
      break;
    case Meaning::kIds:
      if (!leaf_.declared.array)
        decode_separated(group);
      else if (leaf_.declared.kind == Kind::kText)
        decode_text_lists(group);
      else
        decode_integer_lists(group);
      break;
  }
  return row_;
}

// take_all(reader) appends a batch and returns true, or leaves it to take(value), null for a row without one, which appends or returns what is
// wrong.
template <class Value, class TakeAll, class Take>
void ColumnDecoder::for_each_row(LeafReader<Value>& reader, TakeAll&& take_all, Take&& take) {
  while (reader.next()) {
    if (left_out_.empty() && take_all(reader)) {
      row_ += static_cast<std::int64_t>(reader.size());
      continue;
    }
    const Value* value = reader.values();
    for (std::size_t entry = 0; entry < reader.size(); ++entry) {
      const Value* here = reader.has_value(entry) ? value++ : nullptr;
      end_row(passes_over() ? std::string() : take(here));
    }
  }
}

// take(element), null for an element that is null, returns what is wrong; end() does so for the row as a whole.
template <class Value, class Take, class End>
void ColumnDecoder::for_each_element(LeafReader<Value>& reader, Take&& take, End&& end) {
  bool inside = false;
  std::string reason;
  const auto finish_row = [&] {
    if (reason.empty() && !passes_over()) reason = end();
    end_row(std::move(reason));
    reason.clear();
  };
  while (reader.next()) {
    const Value* value = reader.values();
    for (std::size_t entry = 0; entry < reader.size(); ++entry) {
      if (reader.begins_row(entry)) {
        if (inside) finish_row();
        inside = true;
      } else if (!inside) {
        throw parquet::ParquetException("it begins in the middle of a row");
      }
      const Value* here = reader.has_value(entry) ? value++ : nullptr;
      if (reader.has_element(entry) && reason.empty() && !passes_over()) reason = take(here);
    }
  }
  if (inside) finish_row();
}

void ColumnDecoder::end_row(std::string reason) {
  if (!reason.empty()) {
    faults_->push_back({row_, columns_->name, std::move(reason)});
    builders_.assign(builders_.size(), nullptr);
  }
  ++row_;
}

template <class Number, class Value>
void ColumnDecoder::append_values(const LeafReader<Value>& reader, bool missing) {
  const std::int64_t first = builders_[0]->rows();
  Number* const numbers = builders_[0]->template append_uninitialised<Number>(reader.size());
  const Value* value = reader.values();
  if (!missing) {
    for (std::size_t i = 0; i < reader.size(); ++i) numbers[i] = static_cast<Number>(value[i]);
    return;
  }
  for (std::size_t entry = 0; entry < reader.size(); ++entry) {
    const bool there = reader.has_value(entry);
    const Value number = there ? *value : Value{0};
    value += there;
    const bool null = !there || number != number;
    numbers[entry] = null ? Number{0} : static_cast<Number>(number);
    if (null) builders_[0]->set_null(first + static_cast<std::int64_t>(entry));
  }
}

// Flags are gathered over all values and looked at once: a branch for each value would cost more than the value.
template <class Value>
bool ColumnDecoder::append_reals(const LeafReader<Value>& reader) {
  constexpr Value kLargest = std::numeric_limits<float>::max();
  const Value* const values = reader.values();
  const std::size_t count = reader.value_count();
  bool beyond = false, nan = false, objection = false;
  if (!all_plain(values, count)) {
    for (std::size_t i = 0; i < count; ++i) {
      beyond |= std::fabs(values[i]) > kLargest;
      nan |= values[i] != values[i];
    }
  }
  if (use_.meaning == Meaning::kBinaryLabel)
    for (std::size_t i = 0; i < count; ++i) objection |= values[i] != 0 && values[i] != 1;
  if (use_.meaning == Meaning::kNonNegativeNumber)
    for (std::size_t i = 0; i < count; ++i) objection |= values[i] < 0;
  const bool missing = nan || count < reader.size();
  if (beyond || objection || (missing && use_.meaning != Meaning::kDense)) return false;
  if (builders_[0] == nullptr) return true;

  append_values<float>(reader, missing);
  return true;
}

bool ColumnDecoder::append_integers(const LeafReader<std::int64_t>& reader) {
  const std::int64_t* const values = reader.values();
  const std::size_t count = reader.value_count();
  bool negative = false, beyond = false;
  for (std::size_t i = 0; i < count; ++i) {
    negative |= values[i] < 0;
    beyond |= values[i] == kBeyondInteger;
  }
  const bool missing = count < reader.size();
  if ((negative && use_.meaning == Meaning::kClass) || (beyond && leaf_.can_exceed) || (missing && use_.meaning != Meaning::kId)) return false;
  if (builders_[0] == nullptr) return true;

  append_values<std::int64_t>(reader, missing);
  return true;
}

bool ColumnDecoder::append_dictionary(parquet::RowGroupReader& group) {
  if (!left_out_.empty() || (builders_[0] != nullptr && !builders_[0]->is_dictionary())) return false;
  const std::optional<std::int64_t> rows = read_dictionary(group, leaf_, builders_[0]);
  row_ += rows.value_or(0);
  return rows.has_value();
}

template <class Value>
void ColumnDecoder::decode_reals(parquet::RowGroupReader& group) {
  LeafReader<Value> reader(group, leaf_);
  const auto take_all = [this](const LeafReader<Value>& batch) { return append_reals(batch); };
  for_each_row(reader, take_all, [this](const Value* value) -> std::string {
    if (value == nullptr || std::isnan(*value)) {
      if (use_.meaning != Meaning::kDense) return value == nullptr ? kMissing : "NaN stands for a missing value, and this column must have one";
      if (builders_[0] != nullptr) builders_[0]->append_null();
      return {};
    }
    if (std::string reason = text::objection_to(use_.meaning, static_cast<double>(*value)); !reason.empty()) return reason;
    if (builders_[0] != nullptr) builders_[0]->append(static_cast<float>(*value));
    return {};
  });
}

void ColumnDecoder::decode_integers(parquet::RowGroupReader& group) {
  if (use_.meaning == Meaning::kId && append_dictionary(group)) return;
  LeafReader<std::int64_t> reader(group, leaf_);
  const auto take_all = [this](const LeafReader<std::int64_t>& batch) { return append_integers(batch); };
  for_each_row(reader, take_all, [this](const std::int64_t* value) -> std::string {
    if (value == nullptr) {
      if (use_.meaning != Meaning::kId) return kMissing;
      if (builders_[0] != nullptr) builders_[0]->append_null();
      return {};
    }
    if (leaf_.can_exceed && *value == kBeyondInteger) return kBeyond;
    if (std::string reason = text::objection_to(use_.meaning, *value); !reason.empty()) return reason;
    if (builders_[0] != nullptr) builders_[0]->append(*value);
    return {};
  });
}

void ColumnDecoder::decode_texts(parquet::RowGroupReader& group) {
  if (use_.meaning == Meaning::kText && append_dictionary(group)) return;
  LeafReader<std::string_view> reader(group, leaf_);
  const bool bytes = leaf_.declared.kind == Kind::kBytes;
  for_each_row(reader, one_by_one, [this, bytes](const std::string_view* value) -> std::string {
    if (value == nullptr && use_.meaning == Meaning::kCarried) return kMissing;
    if (value != nullptr && !bytes && text::find_invalid_utf8(*value) != std::string_view::npos) return not_text(*value);
    if (builders_[0] == nullptr) return {};
    if (use_.meaning == Meaning::kText && (value == nullptr || value->empty()))
      builders_[0]->append_null();
    else
      builders_[0]->append_text(*value);
    return {};
  });
}

// A missing text is an empty list.
void ColumnDecoder::decode_separated(parquet::RowGroupReader& group) {
  LeafReader<std::string_view> reader(group, leaf_);
  for_each_row(reader, one_by_one, [this](const std::string_view* value) -> std::string {
    const std::string_view list = value == nullptr ? std::string_view() : *value;
    if (text::find_invalid_utf8(list) != std::string_view::npos) return not_text(list);
    std::string reason = text::split_ids(list, separator_, [this](std::string_view id) {
      if (builders_[0] != nullptr) builders_[0]->append_text(id);
    });
    if (reason.empty() && builders_[0] != nullptr) builders_[0]->end_list();
    return reason;
  });
}

void ColumnDecoder::decode_integer_lists(parquet::RowGroupReader& group) {
  LeafReader<std::int64_t> reader(group, leaf_);
  for_each_element(
      reader,
      [this](const std::int64_t* value) -> std::string {
        if (value == nullptr) return "an element of the list is missing";
        if (leaf_.can_exceed && *value == kBeyondInteger) return kBeyond;
        if (builders_[0] != nullptr) builders_[0]->append(*value);
        return {};
      },
      [this]() -> std::string {
        if (builders_[0] != nullptr) builders_[0]->end_list();
        return {};
      });
}

void ColumnDecoder::decode_number_lists(parquet::RowGroupReader& group) {
  LeafReader<double> reader(group, leaf_);
  for_each_element(
      reader,
      [this](const double* value) -> std::string {
        if (value == nullptr || std::isnan(*value)) return "an element of the list is missing";
        std::string reason = text::objection_to(use_.meaning, *value);
        if (reason.empty() && builders_[0] != nullptr) builders_[0]->append(static_cast<float>(*value));
        return reason;
      },
      [this]() -> std::string {
        if (builders_[0] != nullptr) builders_[0]->end_list();
        return {};
      });
}

void ColumnDecoder::decode_text_lists(parquet::RowGroupReader& group) {
  LeafReader<std::string_view> reader(group, leaf_);
  for_each_element(
      reader,
      [this](const std::string_view* value) -> std::string {
        if (value == nullptr) return "an element of the list is missing";
        if (value->empty()) return "an element of the list is empty";
        if (text::find_invalid_utf8(*value) != std::string_view::npos) return not_text(*value);
        if (builders_[0] != nullptr) builders_[0]->append_text(*value);
        return {};
      },
      [this]() -> std::string {
        if (builders_[0] != nullptr) builders_[0]->end_list();
        return {};
      });
}

// An array without any number is a missing one.
void ColumnDecoder::decode_group(parquet::RowGroupReader& group) {
  LeafReader<double> reader(group, leaf_);
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> row;
  for_each_element(
      reader,
      [&](const double* value) -> std::string {
        const double number = value == nullptr ? kNone : *value;
        const std::string objection = text::objection_to(use_.meaning, number);
        if (objection.empty()) {
          row.push_back(number);
          return {};
        }
        const std::size_t element = row.size();
        row.clear();
        return "element " + std::to_string(element) + ": " + objection;
      },
      [&]() -> std::string {
        const std::size_t count = row.size();
        if (count == 0) row.assign(use_.column_count, kNone);
        if (row.size() == use_.column_count) {
          for (std::size_t i = 0; i < row.size(); ++i) {
            if (builders_[i] == nullptr) continue;
            if (std::isnan(row[i]))
              builders_[i]->append_null();
            else
              builders_[i]->append(static_cast<float>(row[i]));
          }
        }
        row.clear();
        if (count == 0 || count == use_.column_count) return {};
        return "an array of " + std::to_string(count) + " numbers, the first row's has " + std::to_string(use_.column_count);
      });
}

}  // namespace parquet_loader
