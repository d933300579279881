#pragma once

#include <string>
#include <string_view>

namespace rechost {

/// Two lower-case digits for each byte, without a prefix.
std::string hexadecimal(std::string_view bytes);
inline std::string hexadecimal(const unsigned char* bytes, std::size_t count) {
  return hexadecimal({reinterpret_cast<const char*>(bytes), count});
}

}  // namespace rechost
