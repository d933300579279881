#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "config/node.h"

/// The host's own sections as plain structs. Each lists its keys once, in describe(): parsing, defaults, `config show`, the JSON schema
/// and the error for an unknown key all come from there. Options of plugins live beside the host's keys in [model] and [data]; they stay
/// untyped here (`options`) and are checked against the module's own list by the plugin floor.
namespace rechost {

struct RunSection {
  std::string name;  ///< empty: the model plugin's id
  std::int64_t seed = 1;
  std::int64_t epochs = 1;
  std::int64_t steps = 0;
  bool deterministic = false;
  std::string device = "auto";
  std::string precision = "fp32";
  std::int64_t threads = 0;
  double log_every_seconds = 2.0;
  std::int64_t log_every_steps = 100;
  bool log_samples = false;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("name", name, "name of the run; empty: the model's");
    visit("seed", seed, "everything random follows from it").at_least(0);
    visit("epochs", epochs, "passes over the training split").at_least(1);
    visit("steps", steps, "stop after this many steps; 0: after `epochs`").at_least(0);
    visit("deterministic", deterministic, "the same bits for any number of ranks (at most 16) and threads; slower");
    visit("device", device, "where to compute").one_of({"auto", "cpu", "cuda"});
    visit("precision", precision,
          "what products of dense layers read; values, gradients and tables stay fp32. bf16 where the processor or GPU has it; bf16_emulated: the "
          "same anywhere, slowly, to see what it does to a model")
        .one_of({"fp32", "bf16", "bf16_emulated"});
    visit("threads", threads, "CPU threads of a process; 0: its share of the cores").at_least(0);
    visit("log_every_seconds", log_every_seconds, "interval of progress lines").at_least(0.0);
    visit("log_every_steps", log_every_steps, "interval of lines in metrics.jsonl").at_least(1);
    visit("log_samples", log_samples, "write the numbers of the samples of every step to samples/ in the run directory");
  }
};

struct ModelSection {
  std::string plugin;
  ConfigNode options;  ///< table: every other key of [model]

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("plugin", plugin, "id of the model, or path of a plugin file");
  }
};

struct SplitSection {
  double valid = 0.0;
  double test = 0.0;
  std::string by = "tail";

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("valid", valid, "share of rows for validation, when the loader does not split by itself").between(0.0, 0.9);
    visit("test", test, "share of rows for the final test").between(0.0, 0.9);
    visit("by", by, "tail: the last rows of the file; random: drawn by seed").one_of({"tail", "random"});
  }
};

/// [data.mosaic]: shuffle = "mosaic" gives the order of MosaicML's StreamingDataset; names as there.
struct MosaicSection {
  bool shuffle = true;
  std::string shuffle_algo = "py1e";
  std::int64_t shuffle_seed = 9176;
  std::int64_t shuffle_block_size = 0;
  std::int64_t num_canonical_nodes = 0;
  std::string partition_algo = "relaxed";
  std::string batching_method = "random";
  std::string sampling_method = "balanced";
  std::int64_t sampling_granularity = 1;
  std::int64_t replication = 1;
  std::int64_t nodes = 1;
  std::int64_t ranks_per_node = 1;
  std::int64_t workers = 1;
  std::string state;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("shuffle", shuffle, "false: the partition's order, not shuffled");
    visit("shuffle_algo", shuffle_algo, "which samples may meet").one_of({"naive", "py1s", "py2s", "py1br", "py1e"});
    visit("shuffle_seed", shuffle_seed, "of StreamingDataset; run.seed has no part in this order").at_least(0);
    visit("shuffle_block_size", shuffle_block_size, "samples that py1br and py1e mix; 0: max(4000000 / num_canonical_nodes, 262144)").at_least(0);
    visit("num_canonical_nodes", num_canonical_nodes, "parts of an epoch; 0: nodes, for py1s and py2s 64 times as many").at_least(0);
    visit("partition_algo", partition_algo, "how parts become batches").one_of({"relaxed", "orig"});
    visit("batching_method", batching_method, "how streams share batches").one_of({"random", "stratified", "per_stream", "device_per_stream"});
    visit("sampling_method", sampling_method, "balanced: other samples of a stream drawn in part each epoch; fixed: the same").one_of({"balanced", "fixed"});
    visit("sampling_granularity", sampling_granularity, "samples drawn together from a shard").at_least(1);
    visit("replication", replication, "consecutive ranks of the emulated job that get the same samples").at_least(1);
    visit("nodes", nodes, "of the emulated job; data.batch_size is divided among its ranks").at_least(1);
    visit("ranks_per_node", ranks_per_node, "of the emulated job; how many ranks rechost has is another matter").at_least(1);
    visit("workers", workers, "of each DataLoader of the emulated job; 1 for num_workers = 0").at_least(1);
    visit("state", state, "file with a state dict of StreamingDataLoader: the run goes on from there");
  }
};

