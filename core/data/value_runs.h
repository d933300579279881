#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/temporary_file.h"

namespace rechost {

/// A value, how often it occurs, and what it was called while it was learnt. `Value` is std::int64_t or std::string_view (borrowed).
template <typename Value>
struct CountedValue {
  Value value;
  std::int64_t count;
  std::int64_t number;
};

/// Distinct values in sorted runs on disk, merged when they are read: memory does not grow with their number. One thread.
template <typename Value>
class ValueRuns {
 public:
  using Take = std::function<void(Value value, std::int64_t count, std::span<const std::int64_t> numbers)>;

  /// A file without a name in `directory`. Error, here and below: no such directory, no room on the disk.
  explicit ValueRuns(const std::filesystem::path& directory) : file_(directory) {}

  /// Ascending by value, each once in this run.
  void add_run(std::span<const CountedValue<Value>> sorted);

  /// Every value once, ascending: with the sum of its counts and its numbers of all runs, in the order of the runs. Integers compare as
  /// integers, strings byte by byte. As often as wanted.
  void merge(const Take& take) const;

  std::uint64_t bytes() const { return file_.size(); }
  std::size_t runs() const { return run_ends_.size(); }

 private:
  TemporaryFile file_;
  std::vector<std::uint64_t> run_ends_;  ///< in file_
};

extern template class ValueRuns<std::int64_t>;
extern template class ValueRuns<std::string_view>;

}  // namespace rechost
