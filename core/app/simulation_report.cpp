#include "app/simulation_report.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "app/command.h"
#include "base/error.h"
#include "base/log.h"
#include "embedding/embedding_tables.h"
#include "launch/process_identity.h"
#include "train/row_traffic.h"
#include "train/table_survey.h"

namespace rechost::app {
namespace {

// By bench_comm, all-to-all of 2 and 4 ranks on an idle virtual machine with two cores (core/comm/SCALING.md).
constexpr Link kSharedMemory{10e-6, 2.7e9};
constexpr Link kTcp{40e-6, 0.87e9};

double positive(const std::string& part, const std::string& value) {
  std::size_t used = 0;
  double number = 0.0;
  try {
    number = std::stod(value, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != value.size() || !(number > 0.0) || !std::isfinite(number)) throw UsageError(fmt::format("--simulate: \"{}\" wants a number above 0", part));
  return number;
}

int whole(const std::string& part, double number, int most) {
  if (number != std::floor(number) || number > most) throw UsageError(fmt::format("--simulate: \"{}\" wants a whole number, at most {}", part, most));
  return static_cast<int>(number);
}

/// As Placement wants them for so many ranks.
std::vector<TableSize> sizes_for(const Setup& setup, const RunData& data, const ModelRuntime& model, int ranks) {
  const EmbeddingTables& tables = model.tables();
  std::vector<TableConfig> configs;
  for (std::size_t t = 0; t < tables.table_count(); ++t) configs.push_back(tables.table(t));
  std::vector<TableSize> sizes = table_sizes(configs);
  for (std::size_t t = 0; t < sizes.size(); ++t) {
    const Vocabulary* const vocabulary = vocabulary_of_table(model, *data.prepared.vocabularies, t);
    const RowCounts* const counts = vocabulary == nullptr ? nullptr : &vocabulary->counts();
    const double samples = static_cast<double>(data.prepared.train->samples());
    const double counted = counts == nullptr ? 0.0 : static_cast<double>(counts->total()) / samples;
    const auto batch = static_cast<double>(setup.config.data.batch_size) * ranks;
    sizes[t].traffic = expected_traffic(counted > 0.0 ? counts : nullptr, sizes[t].rows, batch * (counted > 0.0 ? counted : 1.0), ranks);
  }
  return sizes;
}

}  // namespace

Cluster cluster_from(const std::string& text) {
  constexpr int kMostNodes = 4096;
  Cluster cluster;
  cluster.within = kSharedMemory;
  cluster.between = kTcp;
  std::istringstream parts(text);
  std::set<std::string> said;
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t sign = part.find('=');
    const std::string key = part.substr(0, sign);
    const double number = positive(part, sign == std::string::npos ? "" : part.substr(sign + 1));
    if (!said.insert(key).second) throw UsageError(fmt::format("--simulate: \"{}\" is there twice", key));
    if (key == "nodes") {
      cluster.nodes = whole(part, number, kMostNodes);
    } else if (key == "ranks") {
      cluster.ranks_per_node = whole(part, number, kMostRanks);
    } else if (key == "within_us") {
      cluster.within.message_seconds = 1e-6 * number;
    } else if (key == "within_gb") {
      cluster.within.bytes_per_second = 1e9 * number;
    } else if (key == "between_us") {
      cluster.between.message_seconds = 1e-6 * number;
    } else if (key == "between_gb") {
      cluster.between.bytes_per_second = 1e9 * number;
    } else if (key == "speed") {
      cluster.speed = number;
    } else {
      throw UsageError(fmt::format("--simulate: \"{}\" is none of nodes, ranks, within_us, within_gb, between_us, between_gb and speed", part));
    }
  }
  if (static_cast<std::int64_t>(cluster.nodes) * cluster.ranks_per_node > kMostRanks) {
    throw UsageError(fmt::format("--simulate: {} nodes of {} ranks are more than {} ranks", cluster.nodes, cluster.ranks_per_node, kMostRanks));
  }
  return cluster;
}

Json simulate_nodes(const Setup& setup, const RunData& data, const ModelRuntime& model, const Cluster& cluster, double rank_seconds) {
  const StepShape shape{.seconds = rank_seconds, .dense_parameters = static_cast<std::int64_t>(model.dense().count())};
  const auto samples = static_cast<double>(setup.config.data.batch_size);
  if (setup.config.placement.ranks_per_node > 0 && setup.config.placement.ranks_per_node != cluster.ranks_per_node) {
    fail<ConfigError>("placement.ranks_per_node = {}, but --simulate is to have {} ranks on a node: leave the setting out, or say ranks={}",
                      setup.config.placement.ranks_per_node, cluster.ranks_per_node, setup.config.placement.ranks_per_node);
  }
  const auto simulate = [&](int nodes, int ranks_per_node) {
    Cluster part = cluster;
    part.nodes = nodes;
    part.ranks_per_node = ranks_per_node;
    RankLayout layout(part.ranks(), ranks_per_node);
    // Sent and received go at once; to other nodes, those of all ranks of a node.
    layout.set_wire({0.5e9 / part.within.bytes_per_second, 0.5e9 * ranks_per_node / part.between.bytes_per_second});
    std::vector<TableSize> sizes = sizes_for(setup, data, model, part.ranks());
    const bool alone = part.ranks() == 1;
    if (alone) {  // what others are compared with, whatever it has room for
      for (TableSize& size : sizes) size.rank = TableSize::kAnyRank;
    }
    const Placement placement(std::move(sizes), layout, alone ? 0 : setup.config.placement.bytes_per_rank());
    const SimulatedStep step = simulate_step(placement, part, shape);
    std::int64_t bytes = 0;
    for (int rank = 0; rank < part.ranks(); ++rank) bytes = std::max(bytes, placement.bytes(rank));
    Json line = Json::object();
    line["nodes"] = nodes;
    line["ranks"] = part.ranks();
    line["seconds"] = step.seconds;
    line["compute_seconds"] = step.compute;
    line["message_seconds"] = step.messages;
    line["byte_seconds"] = step.bytes;
    line["samples_per_second"] = samples * part.ranks() / step.seconds;
    line["counted_bytes"] = step.counted_bytes;
    line["table_bytes"] = bytes;
    return line;
  };
  const double alone = simulate(1, 1)["samples_per_second"];
  Json steps = Json::array();
  for (int nodes = 1;; nodes = std::min(2 * nodes, cluster.nodes)) {
    try {
      Json line = simulate(nodes, cluster.ranks_per_node);
      line["efficiency"] = line["samples_per_second"].get<double>() / (alone * line["ranks"].get<double>());
      steps.push_back(std::move(line));
    } catch (const ConfigError& error) {
      // On the way to what was asked for.
      if (nodes == cluster.nodes) throw;
      log_info("left out, as {} nodes are too few: {}", nodes, error.what());
    }
    if (nodes == cluster.nodes) break;
  }
  return steps;
}

std::string simulation_text(const Json& steps) {
  std::string text = fmt::format("{:>6} {:>6} {:>12} {:>12} {:>12} {:>12} {:>16} {:>10} {:>12}\n", "nodes", "ranks", "step ms", "compute ms", "messages ms", "bytes ms", "samples/s", "efficiency",
                                 "tables/rank");
  for (const Json& step : steps) {
    const auto milliseconds = [&](const char* key) { return 1e3 * step[key].get<double>(); };
    text += fmt::format("{:>6} {:>6} {:>12.3f} {:>12.3f} {:>12.3f} {:>12.3f} {:>16} {:>9.0f}% {:>12}\n", step["nodes"].get<int>(), step["ranks"].get<int>(), milliseconds("seconds"),
                        milliseconds("compute_seconds"), milliseconds("message_seconds"), milliseconds("byte_seconds"),
                        count_text(static_cast<std::int64_t>(step["samples_per_second"].get<double>())), 100.0 * step["efficiency"].get<double>(),
                        bytes_text(step["table_bytes"].get<std::uint64_t>()));
  }
  return text + "messages, bytes: by how much shorter steps would be if a message cost nothing but its bytes, or bytes took no time\n";
}

}  // namespace rechost::app
