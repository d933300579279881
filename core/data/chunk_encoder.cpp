#include "data/chunk_encoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "base/error.h"
#include "data/column_values.h"

namespace rechost {
namespace {

using Target = ColumnEncoding::Target;

/// Ends the reading of a chunk that has more bad rows than anybody wants to hear of.
struct EnoughBadRows {};

constexpr std::size_t kNowhere = ~std::size_t{0};
constexpr std::uint32_t kExponentBits = 0x7f800000;  // all of them set: infinite, or not a number
constexpr std::size_t kTextsAtOnce = 512;
constexpr float kMostClasses = 16777216.0F;  // beyond, a float32 no longer holds every class number

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

std::uint32_t bits_of(std::int32_t value) { return static_cast<std::uint32_t>(value); }

}  // namespace

RowLayout::RowLayout(const BatchSchema& schema)
    : dense(schema.dense.size()), labels(schema.labels.size()), weights(schema.has_weight ? 1 : 0) {
  for (std::size_t feature = 0; feature < schema.sparse.size(); ++feature) {
    (schema.sparse[feature].in_lists() ? list_features : single_features).push_back(feature);
  }
  if (schema.has_candidates) list_features.push_back(kCandidates);
  for (const std::size_t feature : list_features) list_weights.push_back(feature != kCandidates && !schema.sparse[feature].weights.empty());
}

ChunkEncoder::ChunkEncoder(const EncodingPlan& plan, const RowLayout& layout) : plan_(plan), layout_(layout) {
  derived_.resize(plan.columns.size());
  word_of_feature_.assign(plan.schema.sparse.size(), kNowhere);
  list_of_feature_.assign(plan.schema.sparse.size(), kNowhere);
  for (std::size_t i = 0; i < layout.single_features.size(); ++i) word_of_feature_[layout.single_features[i]] = layout.first_id() + i;
  for (std::size_t i = 0; i < layout.list_features.size(); ++i) {
    if (layout.list_features[i] == RowLayout::kCandidates) {
      candidates_list_ = i;
    } else {
      list_of_feature_[layout.list_features[i]] = i;
    }
  }
}

void ChunkEncoder::encode(const Input& input, std::int64_t chunk, std::span<const Vocabulary* const> vocabularies, EncodedChunk& result) {
  encode_chunk(input, chunk, vocabularies, nullptr, result);
}

void ChunkEncoder::encode_and_count(const Input& input, std::int64_t chunk, std::uint8_t training_split,
                                    std::span<VocabularyBuilder* const> builders, std::span<const Vocabulary* const> fixed_vocabularies,
                                    std::vector<ChunkValues>& values, EncodedChunk& result) {
  for (ChunkValues& table : values) table.clear();
  const Counting counting{training_split, builders, &values};
  encode_chunk(input, chunk, fixed_vocabularies, &counting, result);
}

void ChunkEncoder::encode_chunk(const Input& input, std::int64_t chunk, std::span<const Vocabulary* const> vocabularies,
                                const Counting* counting, EncodedChunk& result) {
  result_ = &result;
  chunk_ = chunk;
  if (!read_rows(input, chunk, result)) return;
  const std::span<const ColumnView> views = data_->columns();
  std::vector<const ColumnView*> view_of(plan_.columns.size(), nullptr);
  for (std::size_t i = 0; i < plan_.columns.size(); ++i) {
    if (input.positions[i] < 0) continue;
    const ColumnEncoding& column = plan_.columns[i];
    view_of[i] = &views[place_[i]];
    if (column.derivation.empty()) continue;
    view_of[i] = &derived_[i].derive(column.derivation, *view_of[i],
                                     [&](std::int64_t row, std::string reason) { refuse(row, column, std::move(reason)); });
  }

  result.words.resize(layout_.words());
  for (std::vector<std::uint32_t>& column : result.words) column.resize(static_cast<std::size_t>(result.rows));
  result.lists.resize(layout_.list_features.size());
  result.largest_label.assign(plan_.schema.labels.size(), -std::numeric_limits<float>::infinity());

  for (std::size_t i = 0; i < plan_.columns.size(); ++i) {
    const ColumnEncoding& column = plan_.columns[i];
    switch (column.target) {
      case Target::kDense: encode_dense(column, *view_of[i]); break;
      case Target::kLabel: encode_label(column, view_of[i]); break;
      case Target::kWeight: encode_weight(column, view_of[i]); break;
      case Target::kSparse:
        check_ids(column, *view_of[i], *vocabularies[column.table]);
        if (column.weights != ColumnEncoding::kNone) check_id_weights(column, *view_of[i], *view_of[column.weights]);
        break;
      case Target::kIdWeights: break;  // with their ids
      case Target::kCandidates:
        if (view_of[i] != nullptr) check_ids(column, *view_of[i], *vocabularies[column.table]);
        break;
    }
  }
  every_row_good_ = std::find(result.split.begin(), result.split.end(), EncodedChunk::kLeftOut) == result.split.end();
  every_row_counts_ = counting != nullptr && std::all_of(result.split.begin(), result.split.end(),
                                                         [&](std::uint8_t split) { return split == counting->training_split; });
  for (std::size_t i = 0; i < plan_.columns.size(); ++i) {
    const ColumnEncoding& column = plan_.columns[i];
    const bool is_sparse = column.target == Target::kSparse;
    if (!is_sparse && column.target != Target::kCandidates) continue;
    if (is_sparse && word_of_feature_[column.position] != kNowhere) {
      encode_single_ids(column, *view_of[i], *vocabularies[column.table], counting);
    } else {
      const ColumnView* const weights = column.weights == ColumnEncoding::kNone ? nullptr : view_of[column.weights];
      encode_list_ids(column, view_of[i], weights, *vocabularies[column.table], counting);
    }
  }
  scale_dense(counting);
  std::sort(result.bad_rows.begin(), result.bad_rows.end(),
            [](const BadRow& left, const BadRow& right) { return left.row_in_chunk < right.row_in_chunk; });
  show_bad_rows(input, result.bad_rows);
  for (std::size_t label = 0; label < plan_.schema.labels.size(); ++label) {
    const std::vector<std::uint32_t>& words = result.words[layout_.first_label() + label];
    for (std::size_t row = 0; row < words.size(); ++row) {
      if (result.split[row] == EncodedChunk::kLeftOut) continue;
      result.largest_label[label] = std::max(result.largest_label[label], std::bit_cast<float>(words[row]));
    }
  }
  data_.reset();
}

bool ChunkEncoder::read_rows(const Input& input, std::int64_t chunk, EncodedChunk& result) {
  // Several features may be made of one column.
  wanted_.clear();
  place_.assign(input.positions.size(), kNowhere);
  for (std::size_t i = 0; i < input.positions.size(); ++i) {
    if (input.positions[i] < 0) continue;
    const auto position = static_cast<std::uint32_t>(input.positions[i]);
    place_[i] = static_cast<std::size_t>(std::find(wanted_.begin(), wanted_.end(), position) - wanted_.begin());
    if (place_[i] == wanted_.size()) wanted_.push_back(position);
  }
  result.rows = 0;
  result.row_in_chunk.clear();
  result.split.clear();
  result.bad_rows.clear();
  data_.reset();
  const auto bad_row = [&](BadRow&& row) {
    row.chunk = chunk;
    result.bad_rows.push_back(std::move(row));
    if (static_cast<std::int64_t>(result.bad_rows.size()) >= input.bad_row_limit) throw EnoughBadRows{};
  };
  try {
    data_ = input.source->read(chunk, wanted_, bad_row);
  } catch (const EnoughBadRows&) {
    return false;
  }

  result.rows = data_->rows();
  const std::int64_t declared = input.source->chunk_rows(chunk);
  const auto refused = static_cast<std::int64_t>(result.bad_rows.size());
  if (result.rows + refused != declared) {
    fail<DataError>("chunk {}: the loader announced {} rows, but delivered {} and refused {}", chunk, declared, result.rows, refused);
  }
  if (data_->columns().size() != wanted_.size()) {
    fail<DataError>("chunk {}: the loader was asked for {} columns and delivered {}", chunk, wanted_.size(), data_->columns().size());
  }
  const auto rows = static_cast<std::size_t>(result.rows);
  result.row_in_chunk.resize(rows);
  std::int64_t at = 0;
  std::size_t next_bad = 0;
  for (std::size_t row = 0; row < rows; ++row, ++at) {
    while (next_bad < result.bad_rows.size() && result.bad_rows[next_bad].row_in_chunk == at) {
      ++next_bad;
      ++at;
    }
    result.row_in_chunk[row] = at;
  }
  result.split.assign(rows, 0);
  if (input.row_split) {
    const std::int64_t first = input.chunk_first_row[static_cast<std::size_t>(chunk)];
    for (std::size_t row = 0; row < rows; ++row) result.split[row] = input.row_split(first + result.row_in_chunk[row]);
  }
  return true;
}

void ChunkEncoder::refuse(std::int64_t row, const ColumnEncoding& column, std::string reason) {
  std::uint8_t& split = result_->split[static_cast<std::size_t>(row)];
  if (split == EncodedChunk::kLeftOut) return;  // one reason is enough
  split = EncodedChunk::kLeftOut;
  BadRow bad;
  bad.chunk = chunk_;
  bad.row_in_chunk = result_->row_in_chunk[static_cast<std::size_t>(row)];
  bad.column = column.name;
  bad.reason = std::move(reason);
  result_->bad_rows.push_back(std::move(bad));
}

/// A row that was read well but cannot be used is to be found again like one that could not be read.
void ChunkEncoder::show_bad_rows(const Input& input, std::vector<BadRow>& bad_rows) const {
  const auto shown = std::min(bad_rows.size(), static_cast<std::size_t>(input.shown_bad_rows));
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < shown; ++i) {
    if (bad_rows[i].source.empty()) rows.push_back(bad_rows[i].row_in_chunk);
  }
  if (rows.empty()) return;
  auto at = bad_rows.begin();
  input.source->show_rows(chunk_, rows, [&](BadRow&& row) {
    while (at != bad_rows.end() && at->row_in_chunk < row.row_in_chunk) ++at;
    if (at == bad_rows.end() || at->row_in_chunk != row.row_in_chunk || !at->source.empty()) return;
    at->source = std::move(row.source);
    at->line = row.line;
    at->raw = std::move(row.raw);
    at->raw_bytes = row.raw_bytes;
  });
}

