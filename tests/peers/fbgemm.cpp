// Our embedding engine beside FBGEMM's kernels for the CPU, step by step: the same pooled rows, the same rows and optimizer states after every update.

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/philox.h"
#include "bench/peers/json_peer.h"
#include "core/folder.h"
#include "embedding/engine.h"
#include "embedding/prepared_ids.h"

using namespace rechost;

namespace {

constexpr int kSteps = 100;
constexpr std::int64_t kBatch = 48;
constexpr double kLearningRate = 0.05;

struct Case {
  OptimizerKind optimizer = OptimizerKind::kSgd;
  std::int64_t dim = 16;
  std::vector<std::int64_t> rows;         ///< of each table
  std::vector<std::size_t> feature_table;  ///< of each feature
  bool mean = false;
  int longest_bag = 1;  ///< bags have 0 to this many ids, or exactly one where it is 1
  bool weighted = false;  ///< each id has a weight in [0.5, 1.5)
};

std::string source_directory() {
  const char* const path = std::getenv("RECHOST_SOURCE_DIR");
  REQUIRE(path != nullptr);
  return path;
}

std::string peers_python() {
  const bench::PipedProcess script({source_directory() + "/packaging/peers"});
  return script.read_line();
}

template <typename Value>
void write(std::ofstream& file, const std::vector<Value>& values) {
  file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(Value)));
}

/// The same tables on both sides.
class BothSides {
 public:
  BothSides(const Case& of, bench::JsonPeer& peer) : of_(of), peer_(peer), pool_(2), engine_(make_engine()) {
    std::vector<float> start;
    for (std::size_t t = 0; t < of.rows.size(); ++t) {
      const std::vector<float> rows = our_rows(t);
      start.insert(start.end(), rows.begin(), rows.end());
    }
    std::ofstream file(path(), std::ios::binary | std::ios::trunc);
    write(file, start);
    file.close();
    peer.ask({{"kind", "open"}, {"optimizer", std::string(optimizer_name(of.optimizer))}, {"rows", of.rows}, {"dim", of.dim}, {"tables", of.feature_table},
              {"mean", of.mean}, {"weighted", of.weighted}, {"path", path()}});
  }

