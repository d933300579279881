#include "data/column_derivation.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "data/column_values.h"

namespace rechost {
namespace {

using Extract = Derivation::Extract;
using TimeUnit = Derivation::TimeUnit;

constexpr double kDaySeconds = 86400.0;
constexpr double kLeastTime = -62135596800.0;  // year 1
constexpr double kMostTime = 253402300799.999;  // year 9999

/// Takes `digits` digits off the front of a text.
bool take_number(std::string_view& text, std::size_t digits, int& number) {
  if (text.size() < digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
  if (error != std::errc{} || end != text.data() + digits || text.front() == '-') return false;
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

bool take_clock(std::string_view& text, double& seconds) {
  int hour = 0;
  int minute = 0;
  int second = 0;
  if (!take_number(text, 2, hour) || !take(text, ':') || !take_number(text, 2, minute)) return false;
  double fraction = 0.0;
  if (take(text, ':')) {
    if (!take_number(text, 2, second)) return false;
    if (take(text, '.')) {
      double scale = 0.1;
      const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
      if (digits == 0) return false;
      for (const char digit : text.substr(0, digits)) {
        fraction += scale * (digit - '0');
        scale /= 10.0;
      }
      text.remove_prefix(digits);
    }
  }
  if (hour > 23 || minute > 59 || second > 60) return false;  // 60: a leap second
  seconds = 3600.0 * hour + 60.0 * minute + second + fraction;
  return true;
}

bool take_offset(std::string_view& text, double& seconds) {
  if (text.empty() || take(text, 'Z')) return true;
  const double sign = text.front() == '-' ? -1.0 : 1.0;
  if (!take(text, '+') && !take(text, '-')) return false;
  int hour = 0;
  int minute = 0;
  if (!take_number(text, 2, hour)) return false;
  take(text, ':');
  if (!text.empty() && !take_number(text, 2, minute)) return false;
  if (hour > 14 || minute > 59) return false;
  seconds = sign * (3600.0 * hour + 60.0 * minute);
  return true;
}

double extract(const Derivation& derivation, double seconds) {
  using namespace std::chrono;
  if (derivation.extract == Extract::kAge) return (seconds - derivation.since) / kDaySeconds;
  const double day = std::floor(seconds / kDaySeconds);
  const sys_days days{std::chrono::days{static_cast<int>(day)}};
  switch (derivation.extract) {
    case Extract::kHourOfDay: return std::floor((seconds - day * kDaySeconds) / 3600.0);
    case Extract::kDayOfWeek: return weekday(days).iso_encoding() - 1.0;
    case Extract::kDayOfMonth: return static_cast<unsigned>(year_month_day(days).day()) - 1.0;
    case Extract::kMonth: return static_cast<unsigned>(year_month_day(days).month()) - 1.0;
    case Extract::kAge:
    case Extract::kNone: break;
  }
  return seconds;
}

double transformed(const Derivation& derivation, double value) {
  if (derivation.clipped) value = std::clamp(value, derivation.least, derivation.most);
  switch (derivation.transform) {
    case Derivation::Transform::kNone: return value;
    case Derivation::Transform::kSignedLog: return std::copysign(std::log1p(std::abs(value)), value);
    case Derivation::Transform::kLogSquare: {
      if (value <= 2.0) return value;
      const double log = std::log(value);
      return std::floor(log * log);
    }
  }
  return value;
}

/// Calls body(row, element) for each element of the rows that are there.
template <typename Body>
void for_each_element(const ColumnView& column, Body&& body) {
  for (std::int64_t row = 0; row < column.rows; ++row) {
    if (!column.valid(row)) continue;
    if (!column.is_list()) {
      body(row, row);
      continue;
    }
    for (std::int64_t element = column.list_begin(row); element < column.list_begin(row + 1); ++element) body(row, element);
  }
}

}  // namespace

std::int64_t order_key(double value) {
  const auto bits = std::bit_cast<std::int64_t>(value + 0.0);  // -0 + 0 is +0
  return bits ^ ((bits >> 63) & std::numeric_limits<std::int64_t>::max());
}

double value_of_order_key(std::int64_t key) {
  return std::bit_cast<double>(key ^ ((key >> 63) & std::numeric_limits<std::int64_t>::max()));
}

std::optional<double> parse_time(std::string_view text) {
  using namespace std::chrono;
  int year = 0;
  int month = 0;
  int day = 0;
  if (!take_number(text, 4, year) || !take(text, '-') || !take_number(text, 2, month) || !take(text, '-') || !take_number(text, 2, day)) return {};
  const year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)), std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return {};
  double clock = 0.0;
  double offset = 0.0;
  if (!text.empty()) {
    if (!take(text, 'T') && !take(text, ' ')) return {};
    if (!take_clock(text, clock) || !take_offset(text, offset) || !text.empty()) return {};
  }
  return kDaySeconds * static_cast<double>(sys_days(date).time_since_epoch().count()) + clock - offset;
}

const ColumnView& DerivedColumn::derive(const Derivation& derivation, const ColumnView& column, const Refuse& refuse) {
  const auto elements = static_cast<std::size_t>(column.is_list() ? column.list_begin(column.rows) : column.rows);
  numbers_.assign(elements, 0.0);
  if (column.type == ValueType::kString) {
    for_each_element(column, [&](std::int64_t row, std::int64_t element) {
      const std::optional<double> time = parse_time(column.string(element));
      if (!time) refuse(row, fmt::format("\"{}\" is not a time such as 2020-01-31T12:30:00Z", column.string(element)));
      numbers_[static_cast<std::size_t>(element)] = time.value_or(0.0);
    });
  } else {
    with_numbers(column, [&](auto read) {
      for_each_element(column, [&](std::int64_t, std::int64_t element) { numbers_[static_cast<std::size_t>(element)] = static_cast<double>(read(element)); });
    });
  }

  if (derivation.extract != Extract::kNone) {
    const bool milliseconds = derivation.unit == TimeUnit::kMilliseconds;
    for_each_element(column, [&](std::int64_t row, std::int64_t element) {
      double& number = numbers_[static_cast<std::size_t>(element)];
      const double seconds = milliseconds ? number / 1000.0 : number;
      if (!(seconds >= kLeastTime && seconds <= kMostTime)) {
        refuse(row, fmt::format("{} is not a time in {} of the years 1 to 9999", number, milliseconds ? "milliseconds" : "seconds"));
        number = 0.0;
        return;
      }
      number = extract(derivation, seconds);
    });
  }
  if (derivation.order_key) {
    for_each_element(column, [&](std::int64_t row, std::int64_t element) {
      double& number = numbers_[static_cast<std::size_t>(element)];
      if (std::isfinite(number)) return;
      refuse(row, fmt::format("{} is not a finite number", number));
      number = 0.0;
    });
  }

  view_ = column;
  view_.value_offset = 0;
  view_.indices = nullptr;  // each element has a value of its own now
  view_.entries = 0;
  const bool whole = derivation.extract != Extract::kNone && derivation.extract != Extract::kAge && !derivation.clipped &&
                     derivation.transform == Derivation::Transform::kNone;
  if (derivation.order_key || whole) {
    integers_.resize(elements);
    std::transform(numbers_.begin(), numbers_.end(), integers_.begin(),
                   [&](double number) { return derivation.order_key ? order_key(number) : static_cast<std::int64_t>(number); });
    view_.type = ValueType::kInt64;
    view_.values = integers_.data();
  } else {
    floats_.resize(elements);
    // Not finite: left to whoever encodes floats, which refuses it by its row.
    std::transform(numbers_.begin(), numbers_.end(), floats_.begin(),
                   [&](double number) { return static_cast<float>(std::isfinite(number) ? transformed(derivation, number) : number); });
    view_.type = ValueType::kFloat32;
    view_.values = floats_.data();
  }
  return view_;
}

}  // namespace rechost
