#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "data/schema.h"
#include "data/source.h"

namespace rechost {

struct VerificationOptions {
  FeatureSettings feature_settings;    ///< [features] of the run that is to use the data
  std::vector<std::string> derived_features;  ///< of those, the ones with a source of another name
  std::int64_t kept = 20;              ///< findings of each kind that are kept, the first in the order of the rows
  std::function<void(std::int64_t chunks, std::int64_t rows)> progress;  ///< after each chunk, one thread at a time; may be empty
};

/// A chunk that cannot be read at all.
struct BrokenChunk {
  std::int64_t chunk = 0;
  std::string reason;  ///< as the loader says it: it names the file
};

/// What is wrong with one split.
struct SplitVerification {
  std::int64_t chunks = 0;
  std::int64_t declared_rows = 0;
  std::int64_t sound_rows = 0;
  std::int64_t bad_rows = 0;
  std::int64_t broken_chunks = 0;
  std::map<std::string, std::int64_t> bad_rows_by_column;  ///< "": the row as a whole
  std::vector<BadRow> first_bad_rows;
  std::vector<BrokenChunk> first_broken_chunks;

  bool sound() const { return bad_rows == 0 && broken_chunks == 0; }
};

/// Reads and encodes every row as a run would, ids that a vocabulary is to learn counted as good, and goes on past whatever is wrong. The
/// result does not depend on the number of threads. Throws ConfigError when the columns and [features] do not fit; what is wrong with the
/// data is in the result.
SplitVerification verify_rows(ChunkSource& source, const VerificationOptions& options, ThreadPool& pool);

}  // namespace rechost
