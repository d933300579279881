#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/encoded_chunk.h"
#include "data/schema.h"
#include "data/source.h"
#include "data/vocabulary.h"
#include "data/vocabulary_builder.h"

namespace rechost {

/// Decodes chunks of one source and encodes them. Holds scratch memory: one per thread.
class ChunkEncoder {
 public:
  /// The split (0, 1, ...) of a declared row, counted over the whole source.
  using RowSplit = std::function<std::uint8_t(std::int64_t declared_row)>;

  struct Input {
    ChunkSource* source = nullptr;
    std::vector<std::int64_t> positions;       ///< by column of the plan, from locate_columns()
    std::vector<std::int64_t> chunk_first_row; ///< declared rows before each chunk
    RowSplit row_split;                        ///< null: every row belongs to split 0
    std::int64_t bad_row_limit = 1;            ///< give up a chunk at so many bad rows
    std::int64_t shown_bad_rows = 0;           ///< of the first so many the source is asked where they stand, if it was not the one to refuse them
  };

  ChunkEncoder(const EncodingPlan& plan, const RowLayout& layout);

  /// With finished vocabularies, by table of the plan: ids are rows. A chunk that was given up has bad_rows only.
  void encode(const Input& input, std::int64_t chunk, std::span<const Vocabulary* const> vocabularies, EncodedChunk& result);

  /// While vocabularies are learnt: ids of vocabulary tables are numbers in `values`, -1 for missing; those of other tables are rows, counted
  /// in `builders`. Dense features that are to be scaled are not yet, NaN for missing; their moments are in the result. Only rows of
  /// `training_split` count. [tables] each.
  void encode_and_count(const Input& input, std::int64_t chunk, std::uint8_t training_split, std::span<VocabularyBuilder* const> builders,
                        std::span<const Vocabulary* const> fixed_vocabularies, std::vector<ChunkValues>& values, EncodedChunk& result);

 private:
  /// What happens to the ids of a column in this call.
  struct Counting {
    std::uint8_t training_split = 0;
    std::span<VocabularyBuilder* const> builders;
    std::vector<ChunkValues>* values = nullptr;
  };

  void encode_chunk(const Input& input, std::int64_t chunk, std::span<const Vocabulary* const> vocabularies, const Counting* counting,
                    EncodedChunk& result);
  bool read_rows(const Input& input, std::int64_t chunk, EncodedChunk& result);
  void refuse(std::int64_t row, const ColumnEncoding& column, std::string reason);
  void show_bad_rows(const Input& input, std::vector<BadRow>& bad_rows) const;

  // First every column is checked, then ids are encoded: a row that a later column refuses must not have been counted.
  void encode_dense(const ColumnEncoding& column, const ColumnView& view);
  void encode_label(const ColumnEncoding& column, const ColumnView* view);
  void encode_weight(const ColumnEncoding& column, const ColumnView* view);
  void check_ids(const ColumnEncoding& column, const ColumnView& view, const Vocabulary& vocabulary);
  void check_id_weights(const ColumnEncoding& column, const ColumnView& ids, const ColumnView& weights);
  void encode_single_ids(const ColumnEncoding& column, const ColumnView& view, const Vocabulary& vocabulary, const Counting* counting);
  void encode_list_ids(const ColumnEncoding& column, const ColumnView* view, const ColumnView* weights, const Vocabulary& vocabulary, const Counting* counting);

  void select_single(const ColumnEncoding& column, const ColumnView& view);
  void select_list(const ColumnEncoding& column, const ColumnView& view, EncodedChunk::List& list);
  /// weights_ of the selected elements of a list.
  void select_weights(const ColumnEncoding& column, const ColumnView& ids, const ColumnView& weights);
  /// Where the values of a vocabulary that is being learnt go; null: the vocabulary numbers them.
  static ChunkValues* learnt_values(const ColumnEncoding& column, const Vocabulary& vocabulary, const Counting* counting);
  static void number_integers(std::span<const std::int64_t> values, const Vocabulary& vocabulary, ChunkValues* learnt, std::int32_t* ids);
  /// text(i) for i in [0, count).
  template <typename Text>
  void number_texts(std::size_t count, Text&& text, const Vocabulary& vocabulary, ChunkValues* learnt,
                    std::int32_t* ids);
  void encode_full_column(const ColumnEncoding& column, const ColumnView& view, const Vocabulary& vocabulary, const Counting* counting,
                          std::int32_t* ids);
  /// Of the first `count` values as they are stored: those of the rows, or the entries of a dictionary.
  void number_stored(const ColumnView& view, std::size_t count, const Vocabulary& vocabulary, ChunkValues* learnt, std::int32_t* ids);
  /// Dictionaries: entry_ids_ of its entries. Each is encoded once, however many rows have it.
  void number_entries(const ColumnView& view, const Vocabulary& vocabulary, ChunkValues* learnt);
  void count_entries(const ColumnView& view, const ColumnEncoding& column, ChunkValues* learnt, const Counting& counting);
  static void count(std::span<const std::int32_t> ids, const ColumnEncoding& column, ChunkValues* learnt, const Counting& counting);
  void number_selected(const ColumnEncoding& column, const ColumnView& view, const Vocabulary& vocabulary, const Counting* counting);
  void hash_selected(const ColumnEncoding& column, const ColumnView& view, const Vocabulary& vocabulary);
  void take_selected_keys(const ColumnView& view, const Vocabulary& vocabulary);
  void lay_out_list(const ColumnEncoding& column, std::int32_t missing_id, EncodedChunk::List& list) const;
  void count_missing(const ColumnEncoding& column, const EncodedChunk::List& list, const Vocabulary& vocabulary, const Counting& counting) const;
  void scale_dense(const Counting* counting);

  const EncodingPlan& plan_;
  const RowLayout& layout_;
  std::vector<std::size_t> word_of_feature_;  ///< by sparse feature: place in words, or in lists
  std::vector<std::size_t> list_of_feature_;
  std::size_t candidates_list_ = 0;

  std::vector<std::uint32_t> wanted_;      ///< columns of the source, each once
  std::vector<std::size_t> place_;         ///< by column of the plan: in wanted_
  std::vector<DerivedColumn> derived_;     ///< by column of the plan
  std::unique_ptr<ChunkData> data_;
  EncodedChunk* result_ = nullptr;
  std::int64_t chunk_ = 0;
  bool every_row_good_ = false;
  bool every_row_counts_ = false;  ///< all belong to the training split whose values are counted
  // Elements of the column in work that are there and belong to good rows:
  std::vector<std::int64_t> elements_;
  std::vector<std::int32_t> element_rows_;
  std::vector<std::int64_t> integers_;
  std::vector<std::string_view> texts_;
  std::vector<std::int32_t> ids_;
  std::vector<float> weights_;  ///< of ids_, where they have some
  std::vector<std::int32_t> counted_;  ///< those of training rows
  // Of the dictionary of the column in work, by entry:
  std::vector<std::int32_t> entry_ids_;
  std::vector<std::uint32_t> entry_counts_;  ///< occurrences in training rows
};

}  // namespace rechost