/// [data.streams.<name>]: one of several sources of training samples, in the order of the names. At most one weight each.
struct StreamSection {
  double proportion = 0.0;
  double repeat = 1.0;
  std::int64_t choose = 0;
  ConfigNode options{.value = ConfigNode::Table{}, .origin = {}, .typed = {}};  ///< table: every other key, over those of [data]

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("proportion", proportion, "of the samples of an epoch, relative to the other streams").at_least(0.0);
    visit("repeat", repeat, "times that each sample comes in an epoch, on average").at_least(0.0);
    visit("choose", choose, "samples in an epoch").at_least(0);
  }
};

/// [data.drift]: data that a trained model meets and that are not like those it was trained on.
struct DriftSection {
  std::string action = "warn";
  double unseen_share = 0.1;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("action", action, "what to do when other data still fit the model: warn, or fail; what does not fit is always refused").one_of({"warn", "fail"});
    visit("unseen_share", unseen_share, "of a feature's values so many more than in training may be unknown to its vocabulary").between(0.0, 1.0);
  }
};

struct DataSection {
  std::string plugin;
  std::int64_t batch_size = 2048;
  std::int64_t eval_batch_size = 8192;
  std::string shuffle = "full";
  std::int64_t shuffle_window = 65536;
  std::int64_t shuffle_chunks = 8;
  std::int64_t epoch_size = 0;
  std::string bad_rows = "fail";
  std::int64_t bad_row_budget = 1000;
  std::int64_t prefetch = 4;
  double prefetch_gib = 1.0;
  std::int64_t reader_threads = 0;
  double memory_gib = 4.0;
  double vocabulary_memory_gib = 2.0;
  std::string temporary_path = "/var/tmp";
  std::string cache;
  double cache_gib = 64.0;
  std::int64_t remote_connections = 8;
  double remote_deadline_seconds = 300.0;
  SplitSection split;
  MosaicSection mosaic;
  DriftSection drift;
  std::map<std::string, ConfigNode> streams;  ///< by name, see StreamSection
  ConfigNode options;  ///< table: every other key of [data]

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("plugin", plugin, "id of the dataset loader, or path of a plugin file");
    visit("batch_size", batch_size, "samples per step over all ranks").at_least(1);
    visit("eval_batch_size", eval_batch_size, "samples per evaluation step").at_least(1);
    visit("shuffle", shuffle, "order of training samples").one_of({"full", "chunk", "buffer", "none", "mosaic"});
    visit("shuffle_window", shuffle_window, "buffer: no sample is farther from its place than this many").at_least(1);
    visit("shuffle_chunks", shuffle_chunks, "chunk: so many chunks are shuffled together").at_least(1);
    visit("epoch_size", epoch_size, "samples of an epoch, streams without a weight or by proportion; 0: as many as there are").at_least(0);
    visit("bad_rows", bad_rows, "what to do with a row that cannot be read").one_of({"fail", "skip", "quarantine"});
    visit("bad_row_budget", bad_row_budget, "skip and quarantine: fail past this many").at_least(0);
    visit("prefetch", prefetch, "batches prepared ahead").between(1, 64);
    visit("prefetch_gib", prefetch_gib, "limit for their memory; one batch is prepared ahead however large it is").at_least(0.0);
    visit("reader_threads", reader_threads, "threads that decode; 0: chosen").at_least(0);
    visit("memory_gib", memory_gib, "limit for decoded rows kept in memory").at_least(0.01);
    visit("vocabulary_memory_gib", vocabulary_memory_gib, "limit for vocabularies while they are learnt; the rest is sorted on disk").at_least(0.001);
    visit("temporary_path", temporary_path, "directory of a disk with room for that");
    visit("cache", cache, "folder for copies of remote data; empty: ~/.cache/rechost/data");
    visit("cache_gib", cache_gib, "what it may hold; what was used longest ago goes first").at_least(0.0);
    visit("remote_connections", remote_connections, "requests under way at once").between(1, 256);
    visit("remote_deadline_seconds", remote_deadline_seconds, "a server that does not answer is tried again for so long").at_least(0.0);
    visit.section("split", split);
    visit.section("mosaic", mosaic);
    visit.section("drift", drift);
    visit.open_patterns("streams", streams, StreamSection{});
  }
};

