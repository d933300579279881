#include "storage/retry.h"

#include <chrono>

#include <catch2/catch.hpp>

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

const RetrySettings kQuick{.deadline_seconds = 0.3, .first_delay_seconds = 0.01, .longest_delay_seconds = 0.04};

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) { return std::chrono::duration<double>(to - from).count(); }

}  // namespace

TEST_CASE("what may pass is tried again until it has passed") {
  int attempts = 0;
  Retry retry({.deadline_seconds = 60, .first_delay_seconds = 0.001}, "s3://bucket/key", nullptr);
  retry.run([&] {
    if (++attempts < 4) throw TransientFailure("busy");
  });
  CHECK(attempts == 4);
}

TEST_CASE("delays double up to the longest, and none is less than half of what it may be") {
  std::vector<Clock::time_point> times;
  Retry retry({.deadline_seconds = 60, .first_delay_seconds = 0.02, .longest_delay_seconds = 0.08}, "x", nullptr);
  retry.run([&] {
    times.push_back(Clock::now());
    if (times.size() < 6) throw TransientFailure("busy");
  });
  const double least[] = {0.01, 0.02, 0.04, 0.04, 0.04};
  for (std::size_t i = 0; i + 1 < times.size(); ++i) CHECK(seconds_between(times[i], times[i + 1]) >= least[i]);
}

TEST_CASE("a server that says when it is ready is not asked before") {
  std::vector<Clock::time_point> times;
  Retry retry({.deadline_seconds = 60, .first_delay_seconds = 0.001}, "x", nullptr);
  retry.run([&] {
    times.push_back(Clock::now());
    if (times.size() < 2) throw TransientFailure("busy", 0.1);
  });
  CHECK(seconds_between(times[0], times[1]) >= 0.1);
}

TEST_CASE("without progress it is given up, with how often and how long it was tried") {
  int attempts = 0;
  Retry retry(kQuick, "s3://bucket/key", nullptr);
  CHECK_THROWS_WITH(retry.run([&] {
    ++attempts;
    throw TransientFailure("no answer");
  }),
                    Contains("s3://bucket/key: no answer (tried") && Contains("data.remote_deadline_seconds is how long"));
  CHECK(attempts >= 2);
  CHECK_THROWS_AS(Retry(kQuick, "x", nullptr).run([] { throw TransientFailure("no answer"); }), DataError);
}

TEST_CASE("progress begins the deadline anew") {
  const auto begin = Clock::now();
  int pieces = 0;
  Retry retry(kQuick, "x", nullptr);
  retry.run([&] {
    if (seconds_between(begin, Clock::now()) > 2 * kQuick.deadline_seconds) return;
    ++pieces;
    retry.progress();
    throw TransientFailure("cut");
  });
  CHECK(pieces > 5);
}

TEST_CASE("other failures pass at once, and a wait can be ended") {
  int attempts = 0;
  Retry retry(kQuick, "x", nullptr);
  CHECK_THROWS_WITH(retry.run([&] {
    ++attempts;
    fail<DataError>("there is no such file");
  }),
                    "there is no such file");
  CHECK(attempts == 1);
  std::atomic<bool> cancel{false};
  Retry cancelled({.deadline_seconds = 60, .first_delay_seconds = 30}, "x", &cancel);
  CHECK_THROWS_WITH(cancelled.run([&] {
    cancel = true;
    throw TransientFailure("no answer");
  }),
                    "no answer");
}
