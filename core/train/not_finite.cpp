#include "train/not_finite.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace rechost {
namespace {

bool bad(float value) { return !std::isfinite(value); }

/// Position of the first value that is not finite, or -1.
std::int64_t first_bad(std::span<const float> values) {
  const auto found = std::find_if(values.begin(), values.end(), bad);
  return found == values.end() ? -1 : found - values.begin();
}

std::string in_batch(const FailedStep& failed) {
  for (const Batch& batch : failed.slices) {
    if (const std::int64_t at = first_bad(batch.dense); at >= 0) {
      const auto columns = static_cast<std::int64_t>(failed.schema.dense.size());
      return fmt::format("dense feature {} of sample {}", failed.schema.dense[static_cast<std::size_t>(at % columns)].name, batch.samples[static_cast<std::size_t>(at / columns)]);
    }
    if (const std::int64_t at = first_bad(batch.weights); at >= 0) return fmt::format("weight of sample {}", batch.samples[static_cast<std::size_t>(at)]);
    // A column that no head learns may be empty.
    for (const ModelSpec::Head& head : failed.spec.heads) {
      if (!head.label || !head.trained()) continue;
      const std::size_t columns = failed.schema.labels.size();
      for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) {
        if (bad(batch.labels[row * columns + *head.label])) return fmt::format("label {} of sample {}", failed.schema.labels[*head.label].name, batch.samples[row]);
      }
    }
  }
  return "";
}

/// What reads a table: rows, or keys of a dynamic table that have one.
struct RowReader {
  const KeyedRows* keys = nullptr;

  std::int64_t ids_per_value() const { return keys == nullptr ? 1 : kIdsPerKey; }
  std::int32_t row(const std::vector<std::int32_t>& ids, std::size_t value) const {
    if (keys == nullptr) return ids[value];
    const std::int64_t key = key_of_ids(ids.data() + value * static_cast<std::size_t>(kIdsPerKey));
    return key == kMissingKey ? Vocabulary::kMissingRow : keys->row_of(key);
  }
};

/// A sample of this rank's part of the batch that reads the row; empty: none does.
std::string reader_of(const FailedStep& failed, std::size_t table, std::size_t sparse, std::int64_t row) {
  const RowReader reader{failed.dynamic.keys_of(table)};
  for (const Batch& batch : failed.slices) {
    const IdColumn& column = batch.sparse[sparse];
    const std::size_t values = column.ids.size() / static_cast<std::size_t>(reader.ids_per_value());
    std::size_t found = 0;
    while (found < values && reader.row(column.ids, found) != row) ++found;
    if (found == values) continue;
    std::int64_t sample = static_cast<std::int64_t>(found) * reader.ids_per_value();
    if (!column.offsets.empty()) sample = std::upper_bound(column.offsets.begin(), column.offsets.end(), sample) - column.offsets.begin() - 1;
    return fmt::format(", read by sample {}", batch.samples[static_cast<std::size_t>(sample)]);
  }
  return "";
}

std::string describe_row(const FailedStep& failed, std::size_t table, std::int64_t row) {
  std::string feature;
  std::string reader;
  for (const ModelSpec::Embedding& embedding : failed.spec.embeddings) {
    if (embedding.table != table) continue;
    const Vocabulary* const vocabulary = failed.vocabularies.find(failed.schema.sparse[embedding.sparse].table);
    const bool named = vocabulary != nullptr && row < vocabulary->rows();
    std::string text = fmt::format(" (feature {}{})", embedding.feature, named ? fmt::format(" = \"{}\"", vocabulary->value_text(static_cast<std::int32_t>(row))) : "");
    reader = reader_of(failed, table, embedding.sparse, row);
    if (feature.empty() || !reader.empty()) feature = std::move(text);
    if (!reader.empty()) break;
  }
  return fmt::format("row {} of table {}{}{}", row, failed.tables.table(table).name, feature, reader);
}

/// Whether what this rank has of the row holds a value that is not finite.
bool bad_row(const EmbeddingTables& tables, std::size_t table, std::int64_t row) { return first_bad(tables.read_held_values(table, row)) >= 0; }