/// [features.<pattern>]: `*` in a pattern stands for any characters; of several that match, the one that spells out more of the name wins.
struct FeatureSection {
  std::string kind;          ///< empty: the loader's role
  std::string source;        ///< empty: the column of the feature's name
  std::string extract;       ///< empty: the column's values as they are
  std::string time_unit;     ///< empty: seconds, or text where the column holds strings
  std::string since;         ///< of extract = "age"
  std::string encoder;       ///< empty: identity when the cardinality is known, else vocabulary
  std::int64_t cardinality = 0;  ///< 0: the loader's, if it knows
  std::int64_t hash_rows = 0;
  std::int64_t hashes = 1;
  std::string salt;          ///< empty: the table's name
  std::vector<double> boundaries;
  std::int64_t buckets = 0;
  std::int64_t min_count = 1;
  std::int64_t max_rows = 0;
  double admit_probability = 1.0;
  std::string evict;         ///< empty: age
  std::int64_t max_age_steps = 0;
  std::int64_t half_life_steps = 0;
  double memory_gib = 0.0;
  std::string table;         ///< empty: the feature's name
  std::string pooling;       ///< empty: sum for one id and for lists with weights, mean for other lists
  std::string weights;       ///< empty: every id of a list counts 1
  std::int64_t max_length = 0;
  std::string keep;          ///< empty: last
  std::string padding;       ///< empty: none
  std::vector<double> clip;  ///< empty: unlimited; else least and most
  std::string transform;     ///< empty: none
  std::string scale;         ///< empty: none
  double default_value = 0.0;
  std::string missing;       ///< empty: own row for sparse, default_value for dense
  std::string entity;        ///< empty: the loader's

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("kind", kind, "dense | sparse | ignore").one_of({"", "dense", "sparse", "ignore"});
    visit("source", source, "column that the feature is made of; empty: the one of its name");
    visit("extract", extract, "what of a time").one_of({"", "hour_of_day", "day_of_week", "day_of_month", "month", "age"});
    visit("time_unit", time_unit, "extract: how times are written; empty: text for strings, else seconds")
        .one_of({"", "seconds", "milliseconds", "text"});
    visit("since", since, "extract = \"age\": the day or time at which it is 0, such as 2020-01-31T12:00:00Z");
    visit("encoder", encoder, "how values become rows; dynamic: rows are given to keys while training, and taken from them")
        .one_of({"", "identity", "vocabulary", "hash", "bucket", "dynamic"});
    visit("cardinality", cardinality, "identity: ids lie in [0, cardinality); 0: as the loader says").at_least(0);
    visit("hash_rows", hash_rows, "hash: rows of the table").at_least(0);
    visit("hashes", hashes, "hash: rows that one value has, summed up").between(1, 8);
    visit("salt", salt, "hash, and strings of dynamic: another word scatters values otherwise; empty: the table's name");
    visit("boundaries", boundaries, "bucket: ascending numbers; each is the least of its bucket");
    visit("buckets", buckets, "bucket: learn boundaries that cut the training rows into so many equal parts").at_least(0);
    visit("min_count", min_count, "vocabulary, dynamic: rarer values share the out-of-vocabulary row").at_least(1);
    visit("max_rows", max_rows, "vocabulary: keep only the most frequent; 0: all. dynamic: keys that have a row at one time").at_least(0);
    visit("admit_probability", admit_probability, "dynamic: that an occurrence, from the min_count-th on, gets its key a row").between(0.0, 1.0);
    visit("evict", evict, "dynamic: who gives up a row when all are taken: the key not seen for longest (age), or seen least often; empty: age")
        .one_of({"", "age", "frequency"});
    visit("max_age_steps", max_age_steps, "dynamic: a key not seen for so many steps is forgotten and its row is free; 0: keys stay").at_least(0);
    visit("half_life_steps", half_life_steps, "dynamic: counts of keys, for evict = \"frequency\" and min_count, halve every so many steps; 0: never").at_least(0);
    visit("memory_gib", memory_gib, "dynamic, in place of max_rows: rows for as many keys as fit with them, in all tables of the model that read them").at_least(0.0);
    visit("table", table, "features with one table share rows and vocabulary");
    visit("pooling", pooling, "how a list becomes one vector").one_of({"", "sum", "mean", "none"});
    visit("weights", weights, "lists: column with a number for each id, which its row is multiplied by; with pooling = \"sum\"");
    visit("max_length", max_length, "lists: keep n ids; 0: all").at_least(0);
    visit("keep", keep, "lists longer than max_length: which ids stay; empty: the last").one_of({"", "first", "last"});
    visit("padding", padding, "lists shorter than max_length: fill up with the row for missing values").one_of({"", "none", "front", "back"});
    visit("clip", clip, "dense: [least, most], cut before the transform");
    visit("transform", transform, "dense: log1p(max(x, 0)); sign(x) log1p(|x|); floor(log(x)^2) for x > 2")
        .one_of({"", "none", "log1p", "signed_log", "log_square"});
    visit("scale", scale, "dense, after the transform, learnt from training rows: to mean 0 and deviation 1, or to [0, 1]")
        .one_of({"", "none", "standardise", "min_max"});
    visit("default", default_value, "dense value where it is missing");
    visit("missing", missing, "default | fail").one_of({"", "default", "fail"});
    visit("entity", entity, "user | item").one_of({"", "user", "item"});
  }
};

