#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rechost::app {

/// A variable of the process, or nothing when unset. Only this floor reads the environment.
std::optional<std::string> environment_variable(const std::string& name);

/// All of them, as "NAME=value".
std::vector<std::string> all_variables();

/// RECHOST_<SECTION>__<KEY> variables: what the configuration takes from the environment.
std::vector<std::pair<std::string, std::string>> config_variables();

/// Folder of the running program, links resolved.
std::filesystem::path program_directory();

/// share/rechost beside the program: example configs and the plugin template.
std::filesystem::path share_directory();

/// Where plugins are looked for, in order: RECHOST_PLUGIN_PATH (absolute entries), the user's, the machine's, the program's own.
/// Environment and home are ignored when the process runs set-uid.
std::vector<std::filesystem::path> plugin_directories();

/// A module of the program's own that is opened when wanted, such as rechost_nccl.so, in the library folder beside the program.
std::filesystem::path host_module(const std::string& name);

/// The registry: RECHOST_REGISTRY, else $XDG_DATA_HOME/rechost/registry, else ~/.local/share/rechost/registry.
std::filesystem::path registry_directory();

/// LibTorch's OpenMP threads spin while they wait, which takes the cores from the threads that read data: on a busy machine training then
/// runs ten times slower. Not to spin at all costs as much in waking them between the layers of small batches, so they do for half a
/// millisecond or so. libgomp reads OMP_WAIT_POLICY and GOMP_SPINCOUNT when a plugin first loads it, so call this before; values that are
/// set stay.
void keep_openmp_from_spinning();

/// Chunks of data are decoded into memory that is freed and asked for again with every chunk. glibc would give it back to the kernel each time and
/// get it page by page, which took half the time of reading Parquet: keep up to 256 MiB of it. A user's GLIBC_TUNABLES stay what they are.
/// LibTorch is asked to take its large tensors on huge pages: the update reads the gradients of a batch in the order of rows, which halves its time.
/// It reads THP_MEM_ALLOC_ENABLE at its first tensor; a value that is set stays.
void keep_freed_memory();

}  // namespace rechost::app
