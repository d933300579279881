#include "comm/module.h"

#include <algorithm>

#include <dlfcn.h>

#include "base/error.h"
#include "comm/connections.h"
#include "comm/message_communicator.h"
#include "comm/shared_memory.h"
#include "comm/socket_messages.h"

namespace rechost {
namespace {

void* function_of(const std::filesystem::path& module, const char* name) {
  // RTLD_LOCAL: not one of its symbols may meet those of another library.
  void* const library = dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail<CommError>("cannot open {}, which ranks talk through: {}", module.string(), dlerror());
  void* const function = dlsym(library, name);
  if (function == nullptr) fail<CommError>("{} is not a module of this rechost for messages between ranks: {}", module.string(), dlerror());
  return function;
}

}  // namespace

std::unique_ptr<Communicator> open_communicator(const CommunicatorSettings& settings) {
  std::vector<MessageCommunicator::Route> routes;
  std::vector<int> far;
  for (int rank = 0; rank < settings.world_size; ++rank) far.push_back(rank);
  std::erase(far, settings.rank);
  if (SharedMemory near = open_shared_memory(settings); near.messages != nullptr) {
    std::erase_if(far, [&](int rank) { return std::find(near.ranks.begin(), near.ranks.end(), rank) != near.ranks.end(); });
    routes.push_back({"shared memory", std::move(near.ranks), std::move(near.messages)});
  }
  // Connections are made by all ranks together, as soon as two need them.
  bool needed = false;
  for (const std::string& count : settings.exchange(std::to_string(far.size()))) needed = needed || count != "0";
  if (needed) {
    std::unique_ptr<Messages> messages = open_socket_messages(connect_ranks(settings, far), settings.deadline);
    routes.push_back({"TCP", std::move(far), std::move(messages)});
  }
  return std::make_unique<MessageCommunicator>(settings.rank, settings.world_size, std::move(routes));
}

std::unique_ptr<Communicator> open_module_communicator(const std::filesystem::path& module, const CommunicatorSettings& settings) {
  return std::unique_ptr<Communicator>(reinterpret_cast<OpenCommunicator>(function_of(module, kOpenCommunicator))(settings));
}

}  // namespace rechost
