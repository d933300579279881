#pragma once

#include <cstdint>
#include <string>

#include "app/setup.h"
#include "base/json.h"
#include "train/model_runtime.h"
#include "train/run_data.h"
#include "train/step_simulation.h"

namespace rechost::app {

/// "nodes=16,ranks=8,within_us=2,within_gb=200,between_us=5,between_gb=40,speed=30"; what is left out is one node, one rank on it, and links and speed as of
/// this machine. Throws UsageError naming the part that is none.
Cluster cluster_from(const std::string& text);

/// Steps of 1, 2, 4, ... nodes up to cluster.nodes, each rank with as many samples as data.batch_size has: an array of objects with `nodes`, `ranks`,
/// `seconds`, `compute_seconds`, `message_seconds`, `byte_seconds`, `samples_per_second`, `efficiency` (beside as many single ranks), `counted_bytes` and
/// `table_bytes` (of the rank with most). `rank_seconds`: what one rank computes beside its tables.
Json simulate_nodes(const Setup& setup, const RunData& data, const ModelRuntime& model, const Cluster& cluster, double rank_seconds);

/// The same for people.
std::string simulation_text(const Json& steps);

}  // namespace rechost::app
