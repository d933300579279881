#include "comm/module.h"

#include <dlfcn.h>

#include "base/error.h"

namespace rechost {

std::unique_ptr<Communicator> open_communicator(const std::filesystem::path& module, const CommunicatorSettings& settings) {
  // RTLD_LOCAL: not one of its symbols may meet those of another library.
  void* const library = dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail<CommError>("cannot open {}, which ranks talk through: {}", module.string(), dlerror());
  void* const function = dlsym(library, kOpenCommunicator);
  if (function == nullptr) fail<CommError>("{} is not a communicator of rechost: {}", module.string(), dlerror());
  return std::unique_ptr<Communicator>(reinterpret_cast<OpenCommunicator>(function)(settings));
}

}  // namespace rechost
