#pragma once

#include <cstdint>
#include <utility>

#include "base/error.h"
#include "data/source.h"

namespace rechost {

/// Calls body(read), where read(place) is the number at that place of view.values in its own type: one loop per type instead of one switch per
/// value. kString is the caller's business.
template <typename Body>
void with_stored_numbers(const ColumnView& view, Body&& body) {
  const auto plain = [&]<typename T>(const T* values) { body([values](std::int64_t element) -> T { return values[element]; }); };
  switch (view.type) {
    case ValueType::kBool: {
      const auto* const bits = static_cast<const std::uint8_t*>(view.values);
      const std::int64_t offset = view.value_offset;
      body([bits, offset](std::int64_t element) -> std::uint8_t {
        const std::int64_t bit = offset + element;
        return static_cast<std::uint8_t>((bits[bit >> 3] >> (bit & 7)) & 1);
      });
      return;
    }
    case ValueType::kInt8: return plain(static_cast<const std::int8_t*>(view.values));
    case ValueType::kInt16: return plain(static_cast<const std::int16_t*>(view.values));
    case ValueType::kInt32: return plain(static_cast<const std::int32_t*>(view.values));
    case ValueType::kInt64: return plain(static_cast<const std::int64_t*>(view.values));
    case ValueType::kUint8: return plain(static_cast<const std::uint8_t*>(view.values));
    case ValueType::kUint16: return plain(static_cast<const std::uint16_t*>(view.values));
    case ValueType::kUint32: return plain(static_cast<const std::uint32_t*>(view.values));
    case ValueType::kFloat32: return plain(static_cast<const float*>(view.values));
    case ValueType::kFloat64: return plain(static_cast<const double*>(view.values));
    case ValueType::kString: break;
  }
  fail<DataError>("a column of strings was read as numbers");
}

/// The same with read(element).
template <typename Body>
void with_numbers(const ColumnView& view, Body&& body) {
  if (view.indices == nullptr) return with_stored_numbers(view, std::forward<Body>(body));
  with_stored_numbers(view, [&body, indices = view.indices](auto read) { body([read, indices](std::int64_t element) { return read(indices[element]); }); });
}

}  // namespace rechost