void ChunkEncoder::encode_dense(const ColumnEncoding& column, const ColumnView& view) {
  std::uint32_t* const words = result_->words[column.position].data();
  const std::int64_t rows = result_->rows;
  bool all_finite = true;
  with_numbers(view, [&](auto read) {
    if (view.validity == nullptr) {
      for (std::int64_t row = 0; row < rows; ++row) words[row] = bits_of(static_cast<float>(read(row)));
    } else {
      for (std::int64_t row = 0; row < rows; ++row) words[row] = bits_of(view.valid(row) ? static_cast<float>(read(row)) : column.default_value);
    }
  });
  for (std::int64_t row = 0; row < rows; ++row) all_finite &= (words[row] & kExponentBits) != kExponentBits;
  // Looking for what is wrong costs more than seeing that nothing is.
  if (!all_finite) {
    with_numbers(view, [&](auto read) {
      for (std::int64_t row = 0; row < rows; ++row) {
        if (view.valid(row) && !std::isfinite(static_cast<float>(read(row)))) {
          refuse(row, column, fmt::format("{} is not a finite number", static_cast<double>(read(row))));
        }
      }
    });
  }
  if (view.validity != nullptr && column.missing_fails) {
    for (std::int64_t row = 0; row < rows; ++row) {
      if (!view.valid(row)) refuse(row, column, "the value is missing");
    }
  }
  if (!column.log1p) return;
  for (std::int64_t row = 0; row < rows; ++row) {
    if (view.valid(row)) words[row] = bits_of(std::log1p(std::max(std::bit_cast<float>(words[row]), 0.0F)));
  }
}

