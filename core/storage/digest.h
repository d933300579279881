#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace rechost {

/// The digests that an index of a data set may hold for its files, by their names there: all that the writer of MDS offers, which are
/// blake2b, blake2s, md5, sha1, sha224, sha256, sha384, sha512, sha3_224 to sha3_512, xxh32, xxh64, xxh128, xxh3_64 and xxh3_128. Bytes may
/// come in any portions.
class Digest {
 public:
  /// Nothing for a name that is not known here.
  static std::optional<Digest> named(std::string_view name);
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  void add(const void* bytes, std::size_t count);
  /// Lower-case hexadecimal. Nothing may be added afterwards.
  std::string finish();

  class State;

 private:
  explicit Digest(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace rechost
