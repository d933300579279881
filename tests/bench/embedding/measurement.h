#pragma once

#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/environment.h"
#include "base/json.h"
#include "base/time.h"
#include "bench/embedding/bare_tables.h"
#include "bench/embedding/point.h"
#include "bench/loading/report.h"
#include "bench/peers/json_peer.h"
#include "bench/peers/rounds.h"
#include "core/folder.h"
#include "device/host_buffer.h"
#include "device/instruction_set.h"
#include "embedding/engine.h"
#include "embedding/prepared_ids.h"
#include "embedding/table_storage.h"

namespace rechost::bench {

inline std::unique_ptr<JsonPeer> start_fbgemm(int threads) {
  return std::make_unique<JsonPeer>(std::vector<std::string>{peer_python("venv-peers", "packaging/peers").string(),
                                                             (app::program_directory() / "../../../tests/bench/embedding/peers.py").string()},
                                    peer_environment(threads));
}

inline std::string machine_name(int threads) { return fmt::format("{}; {}, {} used", machine(), instruction_set_name(instruction_set()), threads); }

inline void print_header(const Options& options) {
  std::string text = fmt::format("{}; {} features, batch {}\n{:<36}{:>8}{:>9}{:>9}{:>9}{:>6}{:>6}{:>9}{:>9}{:>6}{:>6}", machine_name(options.threads), kFeatures, options.batch,
                                 "optimizer/dim/ids/skew", "rows", "prepare", "lookup", "limit", "of it", "+out", "update", "limit", "of it", "+grad");
  if (options.peers) text += fmt::format("{:>9}{:>7}{:>9}{:>7}{:>7}", "forward", "x", "backward", "x", "+prep.");
  std::fputs((text + "\n").c_str(), stderr);
}

/// Tables of one layout on our side, on the peer's, and bare ones, measured in turns.
class Measurement {
 public:
  Measurement(const TableLayout& layout, const Options& options, ThreadPool& pool, JsonPeer* peer)
      : layout_(layout),
        options_(options),
        pool_(pool),
        peer_(layout.has_peer() ? peer : nullptr),
        state_(optimizer_state_floats(layout.optimizer, layout.dim)),
        value_floats_(floats_of_values(value_bytes(layout.precision), layout.dim)),
        stride_(row_stride(value_floats_ + state_)),
        rows_(std::min(options.rows, static_cast<std::int64_t>(options.memory_gib * (1 << 30) / static_cast<double>(stride_ * 4 * static_cast<std::int64_t>(layout.tables))))),
        engine_(make_engine()),
        bare_(layout.tables, rows_, stride_, pool),
        gradient_lines_(1, options.batch * static_cast<std::int64_t>(kFeatures), layout.dim, pool),
        output_lines_(1, options.batch * static_cast<std::int64_t>(kFeatures), layout.dim, pool) {
    if (peer_ != nullptr) {
      peer_->ask({{"kind", "open"}, {"optimizer", std::string(optimizer_name(layout.optimizer))}, {"precision", std::string(row_precision_name(layout.precision))}, {"tables", layout.tables},
                  {"features", kFeatures}, {"rows", rows_}, {"dim", layout.dim}});
    }
  }
  ~Measurement() {
    if (peer_ == nullptr) return;
    try {
      peer_->ask({{"kind", "close"}});
    } catch (const Error&) {
      // It has ended; whoever asks it next says so.
    }
  }
  Measurement(const Measurement&) = delete;  // the peer's tables live and end with it
  Measurement& operator=(const Measurement&) = delete;

  void run(const Point& point) {
    const std::int64_t steps = options_.quick ? 2 : 6;
    const int rounds = options_.quick ? 1 : 5;
    const std::size_t floats = static_cast<std::size_t>(options_.batch * layout_.dim) * kFeatures;
    gradients_ = HostBuffer(floats * sizeof(float), "the gradients of a batch");
    std::ranges::fill(gradients_.view<float>(), 0.001f);
    output_ = HostBuffer(floats * sizeof(float), "the rows of a batch");
    offsets_.clear();
    for (std::int64_t i = 0; point.ids_per_sample > 1 && i <= options_.batch; ++i) offsets_.push_back(i * point.ids_per_sample);
    Times warm_up, times;
    for (int round = -1; round < rounds; ++round) {
      Times& into = round < 0 ? warm_up : times;
      std::vector<StepIds> ids;
      for (std::int64_t step = 0; step < steps; ++step) ids.push_back(source_.next(point, options_.batch * point.ids_per_sample, rows_));
      for (const StepIds& one : ids) our_step(one, into);
      for (const StepIds& one : ids) touch(point, one, into);
      if (peer_ != nullptr) peer_steps(point, ids, into);
    }
    report(point, times);
  }