void ChunkEncoder::encode_label(const ColumnEncoding& column, const ColumnView* view) {
  std::vector<std::uint32_t>& words = result_->words[layout_.first_label() + column.position];
  if (view == nullptr) {
    std::fill(words.begin(), words.end(), bits_of(std::numeric_limits<float>::quiet_NaN()));
    return;
  }
  const LabelInfo& label = plan_.schema.labels[column.position];
  // Looking for what is wrong costs more than seeing that nothing is.
  if (label.kind == LabelKind::kBinary && view->validity == nullptr) {
    bool all_good = true;
    with_numbers(*view, [&](auto read) {
      for (std::int64_t row = 0; row < result_->rows; ++row) {
        const auto value = static_cast<float>(read(row));
        words[static_cast<std::size_t>(row)] = bits_of(value);
        all_good &= (value == 0.0F) | (value == 1.0F);
      }
    });
    if (all_good) return;
  }
  const auto classes = static_cast<float>(label.classes > 0 ? static_cast<float>(label.classes) : kMostClasses);
  with_numbers(*view, [&](auto read) {
    for (std::int64_t row = 0; row < result_->rows; ++row) {
      if (!view->valid(row)) {
        refuse(row, column, "the label is missing");
        continue;
      }
      const auto value = static_cast<float>(read(row));
      words[static_cast<std::size_t>(row)] = bits_of(value);
      if (label.kind == LabelKind::kBinary && value != 0.0F && value != 1.0F) {
        refuse(row, column, fmt::format("label {} is neither 0 nor 1", static_cast<double>(read(row))));
      } else if (label.kind == LabelKind::kMulticlass && !(value >= 0.0F && value < classes && value == std::floor(value))) {
        refuse(row, column, fmt::format("label {} is not a class number in [0, {})", static_cast<double>(read(row)), classes));
      } else if (!std::isfinite(value)) {
        refuse(row, column, fmt::format("label {} is not a finite number", static_cast<double>(read(row))));
      }
    }
  });
}

