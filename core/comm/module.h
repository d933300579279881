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
  std::string address;  ///< of this machine, on the interface that reaches the others
  /// What each rank has put in, by rank: Job::exchange.
  std::function<std::vector<std::string>(const std::string& own)> exchange;
  /// Of one operation. A dead or silent rank is noticed long before, by the Job; this is for what nobody foresaw.
  std::chrono::milliseconds deadline{std::chrono::minutes(30)};
};

/// The function that a communicator module exports under kOpenCommunicator, with C linkage. The module belongs to this very build.
using OpenCommunicator = Communicator* (*)(const CommunicatorSettings& settings);
inline constexpr const char* kOpenCommunicator = "rechost_open_communicator";

/// Opens `module` (such as rechost_gloo.so) with symbols of its own and connects to the peers; all ranks together. The module stays open as
/// long as the process. CommError.
std::unique_ptr<Communicator> open_communicator(const std::filesystem::path& module, const CommunicatorSettings& settings);

}  // namespace rechost
