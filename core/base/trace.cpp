#include "base/trace.h"

#include <chrono>
#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"

namespace rechost {
namespace {

struct Span {
  const char* name;
  std::int64_t begin_ns;
  std::int64_t end_ns;
  std::int64_t step;
  std::int64_t sent_bytes;
  std::int64_t received_bytes;
  int thread;
};

struct Trace {
  std::mutex mutex;
  std::vector<Span> spans;
  std::size_t left_out = 0;
  std::map<int, std::string> thread_names;
};

/// Never destroyed: threads may end after main() has.
Trace& trace() {
  static Trace* const only = new Trace;
  return *only;
}

/// A thread that has nothing to keep leaves nothing behind.
struct TracedThread {
  int number = -1;  ///< in the order in which they first had something to keep
  std::string name;
  bool is_told = false;  ///< the name is in the trace
};

TracedThread& own_thread() {
  thread_local TracedThread own;
  return own;
}

/// Under the trace's lock.
int told_thread(Trace& all) {
  static int next = 0;
  TracedThread& own = own_thread();
  if (own.number < 0) own.number = next++;
  if (!own.is_told) all.thread_names[own.number] = own.name;
  own.is_told = true;
  return own.number;
}

double microseconds(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1000.0; }

std::string metadata_line(const char* kind, int rank, int thread, const std::string& name) {
  return json_line(Json{{"name", kind}, {"ph", "M"}, {"pid", rank}, {"tid", thread}, {"args", {{"name", name}}}});
}

std::string span_line(const Span& span, int rank) {
  Json args = Json::object();
  if (span.step > 0) args["step"] = span.step;
  if (span.sent_bytes >= 0) args["sent_bytes"] = span.sent_bytes;
  if (span.received_bytes >= 0) args["received_bytes"] = span.received_bytes;
  return json_line(Json{{"name", span.name}, {"ph", "X"}, {"ts", microseconds(span.begin_ns)}, {"dur", microseconds(span.end_ns - span.begin_ns)},
                        {"pid", rank}, {"tid", span.thread}, {"args", std::move(args)}});
}

}  // namespace

std::int64_t TraceSpan::now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void TraceSpan::keep() noexcept {
  Span span{name_, begin_ns_, now_ns(), step_, sent_bytes_, received_bytes_, 0};
  Trace& all = trace();
  const std::lock_guard lock(all.mutex);
  try {
    span.thread = told_thread(all);
    if (all.spans.size() < kMostTraceSpans) {
      all.spans.push_back(span);
      return;
    }
  } catch (const std::bad_alloc&) {  // a record is not worth a run
  }
  ++all.left_out;
}

void set_trace_detail(TraceDetail detail) { TraceSpan::kept_detail.store(detail, std::memory_order_relaxed); }

void name_traced_thread(const std::string& name) {
  own_thread().name = name;
  own_thread().is_told = false;
}

std::size_t write_trace(const std::filesystem::path& path, int rank) {
  std::vector<Span> spans;
  std::map<int, std::string> names;
  std::size_t left_out = 0;
  {
    Trace& all = trace();
    const std::lock_guard lock(all.mutex);
    spans.swap(all.spans);
    names = all.thread_names;
    left_out = std::exchange(all.left_out, 0);
  }
  std::string text = "{\"displayTimeUnit\": \"ms\", \"otherData\": " + json_line(Json{{"spans_left_out", left_out}}) + ", \"traceEvents\": [\n";
  text += metadata_line("process_name", rank, 0, fmt::format("rank {}", rank));
  for (const auto& [thread, name] : names) text += ",\n" + metadata_line("thread_name", rank, thread, name);
  for (const Span& span : spans) text += ",\n" + span_line(span, rank);
  text += "\n]}\n";
  std::filesystem::create_directories(path.parent_path());
  write_file_atomically(path, text);
  return left_out;
}

}  // namespace rechost
