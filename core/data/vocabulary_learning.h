#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "data/vocabulary.h"
#include "data/vocabulary_builder.h"

namespace rechost {

/// Learns all tables of a run in one pass, within a limit of memory: what does not fit goes to disk, sorted, and is merged at the end. The
/// vocabularies are the same for any limit.
class VocabularyLearning {
 public:
  struct Limits {
    std::uint64_t memory_bytes = 0;             ///< of all tables together, while they are learnt; the finished vocabularies are beside it
    std::filesystem::path temporary_directory;
  };

  VocabularyLearning(std::span<const TableEncoding> tables, Limits limits);

  /// By table; for ChunkEncoder::encode_and_count().
  std::span<VocabularyBuilder* const> builders() const { return builder_pointers_; }
  /// What need not be learnt is complete; others are asked for their kind alone until they are finished.
  std::span<const Vocabulary* const> fixed_vocabularies() const { return fixed_pointers_; }
  bool learns(std::size_t table) const { return builders_[table]->encoding().learns_values(); }

  /// Adds a chunk's values, by table: numbers[table][n] is the number of value n until finish(). One thread at a time.
  void merge(std::span<const ChunkValues> values, std::vector<std::vector<std::int32_t>>& numbers);
  /// DataError when numbers no longer tell values apart: rows that were stored with them cannot be renamed.
  void require_numbers() const;

  /// Once. row_of_number, by table: see VocabularyBuilder; null: nobody asks.
  std::vector<Vocabulary> finish(ThreadPool& pool, std::vector<std::vector<std::int32_t>>* row_of_number);

 private:
  void make_room(std::span<const ChunkValues> values);

  Limits limits_;
  std::vector<std::unique_ptr<VocabularyBuilder>> builders_;
  std::vector<VocabularyBuilder*> builder_pointers_;
  std::vector<std::unique_ptr<Vocabulary>> fixed_;
  std::vector<const Vocabulary*> fixed_pointers_;
};

}  // namespace rechost
