#include "train/table_survey.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

namespace rechost {
namespace {

/// Rows that are read at once, and that lie side by side in a sample.
constexpr std::int64_t kBlockRows = 64;

/// Norms by their leading bits: 64 bins between a number and its double, so the middle of a bin is within 1 % of what is in it. Counts of
/// ranks and threads add up, and no norm need be kept.
class NormHistogram {
 public:
  static constexpr int kDroppedBits = 17;
  static constexpr std::size_t kBins = std::size_t{1} << (31 - kDroppedBits);
  static constexpr std::size_t kInfinity = 0x7f800000U >> kDroppedBits;

  NormHistogram() : counts_(kBins) {}

  void add(float norm) { ++counts_[std::bit_cast<std::uint32_t>(norm) >> kDroppedBits]; }
  void add(std::size_t bin, std::int64_t count) { counts_[bin] += count; }
  std::span<const std::int64_t> counts() const { return counts_; }

  double median() const {
    std::int64_t total = 0;
    for (const std::int64_t count : counts_) total += count;
    std::int64_t before = 0;
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      before += counts_[bin];
      if (before * 2 < total || before == 0) continue;
      const auto edge = [](std::size_t of) { return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(of << kDroppedBits))); };
      return (edge(bin) + edge(std::min(bin + 1, kInfinity))) / 2.0;
    }
    return 0.0;
  }

 private:
  std::vector<std::int64_t> counts_;
};

/// The norms of some rows.
struct Norms {
  NormHistogram histogram;
  float least = std::numeric_limits<float>::infinity();
  float largest = -1.0F;
  std::int64_t largest_row = -1;

  void add(float norm, std::int64_t row) {
    histogram.add(norm);
    least = std::min(least, norm);
    if (norm > largest) {
      largest = norm;
      largest_row = row;
    }
  }
  void merge(const Norms& other) {
    for (std::size_t bin = 0; bin < NormHistogram::kBins; ++bin) histogram.add(bin, other.histogram.counts()[bin]);
    least = std::min(least, other.least);
    // The first of equal ones, whoever saw it.
    if (other.largest > largest || (other.largest == largest && other.largest_row < largest_row)) {
      largest = other.largest;
      largest_row = other.largest_row;
    }
  }
};

/// What one thread or rank saw of a table.
struct Tally {
  std::int64_t looked_at = 0;
  std::int64_t touched = 0;
  std::int64_t without_gradient = 0;
  std::int64_t shrunk = 0;
  std::int64_t exploding = 0;
  Norms touched_norms;
  Norms other_norms;

  void merge(const Tally& other) {
    looked_at += other.looked_at;
    touched += other.touched;
    without_gradient += other.without_gradient;
    shrunk += other.shrunk;
    exploding += other.exploding;
    touched_norms.merge(other.touched_norms);
    other_norms.merge(other.other_norms);
  }
};

/// How it is known whether a gradient has reached a row of a table.
enum class Evidence { kState, kCounts, kNone };

class TableLook {
 public:
  TableLook(const ModelRuntime& model, const Vocabularies& vocabularies, const SurveySettings& settings, std::size_t table)
      : tables_(model.tables()), settings_(settings), table_(table), config_(tables_.table(table)), state_floats_(tables_.state_floats_per_row(table)) {
    const Vocabulary* const vocabulary = vocabulary_of_table(model, vocabularies, table);
    if (vocabulary != nullptr && vocabulary->counts().size() > 0) counts_ = &vocabulary->counts();
    const bool accumulates = config_.optimizer.kind == OptimizerKind::kAdagrad || config_.optimizer.kind == OptimizerKind::kRowwiseAdagrad;
    // A small square that is added to a large start is lost in rounding; added to zero it is not.
    const bool starts_at_zero = !accumulates || config_.optimizer.initial_accumulator == 0.0;
    if (state_floats_ > 0 && starts_at_zero && !settings.l2_on_all_rows) {
      evidence_ = Evidence::kState;
    } else if (counts_ != nullptr && settings.whole_epoch) {
      evidence_ = Evidence::kCounts;
    }
  }

  Evidence evidence() const { return evidence_; }

