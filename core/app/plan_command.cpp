#include "app/plan_command.h"

#include "app/command.h"
#include "app/compute_device.h"
#include "app/config_options.h"
#include "app/machine_speed.h"
#include "app/link_probe.h"
#include "app/placement_report.h"
#include "app/simulation_report.h"
#include "base/error.h"
#include "base/host.h"
#include "base/json.h"
#include "embedding/table_storage.h"
#include "launch/process_identity.h"
#include "train/memory_plan.h"
#include "train/slice_plan.h"
#include "train/step_plan.h"

namespace rechost::app {

namespace options = boost::program_options;

namespace {

Json table_list(const ModelRuntime& model, const std::vector<TableSize>& sizes, const Placement& placement) {
  const EmbeddingTables& tables = model.tables();
  Json list = Json::array();
  for (std::size_t i = 0; i < tables.table_count(); ++i) {
    const TableConfig& table = tables.table(i);
    Json entry = Json::object();
    entry["table"] = table.name;
    entry["rows"] = table.rows;
    entry["dim"] = table.dim;
    entry["precision"] = row_precision_name(table.precision);
    entry["optimizer"] = optimizer_name(table.optimizer.kind);
    entry["state_floats_per_row"] = tables.state_floats_per_row(i);
    entry["bytes"] = table.rows * sizes[i].bytes_per_row;
    if (table.in_file()) {
      const TableBytes bytes = table_bytes(table);
      entry["file"] = {{"directory", table.file_directory.string()}, {"bytes", bytes.file}, {"memory_bytes", bytes.memory}, {"cached_rows", cached_rows(table)}};
    }
    entry["placement"] = placement.describe(i);
    if (const KeyedRows* const keys = model.dynamic().keys_of(i)) entry["max_keys"] = keys->max_keys();
    list.push_back(std::move(entry));
  }
  return list;
}

/// A lookup reads a row, and an update reads and writes one with its state.
double bytes_of_use(const TableConfig& table, const TableSize& size) { return static_cast<double>(table.dim * value_bytes(table.precision) + 2 * size.bytes_per_row); }

/// At most one row per id.
std::uint64_t most_bytes_per_step(const ModelRuntime& model, const std::vector<TableSize>& sizes, std::int64_t batch_size) {
  double row_bytes = 0.0;
  for (const ModelSpec::Embedding& embedding : model.spec().embeddings) {
    row_bytes += bytes_of_use(model.tables().table(embedding.table), sizes[embedding.table]);
  }
  return static_cast<std::uint64_t>(row_bytes * static_cast<double>(batch_size));
}

/// What the distinct rows of the measured batches are.
std::uint64_t bytes_of(const StepPlan& plan, const EmbeddingTables& tables, const std::vector<TableSize>& sizes) {
  double bytes = 0.0;
  for (std::size_t t = 0; t < plan.tables.size(); ++t) bytes += plan.tables[t].distinct * bytes_of_use(tables.table(t), sizes[t]);
  return static_cast<std::uint64_t>(bytes);
}

Json step_json(const StepPlan& plan, const EmbeddingTables& tables, const std::vector<TableSize>& sizes, int ranks) {
  Json step = Json::object();
  step["seconds"] = plan.seconds;
  step["samples_per_second"] = static_cast<double>(plan.samples) * ranks / plan.seconds;
  step["bound_by"] = plan.bound;
  step["time"] = {{"data", plan.data}, {"lookup", plan.lookup}, {"model", plan.model}, {"update", plan.update}, {"other", plan.other}};
  step["table_bytes"] = bytes_of(plan, tables, sizes);
  for (std::size_t t = 0; t < plan.tables.size(); ++t) {
    const TableTraffic& traffic = plan.tables[t];
    step["tables"].push_back({{"table", tables.table(t).name}, {"ids", traffic.ids}, {"distinct_rows", traffic.distinct}, {"lookup", traffic.lookup}, {"update", traffic.update}});
    if (!tables.table(t).in_file()) continue;
    const FileRowSpeed& speed = traffic.file_speed;
    step["tables"].back()["file"] = {{"missing_rows", traffic.misses}, {"seconds", traffic.file}, {"nanoseconds_per_row", {{"cached", speed.cached}, {"in_pages", speed.in_pages}, {"on_disk", speed.on_disk}}}};
  }
  return step;
}

std::string time_text(double seconds) { return seconds < 0.01 ? fmt::format("{:.0f} us", 1e6 * seconds) : fmt::format("{:.1f} ms", 1e3 * seconds); }

void print_tables(const Json& list) {
  print(fmt::format("{:<24} {:>14} {:>6} {:>5}  {:<16} {:>10}  {}\n", "table", "rows", "dim", "", "optimizer", "memory", "placement"));
  for (const Json& entry : list) {
    print(fmt::format("{:<24} {:>14} {:>6} {:>5}  {:<16} {:>10}  {}\n", entry["table"].get<std::string>(), count_text(entry["rows"].get<std::int64_t>()),
                      entry["dim"].get<std::int64_t>(), entry["precision"].get<std::string>(), entry["optimizer"].get<std::string>(), bytes_text(entry["bytes"].get<std::uint64_t>()),
                      entry["placement"].get<std::string>()));
  }
  for (const Json& entry : list) {
    if (!entry.contains("file")) continue;
    const Json& file = entry["file"];
    print(fmt::format("\n\"{}\" lies in a file: {} in {}; {} in memory, with {} of its rows\n", entry["table"].get<std::string>(), bytes_text(file["bytes"].get<std::uint64_t>()),
                      file["directory"].get<std::string>(), bytes_text(file["memory_bytes"].get<std::uint64_t>()), count_text(file["cached_rows"].get<std::int64_t>())));
  }
}

void print_step(const StepPlan& plan, const EmbeddingTables& tables, int ranks, bool explain) {
  print(fmt::format("time: {} a step expected, {} samples/s{}; bound by {}\n", time_text(plan.seconds),
                    count_text(static_cast<std::int64_t>(static_cast<double>(plan.samples) * ranks / plan.seconds)), ranks > 1 ? " before exchange between ranks" : "",
                    plan.bound));
  print(fmt::format("  lookup {}, model {}, update {}, other {}; beside them, data {}\n", time_text(plan.lookup), time_text(plan.model), time_text(plan.update),
                    time_text(plan.other), time_text(plan.data)));
  for (std::size_t t = 0; t < plan.tables.size(); ++t) {
    const TableTraffic& traffic = plan.tables[t];
    if (!tables.table(t).in_file() || traffic.ids == 0.0) continue;
    print(fmt::format("  of the lookup, {} since \"{}\" lies in a file: of {:.0f} distinct rows of a step {:.0f} are expected not to be cached; each takes {:.2f} us from the disk, {:.2f} us "
                      "while its page is in memory, a cached one {:.2f} us\n",
                      time_text(traffic.file), tables.table(t).name, traffic.distinct, traffic.misses, 1e-3 * traffic.file_speed.on_disk, 1e-3 * traffic.file_speed.in_pages,
                      1e-3 * traffic.file_speed.cached));
  }
  if (!explain) return;
  print("  model, the optimizer of the dense part and data were measured on the first batches of the training data; rows of tables are what these batches touch,\n"
        "  at the speed of this machine\n");
  print(fmt::format("  {:<24} {:>12} {:>14} {:>10} {:>10}\n", "table", "ids a step", "distinct rows", "lookup", "update"));
  for (std::size_t t = 0; t < plan.tables.size(); ++t) {
    const TableTraffic& traffic = plan.tables[t];
    print(fmt::format("  {:<24} {:>12.0f} {:>14.0f} {:>10} {:>10}\n", tables.table(t).name, traffic.ids, traffic.distinct, time_text(traffic.lookup), time_text(traffic.update)));
  }
}

}  // namespace

int plan_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_config_options(visible);
  visible.add_options()("nproc", options::value<int>()->default_value(1), "ranks on this machine that share the tables")("explain", "what the expected time follows from, and what each rank holds and does")(
      "no-time", "memory and placement alone: nothing is measured")("simulate", options::value<std::string>(),
                                                                    "steps on machines that are not here: nodes=16,ranks=8, and within_us, within_gb, between_us, between_gb (a message, a second), speed");
  add_output_option(visible);
  options::variables_map values;
  if (!parse_arguments(find_command("plan", ""), arguments, visible, {}, values)) return kDone;
  const bool json = wants_json(values);
  const int ranks = values["nproc"].as<int>();
  if (ranks < 1) throw UsageError("--nproc: at least one rank");
  if (ranks > kMostRanks) throw UsageError(fmt::format("--nproc {}: a run has at most {} ranks", ranks, kMostRanks));
  std::optional<Cluster> cluster;
  if (values.count("simulate") != 0) {
    if (ranks > 1) throw UsageError("--simulate: give nodes and ranks there, without --nproc");
    if (values.count("no-time") != 0) throw UsageError("--simulate: what one rank computes has to be measured; leave out --no-time");
    cluster = cluster_from(values["simulate"].as<std::string>());
  }
  Setup setup = setup_from(values, ranks);
  if (values.count("no-time") == 0) require_precision(setup.config.run, nullptr);
  require_slices(setup.config.run.deterministic, cluster ? cluster->ranks() : ranks);
  setup.config.run.deterministic = false;  // slices of a batch move nothing between processes
  RunDataOptions data_options;
  data_options.settle_rows = row_settler(setup);
  const RunData data = open_run_data(setup.config, std::move(setup.loader), std::move(data_options), *setup.pool);
  const auto model = build_planned_model(setup, data, ranks);
  const EmbeddingTables& tables = model->tables();
  std::vector<TableConfig> configs;
  for (std::size_t i = 0; i < tables.table_count(); ++i) configs.push_back(tables.table(i));
  const std::vector<TableSize> sizes = table_sizes(configs);
  const std::int64_t bytes_per_rank = setup.config.placement.bytes_per_rank();
  const PlacementSection& asked = setup.config.placement;
  RankLayout layout = asked.ranks_per_node > 0 ? RankLayout(ranks, static_cast<int>(asked.ranks_per_node)) : RankLayout(ranks);
  // Ranks without a core each are those of another machine.
  const bool can_measure = values.count("no-time") == 0 && ranks > 1 && ranks <= usable_cores() && asked.within_gb_per_second == 0.0;
  layout.set_wire(WireCosts::of_speeds(can_measure ? 1e-9 * probe_links(ranks).within : asked.within_gb_per_second, asked.between_gb_per_second, {}));
  const Placement placement(sizes, layout, bytes_per_rank);
  Json plan = Json::object();
  plan["tables"] = table_list(*model, sizes, placement);
  for (int rank = 0; rank < ranks; ++rank) plan["table_bytes_by_rank"].push_back(placement.bytes(rank));
  const MemoryPlan memory = plan_memory(setup.config, data, *model);
  plan["memory_bytes"]["tables"] = memory.tables;
  if (model->dynamic().any()) plan["memory_bytes"]["keys"] = model->dynamic().most_memory_bytes();  // of those of the tables
  plan["memory_bytes"]["dense"] = memory.dense;
  plan["memory_bytes"]["decoded_rows"] = memory.decoded_rows;
  plan["memory_bytes"]["batches"] = memory.batches;
  plan["memory_bytes"]["libraries"] = MemoryPlan::kLibraries;
  plan["memory_bytes"]["total"] = memory.total();
  plan["bytes_moved_per_step"] = most_bytes_per_step(*model, sizes, setup.config.data.batch_size);
  plan["steps_per_epoch"] = (data.prepared.train->samples() + setup.config.data.batch_size - 1) / setup.config.data.batch_size;
  std::optional<StepPlan> step;
  if (values.count("no-time") == 0 && setup.config.run.device != "cuda") {
    MachineSpeed speed(*setup.pool);
    StepPlanSettings settings;
    settings.ranks = ranks;
    settings.cores = std::max(1, usable_cores() / ranks);
    settings.row_speed = [&](const RowKind& kind) -> const RowSpeed& { return speed.of_rows(kind); };
    settings.file_row_speed = [&](const RowKind& kind, const std::filesystem::path& directory) { return measure_file_row_speed(kind, directory, *setup.pool); };
    step = plan_step(setup.config, data, *model, settings);
    plan["step"] = step_json(*step, tables, sizes, ranks);
  }
  if (cluster && !step) fail<ConfigError>("--simulate: what one rank computes is measured on the CPU; set run.device = \"cpu\"");
  if (cluster) plan["simulation"] = simulate_nodes(setup, data, *model, *cluster, seconds_beside_tables(*step));
  if (ranks > 1) plan["placement"] = placement_report(placement, sizes, bytes_per_rank, step ? &*step : nullptr);
  if (json) {
    print(json_line(plan) + "\n");
    return kDone;
  }
  print_tables(plan["tables"]);
  for (const KeyedRows* const keys : model->dynamic().all()) print(fmt::format("\nkeys of \"{}\": rows for {} at one time\n", keys->table(), count_text(keys->max_keys())));
  if (ranks > 1 && values.count("explain") != 0) {
    print("\nplacement:\n" + placement_text(plan["placement"]));
  } else if (ranks > 1) {
    for (int rank = 0; rank < ranks; ++rank) {
      print(fmt::format("{}rank {}: {} of tables and their state\n", rank == 0 ? "\n" : "", rank, bytes_text(static_cast<std::uint64_t>(placement.bytes(rank)))));
    }
  }
  print(fmt::format("\nmemory{}: {} (tables {}, dense part {}, decoded rows {}, batches {}, libraries {})\n", ranks > 1 ? " of one process with all tables" : "",
                    bytes_text(memory.total()), bytes_text(memory.tables), bytes_text(memory.dense), bytes_text(memory.decoded_rows), bytes_text(memory.batches),
                    bytes_text(MemoryPlan::kLibraries)));
  print(fmt::format("step: {} samples, at most {} moved to and from tables{}; {} steps per epoch\n", count_text(setup.config.data.batch_size),
                    bytes_text(plan["bytes_moved_per_step"].get<std::uint64_t>()), step ? fmt::format(", {} by the rows that are read", bytes_text(bytes_of(*step, tables, sizes))) : "",
                    count_text(plan["steps_per_epoch"].get<std::int64_t>())));
  if (step) print_step(*step, tables, ranks, values.count("explain") != 0);
  if (cluster) print("\n" + simulation_text(plan["simulation"]));
  return kDone;
}

}  // namespace rechost::app
