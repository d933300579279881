#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "comm/communicator.h"
#include "config/sections.h"
#include "launch/process_identity.h"

namespace rechost::app {

/// This process among the ranks of its run. What it says on standard error is warnings and errors unless it leads.
class Ranks {
 public:
  /// Meets the others; a process alone meets nobody. All ranks return together. CommError when some do not come.
  static std::unique_ptr<Ranks> join(const ProcessIdentity& identity, const CommSection& comm);
  virtual ~Ranks() = default;

  virtual Communicator& communicator() = 0;
  /// One more, for use beside the other and as long as this object: what it waits for may take as long as ranks are busy with something else. All ranks
  /// together; not for a process alone.
  virtual Communicator& open_another() = 0;
  int rank() { return communicator().rank(); }
  int world_size() { return communicator().world_size(); }
  /// Rank 0: the one that keeps the run directory and talks.
  bool leads() { return rank() == 0; }

  /// `text` must be the same on all ranks: a ConfigError names the first that differs.
  virtual void require_same(std::string_view what, const std::string& text) = 0;
  /// Tells the others why this rank ends.
  virtual void fail(std::string_view why) = 0;
};

/// What ranks that share more than a guessable job number keep in the file that RECHOST_JOB_SECRET_FILE names; empty: none. ConfigError.
std::string job_secret();

}  // namespace rechost::app
