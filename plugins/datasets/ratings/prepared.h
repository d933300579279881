// From options to interactions with their splits.
#ifndef RECHOST_RATINGS_PREPARED_H
#define RECHOST_RATINGS_PREPARED_H

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "candidates.h"
#include "interactions.h"
#include "rechost/cxx/dataset.hpp"
#include "splits.h"

namespace ratings {

// Everything that the splits of one dataset share.
struct Prepared {
  explicit Prepared(Interactions loaded) : interactions(std::move(loaded)) {}
  Interactions interactions;
  UserOrder order;  // empty unless a split or a history needs it
  std::optional<Candidates> candidates;
  std::uint64_t fingerprint = 0;
};

std::vector<rechost::Option> loader_options();

// Checks that the options make sense together and names the splits that they give. Throws ConfigError.
std::vector<std::string_view> splits_of(const rechost::Config& config);

// Loads the files, or shares what another open split has loaded with the same options. [control]
std::shared_ptr<const Prepared> prepare(const rechost::Config& config);

}  // namespace ratings

#endif  // RECHOST_RATINGS_PREPARED_H
