#include "app/placement_report.h"

#include <algorithm>

#include "app/setup.h"
#include "embedding/placement_search.h"

namespace rechost::app {
namespace {

constexpr double kSecondsPerNanosecond = 1e-9;

std::string held_text(const Placement& placement, std::size_t table, int rank) {
  const TableShard& shard = placement.shard(table, rank);
  switch (placement.sharding(table)) {
    case Sharding::kRowWise:
    case Sharding::kTableRowWise:
      return fmt::format("rows {} to {}", shard.places.first, shard.places.end() - 1);
    case Sharding::kRowWiseHash:
      return fmt::format("{} hashed rows", shard.places.count);
    case Sharding::kColumnWise:
      return fmt::format("columns {} to {}", shard.columns.first, shard.columns.first + shard.columns.count - 1);
    case Sharding::kGrid:
      return fmt::format("columns {} to {} of rows {} to {}", shard.columns.first, shard.columns.first + shard.columns.count - 1, shard.places.first, shard.places.end() - 1);
    case Sharding::kDataParallel:
      return "a copy";
    case Sharding::kAuto:
    case Sharding::kTableWise:
      break;
  }
  return "whole";
}

std::string milliseconds(double seconds) { return fmt::format("{:.3f} ms", 1e3 * seconds); }

}  // namespace

double seconds_beside_tables(const StepPlan& step) {
  double tables = 0.0;
  for (const TableTraffic& traffic : step.tables) tables += traffic.lookup + traffic.update;
  return std::max(0.0, step.compute() - tables);
}

Json links_json(const RankLayout& ranks) {
  Json links = Json::object();
  const auto add = [&](const char* name, double nanoseconds) {
    if (nanoseconds > 0.0) links[name] = 1.0 / nanoseconds;
  };
  if (ranks.world_size() > ranks.node_count()) add("within_gb_per_second", ranks.wire().within);
  if (ranks.node_count() > 1) add("between_gb_per_second", ranks.wire().between);
  return links;
}

std::string links_text(const Json& links) {
  std::string text;
  for (const auto& [key, where] : {std::pair("within_gb_per_second", "inside nodes"), std::pair("between_gb_per_second", "between nodes")}) {
    if (links.contains(key)) text += fmt::format("{}{:.3g} GB/s {}", text.empty() ? "" : ", ", links[key].get<double>(), where);
  }
  return text;
}

Json placement_report(const Placement& placement, const std::vector<TableSize>& asked_for, std::int64_t bytes_per_rank, const StepPlan* step) {
  Json report = Json::object();
  report["links"] = links_json(placement.ranks());
  const std::vector<RankLoad> loads = loads_of(placement);
  for (int rank = 0; rank < placement.world_size(); ++rank) {
    const RankLoad& load = loads[static_cast<std::size_t>(rank)];
    Json entry = Json::object();
    entry["rank"] = rank;
    entry["tables"] = Json::object();
    for (std::size_t t = 0; t < placement.table_count(); ++t) {
      if (!placement.shard(t, rank).is_empty()) entry["tables"][placement.tables()[t].name] = held_text(placement, t, rank);
    }
    entry["bytes"] = load.bytes;
    entry["rows_looked_up"] = load.rows;
    entry["exchanged_bytes"] = load.wire_bytes;
    const double seconds = load.nanoseconds * kSecondsPerNanosecond;
    entry["table_seconds"] = seconds;
    if (step != nullptr) entry["step_share"] = seconds / (seconds + seconds_beside_tables(*step));
    report["ranks"].push_back(std::move(entry));
  }
  if (const std::optional<OtherPlacement> other = next_best(placement, asked_for, bytes_per_rank)) {
    report["next_best"] = {{"table", placement.tables()[other->table].name},
                           {"placement", where_text(other->where, placement.ranks())},
                           {"table_seconds", other->nanoseconds * kSecondsPerNanosecond}};
  }
  return report;
}

std::string placement_text(const Json& report) {
  std::string text;
  double longest = 0.0;
  for (const Json& entry : report["ranks"]) {
    const double seconds = entry["table_seconds"];
    longest = std::max(longest, seconds);
    const std::string share = entry.contains("step_share") ? fmt::format(", {:.0f} % of its step", 100.0 * entry["step_share"].get<double>()) : "";
    text += fmt::format("  rank {}: {} of tables and their state; a step looks up {:.0f} rows for all ranks, exchanges {} and takes {} for tables{}\n",
                        entry["rank"].get<int>(), bytes_text(entry["bytes"].get<std::uint64_t>()), entry["rows_looked_up"].get<double>(),
                        bytes_text(static_cast<std::uint64_t>(entry["exchanged_bytes"].get<double>())), milliseconds(seconds), share);
    for (const auto& [table, held] : entry["tables"].items()) text += fmt::format("    {:<24} {}\n", table, held.get<std::string>());
  }
  if (report.contains("next_best")) {
    const Json& other = report["next_best"];
    const double seconds = other["table_seconds"];
    text += fmt::format("  next best: {}: {}, {} for tables ({:+.1f} %)\n", other["table"].get<std::string>(), other["placement"].get<std::string>(),
                        milliseconds(seconds), longest > 0.0 ? 100.0 * (seconds / longest - 1.0) : 0.0);
  }
  text += "  rows are expected from how often values occur in the training data; times are reckoned from the costs in core/embedding/placement_cost.h\n";
  text += fmt::format("  links: {}; runs measure theirs, unless placement.within_gb_per_second and .between_gb_per_second say what they are\n", links_text(report["links"]));
  return text;
}

}  // namespace rechost::app
