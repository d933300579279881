#include "app/error_text.h"

#include <new>
#include <system_error>

namespace rechost::app {

std::string error_text(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return "out of memory: use a smaller batch_size, fewer rows, or data.memory_gib";
  const auto* const of_system = dynamic_cast<const std::system_error*>(&error);
  // A thread's stack is memory too, and the first that a limit refuses.
  if (of_system != nullptr && of_system->code() == std::errc::resource_unavailable_try_again) {
    return "out of memory or of threads: the system starts no more of them for this process; use fewer run.threads, a smaller batch_size, or raise "
           "the limit (ulimit -v, ulimit -u, or that of the container)";
  }
  return error.what();
}

}  // namespace rechost::app
