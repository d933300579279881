// How one column of a shard is stored: the encodings of MDS that are read here, and the values that they decode to.
#ifndef RECHOST_MDS_ENCODING_H
#define RECHOST_MDS_ENCODING_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mds {

// The numbers of NumPy that MDS knows; the values are its codes, which stand in arrays that carry their own type.
enum class Number : std::uint8_t {
  kUint8 = 8,
  kInt8 = 9,
  kUint16 = 16,
  kInt16 = 17,
  kFloat16 = 18,
  kUint32 = 32,
  kInt32 = 33,
  kFloat32 = 34,
  kUint64 = 64,
  kInt64 = 65,
  kFloat64 = 66,
};

std::optional<Number> number_of_code(std::uint8_t code);
std::size_t width_of(Number number);
bool is_integer(Number number);
std::string_view name_of(Number number);

// One number from unaligned bytes, exact where the type allows.
double real_at(Number number, const char* bytes);
// False when the number is an unsigned one beyond int64. For integers only.
bool integer_at(Number number, const char* bytes, std::int64_t& value);

struct Encoding {
  // kJson: one JSON text. kBytes: also images, as they are stored.
  enum class Kind { kNumber, kText, kIntegerText, kRealText, kJson, kBytes, kArray };

  std::string name;                 // as the index has it
  Kind kind = Kind::kBytes;
  std::optional<Number> number{};   // kNumber: always; kArray: where the name says it, so that the payload does not
  std::vector<std::uint64_t> shape{};  // kArray: where the name says it
  std::optional<std::size_t> size{};   // bytes of the payload where it is always the same

  bool operator==(const Encoding& other) const { return name == other.name; }
};

// Throws rechost::DataError for an encoding that does not exist, and for pickles. `column` and `origin` (the index) are
// for the message.
Encoding parse_encoding(const std::string& name, const std::string& column, const std::string& origin);

// The values of one array, still encoded; of several dimensions row by row, as NumPy's reshape(-1) has them.
struct ArrayView {
  Number number = Number::kUint8;
  std::size_t count = 0;
  const char* values = nullptr;
};

// Empty when all is well, else what is wrong with the payload: cut short, of an unknown type, of no dimension.
std::string view_array(const Encoding& encoding, std::string_view payload, ArrayView& view);

}  // namespace mds

#endif  // RECHOST_MDS_ENCODING_H
