#include "app/retrieval_commands.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>
#include <sstream>

#include "app/command.h"
#include "app/entity_keys.h"
#include "app/output_file.h"
#include "app/reranker.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "retrieval/flat_index.h"
#include "retrieval/vector_files.h"
#include "train/entity_vectors.h"

namespace rechost::app {

namespace fs = std::filesystem;
namespace options = boost::program_options;

namespace {

constexpr std::int64_t kUsersAtOnce = 1024;

void add_model_options(options::options_description& visible) {
  visible.add_options()("model,m", options::value<std::string>(), "run directory, checkpoint directory, or models:/name@alias")(
      "set,s", options::value<std::vector<std::string>>()->default_value({}, "")->composing(),
      "change the configuration, such as data.path=other.tsv");
}

/// A model with vectors of users and items, and the data whose users and items they are.
LoadedModel load_towers(const options::variables_map& values) {
  if (values.count("model") == 0) throw UsageError("which model? give a run directory, a checkpoint directory, or models:/name@alias");
  const std::string& name = values["model"].as<std::string>();
  LoadedModel loaded = load_model(find_model(name), values["set"].as<std::vector<std::string>>(), {.labels_required = false});
  for (const char* entity : {"user", "item"}) {
    if (!loaded.model->embedding_head(entity)) {
      fail<ConfigError>("{} ({}) has no vectors of {}s: retrieval needs a model like two_tower; rechost predict scores given rows", name,
                        loaded.setup.config.model.plugin, entity);
    }
  }
  if (loaded.data.prepared.train == nullptr) {
    fail<ConfigError>("the data have no training split, which says what there is to recommend and what users have seen");
  }
  return loaded;
}

std::vector<float> vectors_of(LoadedModel& loaded, const Catalogue& catalogue) {
  return entity_vectors(*loaded.model, catalogue, *loaded.model->embedding_head(catalogue.entity()),
                        loaded.setup.config.data.eval_batch_size);
}

/// One id a line, without the line's end.
std::vector<std::string> read_ids(const std::string& path) {
  std::istringstream lines(read_file(path));
  std::vector<std::string> ids;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) ids.push_back(line);
  }
  return ids;
}

/// Users to recommend for, as entries of their catalogue.
struct Audience {
  std::vector<std::string> keys;
  std::vector<std::int32_t> entries;  ///< [keys.size()]; -1: the data do not know the user
};

Audience choose_users(const options::variables_map& values, const LoadedModel& loaded, const Dataset* split, const Catalogue& users,
                      const Catalogue& items) {
  Audience audience;
  if (values.count("users") != 0) {
    const auto entries = entries_by_key(users, *loaded.data.prepared.vocabularies);
    audience.keys = read_ids(values["users"].as<std::string>());
    for (const std::string& key : audience.keys) {
      const auto known = entries.find(key);
      audience.entries.push_back(known == entries.end() ? -1 : known->second);
    }
    return audience;
  }
  const std::vector<std::string> keys = keys_of(users, *loaded.data.prepared.vocabularies);
  const UserItems wanted = collect_user_items(split != nullptr ? *split : *loaded.data.prepared.train, users, items, std::nullopt);
  for (std::int64_t user = 0; user < users.size(); ++user) {
    if (wanted.of(user).empty() && wanted.unreachable[static_cast<std::size_t>(user)] == 0) continue;
    audience.entries.push_back(static_cast<std::int32_t>(user));
    audience.keys.push_back(keys[static_cast<std::size_t>(user)]);
  }
  return audience;
}

/// What is written for one user.
struct Recommendation {
  std::vector<std::string> items;
  std::vector<double> scores;
};

/// Puts the items in the order of the ranking model; those of which it knows nothing come last, in the order of retrieval, without a score.
void rerank(Reranker& ranker, const std::string& user, Recommendation& list, std::int64_t& unknown) {
  const std::vector<double> scores = ranker.score(user, list.items);
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto sort_key = [&](std::size_t at) { return std::isnan(scores[at]) ? -INFINITY : scores[at]; };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t left, std::size_t right) { return sort_key(left) > sort_key(right); });
  Recommendation sorted;
  for (const std::size_t at : order) {
    sorted.items.push_back(std::move(list.items[at]));
    sorted.scores.push_back(scores[at]);
    if (std::isnan(scores[at])) ++unknown;
  }
  list = std::move(sorted);
}

