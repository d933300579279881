#include "embedding/placement_search.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

/// Of all tables over all ranks. Copies and columns that cannot be cut evenly may ask for more than there is in their share.
struct Score {
  double excess = 0.0;  ///< bytes beyond the limit, over all ranks
  double most = 0.0;    ///< nanoseconds of the rank with most to do
  double mean = 0.0;    ///< of all ranks

  bool better_than(const Score& other) const {
    if (excess != other.excess) return excess < other.excess;
    return weighed() < other.weighed() * (1.0 - 1e-9);
  }

 private:
  /// What is done everywhere for next to no gain is not worth it.
  double weighed() const { return most + 0.05 * mean; }
};

/// Of one table.
bool is_same(ShardChoice a, ShardChoice b) { return a.sharding == b.sharding && (!is_on_some(a.sharding) || a.rank == b.rank); }

/// The tables of one problem, with what they cost.
struct Problem {
  std::vector<TableCost> costs;
  std::vector<bool> free;    ///< may go anywhere
  std::vector<bool> whole;   ///< must be whole, and may be on any rank
  std::int64_t limit = kUnlimited;
  RankLayout ranks = 1;
};

/// An assignment under construction: what every rank does anyway, and what it does more.
class Draft {
 public:
  explicit Draft(const Problem& problem)
      : problem_(problem),
        choices_(problem.costs.size()),
        placed_(problem.costs.size(), false),
        work_(static_cast<std::size_t>(problem.ranks.world_size()), 0.0),
        bytes_(static_cast<std::size_t>(problem.ranks.world_size()), 0) {}

  const std::vector<ShardChoice>& choices() const { return choices_; }
  bool is_placed(std::size_t table) const { return placed_[table]; }

  void place(std::size_t table, ShardChoice choice) { change(table, choice, 1); }
  void remove(std::size_t table) { change(table, choices_[table], -1); }
  void replace(std::size_t table, ShardChoice choice) {
    remove(table);
    place(table, choice);
  }

  /// Whole, where least is to be done and there is room; else where there is most room.
  ShardChoice best_whole(std::size_t table) const {
    const std::int64_t more = problem_.costs[table].holder().bytes;
    std::size_t best = 0;
    bool best_fits = false;
    for (std::size_t rank = 0; rank < work_.size(); ++rank) {
      const bool fits = bytes_[rank] <= problem_.limit - more;
      const bool better = fits != best_fits ? fits : fits ? work_[rank] < work_[best] : bytes_[rank] < bytes_[best];
      if (rank == 0 || better) {
        best = rank;
        best_fits = fits;
      }
    }
    return {Sharding::kTableWise, static_cast<int>(best)};
  }

  /// By ranges of rows on one node, chosen likewise.
  ShardChoice best_node(std::size_t table) const {
    int best = 0;
    bool best_fits = false;
    std::int64_t best_bytes = 0;
    double best_work = 0.0;
    for (int node = 0; node < problem_.ranks.node_count(); ++node) {
      std::int64_t bytes = 0;
      double work = 0.0;
      for (const int rank : problem_.ranks.ranks_of(node)) {
        bytes = std::max(bytes, bytes_[static_cast<std::size_t>(rank)]);
        work = std::max(work, work_[static_cast<std::size_t>(rank)]);
      }
      const bool fits = bytes <= problem_.limit - problem_.costs[table].there(Sharding::kTableRowWise, node).bytes;
      if (node == 0 || (fits != best_fits ? fits : fits ? work < best_work : bytes < best_bytes)) {
        best = node;
        best_fits = fits;
        best_bytes = bytes;
        best_work = work;
      }
    }
    return {Sharding::kTableRowWise, problem_.ranks.ranks_of(best).front()};
  }

  bool has_room_everywhere(std::int64_t more) const {
    return std::all_of(bytes_.begin(), bytes_.end(), [&](std::int64_t bytes) { return bytes <= problem_.limit - more; });
  }
  std::size_t busiest() const { return static_cast<std::size_t>(std::max_element(work_.begin(), work_.end()) - work_.begin()); }

