#include "data/prepare.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "data/bad_rows.h"
#include "data/chunk_encoder.h"
#include "data/chunk_window.h"
#include "data/order.h"
#include "data/ordered_chunks.h"
#include "data/row_store.h"
#include "data/sequential_read_ahead.h"
#include "data/split_rows.h"
#include "data/vocabulary_learning.h"

namespace rechost {
namespace {

constexpr std::size_t kKeptSequentialChunks = 3;
constexpr std::int64_t kRenamedRows = 1 << 16;  // by one thread at a time

double gibibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / static_cast<double>(std::uint64_t{1} << 30); }

/// One source on its way to becoming one to three splits.
struct SourcePass {
  std::string name;
  std::shared_ptr<ChunkSource> source;
  std::vector<SplitSource::Stream> streams;
  ChunkEncoder::Input input;
  std::vector<std::uint8_t> splits;           ///< the splits that its rows may belong to
  std::array<std::int64_t, 3> declared{};     ///< declared rows by split
  std::array<std::shared_ptr<RowStore>, 3> stores;
  std::array<std::vector<std::int64_t>, 3> chunk_samples;
  std::uint64_t largest_chunk_bytes = 0;      ///< encoded, rows of all splits
};

/// What one thread needs for one chunk.
struct PassScratch {
  PassScratch(const EncodingPlan& plan, const RowLayout& layout) : encoder(plan, layout), values(plan.tables.size()), numbers(plan.tables.size()) {}
  ChunkEncoder encoder;
  EncodedChunk chunk;
  std::vector<ChunkValues> values;                 // by table
  std::vector<std::vector<std::int32_t>> numbers;  // by table: number in the builder of the chunk's value n
  std::array<std::shared_ptr<RowStore>, 3> stores;
  std::array<std::int64_t, 3> first_row{};
  UnseenValues unseen;
};

class Preparation {
 public:
  Preparation(const std::vector<SplitSource>& sources, const PrepareOptions& options, ThreadPool& pool)
      : options_(options),
        pool_(pool),
        shuffle_(parse_shuffle(options.data.shuffle)),
        policy_({BadRowPolicy::parse(options.data.bad_rows), options.data.bad_row_budget, options.quarantine_directory}),
        memory_left_(static_cast<std::uint64_t>(options.data.memory_gib * static_cast<double>(std::uint64_t{1} << 30))) {
    open_sources(sources);
  }

  PreparedData run() {
    layout_ = std::make_unique<RowLayout>(plan_->schema);
    for (SourcePass& pass : passes_) {
      assign_rows(pass);
      make_stores(pass);
      const bool learn = vocabularies_ == nullptr;
      if (learn && !holds(pass, kTrainSplit)) {
        fail<DataError>("vocabularies are learnt from training rows, but the loader offers none: it has \"{}\"", pass.name);
      }
      if (learn) learning_ = std::make_unique<VocabularyLearning>(plan_->tables, learning_limits());
      read_all(pass, learn);
      if (learn) finish_learning(pass);
    }
    PreparedData prepared;
    judge_drift(prepared);
    prepared.plan = plan_;
    prepared.vocabularies = vocabularies_;
    for (SourcePass& pass : passes_) {
      for (const std::uint8_t split : pass.splits) {
        std::unique_ptr<Dataset>& place = split == kTrainSplit ? prepared.train : split == 1 ? prepared.valid : prepared.test;
        place = make_dataset(pass, split);
      }
    }
    prepared.bad_rows = policy_.count();
    prepared.bad_rows_by_split = policy_.count_by_split();
    if (shuffle_ == Shuffle::kMosaic && prepared.train != nullptr) refuse_gaps(prepared);
    prepared.bad_rows_by_column = policy_.count_by_column();
    return prepared;
  }

 private:
  /// MosaicML's order counts every row of a shard.
  static void refuse_gaps(const PreparedData& prepared) {
    const auto found = prepared.bad_rows_by_split.find(prepared.train->name());
    if (found == prepared.bad_rows_by_split.end() || found->second == 0) return;
    fail<DataError>("data.shuffle = \"mosaic\": {} training rows cannot be used, and without them all others would have other places than in a job of "
                    "MosaicML's: repair the data, or set data.shuffle = \"full\"",
                    found->second);
  }