void ChunkEncoder::encode_weight(const ColumnEncoding& column, const ColumnView* view) {
  std::vector<std::uint32_t>& words = result_->words[layout_.first_weight()];
  if (view == nullptr) {
    std::fill(words.begin(), words.end(), bits_of(1.0F));
    return;
  }
  with_numbers(*view, [&](auto read) {
    for (std::int64_t row = 0; row < result_->rows; ++row) {
      float value = 1.0F;
      if (view->valid(row)) {
        value = static_cast<float>(read(row));
        if (!(value >= 0.0F && std::isfinite(value))) {
          refuse(row, column, fmt::format("weight {} is negative or not finite", static_cast<double>(read(row))));
        }
      } else if (column.missing_fails) {
        refuse(row, column, "the weight is missing");
      }
      words[static_cast<std::size_t>(row)] = bits_of(value);
    }
  });
}

void ChunkEncoder::check_ids(const ColumnEncoding& column, const ColumnView& view, const Vocabulary& vocabulary) {
  const bool keeps_list = column.target == Target::kCandidates || list_of_feature_[column.position] != kNowhere;
  if (view.validity != nullptr && (column.missing_fails || (!keeps_list && vocabulary.missing_row() < 0))) {
    for (std::int64_t row = 0; row < result_->rows; ++row) {
      if (view.valid(row)) continue;
      refuse(row, column, column.missing_fails ? "the value is missing" : "the value is missing, which the loader's schema rules out");
    }
  }
  const auto for_each_value = [&](auto&& check) {
    // Elements of a list have no validity of their own here: the loader delivers lists of present values.
    with_numbers(view, [&](auto read) {
      for (std::int64_t row = 0; row < result_->rows; ++row) {
        if (!view.valid(row)) continue;
        if (!view.is_list()) {
          check(row, static_cast<std::int64_t>(read(row)));
          continue;
        }
        for (std::int64_t element = view.list_begin(row); element < view.list_begin(row + 1); ++element) {
          check(row, static_cast<std::int64_t>(read(element)));
        }
      }
    });
  };
  if (vocabulary.dynamic() && vocabulary.encoding().values == ValueKind::kInteger) {
    for_each_value([&](std::int64_t row, std::int64_t value) {
      if (value == kMissingKey) [[unlikely]] refuse(row, column, fmt::format("id {} stands for a missing value in dynamic tables: write another number", value));
    });
  }
  if (vocabulary.encoding().encoder != EncoderKind::kIdentity) return;

  const std::int64_t table_bound = vocabulary.encoding().cardinality;
  const std::int64_t bound = column.cardinality > 0 ? std::min(column.cardinality, table_bound) : table_bound;
  for_each_value([&](std::int64_t row, std::int64_t value) {
    if (value >= 0 && value < bound) [[likely]] return;
    refuse(row, column,
           fmt::format("id {} is not in [0, {}), the ids that table \"{}\" was set up for: correct the data, or set features.{}.encoder = "
                       "\"vocabulary\"",
                       value, bound, vocabulary.name(), column.name));
  });
}

