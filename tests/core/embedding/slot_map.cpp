// Rows of dynamic tables: who is admitted, who is evicted, and that changes made ahead of the steps come into force with them.
#include "embedding/slot_map.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "base/error.h"
#include "base/philox.h"

using namespace rechost;

namespace {

struct KeyBatch {
  std::int64_t step = 0;
  std::map<std::int64_t, std::int64_t> counts;  ///< by key
};

/// The rules, said as plainly as can be: everything is found by looking at everything.
struct PlainModel {
  struct Entry {
    std::int32_t row = 0;
    std::int64_t count = 0;
    std::int64_t last_step = 0;
    bool operator==(const Entry&) const = default;
  };

  SlotMap::Settings settings;
  std::string table;
  std::int64_t max_keys = 0;
  std::map<std::int64_t, Entry> rows;
  std::map<std::int64_t, Entry> pending;
  KeyedRows::Counters counters;

  bool drawn(std::int64_t key, std::int64_t step, std::int64_t times) const {
    if (settings.admit_probability >= 1.0) return true;
    const Philox random(derive_seed(derive_seed(settings.seed, name_seed(table)), 0x61646d6974));
    const double u = uniform_double(random.word64(static_cast<std::uint64_t>(key), static_cast<std::uint64_t>(step)));
    double no = 1.0;
    for (std::int64_t i = 0; i < times; ++i) no *= 1.0 - settings.admit_probability;
    return u < 1.0 - no;
  }

  /// Multiples of the half life up to a step.
  std::int64_t halvings(std::int64_t step) const { return settings.half_life_steps == 0 ? 0 : step / settings.half_life_steps; }

  std::int64_t left_of(const Entry& entry, std::int64_t step) const {
    std::int64_t count = entry.count;
    for (std::int64_t i = halvings(entry.last_step); i < halvings(step); ++i) count /= 2;
    return count;
  }

  std::map<std::int64_t, Entry>::iterator first_to_go(std::map<std::int64_t, Entry>& from, const KeyBatch& batch, bool by_count) const {
    auto found = from.end();
    for (auto it = from.begin(); it != from.end(); ++it) {
      if (batch.counts.contains(it->first)) continue;
      const auto order = [&](const auto& entry) {
        const double halved = std::ldexp(static_cast<double>(entry->second.count), static_cast<int>(halvings(entry->second.last_step) - halvings(batch.step)));
        return std::tuple(by_count ? halved : 0.0, entry->second.last_step, entry->first);
      };
      if (found == from.end() || order(it) < order(found)) found = it;
    }
    return found;
  }

  /// The row of each key of the batch.
  std::map<std::int64_t, std::int32_t> step(const KeyBatch& batch) {
    std::map<std::int64_t, std::int32_t> result;
    if (settings.max_age_steps > 0) {
      const auto too_old = [&](const auto& entry) { return batch.step - entry.second.last_step > settings.max_age_steps; };
      counters.evictions += static_cast<std::int64_t>(std::erase_if(rows, too_old));
      std::erase_if(pending, too_old);
    }
    for (const auto& [key, count] : batch.counts) {
      counters.ids += count;
      if (!rows.contains(key)) continue;
      rows[key].count = left_of(rows[key], batch.step) + count;
      rows[key].last_step = batch.step;
    }
    for (const auto& [key, count] : batch.counts) {
      if (!rows.contains(key)) admit(key, count, batch);
      result[key] = rows.contains(key) ? rows[key].row : 0;
    }
    return result;
  }