struct OptimizerSection {
  std::string kind;
  double lr = 0.0;
  double momentum = 0.9;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double initial_accumulator = 0.0;
  double weight_decay = 0.0;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("kind", kind, "update rule").one_of({"sgd", "momentum", "adagrad", "rowwise_adagrad", "adam", "adamw"});
    visit("lr", lr, "learning rate").at_least(0.0);
    visit("momentum", momentum, "momentum: share of the last update kept").between(0.0, 1.0);
    visit("beta1", beta1, "adam: decay of the first moment").between(0.0, 1.0);
    visit("beta2", beta2, "adam: decay of the second moment").between(0.0, 1.0);
    visit("eps", eps, "added to denominators").at_least(0.0);
    visit("initial_accumulator", initial_accumulator, "adagrad: starting sum of squares").at_least(0.0);
    visit("weight_decay", weight_decay, "adamw: decoupled decay").at_least(0.0);
  }
};

/// [tables.<pattern>]: what differs from the model's own choice.
struct TableSection {
  std::int64_t rows = 0;
  std::string init;          ///< empty: the model's; else "uniform", "normal", "constant"
  double init_scale = 0.0;
  std::string optimizer;     ///< empty: [optimizer.sparse]
  double lr = 0.0;           ///< 0: [optimizer.sparse]
  std::string precision = "fp32";
  std::string sharding = "auto";
  std::int64_t rank = -1;
  std::string placement = "memory";
  std::int64_t cached_rows = 0;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("rows", rows, "0: from data").at_least(0);
    visit("init", init, "initial values").one_of({"", "uniform", "normal", "constant"});
    visit("init_scale", init_scale, "uniform: +-scale; normal: standard deviation; constant: the value");
    visit("optimizer", optimizer, "another rule than [optimizer.sparse]")
        .one_of({"", "sgd", "momentum", "adagrad", "rowwise_adagrad", "adam", "adamw"});
    visit("lr", lr, "another learning rate; 0: the same").at_least(0.0);
    visit("precision", precision, "of the rows in memory and checkpoints; 16 bits are rounded stochastically; int8 to use a trained model")
        .one_of({"fp32", "fp16", "bf16", "int8"});
    visit("sharding", sharding, "over ranks: auto splits what is large; table_wise: whole on one; row_wise, row_wise_hash, column_wise: parts on all; data_parallel: a copy on each; "
          "table_row_wise: rows over the ranks of one node; grid: columns over nodes, rows over the ranks of each")
        .one_of({"auto", "table_wise", "row_wise", "row_wise_hash", "column_wise", "data_parallel", "table_row_wise", "grid"});
    visit("rank", rank, "that holds the whole table, or (table_row_wise) is of the node that does; -1: where the fewest bytes are").at_least(-1);
    visit("placement", placement, "of the rows: memory, or a file in data.temporary_path for a table beyond it").one_of({"memory", "file"});
    visit("cached_rows", cached_rows, "of a table in a file: rows that each process keeps in memory; 0: a sixteenth").at_least(0);
  }
};

