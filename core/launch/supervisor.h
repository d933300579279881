#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

namespace rechost {

struct SupervisorSettings {
  std::filesystem::path program;           ///< what each process runs ...
  std::vector<std::string> arguments;      ///< ... with these arguments
  std::vector<std::string> environment;    ///< "NAME=value"; what tells each its rank is added
  int processes = 1;
  const std::atomic<int>* signal = nullptr;  ///< number of a signal that has come, to be handed on; 0: none
};

/// Starts the processes of a job on this machine, as ranks 0 to processes - 1, and waits for all of them. Lines that they write to standard
/// error come out with "[rank] " before them, those of standard output of rank 0 as they are. When one fails the others are asked to end,
/// and made to after some seconds. They end, too, when this process dies.
///
/// Returns the exit code of the process that failed first; 76 for one that a signal has ended; 0 when all ended with 0.
int supervise(const SupervisorSettings& settings);

}  // namespace rechost