  void admit(std::int64_t key, std::int64_t count, const KeyBatch& batch) {
    const bool was_pending = pending.contains(key);
    const std::int64_t before = was_pending ? left_of(pending[key], batch.step) : 0;
    const std::int64_t enough = before + count - settings.admit_after + 1;  // occurrences that may be admitted
    if (enough >= 1 && drawn(key, batch.step, std::min(count, enough))) {
      pending.erase(key);
      std::set<std::int32_t> taken;
      for (const auto& [other, entry] : rows) taken.insert(entry.row);
      std::int32_t row = 2;
      while (taken.contains(row)) ++row;
      if (static_cast<std::int64_t>(rows.size()) == max_keys) {
        const auto victim = first_to_go(rows, batch, settings.evict == EvictionRule::kFrequency);
        REQUIRE(victim != rows.end());
        row = victim->second.row;
        rows.erase(victim);
        ++counters.evictions;
      }
      rows[key] = {row, before + count, batch.step};
      ++counters.admissions;
      return;
    }
    counters.unadmitted_ids += count;
    if (settings.admit_after <= 1) return;
    if (!was_pending && static_cast<std::int64_t>(pending.size()) == max_keys) {
      const auto oldest = first_to_go(pending, batch, false);
      if (oldest == pending.end()) return;
      pending.erase(oldest);
    }
    pending[key] = {0, before + count, batch.step};
  }
};

std::vector<std::int32_t> assign(SlotMap& map, const KeyBatch& batch, RowChanges& changes) {
  std::vector<std::int64_t> keys;
  std::vector<std::int64_t> counts;
  for (const auto& [key, count] : batch.counts) {
    keys.push_back(key);
    counts.push_back(count);
  }
  std::vector<std::int32_t> rows(keys.size());
  map.assign(batch.step, keys, counts, rows, changes);
  return rows;
}

std::vector<KeyEntry> entries(const KeyArrays& arrays) {
  std::vector<KeyEntry> result;
  for (std::size_t i = 0; i < arrays.size(); ++i) result.push_back(arrays[i]);
  return result;
}

void require_equal(const KeyedRows& state, const PlainModel& model) {
  REQUIRE(state.keys() == static_cast<std::int64_t>(model.rows.size()));
  for (const auto& [key, entry] : model.rows) {
    REQUIRE(state.row_of(key) == entry.row);
    REQUIRE(state.entry_of(entry.row) == KeyEntry{key, entry.count, entry.last_step});
  }
  std::vector<KeyEntry> pending;
  for (const auto& [key, entry] : model.pending) pending.push_back({key, entry.count, entry.last_step});
  REQUIRE(entries(state.pending_arrays()) == pending);
  REQUIRE(state.counters() == model.counters);
}

KeyedRows restored(const KeyedRows& from) {
  KeyedRows state(from.table(), from.max_keys());
  state.restore(from.row_arrays(), from.pending_arrays(), from.counters());
  return state;
}

KeyBatch batch_of(std::int64_t step, std::initializer_list<std::int64_t> ids) {
  KeyBatch batch{step, {}};
  for (const std::int64_t id : ids) ++batch.counts[id];
  return batch;
}

/// A map of two rows, one batch after another: the rows of its keys.
struct SmallTable {
  explicit SmallTable(const SlotMap::Settings& settings, std::int64_t max_keys = 2) : map(settings, KeyedRows("small", max_keys)) {}
  std::vector<std::int32_t> step(std::initializer_list<std::int64_t> ids) { return assign(map, batch_of(++steps, ids), changes); }

  SlotMap map;
  RowChanges changes;
  std::int64_t steps = 0;
};

}  // namespace

TEST_CASE("a new key has the next row, and keeps it") {
  SmallTable table({});
  CHECK(table.step({-7}) == std::vector<std::int32_t>{2});
  CHECK(table.step({-7, 1LL << 62}) == std::vector<std::int32_t>{2, 3});
  CHECK(table.changes.admitted.size() == 1);
  CHECK(table.changes.evicted == 0);
}

TEST_CASE("a full table evicts the key not used for longest") {
  SmallTable table({.evict = EvictionRule::kAge});
  table.step({1, 1, 1});
  table.step({2});
  table.step({2, 2, 2});
  CHECK(table.step({3}) == std::vector<std::int32_t>{2});
  CHECK(table.changes.evicted == 1);
  CHECK(table.map.state().row_of(1) == 0);
  CHECK(table.map.state().row_of(2) == 3);
}

TEST_CASE("a full table evicts the key that came least often") {
  SmallTable table({.evict = EvictionRule::kFrequency});
  table.step({1, 1, 1});
  table.step({2});
  CHECK(table.step({3}) == std::vector<std::int32_t>{3});
  CHECK(table.map.state().row_of(2) == 0);
}