struct OptimizersSection {
  OptimizerSection dense{.kind = "adam", .lr = 1e-3};
  OptimizerSection sparse{.kind = "rowwise_adagrad", .lr = 0.05};

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit.section("dense", dense);
    visit.section("sparse", sparse);
  }
};

struct ScheduleSection {
  std::string kind = "constant";
  std::int64_t warmup_steps = 0;
  std::int64_t decay_steps = 0;
  double final_factor = 0.0;
  double power = 1.0;
  double factor = 0.1;
  std::int64_t patience = 1;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("kind", kind, "of the learning rates' factor").one_of({"constant", "linear", "cosine", "polynomial", "plateau"});
    visit("warmup_steps", warmup_steps, "rise linearly from 0").at_least(0);
    visit("decay_steps", decay_steps, "length of the decay after warm-up; 0: to the end of the run").at_least(0);
    visit("final_factor", final_factor, "where linear, cosine and polynomial end").between(0.0, 1.0);
    visit("power", power, "polynomial").at_least(0.0);
    visit("factor", factor, "plateau: multiply by this ...").between(0.0, 1.0);
    visit("patience", patience, "plateau: ... after so many evaluations without improvement").at_least(0);
  }
};

struct RegularizationSection {
  double l2_dense = 0.0;
  double l2_sparse = 0.0;
  std::string l2_scope = "touched";
  double clip_norm = 0.0;
  double clip_value = 0.0;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("l2_dense", l2_dense, "adds l2/2 * |w|^2 of dense weights to the loss").at_least(0.0);
    visit("l2_sparse", l2_sparse, "the same for embedding rows").at_least(0.0);
    visit("l2_scope", l2_scope, "which rows: those in the batch, or all").one_of({"touched", "table"});
    visit("clip_norm", clip_norm, "scale dense gradients down to this norm; 0: off").at_least(0.0);
    visit("clip_value", clip_value, "cut each gradient element at +-this, embeddings too; 0: off").at_least(0.0);
  }
};

