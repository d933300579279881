#include "data/vocabulary_learning.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"

namespace rechost {

VocabularyLearning::VocabularyLearning(std::span<const TableEncoding> tables, Limits limits) : limits_(std::move(limits)) {
  for (const TableEncoding& table : tables) {
    builders_.push_back(std::make_unique<VocabularyBuilder>(table));
    builder_pointers_.push_back(builders_.back().get());
    fixed_.push_back(std::make_unique<Vocabulary>(table));
    fixed_pointers_.push_back(fixed_.back().get());
  }
}

void VocabularyLearning::merge(std::span<const ChunkValues> values, std::vector<std::vector<std::int32_t>>& numbers) {
  make_room(values);
  for (std::size_t table = 0; table < builders_.size(); ++table) {
    if (learns(table)) builders_[table]->merge(values[table], numbers[table]);
  }
}

/// The largest goes first: few long runs are merged faster than many short ones. A chunk alone may be more than the limit.
void VocabularyLearning::make_room(std::span<const ChunkValues> values) {
  std::vector<std::uint64_t> bytes(builders_.size());
  std::uint64_t all = 0;
  for (std::size_t table = 0; table < builders_.size(); ++table) {
    bytes[table] = builders_[table]->memory_bytes_with(values[table]);
    all += bytes[table];
  }
  while (all > limits_.memory_bytes) {
    const auto table = static_cast<std::size_t>(std::max_element(bytes.begin(), bytes.end()) - bytes.begin());
    if (bytes[table] == 0) return;
    if (builders_[table]->holds_values()) builders_[table]->spill(limits_.temporary_directory);
    all -= bytes[table];
    bytes[table] = 0;
  }
}

void VocabularyLearning::require_numbers() const {
  for (const std::unique_ptr<VocabularyBuilder>& builder : builders_) {
    if (builder->numbers() <= std::numeric_limits<std::int32_t>::max()) continue;
    fail<DataError>("table \"{}\": values that come again after they were written to disk made more than 2^31 numbers; raise "
                    "data.vocabulary_memory_gib, or lower data.memory_gib so that rows are not kept",
                    builder->encoding().name);
  }
}

std::vector<Vocabulary> VocabularyLearning::finish(ThreadPool& pool, std::vector<std::vector<std::int32_t>>* row_of_number) {
  if (row_of_number != nullptr) row_of_number->resize(builders_.size());
  std::vector<std::unique_ptr<Vocabulary>> made(builders_.size());
  pool.parallel_for(static_cast<std::int64_t>(builders_.size()), [&](std::int64_t i) {
    const auto table = static_cast<std::size_t>(i);
    made[table] = std::make_unique<Vocabulary>(builders_[table]->finish(row_of_number == nullptr ? nullptr : &(*row_of_number)[table]));
    builders_[table] = nullptr;
  });
  std::vector<Vocabulary> tables;
  for (std::unique_ptr<Vocabulary>& vocabulary : made) tables.push_back(std::move(*vocabulary));
  return tables;
}

}  // namespace rechost
