#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "embedding/engine.h"
#include "kernels/optimizer_reference.h"

namespace rechost::test {

/// Ids of one feature, owned.
struct Column {
  std::string name;
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> offsets;  ///< empty: exactly one id for each sample
  std::int64_t rows = 0;
  std::vector<float> weights = {};  ///< empty: all 1

  IdColumnView view() const { return {.ids = ids, .offsets = offsets, .rows = rows, .name = name, .weights = weights}; }
  std::int64_t begin(std::int64_t sample) const { return offsets.empty() ? sample : offsets[static_cast<std::size_t>(sample)]; }
  std::int64_t end(std::int64_t sample) const { return offsets.empty() ? sample + 1 : offsets[static_cast<std::size_t>(sample) + 1]; }
};

/// The engine in plain loops and double precision: what EmbeddingEngine is compared with.
class ReferenceEngine {
 public:
  /// Starts from the rows and state of `engine`.
  ReferenceEngine(const EmbeddingEngine& engine, std::vector<LookupConfig> lookups, std::vector<BlockConfig> blocks)
      : lookups_(std::move(lookups)), blocks_(std::move(blocks)) {
    for (std::size_t t = 0; t < engine.table_count(); ++t) {
      Table table{.config = engine.table(t), .state_floats = engine.state_floats_per_row(t)};
      std::vector<float> rows(static_cast<std::size_t>(table.config.rows * table.config.dim));
      std::vector<float> state(static_cast<std::size_t>(table.config.rows * table.state_floats));
      engine.read_rows(t, 0, table.config.rows, rows.data(), state.data());
      table.rows.assign(rows.begin(), rows.end());
      table.state.assign(state.begin(), state.end());
      tables_.push_back(std::move(table));
    }
  }

  std::vector<double> forward(const std::vector<Column>& columns, std::size_t block_index) const {
    const BlockConfig& block = blocks_[block_index];
    const auto slots = static_cast<std::int64_t>(block.lookups.size());
    std::vector<double> output;
    for (std::int64_t slot = 0; slot < slots; ++slot) {
      const LookupConfig& lookup = lookups_[block.lookups[static_cast<std::size_t>(slot)]];
      const Table& table = tables_[lookup.table];
      const Column& column = columns[lookup.id_column];
      const std::int64_t dim = table.config.dim;
      if (lookup.pooling == Pooling::kNone) {
        for (const std::int32_t id : column.ids) output.insert(output.end(), table.row(id), table.row(id) + dim);
        return output;
      }
      output.resize(static_cast<std::size_t>(column.rows * slots * dim));
      for (std::int64_t sample = 0; sample < column.rows; ++sample) {
        for (std::int64_t i = column.begin(sample); i < column.end(sample); ++i) {
          const double* row = table.row(column.ids[static_cast<std::size_t>(i)]);
          for (std::int64_t d = 0; d < dim; ++d) {
            output[static_cast<std::size_t>((sample * slots + slot) * dim + d)] += row[d] * scale(lookup, column, sample, i);
          }
        }
      }
    }
    return output;
  }

  void update(const std::vector<Column>& columns, const std::vector<const float*>& gradients,
              const EmbeddingEngine::UpdateSettings& settings, bool decay_all) {
    for (std::size_t t = 0; t < tables_.size(); ++t) {
      std::map<std::int32_t, std::vector<double>> sums = summed_gradients(t, columns, gradients);
      for (auto& [row, sum] : sums) {
        for (double& g : sum) {
          if (settings.clip_value > 0.0) g = std::clamp(g, -settings.clip_value, settings.clip_value);
        }
      }
      if (decay_all) {
        const auto dim = static_cast<std::size_t>(tables_[t].config.dim);
        for (std::int64_t row = 0; row < tables_[t].config.rows; ++row) {
          sums.try_emplace(static_cast<std::int32_t>(row), std::vector<double>(dim));
        }
      }
      for (auto& [row, sum] : sums) tables_[t].step(row, sum, settings);
    }
  }

  /// Goes on from rows as they are after rounding.
  void set_rows(std::size_t table, const std::vector<float>& rows) { tables_[table].rows.assign(rows.begin(), rows.end()); }

  const std::vector<double>& rows(std::size_t table) const { return tables_[table].rows; }
  const std::vector<double>& state(std::size_t table) const { return tables_[table].state; }

 private:
  struct Table {
    TableConfig config;
    std::int64_t state_floats = 0;
    std::vector<double> rows = {};
    std::vector<double> state = {};

    const double* row(std::int32_t index) const { return rows.data() + index * config.dim; }
    void step(std::int32_t index, std::vector<double>& gradient, const EmbeddingEngine::UpdateSettings& settings) {
      const std::span<double> values(rows.data() + index * config.dim, static_cast<std::size_t>(config.dim));
      for (std::size_t d = 0; d < gradient.size(); ++d) gradient[d] += settings.l2 * values[d];
      optimizer_step_reference(config.optimizer, settings.step, settings.lr_factor, gradient, values,
                               {state.data() + index * state_floats, static_cast<std::size_t>(state_floats)});
    }
  };

  /// What the id at `place` counts.
  static double scale(const LookupConfig& lookup, const Column& column, std::int64_t sample, std::int64_t place) {
    if (lookup.pooling == Pooling::kNone) return 1.0;
    const double weight = column.weights.empty() ? 1.0 : column.weights[static_cast<std::size_t>(place)];
    return lookup.pooling == Pooling::kMean ? weight / static_cast<double>(column.end(sample) - column.begin(sample)) : weight;
  }

  std::map<std::int32_t, std::vector<double>> summed_gradients(std::size_t table, const std::vector<Column>& columns,
                                                               const std::vector<const float*>& gradients) const {
    const std::int64_t dim = tables_[table].config.dim;
    std::map<std::int32_t, std::vector<double>> sums;
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      const auto slots = static_cast<std::int64_t>(blocks_[b].lookups.size());
      for (std::int64_t slot = 0; slot < slots; ++slot) {
        const LookupConfig& lookup = lookups_[blocks_[b].lookups[static_cast<std::size_t>(slot)]];
        if (lookup.table != table) continue;
        const Column& column = columns[lookup.id_column];
        for (std::int64_t sample = 0; sample < column.rows; ++sample) {
          for (std::int64_t i = column.begin(sample); i < column.end(sample); ++i) {
            std::vector<double>& sum = sums[column.ids[static_cast<std::size_t>(i)]];
            sum.resize(static_cast<std::size_t>(dim));
            if (gradients[b] == nullptr) continue;
            const std::int64_t at = lookup.pooling == Pooling::kNone ? i * dim : (sample * slots + slot) * dim;
            for (std::int64_t d = 0; d < dim; ++d) {
              sum[static_cast<std::size_t>(d)] += gradients[b][at + d] * scale(lookup, column, sample, i);
            }
          }
        }
      }
    }
    return sums;
  }

  std::vector<Table> tables_;
  std::vector<LookupConfig> lookups_;
  std::vector<BlockConfig> blocks_;
};

}  // namespace rechost::test