struct RetrievalSection {
  bool enabled = true;
  std::vector<std::int64_t> k{20};
  std::string protocol = "full";
  bool mask_seen = true;
  double relevant_rating = 4.0;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("enabled", enabled, "retrieval metrics for models with user and item vectors");
    visit("k", k, "cut-offs");
    visit("protocol", protocol, "full: rank the whole catalogue; given: the listed negatives").one_of({"full", "given"});
    visit("mask_seen", mask_seen, "leave out items that the user has in the training split");
    visit("relevant_rating", relevant_rating, "regression labels: from this value on an item is relevant");
  }
};

struct EvalSection {
  std::int64_t every_epochs = 1;
  std::int64_t every_steps = 0;
  std::string split = "valid";
  std::string metric;  ///< empty: auc, rmse, accuracy or recall@k, whichever the first head has
  std::int64_t early_stop = 0;
  bool restore_best = false;
  bool final_test = true;
  RetrievalSection retrieval;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("every_epochs", every_epochs, "0: not at the ends of epochs").at_least(0);
    visit("every_steps", every_steps, "0: not between").at_least(0);
    visit("split", split, "which split is looked at while training").one_of({"valid", "test"});
    visit("metric", metric, "what early stop, plateau and restore_best look at");
    visit("early_stop", early_stop, "stop after so many evaluations without improvement; 0: never").at_least(0);
    visit("restore_best", restore_best, "end with the weights of the best evaluation");
    visit("final_test", final_test, "evaluate the test split at the end");
    visit.section("retrieval", retrieval);
  }
};

/// What is watched beside the numbers that were asked for: each finding is one warning, an event of the run and an entry of its summary.
struct SentinelsSection {
  std::string action = "warn";
  double constant_spread = 1e-6;
  double auc_margin = 0.005;
  std::int64_t auc_evaluations = 3;
  std::int64_t one_class_samples = 100'000;
  double gradient_norm_factor = 1000.0;
  double dead_share = 0.5;
  double dead_norm = 1e-8;
  double exploding_norm = 1000.0;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("action", action, "what to do when training looks broken; off: do not look").one_of({"warn", "fail", "off"});
    visit("constant_spread", constant_spread, "predictions of an evaluation that lie no farther apart are all the same").at_least(0.0);
    visit("auc_margin", auc_margin, "an AUC so near to 0.5 has learnt nothing ...").between(0.0, 0.5);
    visit("auc_evaluations", auc_evaluations, "... after so many evaluations in a row, or all of a run that has fewer").at_least(1);
    visit("one_class_samples", one_class_samples, "training samples that may all have one label; a whole run never may").at_least(1);
    visit("gradient_norm_factor", gradient_norm_factor, "a dense gradient explodes at so many times the geometric mean of its norms before").at_least(1.0);
    visit("dead_share", dead_share, "of the rows of a table that training reads so many may be dead: without a gradient, or shrunk to nothing").between(0.0, 1.0);
    visit("dead_norm", dead_norm, "a trained row of at most this norm has shrunk to nothing").at_least(0.0);
    visit("exploding_norm", exploding_norm, "an embedding row of a larger norm explodes").at_least(0.0);
  }
};

struct CheckpointSection {
  std::int64_t every_steps = 0;
  std::int64_t keep = 2;
  bool final = true;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("every_steps", every_steps, "0: only at the end and on a signal").at_least(0);
    visit("keep", keep, "how many older ones stay").at_least(1);
    visit("final", final, "write one at the end");
  }
};

struct CommSection {
  std::string transport = "auto";
  std::string wire_precision = "fp32";
  std::int64_t join_seconds = 300;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("transport", transport, "between ranks; auto: shared memory on one machine, TCP between machines; tcp: always TCP").one_of({"auto", "tcp"});
    visit("wire_precision", wire_precision, "of embedding rows and of all gradients between ranks; 16 bits: half the bytes, rounded").one_of({"fp32", "fp16", "bf16"});
    visit("join_seconds", join_seconds, "how long ranks wait for one another at the start").between(1, 86'400);
  }
};

