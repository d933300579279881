#include "train/table_panel.h"

#include <algorithm>
#include <cmath>

namespace rechost {
namespace {

double share(std::int64_t part, std::int64_t whole) { return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0; }

Json hash_facts(const Vocabulary& vocabulary) {
  const TableEncoding& encoding = vocabulary.encoding();
  Json hash = Json::object();
  std::int64_t occupied = 0;
  for (std::int64_t row = 0; row < encoding.hash_rows; ++row) occupied += vocabulary.counts()[row] > 0 ? 1 : 0;
  hash["occupied_rows"] = occupied;
  const std::optional<double> drawn = estimated_values(encoding.hash_rows, occupied);
  if (!drawn) return hash;
  // Each value draws a row by each of its hashes. Values that share one row with others by chance: an empty row stays empty with e^-load.
  const auto hashes = static_cast<double>(encoding.hashes);
  const double load = *drawn / static_cast<double>(encoding.hash_rows);
  hash["distinct_values_estimate"] = std::llround(*drawn / hashes);
  hash["values_per_occupied_row"] = occupied > 0 ? *drawn / static_cast<double>(occupied) : 0.0;
  // By all of its hashes, so that nothing tells it from others.
  hash["colliding_share_estimate"] = std::pow(1.0 - std::exp(-load), hashes);
  return hash;
}

void add_encoder(const Vocabulary& vocabulary, Json& entry) {
  entry["encoder"] = encoder_name(vocabulary.encoding().encoder);
  const RowCounts& counts = vocabulary.counts();
  if (counts.size() == 0) return;
  const std::int64_t total = counts.total();
  if (vocabulary.encoding().encoder == EncoderKind::kVocabulary) entry["out_of_vocabulary_share"] = share(counts[Vocabulary::kUnknownRow], total);
  if (vocabulary.missing_row() >= 0) entry["missing_share"] = share(counts[vocabulary.missing_row()], total);
  if (vocabulary.encoding().encoder == EncoderKind::kHash) entry["hash"] = hash_facts(vocabulary);
}

Json key_facts(const KeyedRows& keys) {
  const KeyedRows::Counters& counters = keys.counters();
  Json facts = Json::object();
  facts["keys"] = keys.keys();
  facts["max_rows"] = keys.max_keys();
  facts["admissions"] = counters.admissions;
  facts["evictions"] = counters.evictions;
  facts["key_bytes"] = keys.memory_bytes();
  facts["pending_keys"] = keys.pending().size();
  facts["unadmitted_share"] = counters.unadmitted_share();
  return facts;
}

}  // namespace

std::optional<double> estimated_values(std::int64_t rows, std::int64_t occupied) {
  if (occupied >= rows) return std::nullopt;
  return -static_cast<double>(rows) * std::log1p(-share(occupied, rows));
}

Json table_panel(const ModelRuntime& model, const Vocabularies& vocabularies, std::span<const TableFacts> tables) {
  Json panel = Json::array();
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const TableFacts& facts = tables[t];
    const TableConfig& config = model.tables().table(t);
    const Vocabulary* const vocabulary = vocabulary_of_table(model, vocabularies, t);
    const KeyedRows* const keys = model.dynamic().keys_of(t);
    Json entry = Json::object();
    entry["table"] = facts.name;
    entry["rows"] = facts.rows;
    entry["dim"] = config.dim;
    entry["optimizer"] = optimizer_name(config.optimizer.kind);
    if (facts.touched) {
      entry["touched_rows"] = *facts.touched;
      entry["never_touched_share"] = share(facts.looked_at - *facts.touched, facts.looked_at);
      entry["touched_known_by"] = facts.touched_by_counts ? "training data" : "optimizer state";
    }
    entry["dead_rows"] = facts.without_gradient + facts.shrunk;
    entry["exploding_rows"] = facts.exploding;
    if (facts.largest_row >= 0) {
      entry["norm"] = {{"min", facts.least_norm}, {"median", facts.median_norm}, {"max", facts.largest_norm}};
      entry["largest_row"] = {{"row", facts.largest_row}, {"norm", facts.largest_norm}};
      if (vocabulary != nullptr && keys != nullptr && facts.largest_row >= Vocabulary::kFirstValueRow) {
        if (keys->has_key(facts.largest_row)) {
          entry["largest_row"]["value"] = vocabulary->key_text(keys->entry_of(static_cast<std::int32_t>(facts.largest_row)).key);
        }
      } else if (vocabulary != nullptr && facts.largest_row < vocabulary->rows()) {
        entry["largest_row"]["value"] = vocabulary->value_text(static_cast<std::int32_t>(facts.largest_row));
      }
    }
    if (vocabulary != nullptr) add_encoder(*vocabulary, entry);
    if (keys != nullptr) entry["dynamic"] = key_facts(*keys);
    const EmbeddingEngine::CacheUse cache = model.tables().lookups().cache_use(t);
    if (cache.hits + cache.misses > 0) entry["file_cache"] = {{"hits", cache.hits}, {"misses", cache.misses}};
    panel.push_back(std::move(entry));
  }
  return panel;
}

}  // namespace rechost
