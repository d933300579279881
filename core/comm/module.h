#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace rechost {

/// What a communicator needs to find its peers.
struct CommunicatorSettings {
  int rank = 0;
  int world_size = 1;
  std::string host;     ///< name of this machine
  std::string address;  ///< of this machine, on the interface that reaches the others
  std::string key;      ///< what only the ranks of the job know; never sent
  /// What each rank has put in, by rank: Job::exchange.
  std::function<std::vector<std::string>(const std::string& own)> exchange;
  /// Of one operation. A dead or silent rank is noticed long before, by the Job; this is for what nobody foresaw.
  std::chrono::milliseconds deadline{std::chrono::minutes(30)};
  bool shared_memory = true;  ///< between ranks of one machine
};

/// The function that a module for ranks exports under kOpenCommunicator, with C linkage. The module belongs to this very build.
using OpenCommunicator = Communicator* (*)(const CommunicatorSettings& settings);
inline constexpr const char* kOpenCommunicator = "rechost_open_communicator";

/// Connects to the peers, all ranks together: by shared memory to those on this machine, by TCP to the others. CommError.
std::unique_ptr<Communicator> open_communicator(const CommunicatorSettings& settings);

/// All by `module` (rechost_nccl.so), opened with symbols of its own. It stays open as long as the process. CommError.
std::unique_ptr<Communicator> open_module_communicator(const std::filesystem::path& module, const CommunicatorSettings& settings);

}  // namespace rechost
