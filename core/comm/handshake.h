#pragma once

#include <string>
#include <string_view>

namespace rechost {

/// How the two ends of a new connection show each other that they belong to one job, without ever saying what only its ranks know.
/// The one that connects sends a nonce; rank 0 answers with its own and a proof over both; the other proves itself over both and over who it
/// says it is. A proof is HMAC-SHA-256 (RFC 2104), so what was heard on the network is of no use: the next nonces are others.
struct Nonces {
  std::string guest;  ///< of the rank that connects
  std::string host;   ///< of rank 0
};

/// 32 hexadecimal digits that nobody can foresee.
std::string random_nonce();

enum class Prover { kHost, kGuest };

/// 64 hexadecimal digits. `key`: what only the ranks of the job know. `statement`: what the prover says of itself.
std::string proof(std::string_view key, Prover prover, const Nonces& nonces, std::string_view statement);

/// Whether two proofs are the same, in a time that does not tell where they differ.
bool same_proof(std::string_view left, std::string_view right);

}  // namespace rechost