  void judge_drift(PreparedData& prepared) {
    if (options_.profile.columns.empty()) {
      prepared.profile.columns = columns();
      prepared.profile.unseen_share = std::move(unseen_share_);
      return;
    }
    prepared.profile = options_.profile;
    prepared.drift = std::move(drift_);
    find_unseen(unseen_share_, options_.profile, options_.data.drift, prepared.drift);
    if (options_.data.drift.action != "fail" || !prepared.drift.found()) return;
    fail<DataError>("the data are not like those that the model was trained on, and data.drift.action = \"fail\": {}",
                    fmt::join(describe(prepared.drift, options_.data.drift), "; "));
  }

  static bool holds(const SourcePass& pass, std::uint8_t split) {
    return std::find(pass.splits.begin(), pass.splits.end(), split) != pass.splits.end();
  }

  static bool keeps_rows(const SourcePass& pass) {
    return std::any_of(pass.stores.begin(), pass.stores.end(), [](const auto& store) { return store != nullptr; });
  }

  void open_sources(const std::vector<SplitSource>& sources) {
    if (sources.empty()) fail<DataError>("the loader offers no split");
    for (const SplitSource& source : sources) {
      SourcePass pass;
      pass.name = source.name;
      pass.source = source.source;
      pass.streams = source.streams;
      if (source.name == "all") {
        const SplitSection& split = options_.data.split;
        if (source.streams.size() > 1 && split.valid + split.test > 0.0 && split.by == "tail") {
          throw ConfigError("data.split.by = \"tail\" would take the rows to evaluate on from the last of [data.streams] alone: set data.split.by = \"random\", or "
                            "give the streams splits of their own");
        }
        if (sources.size() > 1) fail<DataError>("the loader offers \"all\" beside other splits");
        pass.splits = {kTrainSplit};
        if (options_.data.split.valid > 0.0) pass.splits.push_back(1);
        if (options_.data.split.test > 0.0) pass.splits.push_back(2);
      } else {
        pass.splits = {split_number(source.name)};
      }
      for (const SourcePass& other : passes_) {
        if (other.name == pass.name) fail<DataError>("the loader offers split \"{}\" twice", pass.name);
      }
      passes_.push_back(std::move(pass));
    }
    // Training rows first: everything after them is read with the finished vocabularies.
    std::sort(passes_.begin(), passes_.end(), [](const SourcePass& left, const SourcePass& right) { return left.splits < right.splits; });
    plan_ = std::make_shared<EncodingPlan>(resolve_schema(columns(), options_.feature_settings, options_.derived_features));
    if (options_.settle_rows && options_.vocabularies == nullptr) options_.settle_rows(*plan_);
    if (options_.vocabularies != nullptr) use_vocabularies(options_.vocabularies);
    for (SourcePass& pass : passes_) {
      if (!options_.profile.columns.empty()) {
        for (std::string& change : compare_columns(options_.profile, *plan_, pass.source->columns(), pass.name)) drift_.changes.push_back(std::move(change));
      }
      pass.input.source = pass.source.get();
      pass.input.positions = locate_columns(*plan_, pass.source->columns(), options_.labels_required);
      pass.input.bad_row_limit = policy_.rows_worth_reading();
      pass.input.shown_bad_rows = pass.input.bad_row_limit;
    }
  }

  /// Those of the training rows; candidates may be listed in another split only. Labels of an earlier run stay what they were to it.
  std::vector<ColumnInfo> columns() const {
    std::vector<ColumnInfo> columns = options_.profile.columns.empty() ? passes_.front().source->columns() : options_.profile.columns;
    for (const SourcePass& pass : passes_) {
      for (const ColumnInfo& column : pass.source->columns()) {
        const auto same_name = [&column](const ColumnInfo& other) { return other.name == column.name; };
        if (column.role == ColumnRole::kCandidates && std::none_of(columns.begin(), columns.end(), same_name)) columns.push_back(column);
      }
    }
    if (!options_.labels.empty()) std::erase_if(columns, [](const ColumnInfo& column) { return column.role == ColumnRole::kLabel; });
    for (const LabelInfo& label : options_.labels) {
      ColumnInfo column{.name = label.name, .role = ColumnRole::kLabel, .label_kind = label.kind};
      if (label.kind == LabelKind::kMulticlass) column.cardinality = label.classes;
      columns.push_back(std::move(column));
    }
    return columns;
  }

