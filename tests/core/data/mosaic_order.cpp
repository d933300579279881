#include "data/mosaic_order.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <set>

#include <catch2/catch.hpp>

#include "base/checksum.h"
#include "base/error.h"
#include "base/json.h"
#include "data/order.h"

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

using Ids = std::vector<std::int64_t>;
using Batches = std::vector<Ids>;

/// A line of mosaic_orders.jsonl, which tests/real/mosaic_orders.py has made with the package.
struct Job {
  explicit Job(const Json& line) {
    const Json& keys = line.at("mosaic");
    mosaic.shuffle = keys.value("shuffle", mosaic.shuffle);
    mosaic.shuffle_algo = keys.value("shuffle_algo", mosaic.shuffle_algo);
    mosaic.shuffle_seed = keys.value("shuffle_seed", mosaic.shuffle_seed);
    mosaic.shuffle_block_size = keys.value("shuffle_block_size", mosaic.shuffle_block_size);
    mosaic.num_canonical_nodes = keys.value("num_canonical_nodes", mosaic.num_canonical_nodes);
    mosaic.partition_algo = keys.value("partition_algo", mosaic.partition_algo);
    mosaic.batching_method = keys.value("batching_method", mosaic.batching_method);
    mosaic.sampling_method = keys.value("sampling_method", mosaic.sampling_method);
    mosaic.sampling_granularity = keys.value("sampling_granularity", mosaic.sampling_granularity);
    mosaic.replication = keys.value("replication", mosaic.replication);
    mosaic.nodes = keys.value("nodes", mosaic.nodes);
    mosaic.ranks_per_node = keys.value("ranks_per_node", mosaic.ranks_per_node);
    batch_size = line.at("batch_size").get<std::int64_t>() * std::max<std::int64_t>(mosaic.nodes * mosaic.ranks_per_node / mosaic.replication, 1);
    epoch_size = line.value("epoch_size", std::int64_t{0});
    if (line.contains("state")) state = parse_mosaic_state(line.at("state").dump(), "state.json");
    for (const Json& each : line.at("streams")) {
      StreamShape stream{.name = fmt::format("{}", streams.size()), .chunk_samples = each.at("shards").get<Ids>()};
      if (each.contains("proportion")) stream.proportion = each.at("proportion").get<double>();
      if (each.contains("repeat")) stream.repeat = each.at("repeat").get<double>();
      if (each.contains("choose")) stream.choose = each.at("choose").get<std::int64_t>();
      streams.push_back(std::move(stream));
    }
  }

  MosaicOrder order() const { return MosaicOrder(mosaic, batch_size, epoch_size, streams, state); }

  MosaicSection mosaic;
  std::int64_t batch_size = 0;
  std::int64_t epoch_size = 0;
  std::vector<StreamShape> streams;
  std::optional<MosaicState> state;
};

Batches batches_of(const MosaicOrder& order, std::int64_t epoch) {
  Batches batches;
  for (std::int64_t step = 0; step < order.steps(epoch); ++step) {
    batches.emplace_back();
    order.batch(epoch, step, 0, order.batch_rows(epoch, step), batches.back());
  }
  return batches;
}

std::string text_of(const Batches& batches) {
  std::string text;
  for (const Ids& batch : batches) text += fmt::format("{}\n", fmt::join(batch, " "));
  return text;
}

/// The data set of the format's specification: 32 samples in shards of 13, 13 and 6.
struct SmallJob {
  MosaicSection mosaic{.shuffle_block_size = 16, .num_canonical_nodes = 2};
  std::optional<MosaicState> state;
  MosaicOrder order() const { return MosaicOrder(mosaic, 4, 0, {{.chunk_samples = {13, 13, 6}}}, state); }
};

const Batches kFirstEpoch{{22, 24, 21, 25}, {15, 9, 18, 5}, {28, 12, 14, 23}, {19, 6, 20, 3}, {31, 10, 13, 2}, {17, 8, 26, 1}, {16, 0, 27, 7}, {29, 11, 30, 4}};
const Batches kSecondEpoch{{17, 1, 16, 9}, {21, 3, 13, 11}, {15, 4, 26, 8}, {22, 10, 20, 6}, {29, 5, 19, 25}, {28, 0, 30, 23}, {18, 2, 14, 24}, {27, 12, 31, 7}};

std::vector<Ids> ranks_of(const MosaicPartition& partition) {
  std::vector<Ids> all;
  for (std::int64_t node = 0; node < partition.shape().nodes; ++node) {
    for (std::int64_t rank = 0; rank < partition.shape().ranks_per_node; ++rank) {
      all.emplace_back();
      for (std::int64_t row = 0; row < partition.rank_rows(); ++row) all.back().push_back(partition.place(node, rank, row));
    }
  }
  return all;
}

}  // namespace

