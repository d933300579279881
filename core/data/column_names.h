#pragma once

#include <array>
#include <string_view>

#include "data/source.h"

/// What people and files call the choices of a column.
namespace rechost {

inline constexpr std::array<std::string_view, 7> kRoleNames{"dense", "sparse", "label", "weight", "id", "time", "candidates"};
inline constexpr std::array<std::string_view, 11> kTypeNames{"bool",   "int8",   "int16",   "int32",   "int64", "uint8",
                                                             "uint16", "uint32", "float32", "float64", "string"};

constexpr std::string_view name_of(ColumnRole role) { return kRoleNames[static_cast<std::size_t>(role)]; }
constexpr std::string_view name_of(ValueType type) { return kTypeNames[static_cast<std::size_t>(type)]; }

}  // namespace rechost
