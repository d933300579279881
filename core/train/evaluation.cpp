#include "train/evaluation.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "kernels/top_k.h"
#include "train/entity_vectors.h"
#include "train/prediction.h"
#include "train/retrieval_metrics.h"

namespace rechost {
namespace {

constexpr std::int64_t kUsersAtOnce = 4096;

MetricTask task_of(ModelSpec::Head::Kind kind) {
  switch (kind) {
    case ModelSpec::Head::Kind::kRegression:
      return MetricTask::kRegression;
    case ModelSpec::Head::Kind::kMulticlass:
      return MetricTask::kMulticlass;
    case ModelSpec::Head::Kind::kMultilabel:
      return MetricTask::kMultilabel;
    default:
      return MetricTask::kBinary;
  }
}

}  // namespace

/// What ranking needs and no weight changes.
struct Evaluator::Retrieval {
  std::size_t user_head = 0;
  std::size_t item_head = 0;
  std::unique_ptr<Catalogue> items;
  std::unique_ptr<Catalogue> users;
  UserItems seen;   ///< in training
  UserItems truth;  ///< in the split
  float threshold = 0.5F;  ///< of the first label: from here on a row is a positive
  std::vector<std::int64_t> ranked_users;  ///< entries of `users` with truth
};

bool higher_is_better(std::string_view metric) {
  const std::size_t dot = metric.rfind('.');
  const std::string_view name = dot == std::string_view::npos ? metric : metric.substr(dot + 1);
  return name != "log_loss" && name != "rmse" && name != "mae" && name != "expected_calibration_error" && name != "normalized_entropy" &&
         name != "mean_rank";
}

Evaluator::Evaluator(const Config& config, const Dataset& split, const Dataset* train, ModelRuntime& model, ThreadPool& pool)
    : config_(config), split_(split), model_(model), pool_(pool) {
  const auto user_head = model.embedding_head("user");
  const auto item_head = model.embedding_head("item");
  if (train == nullptr || !config.eval.retrieval.enabled || !user_head || !item_head) return;
  if (config.eval.retrieval.protocol == "given" && !split.lists_candidates()) {
    fail<ConfigError>("eval.retrieval.protocol = \"given\" needs listed negatives, and split \"{}\" has none: give the loader a "
                      "negatives_path for it, set eval.split to a split that has them, or set protocol = \"full\"",
                      split.name());
  }
  retrieval_ = std::make_unique<Retrieval>();
  retrieval_->user_head = *user_head;
  retrieval_->item_head = *item_head;
  const Dataset* const known[] = {train};
  const Dataset* const both[] = {train, &split};
  // Only what training has seen can be recommended; a user's own features are those of the rows that are evaluated.
  retrieval_->items = std::make_unique<Catalogue>("item", known);
  retrieval_->users = std::make_unique<Catalogue>("user", both);
  retrieval_->seen = collect_user_items(*train, *retrieval_->users, *retrieval_->items, std::nullopt);
  const bool ratings = !split.schema().labels.empty() && split.schema().labels.front().kind == LabelKind::kRegression;
  retrieval_->threshold = ratings ? static_cast<float>(config.eval.retrieval.relevant_rating) : 0.5F;
  retrieval_->truth = collect_user_items(split, *retrieval_->users, *retrieval_->items, retrieval_->threshold);
  for (std::int64_t user = 0; user < retrieval_->users->size(); ++user) {
    if (!retrieval_->truth.of(user).empty() || retrieval_->truth.unreachable[static_cast<std::size_t>(user)] > 0) {
      retrieval_->ranked_users.push_back(user);
    }
  }
}

Evaluator::~Evaluator() = default;

std::string Evaluator::default_metric() const {
  const ModelSpec& spec = model_.spec();
  const bool several = std::popcount(model_.heads_with_labels()) > 1;
  for (const ModelSpec::Head& head : spec.heads) {
    if (!head.label || !head.trained() || head.kind == ModelSpec::Head::Kind::kLoss) continue;
    const std::string prefix = several ? head.name + "." : "";
    switch (task_of(head.kind)) {
      case MetricTask::kRegression:
        return prefix + "rmse";
      case MetricTask::kMulticlass:
        return prefix + "accuracy";
      default:
        return prefix + "auc";
    }
  }
  if (retrieval_ != nullptr && !config_.eval.retrieval.k.empty()) {
    return fmt::format("{}@{}", config_.eval.retrieval.protocol == "full" ? "recall" : "hr", config_.eval.retrieval.k.front());
  }
  return "";
}

void Evaluator::score_heads(MetricReport& report) {
  const ModelSpec& spec = model_.spec();
  const std::uint64_t heads = model_.heads_with_labels();
  if (heads == 0) return;
  const bool several = std::popcount(heads) > 1;
  std::vector<std::optional<MetricAccumulator>> metrics(spec.heads.size());
  for (std::size_t i = 0; i < spec.heads.size(); ++i) {
    if (((heads >> i) & 1) == 0) continue;
    MetricSettings settings;
    settings.task = task_of(spec.heads[i].kind);
    settings.width = spec.heads[i].size;
    settings.prefix = several ? spec.heads[i].name + "." : "";
    metrics[i].emplace(settings);
  }
  std::vector<float> labels;
  const std::size_t label_count = split_.schema().labels.size();
  for_each_prediction(model_, split_, config_.data.eval_batch_size, heads, [&](const Batch& batch, std::span<const std::span<float>> outputs) {
    for (std::size_t i = 0; i < spec.heads.size(); ++i) {
      if (!metrics[i]) continue;
      const std::size_t width = spec.heads[i].kind == ModelSpec::Head::Kind::kMultilabel ? static_cast<std::size_t>(spec.heads[i].size) : 1;
      labels.resize(static_cast<std::size_t>(batch.rows) * width);
      for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) {
        std::copy_n(batch.labels.data() + row * label_count + *spec.heads[i].label, width, labels.data() + row * width);
      }
      metrics[i]->add(outputs[i], labels, batch.weights);
    }
  });
  for (auto& metric : metrics) {
    if (!metric) continue;
    if (model_.world_size() > 1) {
      // Every rank ends with the rows of all, and so with the same figures: what follows from them they decide alike.
      const auto packets = gather_packets(model_.communicator(), metric->pack());
      metric->clear();
      for (const std::vector<std::byte>& packet : packets) metric->merge(packet);
    }
    report.append(metric->finish());
  }
}

