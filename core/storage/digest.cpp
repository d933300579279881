#include "storage/digest.h"

#include <array>
#include <new>

#include <openssl/evp.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/hexadecimal.h"

namespace rechost {

class Digest::State {
 public:
  virtual ~State() = default;
  virtual void add(const void* bytes, std::size_t count) = 0;
  virtual std::string finish() = 0;
};

namespace {

/// One of libcrypto's.
class CryptoDigest final : public Digest::State {
 public:
  explicit CryptoDigest(const char* algorithm) : algorithm_(EVP_MD_fetch(nullptr, algorithm, nullptr)), context_(EVP_MD_CTX_new()) {
    if (algorithm_ == nullptr || context_ == nullptr || EVP_DigestInit_ex(context_, algorithm_, nullptr) != 1) {
      release();
      fail<Error>("libcrypto does not make {} on this machine: set check_hashes = false, or write the data with another hash", algorithm);
    }
  }
  ~CryptoDigest() override { release(); }

  void add(const void* bytes, std::size_t count) override {
    if (EVP_DigestUpdate(context_, bytes, count) != 1) fail<Error>("libcrypto cannot go on with a digest");
  }
  std::string finish() override {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    if (EVP_DigestFinal_ex(context_, digest.data(), &size) != 1) fail<Error>("libcrypto cannot end a digest");
    return hexadecimal(digest.data(), size);
  }

 private:
  void release() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(algorithm_);
  }

  EVP_MD* algorithm_;
  EVP_MD_CTX* context_;
};

/// One of xxHash's streaming states, by its functions.
template <auto Create, auto Free, auto Reset, auto Update, auto Finish>
class XxDigest final : public Digest::State {
 public:
  XxDigest() : state_(Create()) {
    if (state_ == nullptr || Reset(state_) != XXH_OK) {
      Free(state_);
      throw std::bad_alloc();
    }
  }
  ~XxDigest() override { Free(state_); }
  void add(const void* bytes, std::size_t count) override { Update(state_, bytes, count); }
  std::string finish() override { return Finish(state_); }

 private:
  decltype(Create()) state_;
};

XXH_errorcode reset_32(XXH32_state_t* state) { return XXH32_reset(state, 0); }
XXH_errorcode reset_64(XXH64_state_t* state) { return XXH64_reset(state, 0); }
XXH_errorcode reset_three_64(XXH3_state_t* state) { return XXH3_64bits_reset(state); }
XXH_errorcode reset_three_128(XXH3_state_t* state) { return XXH3_128bits_reset(state); }

std::string finish_32(const XXH32_state_t* state) {
  XXH32_canonical_t canonical;
  XXH32_canonicalFromHash(&canonical, XXH32_digest(state));
  return hexadecimal(canonical.digest, sizeof canonical.digest);
}
std::string canonical_64(XXH64_hash_t hash) {
  XXH64_canonical_t canonical;
  XXH64_canonicalFromHash(&canonical, hash);
  return hexadecimal(canonical.digest, sizeof canonical.digest);
}
std::string finish_64(const XXH64_state_t* state) { return canonical_64(XXH64_digest(state)); }
std::string finish_three_64(const XXH3_state_t* state) { return canonical_64(XXH3_64bits_digest(state)); }
std::string finish_three_128(const XXH3_state_t* state) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
  return hexadecimal(canonical.digest, sizeof canonical.digest);
}

struct Known {
  const char* name;
  const char* in_libcrypto;  ///< null: one of xxHash
};

constexpr std::array kKnown{
    Known{"md5", "MD5"},           Known{"sha1", "SHA1"},         Known{"sha224", "SHA224"},       Known{"sha256", "SHA256"},
    Known{"sha384", "SHA384"},     Known{"sha512", "SHA512"},     Known{"sha3_224", "SHA3-224"},   Known{"sha3_256", "SHA3-256"},
    Known{"sha3_384", "SHA3-384"}, Known{"sha3_512", "SHA3-512"}, Known{"blake2b", "BLAKE2B-512"}, Known{"blake2s", "BLAKE2S-256"},
};

std::unique_ptr<Digest::State> make_state(std::string_view name) {
  for (const Known& known : kKnown) {
    if (name == known.name) return std::make_unique<CryptoDigest>(known.in_libcrypto);
  }
  if (name == "xxh32") return std::make_unique<XxDigest<&XXH32_createState, &XXH32_freeState, &reset_32, &XXH32_update, &finish_32>>();
  if (name == "xxh64") return std::make_unique<XxDigest<&XXH64_createState, &XXH64_freeState, &reset_64, &XXH64_update, &finish_64>>();
  if (name == "xxh3_64") {
    return std::make_unique<XxDigest<&XXH3_createState, &XXH3_freeState, &reset_three_64, &XXH3_64bits_update, &finish_three_64>>();
  }
  if (name == "xxh128" || name == "xxh3_128") {
    return std::make_unique<XxDigest<&XXH3_createState, &XXH3_freeState, &reset_three_128, &XXH3_128bits_update, &finish_three_128>>();
  }
  return nullptr;
}

}  // namespace

std::optional<Digest> Digest::named(std::string_view name) {
  std::unique_ptr<State> state = make_state(name);
  if (state == nullptr) return std::nullopt;
  return Digest(std::move(state));
}

Digest::Digest(std::unique_ptr<State> state) : state_(std::move(state)) {}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::add(const void* bytes, std::size_t count) { state_->add(bytes, count); }

std::string Digest::finish() { return state_->finish(); }

}  // namespace rechost