  static bool is_scaled(const ColumnEncoding& column) {
    return column.target == ColumnEncoding::Target::kDense && column.scaling.kind != DenseScaling::Kind::kNone;
  }

  void use_vocabularies(std::shared_ptr<const Vocabularies> vocabularies) {
    vocabularies_ = std::move(vocabularies);
    for (ColumnEncoding& column : plan_->columns) {
      if (is_scaled(column)) column.scaling = vocabularies_->scaling(column.name, column.scaling.kind);
    }
    table_vocabularies_.clear();
    for (const TableEncoding& table : plan_->tables) {
      const Vocabulary& vocabulary = vocabularies_->at(table.name);
      const TableEncoding& made = vocabulary.encoding();
      if (made.encoder != table.encoder || made.values != table.values || made.hashes != table.hashes || made.salt != table.salt ||
          (!table.boundaries.empty() && made.boundaries != table.boundaries)) {
        fail<DataError>("table \"{}\" was made with another encoder, hashes, salt, boundaries or type of values than its features have now",
                        table.name);
      }
      table_vocabularies_.push_back(&vocabulary);
    }
  }

  /// Which declared row belongs to which split, known before anything is read.
  void assign_rows(SourcePass& pass) {
    const std::int64_t chunks = pass.source->chunk_count();
    pass.input.chunk_first_row.assign(static_cast<std::size_t>(chunks) + 1, 0);
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      const auto at = static_cast<std::size_t>(chunk);
      pass.input.chunk_first_row[at + 1] = pass.input.chunk_first_row[at] + pass.source->chunk_rows(chunk);
    }
    const std::int64_t rows = pass.input.chunk_first_row.back();
    RowSplits splits = split_rows(pass.name, rows, options_.data.split, options_.seed);
    pass.declared = splits.declared;
    pass.input.row_split = std::move(splits.of_row);
  }

  std::uint64_t bytes_per_row() const {
    return layout_->words() * sizeof(std::uint32_t) + layout_->list_features.size() * sizeof(std::int64_t);
  }

  void make_stores(SourcePass& pass) {
    for (const std::uint8_t split : pass.splits) {
      pass.chunk_samples[split].assign(static_cast<std::size_t>(pass.source->chunk_count()), 0);
      const std::uint64_t bytes = static_cast<std::uint64_t>(pass.declared[split]) * bytes_per_row();
      if (bytes <= memory_left_) {
        pass.stores[split] = std::make_shared<RowStore>(*layout_, pass.declared[split]);
      } else {
        refuse_to_stream(split, bytes, pass.declared[split]);
      }
    }
  }

  /// A split that does not fit may be streamed, unless it is to be shuffled as a whole.
  void refuse_to_stream(std::uint8_t split, std::uint64_t bytes, std::int64_t rows) const {
    const bool everywhere = shuffle_ == Shuffle::kFull ||
                            (shuffle_ == Shuffle::kMosaic && options_.data.mosaic.shuffle && options_.data.mosaic.shuffle_algo == "naive");
    if (split != kTrainSplit || !everywhere) return;
    fail<DataError>(
        "data.shuffle = \"{}\" keeps all training rows in memory: {} rows need {:.3g} GiB and more, data.memory_gib = {} leaves {:.3g} GiB. "
        "Raise data.memory_gib, or set data.shuffle = \"chunk\" (or \"none\"), which decodes chunks while they are used",
        shuffle_ == Shuffle::kFull ? "full" : "mosaic\" with shuffle_algo = \"naive", rows, gibibytes(bytes), options_.data.memory_gib, gibibytes(memory_left_));
  }

  VocabularyLearning::Limits learning_limits() const {
    const double bytes = options_.data.vocabulary_memory_gib * static_cast<double>(std::uint64_t{1} << 30);
    return {static_cast<std::uint64_t>(bytes), options_.temporary_directory};
  }

