#include "data/sequential_read_ahead.h"

#include <algorithm>
#include <exception>
#include <numeric>

#include "base/log.h"

namespace rechost {

SequentialReadAhead::~SequentialReadAhead() {
  if (next_ == 0 || !source_.remote()) return;
  try {
    source_.read_ahead({});
  } catch (const std::exception& error) {
    log_warning("read ahead: {}", error.what());
  }
}

void SequentialReadAhead::begin(std::int64_t chunk) {
  const std::lock_guard lock(mutex_);  // while the source is told too: it must not hear an older list after a newer one
  if (chunk < next_) return;
  next_ = chunk + 1;
  if (!source_.remote()) return;
  coming_.resize(static_cast<std::size_t>(std::clamp(chunks_ - next_, std::int64_t{0}, kChunksAhead)));
  std::iota(coming_.begin(), coming_.end(), next_);
  source_.read_ahead(coming_);
}

}  // namespace rechost