void Evaluator::rank_catalogue(MetricReport& report) {
  const Retrieval& retrieval = *retrieval_;
  const std::int64_t dim = model_.spec().heads[retrieval.item_head].size;
  const std::vector<float> item_vectors = entity_vectors(model_, *retrieval.items, retrieval.item_head, config_.data.eval_batch_size);
  const std::vector<float> user_vectors = entity_vectors(model_, *retrieval.users, retrieval.user_head, config_.data.eval_batch_size);
  const VectorsView items{item_vectors.data(), retrieval.items->size(), dim};
  RankedListMetrics metrics(config_.eval.retrieval.k, retrieval.items->size());
  const std::int64_t k = *std::max_element(config_.eval.retrieval.k.begin(), config_.eval.retrieval.k.end());
  std::vector<float> vectors;
  std::vector<std::int64_t> seen_offsets;
  std::vector<std::int32_t> seen_items;
  std::vector<std::int32_t> truth;
  std::vector<std::int32_t> top_items;
  std::vector<float> top_scores;
  const auto users = static_cast<std::int64_t>(retrieval.ranked_users.size());
  for (std::int64_t first = 0; first < users; first += kUsersAtOnce) {
    const std::int64_t count = std::min(kUsersAtOnce, users - first);
    vectors.clear();
    seen_offsets.assign(1, 0);
    seen_items.clear();
    for (std::int64_t i = first; i < first + count; ++i) {
      const std::int64_t user = retrieval.ranked_users[static_cast<std::size_t>(i)];
      vectors.insert(vectors.end(), user_vectors.begin() + user * dim, user_vectors.begin() + (user + 1) * dim);
      if (config_.eval.retrieval.mask_seen) {
        const auto seen = retrieval.seen.of(user);
        seen_items.insert(seen_items.end(), seen.begin(), seen.end());
      }
      seen_offsets.push_back(static_cast<std::int64_t>(seen_items.size()));
    }
    top_items.resize(static_cast<std::size_t>(count * k));
    top_scores.resize(top_items.size());
    top_k({vectors.data(), count, dim}, items, k, {seen_offsets, seen_items}, top_items.data(), top_scores.data(), pool_);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t user = retrieval.ranked_users[static_cast<std::size_t>(first + i)];
      const auto reachable = retrieval.truth.of(user);
      truth.assign(reachable.begin(), reachable.end());
      // Items that training has never seen can not be found, but they were there to be found: numbers outside the catalogue stand for them.
      for (std::int32_t n = 0; n < retrieval.truth.unreachable[static_cast<std::size_t>(user)]; ++n) truth.push_back(-1 - n);
      const std::span<const std::int32_t> ranked(top_items.data() + i * k, static_cast<std::size_t>(k));
      const auto listed = static_cast<std::size_t>(std::find(ranked.begin(), ranked.end(), -1) - ranked.begin());
      metrics.add_user(ranked.first(listed), truth);
    }
  }
  report.append(metrics.finish());
}

