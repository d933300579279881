#include "strided_column.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace mds {
namespace {

using rechost::ColumnBuilder;
using text::Meaning;

constexpr std::size_t kMostAtOnce = 512;

template <class Stored>
Stored load(const char* bytes) {
  Stored value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Calls use(Stored()) with the type of the numbers; false for the one that has none.
template <class Use>
bool with_type(Number number, Use&& use) {
  switch (number) {
    case Number::kUint8:
      return use(std::uint8_t());
    case Number::kInt8:
      return use(std::int8_t());
    case Number::kUint16:
      return use(std::uint16_t());
    case Number::kInt16:
      return use(std::int16_t());
    case Number::kUint32:
      return use(std::uint32_t());
    case Number::kInt32:
      return use(std::int32_t());
    case Number::kFloat32:
      return use(float());
    case Number::kUint64:
      return use(std::uint64_t());
    case Number::kInt64:
      return use(std::int64_t());
    case Number::kFloat64:
      return use(double());
    case Number::kFloat16:
      break;
  }
  return false;
}

// The nulls of `count` rows that were just appended. The values of these rows are zero, so that what is handed over depends on nothing else.
template <class Value, class IsNull>
void set_nulls(Value* values, std::size_t count, ColumnBuilder& builder, IsNull&& is_null) {
  const std::int64_t first = builder.rows() - static_cast<std::int64_t>(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!is_null(values[i])) continue;
    values[i] = 0;
    builder.set_null(first + static_cast<std::int64_t>(i));
  }
}

// Flags are gathered over all values and looked at once: a branch for each value would cost more than the value.
template <class Stored>
bool decode_reals(const StridedColumn& column, const char* first, std::size_t stride, std::size_t count, ColumnBuilder* builder) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  float unwanted[kMostAtOnce];
  float* const values = builder != nullptr ? builder->append_uninitialised<float>(count) : unwanted;
  bool beyond = false;
  for (std::size_t i = 0; i < count; ++i) {
    const Stored stored = load<Stored>(first + i * stride);
    if constexpr (std::is_same_v<Stored, float>) {
      beyond |= std::fabs(stored) > std::numeric_limits<float>::max();
      values[i] = stored;
    } else {
      const auto wide = static_cast<double>(stored);
      if constexpr (std::is_same_v<Stored, double>) beyond |= std::fabs(wide) > kLargest;
      values[i] = static_cast<float>(wide);
    }
  }
  bool nan = false, objection = false;
  for (std::size_t i = 0; i < count; ++i) nan |= values[i] != values[i];
  if (column.meaning == Meaning::kBinaryLabel)
    for (std::size_t i = 0; i < count; ++i) objection |= values[i] != 0 && values[i] != 1;
  if (column.meaning == Meaning::kNonNegativeNumber)
    for (std::size_t i = 0; i < count; ++i) objection |= values[i] < 0;
  const bool nullable = column.meaning == Meaning::kDense || column.meaning == Meaning::kDenseGroup;
  if (beyond || objection || (nan && !nullable)) return false;
  if (nan && builder != nullptr) set_nulls(values, count, *builder, [](float value) { return value != value; });
  return true;
}

template <class Stored>
bool decode_integers(const StridedColumn& column, const char* first, std::size_t stride, std::size_t count, ColumnBuilder* builder) {
  std::int64_t unwanted[kMostAtOnce];
  std::int64_t* const values = builder != nullptr ? builder->append_uninitialised<std::int64_t>(count) : unwanted;
  const std::int64_t null = column.null_integer;
  bool null_seen = false, negative = false;
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = static_cast<std::int64_t>(load<Stored>(first + i * stride));
    values[i] = value;
    null_seen |= value == null;
    negative |= value < 0;
  }
  if (negative && (column.meaning == Meaning::kClass || std::is_same_v<Stored, std::uint64_t>)) return false;
  if (column.meaning == Meaning::kId && null_seen && builder != nullptr) set_nulls(values, count, *builder, [null](std::int64_t value) { return value == null; });
  return true;
}

}  // namespace

bool StridedColumn::decode(const char* first, std::size_t stride, std::size_t count, ColumnBuilder* builder) const {
  return with_type(number, [&](auto stored) {
    using Stored = decltype(stored);
    for (std::size_t begin = 0; begin < count; begin += kMostAtOnce) {
      const std::size_t size = count - begin < kMostAtOnce ? count - begin : kMostAtOnce;
      const char* const at = first + begin * stride;
      if (meaning == Meaning::kId || meaning == Meaning::kInteger || meaning == Meaning::kClass) {
        if constexpr (std::is_floating_point_v<Stored>) return false;
        else if (!decode_integers<Stored>(*this, at, stride, size, builder)) return false;
      } else if (!decode_reals<Stored>(*this, at, stride, size, builder)) {
        return false;
      }
    }
    return true;
  });
}

bool add_strided(const text::ColumnUse& use, const Encoding& encoding, std::size_t offset, std::int64_t null_integer,
                 std::vector<StridedColumn>& columns) {
  const bool scalar = encoding.kind == Encoding::Kind::kNumber;
  switch (use.meaning) {
    case Meaning::kNumber:
    case Meaning::kNonNegativeNumber:
    case Meaning::kBinaryLabel:
    case Meaning::kDense:
    case Meaning::kClass:
    case Meaning::kInteger:
    case Meaning::kId:
      if (!scalar) return false;
      break;
    case Meaning::kDenseGroup:
      if (encoding.kind != Encoding::Kind::kArray || !encoding.number || encoding.shape != std::vector<std::uint64_t>{use.column_count}) return false;
      break;
    case Meaning::kIds:
    case Meaning::kNumbers:
    case Meaning::kText:
    case Meaning::kCarried:
      return false;
  }
  for (std::size_t i = 0; i < use.column_count; ++i)
    columns.push_back({offset + i * width_of(*encoding.number), use.first_column + i, *encoding.number, use.meaning, null_integer});
  return *encoding.number != Number::kFloat16;
}

}  // namespace mds
