#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace rechost {

struct SupervisorSettings {
  std::filesystem::path program;           ///< what each process runs ...
  std::vector<std::string> arguments;      ///< ... with these arguments
  std::vector<std::string> environment;    ///< "NAME=value"; what tells each its rank is added
  int processes = 1;
  int first_rank = 0;                      ///< of these processes; the others follow
  int world_size = 1;                      ///< more than `processes`: other machines have the other ranks, and what follows says how they meet
  std::string host;                        ///< where rank 0 is
  int port = 0;                            ///< where it listens
  std::string token;                       ///< the same on all machines
  int restarts = 0;                        ///< times that all processes are started again when one has failed
  const std::atomic<int>* signal = nullptr;  ///< number of a signal that has come, to be handed on; 0: none
};

struct SupervisorResult {
  int code = 0;       ///< of the process that failed first, but for those that lost it; 76 for one that a signal has ended; 0 when all ended with 0
  std::string killed;  ///< "rank 3 (process 712) was ended by signal 9 (Killed)", when that was the first failure; nobody else can say it
};

/// Starts the processes of a job on this machine, as ranks first_rank to first_rank + processes - 1, and waits for all of them. Lines that
/// they write to standard error come out with "[rank] " before them, and what is an error to several ranks in the same words once; those of standard
/// output of rank 0 as they are. When one fails the others are asked to end, and made to after some seconds; one that is stopped (SIGSTOP) is not
/// asked. They end, too, when this process dies.
///
/// Started again are processes of which one failed with anything but 75 (stopped), 2 or 78 (it would fail again), unless a signal has come.
SupervisorResult supervise(const SupervisorSettings& settings);

/// ConfigError when so many processes of rechost on one machine would take more than `memory_bytes` before they read any data.
void require_memory(int processes, std::uint64_t memory_bytes);

/// 128 bits from the system, as text: what nobody guesses.
std::string random_token();

}  // namespace rechost
