#include "data/split_rows.h"

#include <cmath>

#include "base/error.h"
#include "base/philox.h"
#include "data/permutation.h"

namespace rechost {
namespace {

constexpr std::uint64_t kSplitPurpose = 0x73706c6974;

}  // namespace

std::uint8_t split_number(const std::string& name) {
  for (std::size_t i = 0; i < kSplitNames.size(); ++i) {
    if (name == kSplitNames[i]) return static_cast<std::uint8_t>(i);
  }
  fail<DataError>("the loader offers a split \"{}\"; rechost knows \"train\", \"valid\", \"test\" and \"all\"", name);
}

RowSplits split_rows(const std::string& source, std::int64_t rows, const SplitSection& shares, std::uint64_t seed) {
  RowSplits splits;
  if (source != "all") {
    const std::uint8_t split = split_number(source);
    splits.declared[split] = rows;
    splits.of_row = [split](std::int64_t) { return split; };
    return splits;
  }
  if (shares.valid + shares.test >= 1.0) {
    fail<ConfigError>("data.split.valid + data.split.test = {}: nothing is left for training", shares.valid + shares.test);
  }
  const auto share = [&](double part) { return static_cast<std::int64_t>(std::floor(part * static_cast<double>(rows))); };
  const std::int64_t valid_end = rows - share(shares.test);
  const std::int64_t train_end = valid_end - share(shares.valid);
  splits.declared = {train_end, valid_end - train_end, rows - valid_end};
  const auto by_position = [train_end, valid_end](std::int64_t position) {
    return static_cast<std::uint8_t>(position < train_end ? 0 : position < valid_end ? 1 : 2);
  };
  if (shares.by == "random" && rows > 0) {
    const Permutation permutation(static_cast<std::uint64_t>(rows), derive_seed(seed, kSplitPurpose));
    splits.of_row = [permutation, by_position](std::int64_t row) {
      return by_position(static_cast<std::int64_t>(permutation(static_cast<std::uint64_t>(row))));
    };
  } else {
    splits.of_row = by_position;
  }
  return splits;
}

}  // namespace rechost