  void read_all(SourcePass& pass, bool learn) {
    OrderedChunks<PassScratch> chunks(pool_, [&] { return std::make_unique<PassScratch>(*plan_, *layout_); });
    SequentialReadAhead read_ahead(*pass.source, pass.source->chunk_count());
    UnseenValues unseen;
    const auto encode = [&](std::int64_t chunk, PassScratch& scratch) {
      read_ahead.begin(chunk);
      if (learn) {
        scratch.encoder.encode_and_count(pass.input, chunk, kTrainSplit, learning_->builders(), learning_->fixed_vocabularies(), scratch.values,
                                         scratch.chunk);
      } else {
        scratch.encoder.encode(pass.input, chunk, table_vocabularies_, scratch.chunk);
        scratch.unseen.clear();
        scratch.unseen.add(scratch.chunk, *plan_, *layout_, table_vocabularies_);
      }
    };
    const auto take = [&](std::int64_t chunk, PassScratch& scratch) {
      for (const BadRow& row : scratch.chunk.bad_rows) policy_.add(pass.name, row);
      note_classes(scratch.chunk);
      if (!learn) unseen.merge(scratch.unseen);
      if (learn) {
        learning_->merge(scratch.values, scratch.numbers);
        moments_.resize(plan_->schema.dense.size());
        for (std::size_t i = 0; i < scratch.chunk.moments.size(); ++i) moments_[i].merge(scratch.chunk.moments[i]);
        if (keeps_rows(pass)) learning_->require_numbers();
        rename_lists(scratch);
      }
      append(pass, chunk, scratch);
    };
    const auto store = [&](std::int64_t, PassScratch& scratch) {
      if (learn) rename_singles(scratch);
      for (const std::uint8_t split : pass.splits) {
        if (scratch.stores[split] != nullptr) scratch.stores[split]->write_records(scratch.chunk, split, scratch.first_row[split]);
        scratch.stores[split] = nullptr;
      }
    };
    chunks.run(pass.source->chunk_count(), encode, take, store);
    for (const std::uint8_t split : pass.splits) {
      if (pass.stores[split] != nullptr) memory_left_ -= pass.stores[split]->memory_bytes();
    }
    if (!learn) raise_shares(unseen_share_, unseen.shares(*plan_));
    for (std::size_t label = 0; label < largest_label_.size(); ++label) {
      LabelInfo& info = plan_->schema.labels[label];
      if (info.kind == LabelKind::kMulticlass && info.classes == 0) info.classes = static_cast<std::int64_t>(largest_label_[label]) + 1;
    }
  }

  void note_classes(const EncodedChunk& chunk) {
    largest_label_.resize(plan_->schema.labels.size(), 0.0F);
    for (std::size_t label = 0; label < chunk.largest_label.size() && chunk.rows > 0; ++label) {
      largest_label_[label] = std::max(largest_label_[label], chunk.largest_label[label]);
    }
  }

  /// In order of chunks: takes room for the chunk's rows, or gives a split up that has outgrown the memory (lists: known only now).
  void append(SourcePass& pass, std::int64_t chunk, PassScratch& scratch) {
    std::uint64_t used = 0;
    std::uint64_t chunk_bytes = static_cast<std::uint64_t>(scratch.chunk.rows) * bytes_per_row();
    for (const EncodedChunk::List& list : scratch.chunk.lists) chunk_bytes += list.ids.size() * sizeof(std::int32_t);
    pass.largest_chunk_bytes = std::max(pass.largest_chunk_bytes, chunk_bytes);
    for (const std::uint8_t split : pass.splits) {
      pass.chunk_samples[split][static_cast<std::size_t>(chunk)] = std::count(scratch.chunk.split.begin(), scratch.chunk.split.end(), split);
      std::shared_ptr<RowStore>& store = pass.stores[split];
      if (store == nullptr) continue;
      scratch.first_row[split] = store->append(scratch.chunk, split);
      used += store->memory_bytes();
      if (used > memory_left_) {
        refuse_to_stream(split, used, pass.declared[split]);
        used -= store->memory_bytes();
        store = nullptr;
      }
      scratch.stores[split] = store;
    }
  }

  /// Numbers of the chunk become numbers of the builder.
  void rename_lists(PassScratch& scratch) const {
    for (std::size_t i = 0; i < layout_->list_features.size(); ++i) {
      const std::size_t table = table_of_list(i);
      if (!learning_->learns(table)) continue;
      for (std::int32_t& id : scratch.chunk.lists[i].ids) {
        if (id >= 0) id = scratch.numbers[table][static_cast<std::size_t>(id)];
      }
    }
  }