void ChunkEncoder::check_id_weights(const ColumnEncoding& column, const ColumnView& ids, const ColumnView& weights) {
  const ColumnEncoding& of_weights = plan_.columns[column.weights];
  const auto length = [](const ColumnView& view, std::int64_t row) { return view.valid(row) ? view.list_begin(row + 1) - view.list_begin(row) : 0; };
  with_numbers(weights, [&](auto read) {
    for (std::int64_t row = 0; row < result_->rows; ++row) {
      const std::int64_t count = length(weights, row);
      if (count != length(ids, row)) {
        refuse(row, of_weights, fmt::format("{} weights for the {} ids of \"{}\"", count, length(ids, row), column.name));
        continue;
      }
      for (std::int64_t i = 0; i < count; ++i) {
        const auto value = static_cast<float>(read(weights.list_begin(row) + i));
        if (!std::isfinite(value)) {
          refuse(row, of_weights, fmt::format("weight {} of an id of \"{}\" is not a finite number", value, column.name));
          break;
        }
      }
    }
  });
}

void ChunkEncoder::select_weights(const ColumnEncoding& column, const ColumnView& ids, const ColumnView& weights) {
  weights_.clear();
  with_numbers(weights, [&](auto read) {
    for (std::size_t i = 0; i < elements_.size(); ++i) {
      const std::int64_t row = element_rows_[i];
      const auto weight = static_cast<float>(read(weights.list_begin(row) + elements_[i] - ids.list_begin(row)));
      weights_.insert(weights_.end(), static_cast<std::size_t>(column.ids_per_value), weight);
    }
  });
}

void ChunkEncoder::select_single(const ColumnEncoding& column, const ColumnView& view) {
  const auto rows = static_cast<std::size_t>(result_->rows);
  elements_.resize(rows);
  element_rows_.resize(rows);
  std::int64_t* const elements = elements_.data();
  std::int32_t* const element_rows = element_rows_.data();
  const std::uint8_t* const split = result_->split.data();
  std::size_t count = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const auto at = static_cast<std::int64_t>(row);
    bool taken = split[row] != EncodedChunk::kLeftOut && view.valid(at);
    std::int64_t element = at;
    if (view.is_list() && taken) {  // max_length = 1
      element = column.keep_first ? view.list_begin(at) : view.list_begin(at + 1) - 1;
      taken = view.list_begin(at) < view.list_begin(at + 1);
    }
    // Written in any case: which rows have a value is no pattern that a processor could guess.
    elements[count] = element;
    element_rows[count] = static_cast<std::int32_t>(row);
    count += taken;
  }
  elements_.resize(count);
  element_rows_.resize(count);
}

void ChunkEncoder::select_list(const ColumnEncoding& column, const ColumnView& view, EncodedChunk::List& list) {
  elements_.clear();
  element_rows_.clear();
  list.offsets.assign(1, 0);
  for (std::int64_t row = 0; row < result_->rows; ++row) {
    if (result_->split[static_cast<std::size_t>(row)] != EncodedChunk::kLeftOut && view.valid(row)) {
      // A column without lists gets here when its values have several ids.
      std::int64_t element = view.is_list() ? view.list_begin(row) : row;
      std::int64_t end = view.is_list() ? view.list_begin(row + 1) : row + 1;
      if (column.max_length > 0 && column.keep_first) end = std::min(end, element + column.max_length);
      if (column.max_length > 0 && !column.keep_first) element = std::max(element, end - column.max_length);
      for (; element < end; ++element) {
        elements_.push_back(element);
        element_rows_.push_back(static_cast<std::int32_t>(row));
      }
    }
    list.offsets.push_back(static_cast<std::int64_t>(elements_.size()));
  }
}

void ChunkEncoder::number_integers(std::span<const std::int64_t> values, const Vocabulary& vocabulary, ChunkValues* learnt, std::int32_t* ids) {
  if (learnt != nullptr) {
    learnt->integers.insert_all(values, ids);
  } else {
    vocabulary.rows_of(values, ids);
  }
}

template <typename Text>
void ChunkEncoder::number_texts(std::size_t count, Text&& text, const Vocabulary& vocabulary, ChunkValues* learnt,
                                std::int32_t* ids) {
  texts_.resize(kTextsAtOnce);
  for (std::size_t begin = 0; begin < count; begin += kTextsAtOnce) {
    const std::size_t size = std::min(kTextsAtOnce, count - begin);
    for (std::size_t i = 0; i < size; ++i) texts_[i] = text(begin + i);
    const std::span<const std::string_view> texts(texts_.data(), size);
    if (learnt != nullptr) {
      learnt->strings.insert_all(texts, ids + begin);
    } else {
      vocabulary.rows_of(texts, ids + begin);
    }
  }
}

