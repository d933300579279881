#include "base/trace.h"

#include <algorithm>
#include <thread>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/json.h"
#include "core/base/temporary_directory.h"

using namespace rechost;
using rechost::test::TemporaryDirectory;

namespace {

/// What was kept since the last call, by write_trace() and a reader of JSON.
Json written(const TemporaryDirectory& folder, int rank = 0) {
  const auto path = folder / "profile" / "rank.json";
  const std::size_t left_out = write_trace(path, rank);
  Json trace = parse_json(read_file(path), path.string());
  REQUIRE(trace["otherData"]["spans_left_out"] == left_out);
  return trace;
}

std::vector<Json> events(const Json& trace, const std::string& kind) {
  std::vector<Json> found;
  std::copy_if(trace["traceEvents"].begin(), trace["traceEvents"].end(), std::back_inserter(found), [&](const Json& event) { return event["ph"] == kind; });
  return found;
}

/// Records at this detail as long as it lives.
struct Recording {
  explicit Recording(TraceDetail detail) { set_trace_detail(detail); }
  ~Recording() { set_trace_detail(TraceDetail::kNone); }
};

}  // namespace

TEST_CASE("a trace has what was recorded: names, threads, steps, bytes, and spans inside of spans") {
  const TemporaryDirectory folder;
  written(folder);
  {
    const Recording recording(TraceDetail::kSteps);
    TraceSpan outer("outer \"quoted\"", 7);
    outer.set_bytes(10, 0);
    const TraceSpan inner("inner");
    std::thread([] {
      name_traced_thread("helper");
      const TraceSpan span("aside", 8);
    }).join();
  }
  const Json trace = written(folder, 3);
  const std::vector<Json> spans = events(trace, "X");
  REQUIRE(spans.size() == 3);
  const auto named = [&](const char* name) { return *std::find_if(spans.begin(), spans.end(), [&](const Json& span) { return span["name"] == name; }); };
  const Json outer = named("outer \"quoted\"");
  const Json inner = named("inner");
  const Json aside = named("aside");
  CHECK(outer["args"] == Json{{"step", 7}, {"sent_bytes", 10}, {"received_bytes", 0}});
  CHECK(inner["args"] == Json::object());
  CHECK(outer["tid"] == inner["tid"]);
  CHECK(outer["tid"] != aside["tid"]);
  CHECK(outer["ts"] <= inner["ts"]);
  CHECK(outer["ts"].get<double>() + outer["dur"].get<double>() >= inner["ts"].get<double>() + inner["dur"].get<double>());
  for (const Json& span : spans) CHECK(span["pid"] == 3);
  const std::vector<Json> metadata = events(trace, "M");
  const auto says = [&](const char* kind, const std::string& name) {
    return std::any_of(metadata.begin(), metadata.end(), [&](const Json& event) { return event["name"] == kind && event["args"]["name"] == name; });
  };
  CHECK(says("process_name", "rank 3"));
  CHECK(says("thread_name", "helper"));
  CHECK(events(written(folder), "X").empty());
}

TEST_CASE("only the wanted detail is recorded, as it was wanted when a span began") {
  const TemporaryDirectory folder;
  written(folder);
  { const TraceSpan nothing("before"); }
  {
    const Recording recording(TraceDetail::kRun);
    const TraceSpan rare("checkpoint", 0, TraceDetail::kRun);
    const TraceSpan common("lookup");
    set_trace_detail(TraceDetail::kNone);
  }
  { const TraceSpan nothing("after", 0, TraceDetail::kRun); }
  const std::vector<Json> spans = events(written(folder), "X");
  REQUIRE(spans.size() == 1);
  CHECK(spans.front()["name"] == "checkpoint");
}

TEST_CASE("a trace that grows too large leaves the rest out and counts it") {
  const TemporaryDirectory folder;
  written(folder);
  {
    const Recording recording(TraceDetail::kSteps);
    for (std::size_t i = 0; i < kMostTraceSpans + 5; ++i) const TraceSpan span("x");
  }
  CHECK(write_trace(folder / "large.json", 0) == 5);
}