  void rename_singles(PassScratch& scratch) const {
    for (std::size_t i = 0; i < layout_->single_features.size(); ++i) {
      const std::size_t table = table_of_feature(layout_->single_features[i]);
      if (!learning_->learns(table)) continue;
      for (std::uint32_t& word : scratch.chunk.words[layout_->first_id() + i]) {
        const auto id = static_cast<std::int32_t>(word);
        if (id >= 0) word = static_cast<std::uint32_t>(scratch.numbers[table][static_cast<std::size_t>(id)]);
      }
    }
  }

  std::size_t table_of_feature(std::size_t feature) const {
    const std::string& table = plan_->schema.sparse[feature].table;
    const auto found = std::find_if(plan_->tables.begin(), plan_->tables.end(), [&](const TableEncoding& each) { return each.name == table; });
    return static_cast<std::size_t>(found - plan_->tables.begin());
  }

  std::size_t table_of_list(std::size_t list) const {
    const std::size_t feature = layout_->list_features[list];
    if (feature != RowLayout::kCandidates) return table_of_feature(feature);
    for (const ColumnEncoding& column : plan_->columns) {
      if (column.target == ColumnEncoding::Target::kCandidates) return column.table;
    }
    return 0;
  }

  void finish_learning(SourcePass& pass) {
    std::vector<std::vector<std::int32_t>> rows;
    std::vector<Vocabulary> tables = learning_->finish(pool_, keeps_rows(pass) ? &rows : nullptr);
    const auto renaming_of = [&](std::size_t table) {
      const bool learnt = !rows.empty() && plan_->tables[table].learns_values();
      return RowStore::Renaming{learnt ? &rows[table] : nullptr, tables[table].missing_row()};
    };
    std::vector<RowStore::Renaming> singles;
    for (const std::size_t feature : layout_->single_features) singles.push_back(renaming_of(table_of_feature(feature)));
    const bool any_learnt = std::any_of(singles.begin(), singles.end(), [](const auto& renaming) { return renaming.row_of_number != nullptr; });
    for (const std::shared_ptr<RowStore>& store : pass.stores) {
      if (store == nullptr) continue;
      if (any_learnt) pool_.parallel_for((store->rows() + kRenamedRows - 1) / kRenamedRows, [&](std::int64_t block) {
        const std::int64_t first = block * kRenamedRows;
        store->rename_ids(singles, first, std::min(kRenamedRows, store->rows() - first));
      });
      pool_.parallel_for(static_cast<std::int64_t>(layout_->list_features.size()), [&](std::int64_t list) {
        store->rename_list_ids(static_cast<std::size_t>(list), renaming_of(table_of_list(static_cast<std::size_t>(list))));
      });
    }
    learning_ = nullptr;
    auto vocabularies = std::make_shared<Vocabularies>(std::move(tables));
    vocabularies->set_scalings(learnt_scalings());
    use_vocabularies(std::move(vocabularies));
    raise_shares(unseen_share_, shares_in_training(*plan_, *vocabularies_));
    for (const std::shared_ptr<RowStore>& store : pass.stores) {
      if (store != nullptr) scale_rows(*store);
    }
  }

  std::map<std::string, DenseScaling, std::less<>> learnt_scalings() {
    moments_.resize(plan_->schema.dense.size());
    std::map<std::string, DenseScaling, std::less<>> scalings;
    for (const ColumnEncoding& column : plan_->columns) {
      if (!is_scaled(column)) continue;
      scalings[column.name] = moments_[column.position].scaling(column.scaling.kind);
    }
    return scalings;
  }

  void scale_rows(RowStore& store) {
    for (const ColumnEncoding& column : plan_->columns) {
      if (!is_scaled(column)) continue;
      pool_.parallel_for((store.rows() + kRenamedRows - 1) / kRenamedRows, [&](std::int64_t block) {
        const std::int64_t first = block * kRenamedRows;
        store.scale_dense(column.position, column.scaling, column.scaled_default, first, std::min(kRenamedRows, store.rows() - first));
      });
    }
  }

