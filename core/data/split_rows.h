#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "config/sections.h"

namespace rechost {

constexpr std::array<const char*, 3> kSplitNames{"train", "valid", "test"};
constexpr std::uint8_t kTrainSplit = 0;

/// Which declared row of a source belongs to which split (position in kSplitNames): known before anything is read.
struct RowSplits {
  std::function<std::uint8_t(std::int64_t row)> of_row;
  std::array<std::int64_t, 3> declared{};  ///< rows of each split
};

/// `source`: a name of kSplitNames, or "all", whose rows are divided as DataSection::split says. `seed`: for split.by = "random".
RowSplits split_rows(const std::string& source, std::int64_t rows, const SplitSection& shares, std::uint64_t seed);

/// Position in kSplitNames; DataError.
std::uint8_t split_number(const std::string& name);

}  // namespace rechost