TEST_CASE("a key not seen for too long is forgotten, and the lowest free row goes first") {
  for (const EvictionRule evict : {EvictionRule::kAge, EvictionRule::kFrequency}) {
    SmallTable table({.evict = evict, .max_age_steps = 2}, 4);
    table.step({1, 2, 3});
    table.step({2});
    table.step({3});
    CHECK(table.changes.expired.empty());  // two steps without it are allowed
    CHECK(table.step({3}) == std::vector<std::int32_t>{4});
    CHECK(table.changes.expired == std::vector<std::int32_t>{2});
    CHECK(table.changes.evicted == 1);
    CHECK(table.map.state().row_of(1) == 0);
    CHECK_FALSE(table.map.state().has_key(2));
    CHECK(table.map.state().has_key(3));
    CHECK(table.step({1, 5}) == std::vector<std::int32_t>{2, 3});  // key 2 has gone as well
    CHECK(table.map.state().keys() == 3);
    CHECK(table.map.state().entry_of(2) == KeyEntry{1, 1, 5});
  }
}

TEST_CASE("a key that comes again after its age limit is new") {
  SmallTable table({.admit_after = 2, .max_age_steps = 1});
  CHECK(table.step({7}) == std::vector<std::int32_t>{0});
  table.step({});
  CHECK(table.step({7}) == std::vector<std::int32_t>{0});  // its first occurrence is forgotten
  CHECK(table.step({7}) == std::vector<std::int32_t>{2});
}

TEST_CASE("a free row is written down, and given again after a resume") {
  SmallTable table({.max_age_steps = 1}, 3);
  table.step({1, 2, 3});
  table.step({3});
  table.step({3});
  const KeyArrays rows = table.map.state().row_arrays();
  CHECK(rows.keys == std::vector<std::int64_t>{kMissingKey, kMissingKey, 3});
  CHECK(rows.last_steps == std::vector<std::int64_t>{0, 0, 3});
  SlotMap again({.max_age_steps = 1}, restored(table.map.state()));
  RowChanges changes;
  CHECK(assign(again, batch_of(4, {3, 9}), changes) == std::vector<std::int32_t>{4, 2});
}

TEST_CASE("old occurrences count half after each half life") {
  SmallTable table({.evict = EvictionRule::kFrequency, .half_life_steps = 4});
  table.step({1, 1, 1, 1, 1});  // 5, halved at steps 4 and 8
  table.step({2});
  for (int i = 0; i < 5; ++i) table.step({});
  CHECK(table.step({2, 2}) == std::vector<std::int32_t>{3});  // step 8: 1/4 of 1 is nothing, and 2
  CHECK(table.map.state().entry_of(3).count == 2);
  CHECK(table.step({3}) == std::vector<std::int32_t>{2});  // 5/4 are fewer than 2
  SmallTable rare({.admit_after = 3, .half_life_steps = 2});
  rare.step({1, 1});
  CHECK(rare.step({1}) == std::vector<std::int32_t>{0});  // 1 is left of 2
}

TEST_CASE("a key of the batch is not evicted by it, and a batch with too many says so") {
  SmallTable table({});
  table.step({1});
  table.step({2});
  CHECK(table.step({1, 3}) == std::vector<std::int32_t>{2, 3});
  REQUIRE_THROWS_AS(table.step({4, 5, 6}), DataError);
  REQUIRE_THROWS_WITH(table.step({1}), Catch::Contains("could not be given in step 4"));
  SmallTable other({});
  REQUIRE_THROWS_WITH(other.step({4, 5, 6}), Catch::Contains("step 1") && Catch::Contains("\"small\" than the 2 that fit it: raise max_rows"));
}

TEST_CASE("a key waits until it has occurred often enough") {
  SmallTable table({.admit_after = 3});
  CHECK(table.step({5}) == std::vector<std::int32_t>{0});
  CHECK(table.changes.unadmitted_ids == 1);
  CHECK(table.step({6}) == std::vector<std::int32_t>{0});
  CHECK(table.step({5, 5}) == std::vector<std::int32_t>{2});
  CHECK(table.map.state().entry_of(2) == KeyEntry{5, 3, 3});
  CHECK(entries(table.map.state().pending_arrays()) == std::vector<KeyEntry>{{6, 1, 2}});
}