std::string line_of(const std::string& user, const Recommendation& list) {
  Json line = Json::object();
  line["user"] = user;
  line["items"] = list.items;
  line["scores"] = list.scores;
  return json_line(line) + "\n";
}

}  // namespace

int export_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_model_options(visible);
  visible.add_options()("what", options::value<std::string>()->default_value("items"), "items or users")(
      "out,o", options::value<std::string>(), "folder for vectors.npy, ids.txt, index.faiss and manifest.json; made if need be");
  options::positional_options_description positional;
  positional.add("model", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("export", ""), arguments, visible, positional, values)) return kDone;
  const std::string& what = values["what"].as<std::string>();
  if (what != "items" && what != "users") throw UsageError(fmt::format("--what is items or users, not {}", what));
  if (values.count("out") == 0) throw UsageError("where to? --out FOLDER");
  const fs::path out = values["out"].as<std::string>();
  LoadedModel loaded = load_towers(values);
  const Dataset* const train[] = {loaded.data.prepared.train.get()};
  const Catalogue catalogue(what == "items" ? "item" : "user", train);
  const std::vector<std::string> keys = keys_of(catalogue, *loaded.data.prepared.vocabularies);
  const std::vector<float> vectors = vectors_of(loaded, catalogue);
  const ModelSpec::Head& head = loaded.model->spec().heads[*loaded.model->embedding_head(catalogue.entity())];
  const VectorsView view{vectors.data(), catalogue.size(), head.size};
  fs::create_directories(out);
  // A manifest says that the files beside it belong together: it goes first and comes back last.
  fs::remove(out / "manifest.json");
  write_npy(out / "vectors.npy", view);
  write_ids(out / "ids.txt", keys);
  write_faiss_flat_index(out / "index.faiss", view);
  Json manifest = Json::object();
  manifest["model"] = values["model"].as<std::string>();
  manifest["checkpoint"] = fs::weakly_canonical(loaded.checkpoint->directory()).string();
  manifest["plugin"] = loaded.setup.model_module->id();
  manifest["step"] = loaded.checkpoint->manifest().position.step;
  manifest["entity"] = catalogue.entity();
  manifest["count"] = view.count;
  manifest["dim"] = view.dim;
  // Vectors of a cosine model have length 1 already: for whoever searches both are inner products.
  manifest["similarity"] = head.cosine ? "cosine" : "dot";
  manifest["metric"] = "inner_product";
  manifest["normalized"] = head.cosine;
  manifest["files"] = {{"vectors", "vectors.npy"}, {"ids", "ids.txt"}, {"index", "index.faiss"}};
  write_file_atomically(out / "manifest.json", json_document(manifest));
  log_info("{} vectors of {}, dimension {}, in {}", count_text(view.count), what, view.dim, out.string());
  return kDone;
}

