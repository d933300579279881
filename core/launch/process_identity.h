#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rechost {

/// Which process of a job this is, as its launcher says in the environment.
struct ProcessIdentity {
  /// "single", "rechost", "torchrun", "ompi", "pmi", "slurm", "env".
  std::string launcher = "single";
  int rank = 0;
  int world_size = 1;
  int local_rank = 0;        ///< among the processes on this machine
  int local_world_size = 1;
  std::string host;          ///< where rank 0 is; empty for one process
  std::vector<int> ports;    ///< where rank 0 listens: on the first that is free
  std::string token;         ///< the same on all ranks of this start, and of no other
  int listener = -1;         ///< descriptor of a socket that rank 0 has inherited, already listening
  std::vector<std::string> because;  ///< "SLURM_PROCID=3": each variable that decided something
};

/// A variable of the environment, or nothing when unset. (Only the app floor reads the environment.)
using ReadVariable = std::function<std::optional<std::string>(const std::string& name)>;

/// Looks for the contracts in this order: RECHOST_RANK, torchrun, Open MPI, PMI (MPICH), a Slurm step, plain RANK and WORLD_SIZE, else a
/// process alone. RECHOST_MASTER_ADDR, RECHOST_MASTER_PORT, MASTER_ADDR and MASTER_PORT say where rank 0 is under any of them. `forced`
/// ("slurm", ...; empty: none) looks at that one only. ConfigError for a contract of which half is missing, with the fix in the text.
ProcessIdentity find_identity(const ReadVariable& read, const std::string& forced = "");

/// First ports to try of a job whose launcher gives none: below the range that the system hands out, from a hash of `job`.
std::vector<int> ports_of_job(const std::string& job);

}  // namespace rechost
