// Keys of a batch whose parts lie on several ranks, added up on each of them.
#include "train/key_exchange.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <thread>

#include "base/error.h"
#include "core/comm/in_threads.h"

using namespace rechost;
using namespace rechost::test;

namespace {

KeyCounts counts_of(const std::map<std::int64_t, std::int64_t>& keys) {
  KeyCounts counts;
  for (const auto& [key, count] : keys) {
    counts.keys.push_back(key);
    counts.counts.push_back(count);
  }
  return counts;
}

bool equal(const KeyCounts& left, const KeyCounts& right) { return left.keys == right.keys && left.counts == right.counts; }

/// What the rank has in a step; now and then nothing at all.
std::map<std::int64_t, std::int64_t> part_of(int rank, std::int64_t step, std::size_t table) {
  std::mt19937_64 random(static_cast<std::uint64_t>(1 + rank + 100 * step) + 10'000 * table);
  std::map<std::int64_t, std::int64_t> keys;
  const std::uint64_t size = random() % 40;
  for (std::uint64_t i = 0; i < size; ++i) keys[static_cast<std::int64_t>(random() % 50) - 25] += static_cast<std::int64_t>(random() % 3);
  return keys;
}

}  // namespace

TEST_CASE("every rank learns how often each key is in the whole batch") {
  for (const int ranks : {2, 3, 5}) {
    with_tcp(ranks, [ranks](Communicator& all) {
      KeyExchange exchange(all);
      for (std::int64_t step = 7; step < 20; ++step) {
        std::vector<KeyCounts> parts;
        std::vector<KeyCounts> expected;
        for (std::size_t table = 0; table < 2; ++table) {
          parts.push_back(counts_of(part_of(all.rank(), step, table)));
          std::map<std::int64_t, std::int64_t> sum;
          for (int rank = 0; rank < ranks; ++rank) {
            for (const auto& [key, count] : part_of(rank, step, table)) sum[key] += count;
          }
          expected.push_back(counts_of(sum));
        }
        std::vector<KeyCounts> wholes(2);
        exchange.add_up(step, std::vector<const KeyCounts*>{&parts[0], &parts[1]}, wholes);
        if (!equal(wholes[0], expected[0]) || !equal(wholes[1], expected[1])) throw std::runtime_error("another sum in step " + std::to_string(step));
      }
    });
  }
}

TEST_CASE("keys behind a batch that failed are kept from other ranks") {
  with_tcp(2, [](Communicator& all) {
    KeyExchange exchange(all);
    const KeyCounts none;
    std::vector<KeyCounts> wholes(1);
    exchange.add_up(1, std::vector<const KeyCounts*>{&none}, wholes);
    try {
      exchange.add_up(3, std::vector<const KeyCounts*>{&none}, wholes);
    } catch (const CommError& error) {
      if (std::string(error.what()).find("wait for those of step 2") == std::string::npos) throw;
      return;
    }
    throw std::runtime_error("step 3 was told for step 2");
  });
}

TEST_CASE("ranks whose first batches are of two steps do not take one for the other") {
  with_tcp(3, [](Communicator& all) {
    KeyExchange exchange(all);
    const KeyCounts none;
    std::vector<KeyCounts> wholes(1);
    try {
      exchange.add_up(all.rank() == 1 ? 2 : 1, std::vector<const KeyCounts*>{&none}, wholes);
    } catch (const CommError& error) {
      if (std::string(error.what()).find("could not be prepared") == std::string::npos) throw;
      return;
    }
    throw std::runtime_error("keys of two steps were added up");
  });
}

TEST_CASE("a thread that waits for other ranks is let go") {
  std::atomic<bool> over{false};
  std::string what;
  const int port = free_port();
  in_threads(2, [&](int rank) {
    const auto job = Job::join(job_settings(rank, 2, port));
    const auto all = open_communicator(communicator_settings(*job, rank, 2, "host" + std::to_string(rank)));
    while (rank == 1 && !over) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // it has left the loop, but lives
    if (rank == 1) return;
    KeyExchange exchange(*all);
    std::thread waiting([&] {
      try {
        const KeyCounts none;
        std::vector<KeyCounts> wholes(1);
        exchange.add_up(1, std::vector<const KeyCounts*>{&none}, wholes);
      } catch (const CommError& error) {
        what = error.what();
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    exchange.abort();
    waiting.join();
    over = true;
  });
  CHECK_THAT(what, Catch::Contains("ended"));
}