  Score score() const {
    Score score;
    score.most = everybody_ + *std::max_element(work_.begin(), work_.end());
    score.mean = everybody_ + std::accumulate(work_.begin(), work_.end(), 0.0) / static_cast<double>(problem_.ranks.world_size());
    for (const std::int64_t bytes : bytes_) score.excess += static_cast<double>(std::max<std::int64_t>(0, bytes - problem_.limit));
    return score;
  }
  std::int64_t most_bytes() const { return *std::max_element(bytes_.begin(), bytes_.end()); }

 private:
  void change(std::size_t table, ShardChoice choice, int sign) {
    const TableCost& cost = problem_.costs[table];
    if (is_on_some(choice.sharding)) {
      // What all do, but for those nearby.
      const bool one_node = problem_.ranks.node_count() == 1;
      const double far = cost.asking(one_node).nanoseconds;
      everybody_ += sign * far;
      const auto add = [&](int rank) {
        const RankLoad& load = cost.load(choice, rank, problem_.ranks);
        work_[static_cast<std::size_t>(rank)] += sign * (load.nanoseconds - far);
        bytes_[static_cast<std::size_t>(rank)] += sign * load.bytes;
      };
      if (choice.sharding == Sharding::kTableWise && one_node) {
        add(choice.rank);
      } else {
        for (const int rank : problem_.ranks.ranks_of(problem_.ranks.node_of(choice.rank))) add(rank);
      }
    } else {
      everybody_ += sign * cost.each(choice.sharding).nanoseconds;
      for (std::int64_t& bytes : bytes_) bytes += sign * cost.each(choice.sharding).bytes;
    }
    choices_[table] = choice;
    placed_[table] = sign > 0;
  }

  const Problem& problem_;
  std::vector<ShardChoice> choices_;
  std::vector<bool> placed_;
  double everybody_ = 0.0;
  std::vector<double> work_;
  std::vector<std::int64_t> bytes_;
};

/// On all ranks, in the cheapest way for which there is room.
ShardChoice spread(const Problem& problem, const Draft& draft, std::size_t table) {
  const TableCost& cost = problem.costs[table];
  const RankLoad& copied = cost.each(Sharding::kDataParallel);
  const bool copies_are_cheaper = copied.nanoseconds < cost.each(cost.best_parts()).nanoseconds;
  return {copies_are_cheaper && draft.has_room_everywhere(copied.bytes) ? Sharding::kDataParallel : cost.best_parts(), 0};
}

/// Of the free tables in `order` the first `count` over all ranks, or each over those of a node, the others whole.
Draft assign(const Problem& problem, const Draft& fixed, std::span<const std::size_t> order, std::size_t count, bool over_nodes) {
  Draft draft = fixed;
  std::size_t spread_tables = 0;
  for (const std::size_t t : order) {
    if (problem.whole[t] || spread_tables == count) continue;
    draft.place(t, over_nodes ? draft.best_node(t) : spread(problem, draft, t));
    ++spread_tables;
  }
  for (const std::size_t t : order) {
    if (!draft.is_placed(t)) draft.place(t, draft.best_whole(t));
  }
  return draft;
}

/// Whether trying `change` on the draft made it better; undone by the caller if not.
template <typename Change, typename Undo>
bool improves(Draft& draft, Score& score, const Change& change, const Undo& undo) {
  change();
  const Score now = draft.score();
  if (now.better_than(score)) {
    score = now;
    return true;
  }
  undo();
  return false;
}

/// Where else a table could go.
std::vector<ShardChoice> places_of(const Problem& problem, const Draft& draft, std::size_t table) {
  const ShardChoice now = draft.choices()[table];
  std::vector<ShardChoice> places;
  const auto add = [&](ShardChoice place) {
    if (!is_same(place, now)) places.push_back(place);
  };
  if (now.sharding == Sharding::kTableWise) {
    for (int rank = 0; rank < problem.ranks.world_size(); ++rank) add({Sharding::kTableWise, rank});
  } else {
    add(draft.best_whole(table));
  }
  if (problem.whole[table]) return places;
  if (problem.ranks.node_count() > 1) {
    for (int node = 0; node < problem.ranks.node_count(); ++node) add({Sharding::kTableRowWise, problem.ranks.ranks_of(node).front()});
  }
  for (const Sharding sharding : {problem.costs[table].best_parts(), Sharding::kDataParallel}) add({sharding, 0});
  return places;
}