TEST_CASE("orders are those of StreamingDataset: algorithms, jobs, ways to batch, weights, states") {
  const char* const source = std::getenv("RECHOST_SOURCE_DIR");
  REQUIRE(source != nullptr);
  std::ifstream file(std::string(source) + "/tests/core/data/mosaic_orders.jsonl");
  REQUIRE(file);
  int orders = 0;
  int refusals = 0;
  for (std::string line; std::getline(file, line);) {
    INFO(line);
    const Json expected = Json::parse(line);
    const Job job(expected);
    if (expected.contains("error")) {
      // Where no batch is left of an epoch the package fails; rechost goes on with the next one, or refuses if that has none either.
      if (expected.at("error").get<std::string>().find("cannot reshape array of size 0") != std::string::npos) {
        CHECK(job.order().steps(job.order().first_epoch()) == 0);
        continue;
      }
      ++refusals;
      CHECK_THROWS_AS(batches_of(job.order(), 0), Error);
      continue;
    }
    const MosaicOrder order = job.order();
    const Ids epochs = expected.at("epochs").get<Ids>();
    for (std::size_t i = 0; i < epochs.size(); ++i) {
      const Batches batches = batches_of(order, std::max(epochs[i], order.first_epoch()));
      if (expected.contains("orders")) CHECK(batches == expected.at("orders")[i].get<Batches>());
      CHECK(checksum_of(text_of(batches)) == expected.at("digests")[i]);
      ++orders;
    }
  }
  CHECK(orders >= 5 * 6 * 4 * 3 - 5 * 3);  // one job in one way to batch is refused by the package
  CHECK(refusals > 20);
}

TEST_CASE("the order of the specification's example, and a state from its middle") {
  SmallJob job;
  CHECK(batches_of(job.order(), 0) == kFirstEpoch);
  CHECK(batches_of(job.order(), 1) == kSecondEpoch);
  const MosaicState state = job.order().state_after(0, 3);
  CHECK(mosaic_state_json(state) == "{\n \"epoch\": 0,\n \"sample_in_epoch\": 12,\n \"num_canonical_nodes\": 2,\n \"shuffle_seed\": 9176,\n \"initial_physical_nodes\": 1\n}\n");

  job.mosaic.shuffle_seed = 5;  // the state's count
  job.mosaic.num_canonical_nodes = 1;
  job.state = state;
  const MosaicOrder resumed = job.order();
  CHECK(batches_of(resumed, 0) == Batches(kFirstEpoch.begin() + 3, kFirstEpoch.end()));
  CHECK(batches_of(resumed, 1) == kSecondEpoch);
  CHECK(resumed.state_after(0, 2).sample_in_epoch == 20);
  CHECK(resumed.state_after(1, 2).sample_in_epoch == 8);
}

TEST_CASE("a global step after a state is found in its epoch") {
  MosaicSection mosaic{.shuffle_block_size = 16, .num_canonical_nodes = 2};
  const MosaicState state{.epoch = 2, .sample_in_epoch = 12, .num_canonical_nodes = 2, .shuffle_seed = 9176, .initial_physical_nodes = 1};
  const SampleOrder order({.shuffle = Shuffle::kMosaic, .batch_size = 4, .mosaic = mosaic, .mosaic_state = state}, std::vector<std::int64_t>{13, 13, 6});
  CHECK(order.steps_per_epoch() == 8);
  CHECK(order.first_step_of(2) == 0);
  CHECK(order.first_step_of(3) == 5);
  CHECK(order.first_step_of(5) == 21);
  CHECK(order.locate(0).epoch == 2);
  CHECK(order.locate(4).step == 4);
  CHECK(order.locate(5).epoch == 3);
  CHECK(order.locate(5).step == 0);
  CHECK(order.locate(14).epoch == 4);
  CHECK(order.samples_before(5) == 20);
  CHECK(order.samples_before(14) == 20 + 32 + 4);
  CHECK(order.epoch_samples() == 32);
}

