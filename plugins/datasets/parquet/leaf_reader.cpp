#include "leaf_reader.h"

#include <arrow/util/float16.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace parquet_loader {
namespace {

constexpr std::int64_t kBatch = 4096;
// The widest physical type, ByteArray or Int96.
constexpr std::size_t kWidest = 16;
static_assert(sizeof(parquet::ByteArray) <= kWidest && sizeof(parquet::Int96) <= kWidest);

// Two's complement, most significant byte first (LogicalTypes.md of the format, DECIMAL). Exact as far as a double is.
double big_endian(const std::uint8_t* bytes, std::size_t count) {
  double value = count > 0 && (bytes[0] & 0x80) != 0 ? -1 : 0;
  for (std::size_t i = 0; i < count; ++i) value = value * 256 + bytes[i];
  return value;
}

std::int64_t nanoseconds(const parquet::Int96& stored) {
  constexpr std::int64_t kUnixEpochDay = 2'440'588, kNanosecondsPerDay = 86'400'000'000'000;
  const std::int64_t days = std::int64_t{stored.value[2]} - kUnixEpochDay;
  const auto of_day = static_cast<std::int64_t>(std::uint64_t{stored.value[1]} << 32 | stored.value[0]);
  std::int64_t value = 0;
  if (__builtin_mul_overflow(days, kNanosecondsPerDay, &value) || __builtin_add_overflow(value, of_day, &value)) return kBeyondInteger;
  return value;
}

template <class Stored>
double as_real(Stored stored, const Leaf& leaf) {
  double value = static_cast<double>(stored);
  if constexpr (std::is_same_v<Stored, std::int64_t>) {
    if (leaf.is_unsigned) value = static_cast<double>(static_cast<std::uint64_t>(stored));
  } else if constexpr (std::is_same_v<Stored, std::int32_t>) {
    if (leaf.is_unsigned) value = static_cast<std::uint32_t>(stored);
  }
  // Division, because the powers of ten are exact and their inverses are not.
  return leaf.scale == 0 ? value : value / std::pow(10.0, leaf.scale);
}

}  // namespace

template <class Value>
LeafReader<Value>::LeafReader(parquet::RowGroupReader& group, const Leaf& leaf)
    : leaf_(leaf),
      reader_(group.Column(leaf.column)),
      fixed_length_(reader_->descr()->type_length()),
      values_(kBatch),
      raw_(std::make_unique_for_overwrite<std::max_align_t[]>(kBatch * kWidest / sizeof(std::max_align_t))) {
  if (leaf.value_level > 0) definitions_.resize(kBatch);
  if (leaf.declared.array) repetitions_.resize(kBatch);
}

template <class Value>
template <class PhysicalType>
bool LeafReader<Value>::read_raw(typename PhysicalType::c_type* raw) {
  auto& reader = static_cast<parquet::TypedColumnReader<PhysicalType>&>(*reader_);
  if (!reader.HasNext()) return false;
  std::int64_t value_count = 0;
  const std::int64_t levels = reader.ReadBatch(kBatch, definitions_.empty() ? nullptr : definitions_.data(),
                                               repetitions_.empty() ? nullptr : repetitions_.data(), raw, &value_count);
  size_ = static_cast<std::size_t>(definitions_.empty() ? value_count : levels);
  if (size_ == 0) throw parquet::ParquetException("a page ends before its values do");
  if (static_cast<std::int64_t>(size_) != value_count && std::count(definitions_.data(), definitions_.data() + size_, leaf_.value_level) != value_count)
    throw parquet::ParquetException("a page has fewer values than it says");
  value_count_ = static_cast<std::size_t>(value_count);
  return true;
}

template <class Value>
template <class PhysicalType, class Convert>
bool LeafReader<Value>::read(Convert&& convert) {
  using Stored = typename PhysicalType::c_type;
  auto* const raw = reinterpret_cast<Stored*>(raw_.get());
  if (!read_raw<PhysicalType>(raw)) return false;
  for (std::size_t i = 0; i < value_count_; ++i) values_[i] = convert(raw[i]);
  return true;
}

template <>
bool LeafReader<float>::next() {
  if (reader_->type() != parquet::Type::FLOAT) throw parquet::ParquetException("no numbers of 32 bits");
  return read_raw<parquet::FloatType>(values_.data());
}

template <>
bool LeafReader<std::int64_t>::next() {
  switch (reader_->type()) {
    case parquet::Type::BOOLEAN:
      return read<parquet::BooleanType>([](bool stored) { return std::int64_t{stored}; });
    case parquet::Type::INT32:
      return read<parquet::Int32Type>([this](std::int32_t stored) { return as_integer(stored, leaf_.is_unsigned); });
    case parquet::Type::INT64:
      if (!leaf_.is_unsigned) return read_raw<parquet::Int64Type>(values_.data());
      return read<parquet::Int64Type>([](std::int64_t stored) { return as_integer(stored, true); });
    case parquet::Type::INT96:
      return read<parquet::Int96Type>([](const parquet::Int96& stored) { return nanoseconds(stored); });
    default:
      throw parquet::ParquetException("no integers");
  }
}

template <>
bool LeafReader<double>::next() {
  switch (reader_->type()) {
    case parquet::Type::BOOLEAN:
      return read<parquet::BooleanType>([](bool stored) { return stored ? 1.0 : 0.0; });
    case parquet::Type::INT32:
      return read<parquet::Int32Type>([this](std::int32_t stored) { return as_real(stored, leaf_); });
    case parquet::Type::INT64:
      return read<parquet::Int64Type>([this](std::int64_t stored) { return as_real(stored, leaf_); });
    case parquet::Type::FLOAT:
      return read<parquet::FloatType>([](float stored) { return static_cast<double>(stored); });
    case parquet::Type::DOUBLE:
      return read_raw<parquet::DoubleType>(values_.data());
    case parquet::Type::BYTE_ARRAY:
      return read<parquet::ByteArrayType>(
          [this](const parquet::ByteArray& stored) { return as_real(big_endian(stored.ptr, stored.len), leaf_); });
    case parquet::Type::FIXED_LEN_BYTE_ARRAY:
      if (reader_->descr()->logical_type()->is_float16())
        return read<parquet::FLBAType>(
            [](const parquet::FixedLenByteArray& stored) { return arrow::util::Float16::FromLittleEndian(stored.ptr).ToDouble(); });
      return read<parquet::FLBAType>([this](const parquet::FixedLenByteArray& stored) {
        return as_real(big_endian(stored.ptr, static_cast<std::size_t>(fixed_length_)), leaf_);
      });
    default:
      throw parquet::ParquetException("no numbers");
  }
}

template <>
bool LeafReader<std::string_view>::next() {
  if (reader_->type() == parquet::Type::BYTE_ARRAY)
    return read<parquet::ByteArrayType>(
        [](const parquet::ByteArray& stored) { return std::string_view(reinterpret_cast<const char*>(stored.ptr), stored.len); });
  if (reader_->type() == parquet::Type::FIXED_LEN_BYTE_ARRAY)
    return read<parquet::FLBAType>([this](const parquet::FixedLenByteArray& stored) {
      return std::string_view(reinterpret_cast<const char*>(stored.ptr), static_cast<std::size_t>(fixed_length_));
    });
  throw parquet::ParquetException("no texts");
}

template class LeafReader<std::int64_t>;
template class LeafReader<double>;
template class LeafReader<float>;
template class LeafReader<std::string_view>;

}  // namespace parquet_loader