/// One change for the better, or none is left.
bool improve_once(const Problem& problem, Draft& draft, Score& score, std::span<const std::size_t> movable) {
  const auto busiest = static_cast<int>(draft.busiest());
  std::vector<std::size_t> on_busiest;
  for (const std::size_t t : movable) {
    const ShardChoice now = draft.choices()[t];
    if (now.sharding == Sharding::kTableWise && now.rank == busiest) on_busiest.push_back(t);
  }
  for (const std::size_t t : movable) {
    const ShardChoice before = draft.choices()[t];
    const auto back = [&] { draft.replace(t, before); };
    const bool holds = [&] {
      if (!is_on_some(before.sharding)) return true;
      return before.sharding == Sharding::kTableWise ? before.rank == busiest : problem.ranks.node_of(before.rank) == problem.ranks.node_of(busiest);
    }();
    if (!holds && score.excess == 0.0) continue;
    for (const ShardChoice other : places_of(problem, draft, t)) {
      if (improves(draft, score, [&] { draft.replace(t, other); }, back)) return true;
    }
  }
  for (const std::size_t a : on_busiest) {
    for (const std::size_t b : movable) {
      const ShardChoice here = draft.choices()[a];
      const ShardChoice there = draft.choices()[b];
      if (there.sharding != Sharding::kTableWise || there.rank == busiest) continue;
      const auto change = [&] {
        draft.replace(a, there);
        draft.replace(b, here);
      };
      const auto back = [&] {
        draft.replace(a, here);
        draft.replace(b, there);
      };
      if (improves(draft, score, change, back)) return true;
    }
  }
  return false;
}

void improve(const Problem& problem, Draft& draft, std::span<const std::size_t> movable) {
  constexpr int kMostChanges = 64;
  Score score = draft.score();
  for (int change = 0; change < kMostChanges && improve_once(problem, draft, score, movable); ++change) {
  }
}

/// Whether a table is where it was asked to be, as auto and whole ones are not.
bool is_settled(Sharding sharding) { return sharding != Sharding::kAuto && sharding != Sharding::kTableWise; }

std::int64_t default_limit(const Problem& problem) {
  std::int64_t total = 0;
  for (const TableCost& cost : problem.costs) total += cost.holder().bytes;
  const int ranks = problem.ranks.world_size();
  return total / ranks + total / ranks / 2;
}

Draft best_draft(const Problem& problem, const Draft& fixed, const std::vector<std::size_t>& movable) {
  // Small problems are worth more effort: each start is improved, not the best alone.
  constexpr std::size_t kFew = 24;
  std::optional<Draft> best;
  const auto consider = [&](Draft draft) {
    if (movable.size() <= kFew) improve(problem, draft, movable);
    if (!best || draft.score().better_than(best->score())) best.emplace(std::move(draft));
  };
  const auto work = [&](std::size_t t) { return problem.costs[t].holder().nanoseconds - problem.costs[t].asking(true).nanoseconds; };
  const auto bytes = [&](std::size_t t) { return static_cast<double>(problem.costs[t].holder().bytes); };
  std::vector<std::size_t> order = movable;
  for (const bool by_bytes : {false, true}) {
    // Stable: of equal tables the first in the model's order comes first, on every rank.
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return by_bytes ? bytes(a) > bytes(b) : work(a) > work(b); });
    const std::size_t step = std::max<std::size_t>(1, order.size() / 48);
    for (std::size_t count = 0; count <= order.size(); count += step) {
      consider(assign(problem, fixed, order, count, false));
      if (count > 0 && problem.ranks.node_count() > 1) consider(assign(problem, fixed, order, count, true));
    }
  }
  if (movable.size() > kFew) improve(problem, *best, movable);
  return *std::move(best);
}

}  // namespace

