#include "comm/handshake.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <fmt/format.h>

#include "base/error.h"
#include "base/hexadecimal.h"

namespace rechost {
std::string random_nonce() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) fail<CommError>("no random bytes: {}", std::strerror(errno));
  return hexadecimal(bytes.data(), bytes.size());
}

std::string proof(std::string_view key, Prover prover, const Nonces& nonces, std::string_view statement) {
  // Lengths first: no two different sets of parts are one text.
  const std::string text = fmt::format("rechost {} {} {}|{} {}|{} {}", prover == Prover::kHost ? "host" : "guest", nonces.guest.size(), nonces.guest,
                                       nonces.host.size(), nonces.host, statement.size(), statement);
  std::array<unsigned char, 32> digest{};
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
           &size) == nullptr ||
      size != digest.size()) {
    fail<CommError>("libcrypto cannot make an HMAC with SHA-256");
  }
  return hexadecimal(digest.data(), digest.size());
}

bool same_proof(std::string_view left, std::string_view right) {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace rechost