TEST_CASE("places are dealt out as the package does, uneven ends repeated") {
  const MosaicPartition uneven({.samples = 11, .canonical_nodes = 2, .nodes = 2, .ranks_per_node = 2, .device_batch = 2});
  CHECK(ranks_of(uneven) == std::vector<Ids>{{0, 2, 4}, {1, 3, 4}, {5, 7, 9}, {6, 8, 10}});
  CHECK(uneven.batches() == 2);
  CHECK(uneven.batch_rows(1) == 4);
  const MosaicPartition padded({.samples = 7, .canonical_nodes = 1, .nodes = 2, .ranks_per_node = 2, .device_batch = 1});
  CHECK(ranks_of(padded) == std::vector<Ids>{{0, 4}, {2, 6}, {1, 5}, {3, 5}});
  CHECK_THROWS_WITH(MosaicPartition({.samples = 7, .canonical_nodes = 3, .nodes = 2}), Contains("multiple"));
  CHECK_THROWS_WITH(MosaicPartition({.samples = 7, .drop_first = 9}), Contains("data.mosaic.state goes on after 9 samples of an epoch, which has 7"));
}

TEST_CASE("slices of a batch are its rows, whoever asks for them") {
  for (const char* const batching : {"random", "stratified", "per_stream", "device_per_stream"}) {
    const MosaicSection mosaic{.shuffle_block_size = 60, .batching_method = batching, .nodes = 2, .ranks_per_node = 2};
    const SampleOrder order({.shuffle = Shuffle::kMosaic, .batch_size = 24, .mosaic = mosaic},
                            std::vector<StreamShape>{{.name = "a", .chunk_samples = {40, 41, 17}, .proportion = 1.0}, {.name = "b", .chunk_samples = {90, 3}, .proportion = 2.0}});
    Ids whole;
    Ids slice;
    for (std::int64_t step = 0; step < order.steps_per_epoch(); ++step) {
      order.batch({1, step}, {}, whole);
      CHECK(static_cast<std::int64_t>(whole.size()) == order.batch_rows({1, step}));
      for (const int ranks : {2, 3, 4, 8}) {
        Ids joined;
        for (int rank = 0; rank < ranks; ++rank) {
          order.batch({1, step}, {rank, ranks}, slice);
          joined.insert(joined.end(), slice.begin(), slice.end());
        }
        REQUIRE(joined == whole);
      }
    }
  }
}

TEST_CASE("py1e spreads a long epoch as it does a short one: all samples once, moved by up to a block") {
  // Long enough that samples are written out while others still come.
  const MosaicShuffle shuffle{.algorithm = MosaicAlgorithm::kPy1e, .canonical_nodes = 2, .seed = 3, .block_size = 20000};
  const std::vector<std::int64_t> units(60, 5000);
  std::vector<std::uint32_t> order = shuffle.order(units, 4);
  std::set<std::uint32_t> shards_near_by;
  for (std::size_t i = 0; i < 1000; ++i) shards_near_by.insert(order[70000 + i] / 5000);
  CHECK(shards_near_by.size() >= 3);
  std::sort(order.begin(), order.end());
  for (std::uint32_t i = 0; i < order.size(); ++i) REQUIRE(order[i] == i);
}

TEST_CASE("a block smaller than a shard is warned of with both sizes and a size that helps") {
  SmallJob job;
  job.mosaic.shuffle_block_size = 12;
  CHECK_THAT(job.order().block_warning(), Contains("blocks of 9 to 14 samples") && Contains("largest shard holds 13") && Contains("data.mosaic.shuffle_block_size to 53"));
  job.mosaic.shuffle_block_size = 53;
  CHECK(job.order().block_warning().empty());
  job.mosaic = {.shuffle_algo = "py1br", .shuffle_block_size = 8};
  CHECK(job.order().block_warning().empty());
}

TEST_CASE("what is no state of StreamingDataLoader is refused") {
  CHECK_THROWS_WITH(parse_mosaic_state("[]", "s.json"), Contains("s.json") && Contains("state dict"));
  CHECK_THROWS_WITH(parse_mosaic_state("{", "s.json"), Contains("s.json"));
  CHECK_THROWS_WITH(parse_mosaic_state(R"({"epoch": -1})", "s.json"), Contains("epoch") && Contains("at least 0"));
  CHECK_THROWS_WITH(parse_mosaic_state(R"({"epoch": 1, "sample_in_epoch": 3.5, "num_canonical_nodes": 1, "shuffle_seed": 1})", "s.json"), Contains("sample_in_epoch"));
  CHECK_FALSE(parse_mosaic_state(R"({"epoch": 1, "sample_in_epoch": 3, "num_canonical_nodes": 1, "shuffle_seed": 1, "x": 2})", "s.json").initial_physical_nodes);
}

TEST_CASE("a job that cannot share its batches is refused") {
  SmallJob job;
  job.mosaic.ranks_per_node = 3;
  CHECK_THROWS_WITH(job.order(), Contains("data.batch_size = 4 cannot be divided among the 3 ranks"));
  job.mosaic.replication = 2;
  CHECK_THROWS_WITH(job.order(), Contains("replication = 2 does not divide the 3 ranks"));
}