void Evaluator::rank_candidates(MetricReport& report) {
  const Retrieval& retrieval = *retrieval_;
  const std::int64_t dim = model_.spec().heads[retrieval.item_head].size;
  const std::vector<float> item_vectors = entity_vectors(model_, *retrieval.items, retrieval.item_head, config_.data.eval_batch_size);
  const std::vector<float> user_vectors = entity_vectors(model_, *retrieval.users, retrieval.user_head, config_.data.eval_batch_size);
  CandidateRankMetrics metrics(config_.eval.retrieval.k, TieRule::kPessimistic);
  const auto score = [&](std::int32_t user, std::int32_t item) {
    float sum = 0.0F;
    for (std::int64_t i = 0; i < dim; ++i) sum += user_vectors[static_cast<std::size_t>(user * dim + i)] * item_vectors[static_cast<std::size_t>(item * dim + i)];
    return sum;
  };
  Batch batch;
  std::vector<float> negatives;
  for (std::int64_t first = 0; first < split_.samples(); first += config_.data.eval_batch_size) {
    split_.gather_range(first, std::min(config_.data.eval_batch_size, split_.samples() - first), batch);
    const IdColumn& user_keys = batch.sparse[retrieval.users->key_column()];
    const IdColumn& item_keys = batch.sparse[retrieval.items->key_column()];
    const std::size_t labels = split_.schema().labels.size();
    for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) {
      // As in collect_user_items(): without a label every row is a positive. One without candidates has nothing to be ranked among.
      if (labels > 0 && batch.labels[row * labels] < retrieval.threshold) continue;
      if (batch.candidates.offsets[row] == batch.candidates.offsets[row + 1]) continue;
      const std::int32_t user = retrieval.users->entry_of(user_keys, row);
      const std::int32_t item = retrieval.items->entry_of(item_keys, row);
      negatives.clear();
      const auto begin = static_cast<std::size_t>(batch.candidates.offsets[row]) / retrieval.items->ids_per_key();
      const auto end = static_cast<std::size_t>(batch.candidates.offsets[row + 1]) / retrieval.items->ids_per_key();
      for (std::size_t i = begin; i < end && user >= 0; ++i) {
        const std::int32_t candidate = retrieval.items->entry_of(batch.candidates, i);
        if (candidate >= 0) negatives.push_back(score(user, candidate));
      }
      if (user < 0 || item < 0) {
        // Nothing was learnt of it: it ranks behind all its candidates.
        negatives.assign(end - begin, 0.0F);
        metrics.add(-1.0F, negatives);
      } else {
        metrics.add(score(user, item), negatives);
      }
    }
  }
  report.append(metrics.finish());
}

MetricReport Evaluator::run() {
  MetricReport report;
  score_heads(report);
  if (retrieval_ == nullptr) return report;
  if (config_.eval.retrieval.protocol == "given") {
    rank_candidates(report);
  } else {
    rank_catalogue(report);
  }
  return report;
}

}  // namespace rechost