ChunkValues* ChunkEncoder::learnt_values(const ColumnEncoding& column, const Vocabulary& vocabulary, const Counting* counting) {
  if (counting == nullptr || !vocabulary.encoding().learns_values()) return nullptr;
  return &(*counting->values)[column.table];
}

void ChunkEncoder::number_selected(const ColumnEncoding& column, const ColumnView& view, const Vocabulary& vocabulary,
                                   const Counting* counting) {
  ids_.resize(elements_.size());
  ChunkValues* const learnt = learnt_values(column, vocabulary, counting);
  if (vocabulary.dynamic()) return take_selected_keys(view, vocabulary);  // and what rows read is not known: nothing is counted
  if (column.ids_per_value > 1) {
    hash_selected(column, view, vocabulary);
  } else if (view.indices != nullptr) {
    number_entries(view, vocabulary, learnt);
    for (std::size_t i = 0; i < elements_.size(); ++i) ids_[i] = entry_ids_[static_cast<std::size_t>(view.indices[elements_[i]])];
  } else if (view.type == ValueType::kString) {
    number_texts(elements_.size(), [&](std::size_t i) { return view.string(elements_[i]); }, vocabulary, learnt, ids_.data());
  } else {
    integers_.resize(elements_.size());
    with_numbers(view, [&](auto read) {
      for (std::size_t i = 0; i < elements_.size(); ++i) integers_[i] = static_cast<std::int64_t>(read(elements_[i]));
    });
    number_integers(integers_, vocabulary, learnt, ids_.data());
  }
  if (counting == nullptr) return;
  if (learnt != nullptr) learnt->grow_counts();
  if (column.target == Target::kCandidates) return;  // listed for evaluation, not seen
  if (!every_row_counts_) {
    counted_.clear();
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      const std::int32_t row = element_rows_[i / static_cast<std::size_t>(column.ids_per_value)];
      if (result_->split[static_cast<std::size_t>(row)] == counting->training_split) counted_.push_back(ids_[i]);
    }
  }
  count(every_row_counts_ ? ids_ : counted_, column, learnt, *counting);
}

void ChunkEncoder::number_stored(const ColumnView& view, std::size_t count, const Vocabulary& vocabulary, ChunkValues* learnt, std::int32_t* ids) {
  if (view.type == ValueType::kString) {
    number_texts(count, [&view](std::size_t place) { return view.string_at(static_cast<std::int64_t>(place)); }, vocabulary, learnt, ids);
  } else if (view.type == ValueType::kInt64) {
    number_integers({static_cast<const std::int64_t*>(view.values), count}, vocabulary, learnt, ids);
  } else {
    integers_.resize(count);
    with_stored_numbers(view, [&](auto read) {
      for (std::size_t place = 0; place < count; ++place) integers_[place] = static_cast<std::int64_t>(read(static_cast<std::int64_t>(place)));
    });
    number_integers(integers_, vocabulary, learnt, ids);
  }
}

void ChunkEncoder::number_entries(const ColumnView& view, const Vocabulary& vocabulary, ChunkValues* learnt) {
  entry_ids_.resize(static_cast<std::size_t>(view.entries));
  number_stored(view, entry_ids_.size(), vocabulary, learnt, entry_ids_.data());
}

/// For columns with a value in each row.
void ChunkEncoder::count_entries(const ColumnView& view, const ColumnEncoding& column, ChunkValues* learnt, const Counting& counting) {
  if (learnt != nullptr) learnt->grow_counts();
  entry_counts_.assign(entry_ids_.size(), 0);
  const auto rows = static_cast<std::size_t>(result_->rows);
  if (every_row_counts_) {
    for (std::size_t row = 0; row < rows; ++row) ++entry_counts_[static_cast<std::size_t>(view.indices[row])];
  } else {
    for (std::size_t row = 0; row < rows; ++row) {
      entry_counts_[static_cast<std::size_t>(view.indices[row])] += result_->split[row] == counting.training_split;
    }
  }
  if (learnt == nullptr) return counting.builders[column.table]->count_rows(entry_ids_, entry_counts_);
  for (std::size_t entry = 0; entry < entry_ids_.size(); ++entry) learnt->counts[static_cast<std::size_t>(entry_ids_[entry])] += entry_counts_[entry];
}