  void look(std::int64_t first, std::int64_t count, Tally& tally) {
    values_.resize(static_cast<std::size_t>(count * config_.dim) + 1);  // one more: a pointer even where there is no row
    states_.resize(static_cast<std::size_t>(count * state_floats_) + 1);
    float* const states = state_floats_ > 0 ? states_.data() : nullptr;
    if (tables_.placement().is_shown_together(table_)) {
      tables_.read_rows_together(table_, first, count, values_.data(), states);
    } else {
      tables_.read_rows(table_, first, count, values_.data(), states);
    }
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t row = first + i;
      const float norm = norm_of(i);
      const bool touched = is_touched(i, row);
      ++tally.looked_at;
      tally.touched += touched ? 1 : 0;
      tally.without_gradient += evidence_ == Evidence::kState && settings_.whole_epoch && !touched && occurs(row) ? 1 : 0;
      tally.shrunk += touched && norm <= settings_.dead_norm ? 1 : 0;
      tally.exploding += norm <= settings_.exploding_norm ? 0 : 1;
      (touched ? tally.touched_norms : tally.other_norms).add(norm, row);
    }
  }

 private:
  bool occurs(std::int64_t row) const { return counts_ != nullptr && row < counts_->size() && (*counts_)[row] > 0; }

  float norm_of(std::int64_t i) const {
    const float* const row = values_.data() + i * config_.dim;
    // Sums that do not wait for each other.
    constexpr std::int64_t kSums = 8;
    double sums[kSums] = {};
    std::int64_t column = 0;
    for (; column + kSums <= config_.dim; column += kSums) {
      for (std::int64_t lane = 0; lane < kSums; ++lane) sums[lane] += static_cast<double>(row[column + lane]) * static_cast<double>(row[column + lane]);
    }
    for (; column < config_.dim; ++column) sums[0] += static_cast<double>(row[column]) * static_cast<double>(row[column]);
    const double squares = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
    const auto norm = static_cast<float>(std::sqrt(squares));
    return std::isnan(norm) ? std::numeric_limits<float>::infinity() : norm;
  }

  bool is_touched(std::int64_t i, std::int64_t row) const {
    if (evidence_ == Evidence::kCounts) return occurs(row);
    if (evidence_ == Evidence::kNone) return false;
    const float* const state = states_.data() + i * state_floats_;
    return std::any_of(state, state + state_floats_, [](float value) { return value != 0.0F; });
  }

  const EmbeddingTables& tables_;
  const SurveySettings& settings_;
  std::size_t table_;
  const TableConfig& config_;
  std::int64_t state_floats_;
  const RowCounts* counts_ = nullptr;
  Evidence evidence_ = Evidence::kNone;
  std::vector<float> values_;
  std::vector<float> states_;
};

/// What this rank shows of a table that lies with several ranks: all ranks read as many blocks, at the same time.
Tally look_together(const ModelRuntime& model, const Vocabularies& vocabularies, const SurveySettings& settings, std::size_t table) {
  const RowRange shown = model.tables().shown_rows(table);
  const std::int64_t block_rows = settings.most_rows > 0 ? kBlockRows : 128 * kBlockRows;
  const std::int64_t blocks = (model.tables().placement().most_shown_rows(table) + block_rows - 1) / block_rows;
  const std::int64_t wanted = settings.most_rows > 0 ? std::min(blocks, std::max<std::int64_t>(1, settings.most_rows / block_rows)) : blocks;
  TableLook look(model, vocabularies, settings, table);
  Tally tally;
  for (std::int64_t i = 0; i < wanted; ++i) {
    const std::int64_t begin = std::min(blocks * i / wanted * block_rows, shown.count);
    look.look(shown.first + begin, std::min(block_rows, shown.count - begin), tally);
  }
  return tally;
}

/// What this rank shows of a table.
Tally look_at_shown_rows(const ModelRuntime& model, const Vocabularies& vocabularies, const SurveySettings& settings, std::size_t table, ThreadPool& pool) {
  if (model.tables().placement().is_shown_together(table)) return look_together(model, vocabularies, settings, table);
  const RowRange own = model.tables().shown_rows(table);
  const std::int64_t blocks = (own.count + kBlockRows - 1) / kBlockRows;
  const std::int64_t wanted = settings.most_rows > 0 ? std::min(blocks, std::max<std::int64_t>(1, settings.most_rows / kBlockRows)) : blocks;
  // A GPU's rows come through one stream.
  const std::int64_t parts = model.on_gpu() ? 1 : std::min<std::int64_t>(pool.size(), wanted);
  std::vector<Tally> tallies(static_cast<std::size_t>(parts));
  pool.parallel_for(parts, [&](std::int64_t part) {
    TableLook look(model, vocabularies, settings, table);
    for (std::int64_t i = wanted * part / parts; i < wanted * (part + 1) / parts; ++i) {
      const std::int64_t begin = blocks * i / wanted * kBlockRows;
      look.look(own.first + begin, std::min(kBlockRows, own.count - begin), tallies[static_cast<std::size_t>(part)]);
    }
  });
  Tally sum;
  for (const Tally& tally : tallies) sum.merge(tally);
  return sum;
}

