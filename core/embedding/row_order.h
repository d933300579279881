#pragma once

#include <cstdint>

namespace rechost {

/// In which order the rows of a table are cut into parts: as they are numbered, or scattered. Values that are frequent often have neighbouring
/// numbers (a vocabulary numbers the most frequent first), and a part made of neighbours would have all the work.
class RowOrder {
 public:
  /// As they are numbered.
  RowOrder() = default;

  /// Row r goes to place r * m mod rows, m the number coprime to `rows` that is nearest below its golden section: multiplicative hashing (Knuth, The
  /// Art of Computer Programming 3, section 6.4), which lays any run of neighbours out evenly. It needs no memory and has an inverse. `rows` >= 1 and
  /// below 2^31.
  static RowOrder scattered(std::int64_t rows);

  bool as_numbered() const { return modulus_ == 0; }
  // Inlined always: loops of several instruction sets use them, and one must not run another's copy.
  [[gnu::always_inline]] std::int64_t place_of(std::int64_t row) const { return modulus_ == 0 ? row : row * multiplier_ % modulus_; }
  [[gnu::always_inline]] std::int64_t row_at(std::int64_t place) const { return modulus_ == 0 ? place : place * inverse_ % modulus_; }

 private:
  std::int64_t modulus_ = 0;  ///< 0: as they are numbered
  std::int64_t multiplier_ = 1;
  std::int64_t inverse_ = 1;
};

}  // namespace rechost
