#include "prepared.h"

#include <map>
#include <mutex>

#include "text/text_file.h"

namespace ratings {
namespace {

using rechost::Config;
using rechost::ConfigError;

std::string split_mode(const Config& config) {
  const std::string& mode = config.get_string("holdout");
  if (mode != "auto") return mode;
  return config.get_path("train_path").empty() ? "none" : "given";
}

std::vector<FileOfPart> files_of(const Config& config) {
  std::vector<FileOfPart> files;
  const auto add = [&](const std::string& option, Part part) {
    if (config.get_path(option).empty()) return;
    for (const std::string& path : text::files_of(config.get_path(option), option)) files.push_back({path, part});
  };
  add("path", Part::kTrain);
  add("train_path", Part::kTrain);
  add("valid_path", Part::kValid);
  add("test_path", Part::kTest);
  return files;
}

IdTable::Kind kind_of_ids(const Config& config) {
  const std::string& name = config.get_string("ids");
  return name == "integer" ? IdTable::Kind::kInteger : name == "text" ? IdTable::Kind::kText : IdTable::Kind::kAutomatic;
}

std::shared_ptr<Prepared> load(const Config& config) {
  const std::vector<FileOfPart> files = files_of(config);
  FileFormat format;
  format.lists = config.get_string("format") == "lists";
  format.delimiter = config.get_string("delimiter");
  format.columns = config.get_string_list("columns");
  format.user = config.get_string("user_column");
  format.item = config.get_string("item_column");
  format.rating = config.get_string("rating_column");
  format.time = config.get_string("time_column");
  if (config.get_string("label") == "implicit") format.drop_below = static_cast<float>(config.get_float("min_rating"));

  auto prepared = std::make_shared<Prepared>(load_interactions(files, format, kind_of_ids(config)));
  Interactions& interactions = prepared->interactions;
  if (config.get_string("label") != "implicit" && interactions.rating.empty())
    throw ConfigError("label = \"" + config.get_string("label") + "\" needs a rating, and '" + files[0].path +
                      "' has no such column: set rating_column, or label = \"implicit\"");
  const std::string mode = split_mode(config);
  if (mode == "leave_one_out" || mode == "ratio" || config.get_int("history") > 0) prepared->order = order_by_user(interactions);
  if (mode == "leave_one_out") split_leave_one_out(interactions, prepared->order, config.get_bool("leave_out_valid"));
  if (mode == "ratio")
    split_by_ratio(interactions, prepared->order,
                   {.valid = config.get_float("valid_ratio"),
                    .test = config.get_float("test_ratio"),
                    .seed = static_cast<std::uint64_t>(config.get_int("split_seed")),
                    .per_user = config.get_bool("ratio_per_user")});
  rechost::Fingerprint fingerprint;
  fingerprint.add(static_cast<std::int64_t>(interactions.fingerprint));
  if (const std::string& path = config.get_path("negatives_path"); !path.empty()) {
    prepared->candidates = Candidates::load(path, interactions);
    fingerprint.add(static_cast<std::int64_t>(prepared->candidates->fingerprint()));
  }
  prepared->fingerprint = fingerprint.value();
  return prepared;
}

// All that load() depends on.
std::uint64_t key_of(const Config& config) {
  rechost::Fingerprint key;
  for (const char* name : {"path", "train_path", "valid_path", "test_path", "negatives_path"}) key.add(config.get_path(name));
  for (const char* name : {"format", "delimiter", "user_column", "item_column", "rating_column", "time_column", "ids", "holdout", "label"})
    key.add(config.get_string(name));
  key.add(static_cast<std::int64_t>(config.get_string_list("columns").size()));
  for (const std::string& name : config.get_string_list("columns")) key.add(name);
  for (const char* name : {"valid_ratio", "test_ratio", "min_rating"}) key.add(std::bit_cast<std::int64_t>(config.get_float(name)));
  for (const char* name : {"leave_out_valid", "ratio_per_user"}) key.add(std::int64_t{config.get_bool(name)});
  // Whether there is a history, not how long it is.
  key.add(std::int64_t{config.get_int("history") > 0}).add(config.get_int("split_seed"));
  // A file that was written anew in the meantime is another one.
  std::vector<FileOfPart> files = files_of(config);
  if (!config.get_path("negatives_path").empty()) files.push_back({config.get_path("negatives_path"), Part::kTest});
  for (const FileOfPart& file : files) key.add(file.path).add(static_cast<std::int64_t>(text::file_fingerprint(file.path)));
  return key.value();
}

}  // namespace

std::vector<rechost::Option> loader_options() {
  using namespace rechost;
  return {
      option_path("path", "interactions: a file, folder or pattern, also s3:, a file also http:; plain, gzip or zstd"),
      option_path("train_path", "training interactions of a given split, instead of path"),
      option_path("valid_path", "validation interactions of a given split"),
      option_path("test_path", "test interactions of a given split"),
      option_string("format", "columns", "columns: one interaction a line; lists: lines of a user and all its items, separated by spaces")
          .choices({"columns", "lists"}),
      option_string("delimiter", "", "what stands between fields; empty: \"::\", tab, comma, semicolon or space, as the first line has it"),
      option_string_list("columns", {},
                         "names of the fields of files without a header, for example [\"user\", \"item\", \"rating\", \"time\"]"),
      option_string("user_column", "user", "name of the field with the user"),
      option_string("item_column", "item", "name of the field with the item"),
      option_string("rating_column", "rating", "name of the field with the rating; the default is used only if it is there"),
      option_string("time_column", "time", "name of the field with the time, an integer; the default is used only if it is there"),
      option_string("ids", "auto", "auto: integers when all ids are, else text; integer: anything else is a bad row; text")
          .choices({"auto", "integer", "text"}),
      option_string(
          "holdout", "auto",
          "given: by train_path, valid_path, test_path; leave_one_out: the last interaction of each user is test, the one before it "
          "valid; ratio: at random; none: the host splits; auto: given when there is a train_path, else none")
          .choices({"auto", "given", "leave_one_out", "ratio", "none"}),
      option_bool("leave_out_valid", true, "leave_one_out: also make a validation split"),
      option_float("valid_ratio", 0.1, "ratio: share of validation interactions").range(0, 1),
      option_float("test_ratio", 0.1, "ratio: share of test interactions").range(0, 1),
      option_bool("ratio_per_user", true, "ratio: the same share of each user's interactions, rather than of all"),
      option_int("split_seed", 1, "ratio: another seed is another split").at_least(0),
      option_string(
          "label", "implicit",
          "implicit: 1 for every interaction rated min_rating or more, the others are left out; binary: 1 for rated min_rating or "
          "more, else 0; rating: the rating")
          .choices({"implicit", "binary", "rating"}),
      option_float("min_rating", 0, "lowest rating that counts as liked"),
      option_path("negatives_path", "items to rank each test interaction against: lines (user,item)<tab>item<tab>item ..."),
      option_int("history", 0, "a column with up to this many items of the user's training interactions before the one at hand")
          .range(0, 100'000),
      option_int("chunk_rows", 65'536, "rows decoded at once").range(1, 1 << 24),
  };
}

std::vector<std::string_view> splits_of(const Config& config) {
  const std::string mode = split_mode(config);
  const bool has_path = !config.get_path("path").empty();
  const bool has_train = !config.get_path("train_path").empty(), has_valid = !config.get_path("valid_path").empty(),
             has_test = !config.get_path("test_path").empty();
  if (mode == "given" ? !has_train : !has_path)
    throw ConfigError("holdout = \"" + mode + "\" needs " + (mode == "given" ? "train_path" : "path"));
  if (mode == "given" ? has_path : has_train || has_valid || has_test)
    throw ConfigError(
        "path is for files that are still to be split, train_path, valid_path and test_path are for a given split: set one or the other");
  std::vector<std::string_view> names{mode == "none" ? "all" : "train"};
  const bool ratio = mode == "ratio", one_out = mode == "leave_one_out";
  if (ratio && config.get_float("valid_ratio") + config.get_float("test_ratio") >= 1)
    throw ConfigError("valid_ratio and test_ratio leave nothing for training: their sum must be below 1");
  if (has_valid || (ratio && config.get_float("valid_ratio") > 0) || (one_out && config.get_bool("leave_out_valid")))
    names.push_back("valid");
  if (has_test || (ratio && config.get_float("test_ratio") > 0) || one_out) names.push_back("test");
  if (!config.get_path("negatives_path").empty() && names.back() != "test")
    throw ConfigError("negatives_path is for a test split, and these options make none");
  return names;
}

std::shared_ptr<const Prepared> prepare(const Config& config) {
  static std::mutex mutex;
  static std::map<std::uint64_t, std::weak_ptr<const Prepared>> shared;
  const std::lock_guard lock(mutex);
  std::weak_ptr<const Prepared>& known = shared[key_of(config)];
  std::shared_ptr<const Prepared> prepared = known.lock();
  if (prepared == nullptr) known = prepared = load(config);
  return prepared;
}

}  // namespace ratings
