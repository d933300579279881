#include "encoding.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "rechost/cxx/plugin.hpp"

static_assert(std::endian::native == std::endian::little, "shards are little-endian and read as they are");

namespace mds {
namespace {

struct NumberName {
  Number number;
  std::string_view name;
};
constexpr std::array kNumbers{
    NumberName{Number::kUint8, "uint8"},     NumberName{Number::kInt8, "int8"},       NumberName{Number::kUint16, "uint16"},
    NumberName{Number::kInt16, "int16"},     NumberName{Number::kFloat16, "float16"}, NumberName{Number::kUint32, "uint32"},
    NumberName{Number::kInt32, "int32"},     NumberName{Number::kFloat32, "float32"}, NumberName{Number::kUint64, "uint64"},
    NumberName{Number::kInt64, "int64"},     NumberName{Number::kFloat64, "float64"},
};

std::optional<Number> number_of_name(std::string_view name) {
  for (const NumberName& entry : kNumbers)
    if (entry.name == name) return entry.number;
  return std::nullopt;
}

template <class Value>
Value load(const char* bytes) {
  Value value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// IEEE 754 binary16, which g++ 12 has no portable type for.
double half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  double magnitude;
  if (exponent == 31)
    magnitude = fraction == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  else if (exponent == 0)
    magnitude = std::ldexp(fraction, -24);
  else
    magnitude = std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// "float32" or "float32:2,3", which follow "ndarray:".
void parse_array(std::string_view rest, Encoding& encoding, const std::string& place) {
  const std::size_t colon = rest.find(':');
  encoding.number = number_of_name(rest.substr(0, colon));
  if (!encoding.number) throw rechost::DataError(place + "'" + std::string(rest.substr(0, colon)) + "' is no type of number");
  if (colon == std::string_view::npos) return;
  rest.remove_prefix(colon + 1);
  std::uint64_t bytes = width_of(*encoding.number);
  for (bool more = true; more;) {
    const std::size_t comma = rest.find(',');
    const std::string_view text = rest.substr(0, comma);
    std::uint64_t dimension = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), dimension);
    // A shard is below 4 GiB, so no array in it is larger.
    if (error != std::errc() || end != text.data() + text.size() || dimension == 0 || dimension > UINT32_MAX / bytes)
      throw rechost::DataError(place + "'" + std::string(text) + "' is no size of a dimension");
    bytes *= dimension;
    encoding.shape.push_back(dimension);
    more = comma != std::string_view::npos;
    if (more) rest.remove_prefix(comma + 1);
  }
  encoding.size = bytes;
}

}  // namespace

std::optional<Number> number_of_code(std::uint8_t code) {
  for (const NumberName& entry : kNumbers)
    if (static_cast<std::uint8_t>(entry.number) == code) return entry.number;
  return std::nullopt;
}

std::size_t width_of(Number number) { return static_cast<std::size_t>(number) / 8; }

bool is_integer(Number number) { return number != Number::kFloat16 && number != Number::kFloat32 && number != Number::kFloat64; }

std::string_view name_of(Number number) {
  for (const NumberName& entry : kNumbers)
    if (entry.number == number) return entry.name;
  return "";
}

double real_at(Number number, const char* bytes) {
  switch (number) {
    case Number::kFloat16:
      return half_value(load<std::uint16_t>(bytes));
    case Number::kFloat32:
      return static_cast<double>(load<float>(bytes));
    case Number::kFloat64:
      return load<double>(bytes);
    case Number::kUint64:
      return static_cast<double>(load<std::uint64_t>(bytes));
    default: {
      std::int64_t value = 0;
      integer_at(number, bytes, value);
      return static_cast<double>(value);
    }
  }
}

