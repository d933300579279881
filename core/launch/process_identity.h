#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rechost {

/// Which process of a job this is, as its launcher says in the environment.
struct ProcessIdentity {
  /// One of launcher_names().
  std::string launcher = "single";
  int rank = 0;
  int world_size = 1;
  int local_rank = 0;        ///< among the processes on this machine
  int local_world_size = 1;
  bool one_each = false;     ///< the launcher starts one process on each machine; others start each rank
  /// More than 1: this process is no rank but the agent of its machine (node), which starts the ranks from `rank` on, so many of them.
  int starts = 1;
  std::string host;          ///< where rank 0 is; empty for one process
  std::vector<int> ports;    ///< where rank 0 listens: on the first that is free
  std::string token;         ///< the same on all ranks of this start, and of no other
  int listener = -1;         ///< descriptor of a socket that rank 0 has inherited, already listening
  std::vector<std::string> because;  ///< "SLURM_PROCID=3": each variable that decided something
  std::string warning;               ///< what looks like a mistake and may be none; empty: nothing
};

/// Of a run: placements of tables on more are not chosen in any reasonable time.
inline constexpr int kMostRanks = 4096;

/// A variable of the environment, or nothing when unset. (Only the app floor reads the environment.)
using ReadVariable = std::function<std::optional<std::string>(const std::string& name)>;

/// Looks for the contracts in this order: RECHOST_RANK, torchrun, Open MPI, PMI (MPICH), a Slurm step, Kubeflow's PET_NODE_RANK, plain RANK
/// and WORLD_SIZE, RECHOST_NNODES with JOB_COMPLETION_INDEX (pods of Kubernetes), else a process alone. RECHOST_MASTER_ADDR,
/// RECHOST_MASTER_PORT, MASTER_ADDR and MASTER_PORT say where rank 0 is under any of them. `forced` ("slurm", ...; empty: none) looks at that
/// one only. `processes`: how many the user wants on each machine (--nproc); 0: what the contract says, else 1. ConfigError for a contract of
/// which half is missing or whose halves contradict each other, with the fix in the text.
ProcessIdentity find_identity(const ReadVariable& read, const std::string& forced = "", int processes = 0);

/// "rechost, torchrun, ...": what `forced` may be.
std::string launcher_names();

/// First ports to try of a job whose launcher gives none: below the range that the system hands out, from a hash of `job`.
std::vector<int> ports_of_job(const std::string& job);

}  // namespace rechost