 private:
  struct Times {
    Rounds prepare, lookup, update, read, write, forward, backward;
    Rounds outputs, gradients;  ///< what lookups write and updates read besides rows
  };

  EmbeddingEngine make_engine() const {
    std::vector<TableConfig> tables;
    for (std::size_t t = 0; t < layout_.tables; ++t) {
      TableConfig table{.name = fmt::format("c{}", t), .rows = rows_, .dim = layout_.dim, .initializer = {}, .optimizer = {}};
      table.initializer = {Initializer::Kind::kConstant, 0.01, 0.0};
      table.optimizer.kind = layout_.optimizer;
      table.precision = layout_.precision;
      tables.push_back(table);
    }
    std::vector<LookupConfig> lookups;
    BlockConfig block;
    for (std::size_t feature = 0; feature < kFeatures; ++feature) {
      lookups.push_back({layout_.table_of(feature), feature, Pooling::kSum});
      block.lookups.push_back(feature);
    }
    return {tables, lookups, {block}, 1, pool_};
  }

  /// Milliseconds; of all threads of this process where there is one, else by the clock on the wall.
  void timed(Rounds& into, const std::function<void()>& body) const {
    const Round round = time_round([&] {
      body();
      return 1;
    });
    into.add(1e3 * (options_.threads == 1 ? round.processor_seconds : round.wall_seconds));
  }

  void our_step(const StepIds& ids, Times& times) {
    std::vector<IdColumnView> views;
    for (const auto& column : ids) views.push_back({.ids = column, .offsets = offsets_, .rows = options_.batch, .name = "c"});
    float* const outputs[] = {output_.view<float>().data()};
    const float* const gradients[] = {gradients_.view<float>().data()};
    timed(times.prepare, [&] { engine_.prepare(views, prepared_, pool_); });
    timed(times.lookup, [&] { engine_.forward(prepared_, outputs, pool_); });
    timed(times.update, [&] { engine_.update(prepared_, gradients, {.step = ++step_}, pool_); });
  }

  /// The rows of a lookup and the lines that it writes; the distinct rows of an update, and the gradients of all occurrences in the order of rows.
  void touch(const Point& point, const StepIds& ids, Times& times) {
    timed(times.read, [&] { bare_.touch<false>(ids, [&](std::size_t i) { return layout_.table_of(i); }, value_floats_, pool_); });
    std::vector<IdColumnView> views;
    for (const auto& column : ids) views.push_back({.ids = column, .offsets = offsets_, .rows = options_.batch, .name = "c"});
    engine_.prepare(views, prepared_, pool_);
    StepIds unique;
    for (std::size_t t = 0; t < layout_.tables; ++t) {
      const auto view = engine_.unique_rows(prepared_, t);
      unique.emplace_back(view.begin(), view.end());
    }
    timed(times.write, [&] { bare_.touch<true>(unique, [](std::size_t t) { return t; }, value_floats_ + state_, pool_); });
    std::vector<std::vector<std::int32_t>> order;
    for (std::size_t t = 0; t < layout_.tables; ++t) order.push_back(gradient_order(point, t));
    const auto first = [](std::size_t) { return std::size_t{0}; };
    timed(times.gradients, [&] { gradient_lines_.touch<false>(order, first, layout_.dim, pool_); });
    std::vector<std::vector<std::int32_t>> all(1, std::vector<std::int32_t>(static_cast<std::size_t>(options_.batch) * kFeatures));
    std::iota(all.front().begin(), all.front().end(), 0);
    timed(times.outputs, [&] { output_lines_.touch<true>(all, first, layout_.dim, pool_); });
  }

  /// Rows of the gradient of the block, which is [batch, features, dim], as the update of a table reads them.
  std::vector<std::int32_t> gradient_order(const Point& point, std::size_t table) const {
    std::vector<std::int32_t> order;
    const PreparedGroup& group = prepared_.groups()[table];
    std::size_t first_feature = 0;
    while (layout_.table_of(first_feature) != table) ++first_feature;
    for (const std::int32_t position : group.positions.view()) {
      std::size_t c = 0;
      while (c + 1 < group.columns.size() && position >= group.columns[c + 1].first) ++c;
      const std::int64_t sample = (position - group.columns[c].first) / point.ids_per_sample;
      order.push_back(static_cast<std::int32_t>(sample * static_cast<std::int64_t>(kFeatures) + static_cast<std::int64_t>(first_feature + c)));
    }
    return order;
  }