bool integer_at(Number number, const char* bytes, std::int64_t& value) {
  switch (number) {
    case Number::kUint8:
      value = load<std::uint8_t>(bytes);
      return true;
    case Number::kInt8:
      value = load<std::int8_t>(bytes);
      return true;
    case Number::kUint16:
      value = load<std::uint16_t>(bytes);
      return true;
    case Number::kInt16:
      value = load<std::int16_t>(bytes);
      return true;
    case Number::kUint32:
      value = load<std::uint32_t>(bytes);
      return true;
    case Number::kInt32:
      value = load<std::int32_t>(bytes);
      return true;
    case Number::kUint64: {
      const auto unsigned_value = load<std::uint64_t>(bytes);
      value = static_cast<std::int64_t>(unsigned_value);
      return value >= 0;
    }
    case Number::kInt64:
      value = load<std::int64_t>(bytes);
      return true;
    default:
      return false;
  }
}

Encoding parse_encoding(const std::string& name, const std::string& column, const std::string& origin) {
  const std::string place = "'" + origin + "', column '" + column + "': encoding '" + name + "': ";
  Encoding encoding{.name = name};
  if (const std::optional<Number> number = number_of_name(name == "int" ? "int64" : name)) {
    encoding.kind = Encoding::Kind::kNumber;
    encoding.number = number;
    encoding.size = width_of(*number);
  } else if (name == "str") {
    encoding.kind = Encoding::Kind::kText;
  } else if (name == "str_int") {
    encoding.kind = Encoding::Kind::kIntegerText;
  } else if (name == "str_float" || name == "str_decimal") {
    encoding.kind = Encoding::Kind::kRealText;
  } else if (name == "bytes") {
    encoding.kind = Encoding::Kind::kBytes;
  } else if (name == "ndarray" || name.starts_with("ndarray:")) {
    encoding.kind = Encoding::Kind::kArray;
    if (name != "ndarray") parse_array(std::string_view(name).substr(8), encoding, place);
  } else if (name == "pkl") {
    throw rechost::DataError(place + "a Python pickle runs code when it is read, so it never is; write numbers, texts or arrays");
  } else if (name == "json") {
    encoding.kind = Encoding::Kind::kJson;
  } else {
    static constexpr std::array kImages{"pil", "jpeg", "png", "list[pil]", "list[jpeg]", "list[png]", "jpeg_array", "jpegarray"};
    if (std::find(kImages.begin(), kImages.end(), name) == kImages.end()) throw rechost::DataError(place + "there is no such encoding in MDS version 2");
    encoding.kind = Encoding::Kind::kBytes;
  }
  return encoding;
}

std::string view_array(const Encoding& encoding, std::string_view payload, ArrayView& view) {
  if (encoding.number) {
    view.number = *encoding.number;
  } else {
    if (payload.empty()) return "an array without a type";
    const std::optional<Number> number = number_of_code(static_cast<std::uint8_t>(payload[0]));
    if (!number) return "an array whose type has the unknown code " + std::to_string(static_cast<std::uint8_t>(payload[0]));
    view.number = *number;
    payload.remove_prefix(1);
  }
  std::uint64_t count = 1;
  // A shard is below 4 GiB, so no array in it has more values; past that the product stays where it is.
  const auto multiply = [&count](std::uint64_t dimension) { count = dimension > UINT32_MAX || count * dimension > UINT32_MAX ? UINT32_MAX : count * dimension; };
  for (const std::uint64_t dimension : encoding.shape) multiply(dimension);
  if (encoding.shape.empty()) {
    if (payload.empty()) return "an array without a shape";
    const auto head = static_cast<std::uint8_t>(payload[0]);
    const std::size_t dimensions = head >> 2;
    const std::size_t width = std::size_t{1} << (head & 3);
    if (dimensions == 0) return "an array of no dimension";
    payload.remove_prefix(1);
    if (payload.size() < dimensions * width) return "an array whose shape is cut short";
    for (std::size_t i = 0; i < dimensions; ++i) {
      std::uint64_t dimension = 0;
      std::memcpy(&dimension, payload.data() + i * width, width);
      if (dimension == 0 && dimensions > 1) return "an array with a dimension of 0";
      multiply(dimension);
    }
    payload.remove_prefix(dimensions * width);
  }
  if (count > payload.size() || count * width_of(view.number) != payload.size())
    return "an array of " + std::to_string(count) + " " + std::string(name_of(view.number)) + " in " + std::to_string(payload.size()) + " bytes";
  view.count = count;
  view.values = payload.data();
  return {};
}

}  // namespace mds