/// Rows that this part of the batch reads come first: they are what made the loss what it is.
std::string in_rows_of_batch(const FailedStep& failed) {
  for (const ModelSpec::Embedding& embedding : failed.spec.embeddings) {
    if (embedding.group != InputGroup::kSamples) continue;
    const RowRange held = failed.tables.held_rows(embedding.table);
    for (const Batch& batch : failed.slices) {
      if (batch.rows == 0) continue;
      const RowReader reader{failed.dynamic.keys_of(embedding.table)};
      const std::vector<std::int32_t>& ids = batch.sparse[embedding.sparse].ids;
      for (std::size_t value = 0; value < ids.size() / static_cast<std::size_t>(reader.ids_per_value()); ++value) {
        const std::int32_t row = reader.row(ids, value);
        const bool here = row >= held.first && row < held.end();
        if (here && bad_row(failed.tables, embedding.table, row)) return describe_row(failed, embedding.table, row);
      }
    }
  }
  return "";
}

std::string in_all_rows(const FailedStep& failed) {
  for (std::size_t table = 0; table < failed.tables.table_count(); ++table) {
    const RowRange held = failed.tables.held_rows(table);
    for (std::int64_t row = held.first; row < held.end(); ++row) {
      if (bad_row(failed.tables, table, row)) return describe_row(failed, table, row);
    }
  }
  return "";
}

std::string in_outputs(const FailedStep& failed) {
  for (std::size_t head = 0; head < failed.spec.heads.size(); ++head) {
    const std::int64_t at = first_bad(failed.memory.read_output(head));
    if (at < 0) continue;
    std::string where = fmt::format("output of head {}", failed.spec.heads[head].name);
    // The outputs that are still there are those of the last slice with samples.
    const bool by_sample = failed.spec.heads[head].kind != ModelSpec::Head::Kind::kLoss && failed.slices.size() == 1;
    if (by_sample) where += fmt::format(" for sample {}", failed.slices.front().samples[static_cast<std::size_t>(at / failed.spec.heads[head].size)]);
    return where;
  }
  return "";
}

/// What a rank knows: a number for the place in the step's order, smaller is earlier, and the words.
struct Guilty {
  std::int64_t place = 0;
  std::string text;
};

Guilty find_guilty(const FailedStep& failed) {
  if (std::string text = in_batch(failed); !text.empty()) return {0, std::move(text)};
  if (std::string text = failed.dense.first_not_finite_value(); !text.empty()) return {1, std::move(text)};
  if (std::string text = in_rows_of_batch(failed); !text.empty()) return {2, std::move(text)};
  if (std::string text = in_all_rows(failed); !text.empty()) return {3, std::move(text)};
  if (std::string text = in_outputs(failed); !text.empty()) return {4, std::move(text)};
  if (std::string text = failed.dense.first_not_finite_gradient(); !text.empty()) return {5, std::move(text)};
  return {6, "none (the loss itself overflowed)"};
}

/// The earliest that any rank knows, of several the lowest rank's.
Guilty agree(const Guilty& own, Communicator& communicator) {
  std::vector<std::byte> packet(sizeof(own.place) + own.text.size());
  std::memcpy(packet.data(), &own.place, sizeof(own.place));
  std::memcpy(packet.data() + sizeof(own.place), own.text.data(), own.text.size());
  Guilty earliest;
  bool first = true;
  for (const std::vector<std::byte>& received : gather_packets(communicator, packet)) {
    Guilty other;
    std::memcpy(&other.place, received.data(), sizeof(other.place));
    other.text.assign(reinterpret_cast<const char*>(received.data()) + sizeof(other.place), received.size() - sizeof(other.place));
    if (first || other.place < earliest.place) earliest = std::move(other);
    first = false;
  }
  return earliest;
}

}  // namespace

std::string describe_not_finite(const FailedStep& failed) {
  const Guilty own = find_guilty(failed);
  const Guilty guilty = failed.communicator.world_size() > 1 ? agree(own, failed.communicator) : own;
  constexpr std::size_t kShown = 3;
  std::string samples;
  for (const Batch& batch : failed.slices) {
    if (batch.first_row != 0 || batch.rows == 0) continue;
    const std::size_t shown = std::min(kShown, batch.samples.size());
    samples = fmt::format(" (training samples {}{})", fmt::join(std::span(batch.samples).first(shown), ", "), batch.samples.size() > shown ? ", ..." : "");
  }
  const std::string advice = guilty.place == 0 ? "Leave out or repair such rows (features.<name>.clip, data.bad_rows)"
                                               : "Lower optimizer.dense.lr and optimizer.sparse.lr, add schedule.warmup_steps or set regularization.clip_norm";
  return fmt::format("the loss is not finite at step {}{}; first tensor that is not: {}. {}", failed.step, samples, guilty.text, advice);
}

}  // namespace rechost
