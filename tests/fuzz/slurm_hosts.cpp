// What Slurm says of hosts and tasks.
#include <string_view>

#include "base/error.h"
#include "fuzzed_file.h"
#include "launch/slurm_hosts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::bytes_of(data, size);
  try {
    rechost::expand_slurm_hosts(text);
  } catch (const rechost::Error&) {
  }
  try {
    rechost::expand_tasks_per_node(text);
  } catch (const rechost::Error&) {
  }
  return 0;
}