TEST_CASE("of rare keys the share that is admitted is the probability") {
  SmallTable table({.admit_probability = 0.25}, 100'000);
  std::int64_t admitted = 0;
  constexpr std::int64_t kKeys = 40'000;
  for (std::int64_t key = 0; key < kKeys; ++key) admitted += table.step({key}).front() != 0;
  CHECK(static_cast<double>(admitted) / kKeys == Approx(0.25).margin(0.01));
}

TEST_CASE("random traces go as the plain model says, in flight and resumed") {
  const auto seed = GENERATE(range(1, 41));
  INFO("seed " << seed);
  std::mt19937_64 random(static_cast<std::uint64_t>(seed));
  const auto below = [&random](std::int64_t n) { return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n)); };
  SlotMap::Settings settings;
  settings.admit_after = 1 + below(4);
  settings.admit_probability = below(2) == 0 ? 1.0 : 0.3;
  settings.evict = below(2) == 0 ? EvictionRule::kAge : EvictionRule::kFrequency;
  settings.max_age_steps = below(2) == 0 ? 0 : 1 + below(8);
  settings.half_life_steps = below(2) == 0 ? 0 : 1 + below(20);
  settings.seed = static_cast<std::uint64_t>(seed);
  const std::int64_t max_keys = 1 + below(60);
  const std::int64_t most_ahead = below(6);
  PlainModel model{.settings = settings, .table = "trace", .max_keys = max_keys, .rows = {}, .pending = {}, .counters = {}};
  KeyedRows applied("trace", max_keys);
  auto map = std::make_unique<SlotMap>(settings, applied);

  struct InFlight {
    KeyBatch batch;
    RowChanges changes;
    PlainModel after;
  };
  std::deque<InFlight> in_flight;
  for (std::int64_t step = 1; step <= 300; ++step) {
    InFlight made{{step, {}}, {}, {}};
    const std::int64_t distinct = below(max_keys + 1);
    while (static_cast<std::int64_t>(made.batch.counts.size()) < distinct) {
      // Half of them from few keys, far apart and near.
      const std::int64_t key = below(2) == 0 ? below(max_keys) : (below(500) - 250) * 0x0123456789abLL;
      made.batch.counts[key] += 1 + below(3);
    }
    const auto expected = model.step(made.batch);
    const auto rows = assign(*map, made.batch, made.changes);
    std::size_t i = 0;
    for (const auto& [key, row] : expected) REQUIRE(rows[i++] == row);
    require_equal(map->state(), model);
    made.after = model;
    in_flight.push_back(std::move(made));
    while (static_cast<std::int64_t>(in_flight.size()) > most_ahead) {
      applied.apply(in_flight.front().changes);
      require_equal(applied, in_flight.front().after);
      in_flight.pop_front();
    }
    if (below(50) != 0) continue;
    // Killed and resumed: what was in flight is prepared again.
    applied = restored(applied);
    map = std::make_unique<SlotMap>(settings, applied);
    for (InFlight& again : in_flight) {
      assign(*map, again.batch, again.changes);
      require_equal(map->state(), again.after);
    }
  }
}

TEST_CASE("keys that cannot be are not restored") {
  KeyedRows state("user", 2);
  const KeyArrays good{{4, 5}, {1, 2}, {1, 1}};
  state.restore(good, {}, {});
  CHECK(state.row_of(5) == 3);
  CHECK_THROWS_WITH(state.restore({{4, 4}, {1, 1}, {1, 1}}, {}, {}), Catch::Contains("table \"user\": admitted key 4 is there twice"));
  CHECK_THROWS_WITH(state.restore({{4}, {0}, {1}}, {}, {}), Catch::Contains("admitted key 4 with count 0"));
  CHECK_THROWS_WITH(state.restore({}, {{kMissingKey}, {0}, {0}}, {}), Catch::Contains("pending key"));
  CHECK_THROWS_WITH(state.restore({{1, 2, 3}, {1, 1, 1}, {1, 1, 1}}, {}, {}), Catch::Contains("3 admitted keys"));
  CHECK_THROWS_WITH(state.restore({}, {{1}, {1, 1}, {1}}, {}), Catch::Contains("1 pending keys, 2 counts"));
  CHECK(state.row_of(5) == 3);
}