void ChunkEncoder::count(std::span<const std::int32_t> ids, const ColumnEncoding& column, ChunkValues* learnt, const Counting& counting) {
  if (learnt == nullptr) return counting.builders[column.table]->count_rows(ids);
  std::int64_t* const counts = learnt->counts.data();
  for (const std::int32_t id : ids) ++counts[id];
}

void ChunkEncoder::encode_single_ids(const ColumnEncoding& column, const ColumnView& view, const Vocabulary& vocabulary,
                                     const Counting* counting) {
  std::vector<std::uint32_t>& words = result_->words[word_of_feature_[column.position]];
  if (every_row_good_ && !view.is_list() && view.validity == nullptr) {
    encode_full_column(column, view, vocabulary, counting, reinterpret_cast<std::int32_t*>(words.data()));
    return;
  }
  select_single(column, view);
  number_selected(column, view, vocabulary, counting);
  ChunkValues* const learnt = learnt_values(column, vocabulary, counting);
  std::fill(words.begin(), words.end(), bits_of(learnt != nullptr ? std::int32_t{-1} : vocabulary.missing_row()));
  std::uint32_t* const word = words.data();
  for (std::size_t i = 0; i < ids_.size(); ++i) word[element_rows_[i]] = bits_of(ids_[i]);
  if (counting == nullptr || ids_.size() == words.size()) return;

  std::int64_t missing = 0;
  std::size_t next = 0;
  for (std::size_t row = 0; row < words.size(); ++row) {
    if (next < element_rows_.size() && static_cast<std::size_t>(element_rows_[next]) == row) {
      ++next;
    } else {
      missing += result_->split[row] == counting->training_split;
    }
  }
  if (learnt != nullptr) {
    learnt->missing += missing;
  } else if (missing > 0) {
    counting->builders[column.table]->count_row(vocabulary.missing_row(), missing);
  }
}

/// One value for each row: nothing to select, and the ids go where they belong.
void ChunkEncoder::encode_full_column(const ColumnEncoding& column, const ColumnView& view, const Vocabulary& vocabulary,
                                      const Counting* counting, std::int32_t* ids) {
  const auto rows = static_cast<std::size_t>(result_->rows);
  ChunkValues* const learnt = learnt_values(column, vocabulary, counting);
  if (view.indices != nullptr) {
    number_entries(view, vocabulary, learnt);
    for (std::size_t row = 0; row < rows; ++row) ids[row] = entry_ids_[static_cast<std::size_t>(view.indices[row])];
    if (counting != nullptr) count_entries(view, column, learnt, *counting);
    return;
  }
  number_stored(view, rows, vocabulary, learnt, ids);
  if (counting == nullptr) return;
  if (learnt != nullptr) learnt->grow_counts();
  if (every_row_counts_) return count({ids, rows}, column, learnt, *counting);
  counted_.clear();
  for (std::size_t row = 0; row < rows; ++row) {
    if (result_->split[row] == counting->training_split) counted_.push_back(ids[row]);
  }
  count(counted_, column, learnt, *counting);
}

void ChunkEncoder::encode_list_ids(const ColumnEncoding& column, const ColumnView* view, const ColumnView* weights, const Vocabulary& vocabulary,
                                   const Counting* counting) {
  const std::size_t place = column.target == Target::kCandidates ? candidates_list_ : list_of_feature_[column.position];
  EncodedChunk::List& list = result_->lists[place];
  if (view == nullptr) {
    list.offsets.assign(static_cast<std::size_t>(result_->rows) + 1, 0);
    list.ids.clear();
    return;
  }
  select_list(column, *view, list);
  number_selected(column, *view, vocabulary, counting);
  if (weights != nullptr) select_weights(column, *view, *weights);
  if (column.ids_per_value > 1 || column.padding != ColumnEncoding::Padding::kNone) {
    if (counting != nullptr && !column.source_is_list && !vocabulary.dynamic()) count_missing(column, list, vocabulary, *counting);
    const bool learning = counting != nullptr && vocabulary.encoding().learns_values();
    lay_out_list(column, learning ? -1 : vocabulary.missing_id(), list);
  } else {
    list.ids = ids_;
    if (weights != nullptr) list.weights = weights_;
  }
}

}  // namespace rechost