  std::unique_ptr<Dataset> make_dataset(SourcePass& pass, std::uint8_t split) {
    Dataset::Parts parts;
    parts.name = kSplitNames[split];
    parts.plan = plan_;
    parts.vocabularies = vocabularies_;
    parts.chunk_samples = pass.chunk_samples[split];
    parts.streams = shapes_of_streams(options_.data, pass.streams, pass.chunk_samples[split], split == kTrainSplit);
    parts.lists_candidates = lists_candidates(pass);
    parts.best_auc = pass.source->best_auc();
    parts.fingerprint = pass.source->fingerprint();
    if (pass.stores[split] != nullptr) {
      parts.store = std::move(pass.stores[split]);
    } else {
      ChunkEncoder::Input input = pass.input;
      input.bad_row_limit = std::numeric_limits<std::int64_t>::max();  // they were judged when the data was checked
      input.shown_bad_rows = 0;
      const ChunkWindow::Settings settings{kSplitNames[split], split, kept_chunks(pass, split, parts.streams)};
      parts.window = std::make_unique<ChunkWindow>(pass.source, std::move(input), plan_, vocabularies_, pass.chunk_samples[split], settings);
    }
    return std::make_unique<Dataset>(std::move(parts));
  }

  bool lists_candidates(const SourcePass& pass) const {
    for (std::size_t i = 0; i < plan_->columns.size(); ++i) {
      if (plan_->columns[i].target == ColumnEncoding::Target::kCandidates) return pass.input.positions[i] >= 0;
    }
    return false;
  }

  std::size_t kept_chunks(const SourcePass& pass, std::uint8_t split, const std::vector<StreamShape>& streams) const {
    if (split != kTrainSplit || shuffle_ == Shuffle::kNone) return kKeptSequentialChunks * streams.size();
    DataSection from_the_beginning = options_.data;
    from_the_beginning.mosaic.state.clear();
    const auto wanted = static_cast<std::uint64_t>(SampleOrder(order_settings(from_the_beginning, 0), streams).chunks_in_reach());
    const std::uint64_t bytes = std::max<std::uint64_t>(pass.largest_chunk_bytes, 1);
    const std::uint64_t fits = memory_left_ / bytes;
    // Half of what is in reach is in use by a batch; with less, chunks would be decoded again and again.
    if (fits <= wanted / 2) {
      fail<DataError>("data.shuffle = \"{}\" keeps {} chunks of up to {:.3f} GiB in memory, of data.memory_gib = {} there are {:.2f} GiB "
                      "left: raise it, use smaller chunks, a smaller window, or set data.shuffle = \"none\"",
                      options_.data.shuffle, wanted / 2 + 1, gibibytes(bytes), options_.data.memory_gib, gibibytes(memory_left_));
    }
    return static_cast<std::size_t>(std::max<std::uint64_t>(std::min(fits, wanted), 1));
  }

  const PrepareOptions& options_;
  ThreadPool& pool_;
  const Shuffle shuffle_;
  BadRowPolicy policy_;
  std::uint64_t memory_left_;
  std::vector<SourcePass> passes_;
  std::shared_ptr<EncodingPlan> plan_;
  std::unique_ptr<RowLayout> layout_;
  std::shared_ptr<const Vocabularies> vocabularies_;
  std::vector<const Vocabulary*> table_vocabularies_;  // by table of the plan
  std::vector<float> largest_label_;
  std::unique_ptr<VocabularyLearning> learning_;       // while there is something to learn
  std::vector<DenseMoments> moments_;                  // by dense feature
  std::map<std::string, double> unseen_share_;         // by feature, in the split with most
  DataDrift drift_;
};

}  // namespace

const Dataset* PreparedData::split(std::string_view name) const {
  if (name == "train") return train.get();
  if (name == "valid") return valid.get();
  if (name == "test") return test.get();
  fail<ConfigError>("there is no split \"{}\": it is \"train\", \"valid\" or \"test\"", name);
}

std::vector<StreamShape> shapes_of_streams(const DataSection& data, const std::vector<SplitSource::Stream>& streams,
                                           std::vector<std::int64_t> chunk_samples, bool weighted) {
  std::vector<StreamShape> shapes;
  auto next = chunk_samples.begin();
  for (const SplitSource::Stream& stream : streams) {
    StreamShape shape = weighted ? stream_shape(data, stream.name) : StreamShape{.name = stream.name};
    shape.chunk_samples.assign(next, next + stream.chunks);
    next += stream.chunks;
    shapes.push_back(std::move(shape));
  }
  if (shapes.empty()) shapes.push_back({.chunk_samples = std::move(chunk_samples)});
  return shapes;
}

PreparedData prepare_data(const std::vector<SplitSource>& sources, const PrepareOptions& options, ThreadPool& pool) {
  return Preparation(sources, options, pool).run();
}

}  // namespace rechost
