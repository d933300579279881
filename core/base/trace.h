#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

namespace rechost {

/// What the threads of this process did when: spans of time, kept in memory and written as a Chrome trace (the "Trace Event Format", which
/// chrome://tracing and Perfetto open). One for the process, as the log is.
///
/// kRun keeps what is long and rare (checkpoints, evaluations), kSteps everything.
enum class TraceDetail { kNone, kRun, kSteps };

/// Spans that begin from now on are kept, or not; those under way end as they began. Default: kNone. Any thread.
void set_trace_detail(TraceDetail detail);

/// The calling thread's name in the trace; "" takes it back. Any time, whether something is kept or not.
void name_traced_thread(const std::string& name);

/// A span of the calling thread, from here to the end of the scope. Where it is not kept it costs a load and a comparison.
class TraceSpan {
 public:
  /// `name`: a literal; the trace keeps the pointer. `step`: the number of a training step, from 1; 0: none.
  explicit TraceSpan(const char* name, std::int64_t step = 0, TraceDetail detail = TraceDetail::kSteps) noexcept
      : name_(detail <= kept_detail.load(std::memory_order_relaxed) ? name : nullptr), step_(step) {
    if (name_ != nullptr) begin_ns_ = now_ns();
  }
  ~TraceSpan() {
    if (name_ != nullptr) keep();
  }
  TraceSpan(const TraceSpan&) = delete;  // ends once
  TraceSpan& operator=(const TraceSpan&) = delete;

  /// What went to and came from other ranks meanwhile.
  void set_bytes(std::int64_t sent, std::int64_t received) noexcept {
    sent_bytes_ = sent;
    received_bytes_ = received;
  }

 private:
  friend void set_trace_detail(TraceDetail detail);
  static inline std::atomic<TraceDetail> kept_detail{TraceDetail::kNone};
  static std::int64_t now_ns() noexcept;
  void keep() noexcept;

  const char* name_;
  std::int64_t step_;
  std::int64_t begin_ns_ = 0;
  std::int64_t sent_bytes_ = -1;  ///< none were counted
  std::int64_t received_bytes_ = -1;
};

/// Spans that fit: later ones are counted, and left out. About 40 MB of memory and 130 MB of text.
inline constexpr std::size_t kMostTraceSpans = 1'000'000;

/// Writes what was kept, as of process number `rank`, and forgets it. Times are those of the machine's monotonic clock, so files of ranks on one machine fit
/// together. Returns how many spans did not fit. Makes the folder. Error.
std::size_t write_trace(const std::filesystem::path& path, int rank);

}  // namespace rechost