std::vector<ShardChoice> choose_shards(std::span<const TableSize> tables, const RankLayout& ranks, std::int64_t bytes_per_rank) {
  Problem problem;
  problem.ranks = ranks;
  const PlacementCosts costs;
  for (const TableSize& table : tables) {
    const bool has_rank = table.rank != TableSize::kAnyRank;
    problem.costs.emplace_back(table, ranks, costs);
    problem.free.push_back(table.sharding == Sharding::kAuto && !has_rank);
    problem.whole.push_back(table.sharding == Sharding::kTableWise && !has_rank);
  }
  problem.limit = bytes_per_rank > 0 ? bytes_per_rank : default_limit(problem);
  Draft fixed(problem);
  std::vector<std::size_t> movable;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    if (tables[t].sharding == Sharding::kTableRowWise) {
      if (tables[t].rank == TableSize::kAnyRank) {
        fixed.place(t, fixed.best_node(t));
      } else {
        fixed.place(t, {Sharding::kTableRowWise, tables[t].rank});
      }
    } else if (is_settled(tables[t].sharding)) {
      fixed.place(t, {tables[t].sharding, 0});
    } else if (!problem.free[t] && !problem.whole[t]) {
      fixed.place(t, {Sharding::kTableWise, tables[t].rank});
    } else {
      movable.push_back(t);
    }
  }
  const Draft best = movable.empty() ? fixed : best_draft(problem, fixed, movable);
  if (bytes_per_rank > 0 && best.most_bytes() > bytes_per_rank) {
    fail<ConfigError>("placement.memory_gib = {:.6g}: the tables do not fit; one of {} ranks would need {:.6g} GiB for its tables and their state: start more ranks, raise the "
                      "limit, or change tables.<name>.sharding and .rank",
                      static_cast<double>(bytes_per_rank) / (1 << 30), ranks.world_size(), static_cast<double>(best.most_bytes()) / (1 << 30));
  }
  return best.choices();
}

std::string where_text(ShardChoice choice, const RankLayout& ranks) {
  const int world_size = ranks.world_size();
  switch (choice.sharding) {
    case Sharding::kRowWise:
      return fmt::format("rows over {} ranks", world_size);
    case Sharding::kRowWiseHash:
      return fmt::format("hashed rows over {} ranks", world_size);
    case Sharding::kColumnWise:
      return fmt::format("columns over {} ranks", world_size);
    case Sharding::kDataParallel:
      return fmt::format("a copy on each of {} ranks", world_size);
    case Sharding::kTableRowWise:
      return fmt::format("rows over the ranks of node {}", ranks.node_of(choice.rank));
    case Sharding::kGrid:
      return fmt::format("columns over {} nodes, rows over the ranks of each", ranks.node_count());
    case Sharding::kAuto:
    case Sharding::kTableWise:
      break;
  }
  return fmt::format("rank {}", choice.rank);
}

std::optional<OtherPlacement> next_best(const Placement& placement, std::span<const TableSize> asked_for, std::int64_t bytes_per_rank, const PlacementCosts& costs) {
  const int ranks = placement.world_size();
  // Everything where it is, but for one table after another.
  std::vector<RankLoad> loads = loads_of(placement, costs);
  std::optional<OtherPlacement> best;
  for (std::size_t t = 0; t < asked_for.size(); ++t) {
    const TableSize& table = asked_for[t];
    if (table.rank != TableSize::kAnyRank || is_settled(table.sharding)) continue;
    const TableCost cost(table, placement.ranks(), costs);
    const RankLayout& layout = placement.ranks();
    const ShardChoice here{placement.sharding(t), placement.first_holder(t)};
    const auto consider = [&](ShardChoice choice) {
      if (is_same(choice, here)) return;
      double most = 0.0;
      for (int rank = 0; rank < ranks; ++rank) {
        const RankLoad& before = cost.load(here, rank, layout);
        const RankLoad& after = cost.load(choice, rank, layout);
        const RankLoad& all = loads[static_cast<std::size_t>(rank)];
        if (bytes_per_rank > 0 && all.bytes - before.bytes + after.bytes > bytes_per_rank) return;
        most = std::max(most, all.nanoseconds - before.nanoseconds + after.nanoseconds);
      }
      if (!best || most < best->nanoseconds) best = OtherPlacement{t, choice, most};
    };
    for (int holder = 0; holder < ranks; ++holder) consider({Sharding::kTableWise, holder});
    if (table.sharding == Sharding::kTableWise) continue;
    for (int node = 0; node < layout.node_count() && layout.node_count() > 1; ++node) consider({Sharding::kTableRowWise, layout.ranks_of(node).front()});
    for (const Sharding sharding : {cost.best_parts(), Sharding::kDataParallel}) consider({sharding, 0});
  }
  return best;
}

}  // namespace rechost
