#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "base/json.h"
#include "base/thread_pool.h"
#include "embedding/row_speed.h"

namespace rechost::app {

/// How fast this machine looks up and updates embedding rows. Each kind of row is measured once, at its first use, and kept in
/// machine-speed.json of $XDG_CACHE_HOME/rechost or ~/.cache/rechost; on another machine, or by another build of the program, it is measured again.
class MachineSpeed {
 public:
  /// `threads` of `pool` measure. Borrowed.
  explicit MachineSpeed(ThreadPool& pool);

  const RowSpeed& of_rows(const RowKind& kind);

 private:
  void save() const;

  ThreadPool& pool_;
  std::filesystem::path file_;  ///< empty: there is no place to keep it
  Json known_;
  std::map<std::string, RowSpeed> speeds_;
};

}  // namespace rechost::app
