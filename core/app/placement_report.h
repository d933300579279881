#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "embedding/placement.h"
#include "train/step_plan.h"

namespace rechost::app {

/// What a rank computes in a step beside its tables.
double seconds_beside_tables(const StepPlan& step);

/// How fast ranks reach one another, as the placement was reckoned with: `within_gb_per_second`, `between_gb_per_second`, where there are such ranks and it
/// is known.
Json links_json(const RankLayout& ranks);
/// Empty where nothing is known.
std::string links_text(const Json& links);

/// What each rank would hold and do, and what would be the next best. `asked_for`: the tables as they were before anybody chose a place for them.
/// `step`: of a rank, without its exchange with others; null: not measured.
///
/// An object with `links`; `ranks`, each with `rank`, `tables` (an object of name and rows or columns that it holds), `bytes`, `rows_looked_up`, `exchanged_bytes`
/// and `table_seconds` a step, with a measured step `step_share` as well; and `next_best`, where some table's place is free: `table`, `placement`,
/// `table_seconds`.
Json placement_report(const Placement& placement, const std::vector<TableSize>& asked_for, std::int64_t bytes_per_rank, const StepPlan* step);

/// The same for people, some lines.
std::string placement_text(const Json& report);

}  // namespace rechost::app