int recommend_command(std::span<const std::string> arguments) {
  options::options_description visible("Options");
  add_model_options(visible);
  visible.add_options()("k", options::value<std::int64_t>()->default_value(100), "items for each user")(
      "users", options::value<std::string>(), "file with one user id a line; without it: all users of the split")(
      "split", options::value<std::string>(), "train, valid or test: whose users, with their features there (without it: train)")(
      "seen", options::value<std::string>()->default_value("mask"), "what users have in the training split: mask or keep")(
      "rank", options::value<std::string>(), "a ranking model (run, checkpoint or models:/name@alias) that puts the items in order")(
      "out,o", options::value<std::string>()->default_value("-"), "file of JSON lines, one per user; -: standard output");
  options::positional_options_description positional;
  positional.add("model", 1);
  options::variables_map values;
  if (!parse_arguments(find_command("recommend", ""), arguments, visible, positional, values)) return kDone;
  const std::int64_t k = values["k"].as<std::int64_t>();
  if (k < 1) throw UsageError(fmt::format("--k {}: at least one item", k));
  const std::string& seen_rule = values["seen"].as<std::string>();
  if (seen_rule != "mask" && seen_rule != "keep") throw UsageError(fmt::format("--seen is mask or keep, not {}", seen_rule));
  LoadedModel loaded = load_towers(values);
  const Dataset& train = *loaded.data.prepared.train;
  const Dataset* split = nullptr;
  if (values.count("split") != 0) {
    split = loaded.data.prepared.split(values["split"].as<std::string>());
    if (split == nullptr) throw UsageError(fmt::format("--split {}: the data have no such split", values["split"].as<std::string>()));
  }
  std::unique_ptr<Reranker> ranker;
  if (values.count("rank") != 0) ranker = std::make_unique<Reranker>(values["rank"].as<std::string>());

  // As in evaluation: only what training has seen can be recommended; a user's features are those of the split.
  const Dataset* const both[] = {&train, split};
  const Catalogue items("item", {both, 1});
  const Catalogue users("user", {both, split == nullptr || split == &train ? std::size_t{1} : std::size_t{2}});
  const std::vector<std::string> item_keys = keys_of(items, *loaded.data.prepared.vocabularies);
  const Audience audience = choose_users(values, loaded, split, users, items);
  const UserItems seen = collect_user_items(train, users, items, std::nullopt);
  const std::vector<float> user_vectors = vectors_of(loaded, users);
  const FlatIndex index(vectors_of(loaded, items), loaded.model->spec().heads[*loaded.model->embedding_head("item")].size);

  const std::string& out = values["out"].as<std::string>();
  OutputFile file(out);
  std::int64_t unknown_users = 0;
  std::int64_t unranked = 0;
  std::vector<float> queries;
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> excluded;
  const auto count = static_cast<std::int64_t>(audience.keys.size());
  for (std::int64_t first = 0; first < count; first += kUsersAtOnce) {
    const std::int64_t end = std::min(first + kUsersAtOnce, count);
    queries.clear();
    offsets.assign(1, 0);
    excluded.clear();
    for (std::int64_t i = first; i < end; ++i) {
      const std::int32_t user = audience.entries[static_cast<std::size_t>(i)];
      if (user < 0) continue;
      queries.insert(queries.end(), user_vectors.begin() + user * index.dim(), user_vectors.begin() + (user + 1) * index.dim());
      if (seen_rule == "mask") excluded.insert(excluded.end(), seen.of(user).begin(), seen.of(user).end());
      offsets.push_back(static_cast<std::int64_t>(excluded.size()));
    }
    const auto known = static_cast<std::int64_t>(offsets.size()) - 1;
    const SearchResult found = index.search({queries.data(), known, index.dim()}, k, {offsets, excluded}, *loaded.setup.pool);
    std::string lines;
    std::size_t query = 0;
    for (std::int64_t i = first; i < end; ++i) {
      Recommendation list;
      const std::string& user = audience.keys[static_cast<std::size_t>(i)];
      if (audience.entries[static_cast<std::size_t>(i)] < 0) {
        ++unknown_users;
      } else {
        const std::size_t begin = query++ * static_cast<std::size_t>(found.k);
        for (std::size_t at = begin; at < begin + static_cast<std::size_t>(found.k) && found.positions[at] >= 0; ++at) {
          list.items.push_back(item_keys[static_cast<std::size_t>(found.positions[at])]);
          list.scores.push_back(static_cast<double>(found.scores[at]));
        }
      }
      if (ranker != nullptr) rerank(*ranker, user, list, unranked);
      lines += line_of(user, list);
    }
    file.write(lines);
  }
  file.finish();
  if (unknown_users > 0) log_warning("{} users are not in the data: their lists are empty", count_text(unknown_users));
  if (unranked > 0)
    log_warning("{} items could not be ranked, because the ranking model's data do not have them or their user: they come last",
                count_text(unranked));
  log_info("{} users, {} items each at most, from {} items{}{}", count_text(count), count_text(std::min(k, index.count())),
           count_text(index.count()), ranker != nullptr ? ", ordered by " + ranker->head_name() : "", out == "-" ? "" : ", in " + out);
  return kDone;
}

}  // namespace rechost::app