  void peer_steps(const Point& point, const std::vector<StepIds>& ids, Times& times) {
    const std::filesystem::path path = folder_.path() / "ids";
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    for (const StepIds& step : ids) {
      for (const auto& column : step) file.write(reinterpret_cast<const char*>(column.data()), static_cast<std::streamsize>(column.size() * sizeof(column[0])));
    }
    file.close();
    if (!file) fail("{} cannot be written", path.string());
    const Json answer = peer_->ask({{"kind", "steps"}, {"path", path.string()}, {"batch", options_.batch}, {"ids_per_sample", point.ids_per_sample}, {"steps", ids.size()}});
    for (const Json& time : answer.at("forward")) times.forward.add(time.get<double>());
    for (const Json& time : answer.at("backward")) times.backward.add(time.get<double>());
  }

  void report(const Point& point, const Times& times) const {
    const double prepare = times.prepare.median(), lookup = times.lookup.median(), update = times.update.median();
    const double read = times.read.median(), write = times.write.median();
    std::string text = fmt::format("{:<36}{:>8}{:>9.3f}{:>9.3f}{:>9.3f}{:>6.2f}{:>6.2f}{:>9.3f}{:>9.3f}{:>6.2f}{:>6.2f}", point.name(layout_), rows_, prepare, lookup, read,
                                   read / lookup, (read + times.outputs.median()) / lookup, update, write, write / update, (write + times.gradients.median()) / update);
    std::string missed;
    if (peer_ != nullptr) {
      const double forward = times.forward.median(), backward = times.backward.median();
      text += fmt::format("{:>9.3f}{:>7.2f}{:>9.3f}{:>7.2f}{:>7.2f}", forward, forward / lookup, backward, backward / update, backward / (update + prepare));
      if (forward / lookup < kLookupTarget) missed += " lookup";
      if (backward / update < layout_.update_target()) missed += " update";
    }
    if (read / lookup < kLimitTarget) missed += " lookup/limit";
    if (write / update < kLimitTarget) missed += " update/limit";
    std::fputs((text + (missed.empty() ? "" : "  missed:" + missed) + "\n").c_str(), stderr);
    line(point, "prepare", times.prepare, nullptr, nullptr, 0.0, nullptr);
    line(point, "lookup", times.lookup, &times.read, &times.forward, kLookupTarget, &times.outputs);
    line(point, "update", times.update, &times.write, &times.backward, layout_.update_target(), &times.gradients);
  }

  void line(const Point& point, const std::string& part, const Rounds& ours, const Rounds* limit, const Rounds* peer, double target, const Rounds* besides) const {
    if (peer_ == nullptr) peer = nullptr;
    Json object = Json::object();
    object["case"] = point.name(layout_) + "/" + part;
    object["unit"] = "ms";
    object["ours"] = ours.median();
    object["spread"] = ours.spread();
    object["peer"] = peer == nullptr ? Json() : Json(peer->median());
    object["peer_spread"] = peer == nullptr ? Json() : Json(peer->spread());
    object["ratio"] = peer == nullptr ? Json() : Json(peer->median() / ours.median());
    object["target"] = peer == nullptr ? Json() : Json(target);
    object["limit"] = limit == nullptr ? Json() : Json(limit->median());
    object["limit_spread"] = limit == nullptr ? Json() : Json(limit->spread());
    object["share_of_limit"] = limit == nullptr ? Json() : Json(limit->median() / ours.median());
    object["besides_rows"] = besides == nullptr ? Json() : Json(besides->median());
    object["rows"] = rows_;
    object["machine"] = machine_name(options_.threads);
    std::fputs((json_line(object) + "\n").c_str(), stdout);
    std::fflush(stdout);
  }

  const TableLayout layout_;
  const Options& options_;
  ThreadPool& pool_;
  JsonPeer* const peer_;  ///< null: ours alone
  const std::int64_t state_;
  const std::int64_t value_floats_;
  const std::int64_t stride_;
  const std::int64_t rows_;
  EmbeddingEngine engine_;
  BareTables bare_;
  BareTables gradient_lines_;
  BareTables output_lines_;
  PreparedIds prepared_;
  IdSource source_;
  std::int64_t step_ = 0;
  HostBuffer output_;     ///< of the lookup; on huge pages like that of a training step
  HostBuffer gradients_;  ///< of the update; the same, see keep_freed_memory()
  std::vector<std::int64_t> offsets_;
  const test::Folder folder_;
};

}  // namespace rechost::bench
