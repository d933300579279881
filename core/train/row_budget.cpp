#include "train/row_budget.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "config/parse.h"
#include "embedding/table_storage.h"
#include "train/dynamic_features.h"
#include "train/model_runtime.h"

namespace rechost {
namespace {

/// Of all rows that one key, or an unknown one, has in the model.
std::int64_t bytes_of_rows(const Config& config, const ModelSpec& spec, const BatchSchema& schema, const std::string& table) {
  std::set<std::uint32_t> readers;
  for (const ModelSpec::Embedding& embedding : spec.embeddings) {
    if (schema.sparse[embedding.sparse].table == table) readers.insert(embedding.table);
  }
  std::int64_t bytes = 0;
  for (const std::uint32_t reader : readers) {
    const TableSection section = table_settings(config, spec.tables[reader].name);
    TableConfig row;
    row.dim = spec.tables[reader].dim;
    row.precision = row_precision(section.precision);
    row.optimizer = table_optimizer(config, section);
    bytes += row_bytes(row);
  }
  return bytes;
}

}  // namespace

void settle_row_budgets(const Config& config, const Module& module, const ModuleOptions& options, EncodingPlan& plan) {
  if (std::none_of(plan.tables.begin(), plan.tables.end(), [](const TableEncoding& table) { return table.memory_bytes > 0; })) return;
  BatchSchema schema = plan.schema;
  for (LabelInfo& label : schema.labels) label.classes = std::max<std::int64_t>(label.classes, 2);  // some are known with the data
  std::vector<std::int64_t> rows;
  for (const FeatureInfo& feature : schema.sparse) {
    const auto table = std::find_if(plan.tables.begin(), plan.tables.end(), [&](const TableEncoding& each) { return each.name == feature.table; });
    rows.push_back(std::max({table->cardinality, table->hash_rows, std::int64_t{Vocabulary::kFirstValueRow} + table->max_rows + 1}));
  }
  ModelInstance model(module, options);
  const ModelSpec& spec = model.declare(schema, rows);
  for (TableEncoding& table : plan.tables) {
    if (table.memory_bytes == 0) continue;
    const std::int64_t row = bytes_of_rows(config, spec, plan.schema, table.name);
    const std::int64_t key = row + static_cast<std::int64_t>(DynamicFeatures::bytes_per_key(table));
    table.max_rows = (table.memory_bytes - Vocabulary::kFirstValueRow * row) / key;
    if (table.max_rows < 1) {
      fail<ConfigError>("features.{}.memory_gib: {} bytes are too few for one key, which takes {} with its rows; raise it, or set max_rows instead", table.name,
                        table.memory_bytes, key);
    }
  }
}

void check_row_budgets(const Config& config, const ModelSpec& spec, const BatchSchema& schema, const Vocabularies& vocabularies) {
  for (const Vocabulary& vocabulary : vocabularies) {
    const TableEncoding& table = vocabulary.encoding();
    if (table.memory_bytes == 0) continue;
    const std::int64_t bytes = vocabulary.rows() * bytes_of_rows(config, spec, schema, table.name) +
                               table.max_rows * static_cast<std::int64_t>(DynamicFeatures::bytes_per_key(table));
    if (bytes <= table.memory_bytes) continue;
    fail<ConfigError>("features.{}.memory_gib: the {} rows that fit {} bytes take {}: dims of this model follow from the number of rows; set max_rows instead", table.name,
                      vocabulary.rows(), table.memory_bytes, bytes);
  }
}

}  // namespace rechost
