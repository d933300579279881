#include "column_decoder.h"

#include <cmath>
#include <limits>
#include <utility>

#include "text/decode_chunk.h"

namespace parquet_loader {
namespace {

using text::Meaning;
using Kind = text::SourceColumn::Kind;

constexpr const char* kMissing = "the value is missing, and this column must have one";
constexpr const char* kBeyond = "a number or time beyond the signed 64-bit integers";

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
      decode_reals(group);
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

// take(value), null for a row without one, appends or returns what is wrong.
template <class Value, class Take>
void ColumnDecoder::for_each_row(LeafReader<Value>& reader, Take&& take) {
  while (reader.next()) {
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

void ColumnDecoder::decode_reals(parquet::RowGroupReader& group) {
  LeafReader<double> reader(group, leaf_);
  for_each_row(reader, [this](const double* value) -> std::string {
    if (value == nullptr || std::isnan(*value)) {
      if (use_.meaning != Meaning::kDense) return value == nullptr ? kMissing : "NaN stands for a missing value, and this column must have one";
      if (builders_[0] != nullptr) builders_[0]->append_null();
      return {};
    }
    if (std::string reason = text::objection_to(use_.meaning, *value); !reason.empty()) return reason;
    if (builders_[0] != nullptr) builders_[0]->append(static_cast<float>(*value));
    return {};
  });
}

void ColumnDecoder::decode_integers(parquet::RowGroupReader& group) {
  LeafReader<std::int64_t> reader(group, leaf_);
  for_each_row(reader, [this](const std::int64_t* value) -> std::string {
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
  LeafReader<std::string_view> reader(group, leaf_);
  const bool bytes = leaf_.declared.kind == Kind::kBytes;
  for_each_row(reader, [this, bytes](const std::string_view* value) -> std::string {
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
  for_each_row(reader, [this](const std::string_view* value) -> std::string {
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