/// As words for the other ranks: counts, then the bins that are not empty.
void pack(const Norms& norms, std::vector<std::int64_t>& words) {
  words.push_back(std::bit_cast<std::int32_t>(norms.least));
  words.push_back(std::bit_cast<std::int32_t>(norms.largest));
  words.push_back(norms.largest_row);
  const std::size_t count_at = words.size();
  words.push_back(0);
  for (std::size_t bin = 0; bin < NormHistogram::kBins; ++bin) {
    const std::int64_t count = norms.histogram.counts()[bin];
    if (count == 0) continue;
    words.push_back(static_cast<std::int64_t>(bin));
    words.push_back(count);
    ++words[count_at];
  }
}

Norms unpack_norms(std::span<const std::int64_t>& words) {
  Norms norms;
  norms.least = std::bit_cast<float>(static_cast<std::int32_t>(words[0]));
  norms.largest = std::bit_cast<float>(static_cast<std::int32_t>(words[1]));
  norms.largest_row = words[2];
  const auto bins = static_cast<std::size_t>(words[3]);
  words = words.subspan(4);
  for (std::size_t i = 0; i < bins; ++i) norms.histogram.add(static_cast<std::size_t>(words[2 * i]), words[2 * i + 1]);
  words = words.subspan(2 * bins);
  return norms;
}

/// Adds up what the ranks saw.
std::vector<Tally> add_up_ranks(const std::vector<Tally>& own, Communicator& communicator) {
  std::vector<std::int64_t> words;
  for (const Tally& tally : own) {
    words.insert(words.end(), {tally.looked_at, tally.touched, tally.without_gradient, tally.shrunk, tally.exploding});
    pack(tally.touched_norms, words);
    pack(tally.other_norms, words);
  }
  std::vector<Tally> sums(own.size());
  for (const std::vector<std::byte>& packet : gather_packets(communicator, std::as_bytes(std::span(words)))) {
    std::vector<std::int64_t> received(packet.size() / sizeof(std::int64_t));
    if (!packet.empty()) std::memcpy(received.data(), packet.data(), packet.size());
    std::span<const std::int64_t> rest = received;
    for (Tally& sum : sums) {
      Tally tally;
      tally.looked_at = rest[0];
      tally.touched = rest[1];
      tally.without_gradient = rest[2];
      tally.shrunk = rest[3];
      tally.exploding = rest[4];
      rest = rest.subspan(5);
      tally.touched_norms = unpack_norms(rest);
      tally.other_norms = unpack_norms(rest);
      sum.merge(tally);
    }
  }
  return sums;
}

}  // namespace

const Vocabulary* vocabulary_of_table(const ModelRuntime& model, const Vocabularies& vocabularies, std::size_t table) {
  for (const ModelSpec::Embedding& embedding : model.spec().embeddings) {
    if (embedding.table == table) return vocabularies.find(model.schema().sparse[embedding.sparse].table);
  }
  return nullptr;
}

std::vector<TableFacts> survey_tables(const ModelRuntime& model, const Vocabularies& vocabularies, const SurveySettings& settings, ThreadPool& pool) {
  const EmbeddingTables& tables = model.tables();
  std::vector<Tally> tallies;
  for (std::size_t t = 0; t < tables.table_count(); ++t) tallies.push_back(look_at_shown_rows(model, vocabularies, settings, t, pool));
  if (model.world_size() > 1) tallies = add_up_ranks(tallies, model.communicator());
  std::vector<TableFacts> all;
  for (std::size_t t = 0; t < tables.table_count(); ++t) {
    const Tally& tally = tallies[t];
    const Evidence evidence = TableLook(model, vocabularies, settings, t).evidence();
    TableFacts facts;
    facts.name = tables.table(t).name;
    facts.rows = tables.table(t).rows;
    facts.looked_at = tally.looked_at;
    if (evidence != Evidence::kNone) facts.touched = tally.touched;
    facts.touched_by_counts = evidence == Evidence::kCounts;
    facts.without_gradient = tally.without_gradient;
    facts.shrunk = tally.shrunk;
    facts.exploding = tally.exploding;
    const Norms& norms = tally.touched > 0 ? tally.touched_norms : tally.other_norms;
    if (norms.largest_row >= 0) {
      facts.least_norm = norms.least;
      facts.median_norm = std::clamp(norms.histogram.median(), facts.least_norm, static_cast<double>(norms.largest));
      facts.largest_norm = norms.largest;
      facts.largest_row = norms.largest_row;
    }
    all.push_back(std::move(facts));
  }
  return all;
}

}  // namespace rechost