struct PlacementSection {
  double memory_gib = 0.0;
  std::int64_t ranks_per_node = 0;
  double within_gb_per_second = 0.0;
  double between_gb_per_second = 0.0;

  /// 0: no limit.
  std::int64_t bytes_per_rank() const { return static_cast<std::int64_t>(memory_gib * static_cast<double>(std::int64_t{1} << 30)); }

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("memory_gib", memory_gib, "most that the tables of one rank may take, with their optimizer's state; 0: no limit").at_least(0.0);
    visit("ranks_per_node", ranks_per_node, "that count as one node; 0: those of one host").between(0, 1 << 20);
    visit("within_gb_per_second", within_gb_per_second, "10^9 bytes that a rank sends and receives with ranks of its node; 0: measured when ranks have met").at_least(0.0);
    visit("between_gb_per_second", between_gb_per_second, "the same with ranks of other nodes").at_least(0.0);
  }
};

struct RegistrySection {
  std::string model;
  std::string alias;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("model", model, "register the finished run under this name; empty: do not");
    visit("alias", alias, "and point this alias at it");
  }
};

struct MlflowTagsSection {
  ConfigNode given;  ///< table: every key is a tag

  template <typename Visitor>
  void describe(Visitor&) {}
};

struct MlflowSection {
  std::string uri;
  std::string experiment;
  std::string run_name;
  bool artifacts = true;
  double flush_seconds = 10.0;
  double timeout_seconds = 30.0;
  MlflowTagsSection tags;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit("uri", uri, "http:// or https:// address of the server; empty: MLFLOW_TRACKING_URI, and without that no tracking; none: no tracking");
    visit("experiment", experiment, "name, made if need be; empty: MLFLOW_EXPERIMENT_NAME, else Default");
    visit("run_name", run_name, "empty: that of the run directory");
    visit("artifacts", artifacts, "send configuration, summary, report and manifest of the last checkpoint");
    visit("flush_seconds", flush_seconds, "wait so long at the end for the server; the rest is left to `runs sync`").at_least(0.0);
    visit("timeout_seconds", timeout_seconds, "for one request").between(0.1, 86400.0);
    visit.open_section("tags", tags, tags.given);
  }
};

struct TrackingSection {
  MlflowSection mlflow;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit.section("mlflow", mlflow);
  }
};

/// Everything, resolved.
struct Config {
  RunSection run;
  ModelSection model;
  DataSection data;
  /// By pattern: a table with the keys that were really given, already checked. Read them through feature_settings() and
  /// table_settings() of config/parse.h, which merge all patterns that match a name.
  std::map<std::string, ConfigNode> features;
  std::map<std::string, ConfigNode> tables;
  OptimizersSection optimizer;
  ScheduleSection schedule;
  RegularizationSection regularization;
  EvalSection eval;
  SentinelsSection sentinels;
  CheckpointSection checkpoint;
  CommSection comm;
  PlacementSection placement;
  RegistrySection registry;
  TrackingSection tracking;

  /// Where each given value came from, by its full key ("optimizer.sparse.lr"); a key that is not here has the host's default.
  std::map<std::string, std::string, std::less<>> origins;

  template <typename Visitor>
  void describe(Visitor& visit) {
    visit.section("run", run);
    visit.open_section("model", model, model.options);
    visit.open_section("data", data, data.options);
    visit.patterns("features", features, FeatureSection{});
    visit.patterns("tables", tables, TableSection{});
    visit.section("optimizer", optimizer);
    visit.section("schedule", schedule);
    visit.section("regularization", regularization);
    visit.section("eval", eval);
    visit.section("sentinels", sentinels);
    visit.section("checkpoint", checkpoint);
    visit.section("comm", comm);
    visit.section("placement", placement);
    visit.section("registry", registry);
    visit.section("tracking", tracking);
  }
};

}  // namespace rechost
