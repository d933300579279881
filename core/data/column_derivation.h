#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/source.h"

namespace rechost {

/// What becomes of a loader's values before they are encoded. Each value by itself: the same for training and prediction.
struct Derivation {
  enum class Extract { kNone, kHourOfDay, kDayOfWeek, kDayOfMonth, kMonth, kAge };
  enum class TimeUnit { kSeconds, kMilliseconds, kText };
  enum class Transform { kNone, kSignedLog, kLogSquare };

  // Of a time, in UTC. First of all.
  Extract extract = Extract::kNone;
  TimeUnit unit = TimeUnit::kSeconds;
  double since = 0.0;  ///< kAge: seconds since 1970; the age is in days and may be negative
  // Of a number, after that.
  bool clipped = false;
  double least = 0.0;
  double most = 0.0;
  Transform transform = Transform::kNone;
  bool order_key = false;  ///< becomes the int64 of order_key()

  bool empty() const { return extract == Extract::kNone && !clipped && transform == Transform::kNone && !order_key; }
};

/// Integers that compare like these numbers, which are not NaN; both zeros are one.
std::int64_t order_key(double value);
double value_of_order_key(std::int64_t key);

/// Seconds since 1970 of "2020-01-31", "2020-01-31T12:30", "2020-01-31 12:30:59.25", the last two also with "Z" or an offset such as
/// "+02:00"; without one it is UTC. Nothing for any other text, or a day that the calendar lacks.
std::optional<double> parse_time(std::string_view text);

/// Applies a derivation to columns, one after the other. Reuses its memory: one per column in work at a time.
class DerivedColumn {
 public:
  using Refuse = std::function<void(std::int64_t row, std::string reason)>;

  /// The column after `derivation`: kFloat32 or kInt64, the same rows, lists and missing values. Borrowed from this object and from `column`
  /// until the next call. `refuse` hears of values that cannot be derived from; what stands in their place is 0.
  const ColumnView& derive(const Derivation& derivation, const ColumnView& column, const Refuse& refuse);

 private:
  ColumnView view_;
  std::vector<double> numbers_;
  std::vector<float> floats_;
  std::vector<std::int64_t> integers_;
};

}  // namespace rechost