  /// Draws bags and gradients, lets both sides step, and returns the largest difference of pooled rows, rows and states, relative to their
  /// magnitude where that is above 1.
  double step() {
    const std::size_t features = of_.feature_table.size();
    std::vector<std::vector<std::int32_t>> ids(features);
    std::vector<std::vector<std::int64_t>> offsets(features);
    std::vector<std::vector<float>> weights(features);
    std::vector<std::int64_t> lengths, all_ids;
    std::vector<float> all_weights;
    for (std::size_t feature = 0; feature < features; ++feature) {
      if (of_.longest_bag > 1) offsets[feature].push_back(0);
      for (std::int64_t sample = 0; sample < kBatch; ++sample) {
        const std::int64_t length = of_.longest_bag == 1 ? 1 : static_cast<std::int64_t>(uniform_below(word(), static_cast<std::uint64_t>(of_.longest_bag) + 1));
        for (std::int64_t i = 0; i < length; ++i) {
          const auto id = uniform_below(word(), static_cast<std::uint64_t>(of_.rows[of_.feature_table[feature]]));
          ids[feature].push_back(static_cast<std::int32_t>(id));
          all_ids.push_back(static_cast<std::int64_t>(id));
          if (!of_.weighted) continue;
          weights[feature].push_back(0.5f + static_cast<float>(uniform_double(word())));
          all_weights.push_back(weights[feature].back());
        }
        lengths.push_back(length);
        if (of_.longest_bag > 1) offsets[feature].push_back(static_cast<std::int64_t>(ids[feature].size()));
      }
    }
    std::vector<float> gradients(static_cast<std::size_t>(kBatch * of_.dim) * features);
    for (float& value : gradients) value = static_cast<float>(2.0 * uniform_double(word()) - 1.0);

    std::ofstream file(path(), std::ios::binary | std::ios::trunc);
    write(file, lengths);
    write(file, all_ids);
    write(file, all_weights);
    write(file, gradients);
    file.close();
    peer_.ask({{"kind", "step"}, {"path", path()}, {"batch", kBatch}});

    std::vector<IdColumnView> views;
    for (std::size_t feature = 0; feature < features; ++feature) {
      views.push_back({.ids = ids[feature], .offsets = offsets[feature], .rows = kBatch, .name = "feature", .weights = weights[feature]});
    }
    std::vector<float> found(gradients.size());
    float* const outputs[] = {found.data()};
    const float* const given[] = {gradients.data()};
    engine_.prepare(views, prepared_, pool_);
    engine_.forward(prepared_, outputs, pool_);
    engine_.update(prepared_, given, {.step = ++step_}, pool_);
    std::vector<float> states;
    for (std::size_t t = 0; t < of_.rows.size(); ++t) {
      const std::vector<float> rows = our_rows(t, &states);
      found.insert(found.end(), rows.begin(), rows.end());
    }
    found.insert(found.end(), states.begin(), states.end());

    std::ifstream answer(path() + ".after", std::ios::binary);
    std::vector<float> expected(found.size());
    answer.read(reinterpret_cast<char*>(expected.data()), static_cast<std::streamsize>(expected.size() * sizeof(float)));
    REQUIRE(answer.gcount() == static_cast<std::streamsize>(expected.size() * sizeof(float)));
    REQUIRE(answer.peek() == std::ifstream::traits_type::eof());
    double largest = 0.0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!std::isfinite(found[i])) return std::numeric_limits<double>::infinity();
      const auto wanted = static_cast<double>(expected[i]);
      largest = std::max(largest, std::abs(static_cast<double>(found[i]) - wanted) / std::max(1.0, std::abs(wanted)));
    }
    return largest;
  }

 private:
  EmbeddingEngine make_engine() {
    std::vector<TableConfig> tables;
    for (std::size_t t = 0; t < of_.rows.size(); ++t) {
      TableConfig table{.name = fmt::format("t{}", t), .rows = of_.rows[t], .dim = of_.dim, .initializer = {Initializer::Kind::kUniform, -0.5, 0.5}, .optimizer = {}};
      table.optimizer.kind = of_.optimizer;
      table.optimizer.lr = kLearningRate;
      table.optimizer.eps = 1e-8;
      tables.push_back(table);
    }
    std::vector<LookupConfig> lookups;
    BlockConfig block;
    for (std::size_t feature = 0; feature < of_.feature_table.size(); ++feature) {
      lookups.push_back({of_.feature_table[feature], feature, of_.mean ? Pooling::kMean : Pooling::kSum});
      block.lookups.push_back(feature);
    }
    return {tables, lookups, {block}, 1, pool_};
  }

  /// The state of the table's rows goes to the end of `states`.
  std::vector<float> our_rows(std::size_t table, std::vector<float>* states = nullptr) const {
    const std::int64_t count = of_.rows[table];
    std::vector<float> rows(static_cast<std::size_t>(count * of_.dim));
    std::vector<float> state(static_cast<std::size_t>(count * engine_.state_floats_per_row(table)));
    engine_.read_rows(table, 0, count, rows.data(), state.data());
    if (states != nullptr) states->insert(states->end(), state.begin(), state.end());
    return rows;
  }

  std::string path() const { return (folder_.path() / "step").string(); }
  std::uint64_t word() { return random_.word64(counter_++); }

  const Case& of_;
  bench::JsonPeer& peer_;
  ThreadPool pool_;
  EmbeddingEngine engine_;
  PreparedIds prepared_;
  const test::Folder folder_;
  const Philox random_{7};
  std::uint64_t counter_ = 0;
  std::int64_t step_ = 0;
};

}  // namespace

TEST_CASE("the engine's rows are those of FBGEMM after each of a hundred steps", "[peers]") {
  const std::string python = peers_python();
  bench::JsonPeer peer({python, source_directory() + "/tests/peers/fbgemm_rows.py"}, bench::peer_environment(1));
  for (const OptimizerKind optimizer : {OptimizerKind::kSgd, OptimizerKind::kAdagrad, OptimizerKind::kRowwiseAdagrad}) {
    for (const std::int64_t dim : {4, 16, 64, 128, 192}) {
      for (const Case& of : {Case{optimizer, dim, {29, 1000}, {0, 1}, false, 1}, Case{optimizer, dim, {29, 300}, {0, 1}, true, 4},
                             Case{optimizer, dim, {29, 300}, {0, 0, 1}, false, 5}, Case{optimizer, dim, {29, 300}, {0, 1}, false, 4, true}}) {
        BothSides sides(of, peer);
        for (int step = 1; step <= kSteps; ++step) {
          const double difference = sides.step();
          INFO(optimizer_name(optimizer) << ", dim " << dim << ", " << of.feature_table.size() << " features, longest bag " << of.longest_bag << (of.weighted ? ", weights" : "") << ", step " << step);
          // Sums of a hundred updates, in fp32 and in another order of additions.
          REQUIRE(difference < 1e-5);
        }
      }
    }
  }
}
