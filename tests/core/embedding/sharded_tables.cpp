// Tables spread over ranks against the same tables in one process.
#include "embedding/sharded_tables.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "comm/single_communicator.h"
#include "core/comm/in_threads.h"
#include "core/embedding/lookup_model.h"
#include "data/order.h"
#include "embedding/shown_rows.h"

using namespace rechost;
using namespace rechost::test;

namespace {

constexpr int kSlices = 6;
constexpr std::int64_t kRows = 96;
constexpr int kRanksPerNode = 2;  // three ranks are two nodes that are not alike
constexpr Sharding kShardings[] = {Sharding::kTableWise,    Sharding::kRowWise,      Sharding::kRowWiseHash, Sharding::kColumnWise,
                                   Sharding::kDataParallel, Sharding::kTableRowWise, Sharding::kGrid};

/// Samples [begin, end) of all columns.
std::vector<Column> cut(const std::vector<Column>& columns, PositionRange range) {
  std::vector<Column> parts;
  for (const Column& column : columns) {
    Column part{.name = column.name, .ids = {}, .offsets = {}, .rows = range.end - range.begin};
    for (std::int64_t sample = range.begin; sample < range.end; ++sample) {
      if (!column.offsets.empty()) part.offsets.push_back(static_cast<std::int64_t>(part.ids.size()));
      part.ids.insert(part.ids.end(), column.ids.begin() + column.begin(sample), column.ids.begin() + column.end(sample));
      if (column.weights.empty()) continue;
      part.weights.insert(part.weights.end(), column.weights.begin() + column.begin(sample), column.weights.begin() + column.end(sample));
    }
    if (!column.offsets.empty()) part.offsets.push_back(static_cast<std::int64_t>(part.ids.size()));
    parts.push_back(std::move(part));
  }
  return parts;
}

struct Trained {
  std::vector<std::vector<float>> rows;  ///< by table: values and state of all rows, in order
  std::vector<double> notes;
};

/// Three steps of slices on so many ranks, with gradients that are a function of the looked-up rows.
Trained train(const Model& model, int ranks, const std::function<void(const std::function<void(Communicator&)>&)>& with_ranks,
              RowPrecision wire = RowPrecision::kFp32) {
  Trained trained;
  trained.rows.resize(model.tables.size());
  std::mutex mutex;
  std::map<std::pair<std::size_t, std::int64_t>, std::vector<float>> parts;
  with_ranks([&](Communicator& all) {
    ThreadPool pool(1);
    const PositionRange own = share_of(kSlices, {all.rank(), ranks});
    ShardedTables::Settings settings{.communicator = &all, .slices = kSlices, .note_size = 2, .ranks_per_node = kRanksPerNode, .wire = wire,
                                     .gradient_scale = wire == RowPrecision::kFp16 ? 64.0F : 1.0F};
    ShardedTables tables(model.tables, model.lookups, model.blocks, 1, pool, settings);
    for (std::int64_t step = 1; step <= 3; ++step) {
      std::vector<PreparedIds> prepared(static_cast<std::size_t>(own.end - own.begin));
      std::vector<const PreparedIds*> pointers;
      for (std::size_t s = 0; s < prepared.size(); ++s) {
        const std::vector<Column> columns = cut(model.columns, share_of(kRows, {static_cast<int>(own.begin) + static_cast<int>(s), kSlices}));
        std::vector<IdColumnView> views;
        for (const Column& column : columns) views.push_back(column.view());
        tables.lookups().prepare(views, prepared[s], pool);
        pointers.push_back(&prepared[s]);
      }
      const double note[] = {static_cast<double>(all.rank()), static_cast<double>(step)};
      RowRequests requests;
      tables.request(pointers, note, requests);
      for (std::size_t rank = 0; rank < requests.notes.size(); ++rank) {
        if (requests.notes[rank] != std::vector<double>{static_cast<double>(rank), static_cast<double>(step)}) throw std::runtime_error("a note was lost");
      }
      tables.fetch(pointers, requests);
      for (std::size_t s = 0; s < prepared.size(); ++s) {
        std::vector<std::vector<float>> outputs;
        std::vector<float*> output_pointers;
        std::vector<const float*> gradients;
        for (std::size_t b = 0; b < model.blocks.size(); ++b) {
          const EmbeddingEngine& lookups = tables.lookups();
          outputs.emplace_back(static_cast<std::size_t>(lookups.block_rows(prepared[s], b) * lookups.block_slots(b) * lookups.block_dim(b)));
        }
        for (std::vector<float>& output : outputs) output_pointers.push_back(output.data());
        tables.forward(s, output_pointers, pool);
        for (std::vector<float>& output : outputs) {
          for (float& value : output) value = std::sin(value * 3.0F);
          gradients.push_back(output.data());
        }
        tables.add_gradients(s, gradients, pool);
      }
      tables.exchange_gradients(note);
      for (std::size_t rank = 0; rank < tables.notes().size(); ++rank) {
        if (tables.notes()[rank] != std::vector<double>{static_cast<double>(rank), static_cast<double>(step)}) throw std::runtime_error("a note was lost");
      }
      tables.update({.step = step, .lr_factor = 0.5, .l2 = 0.01, .clip_value = 0.8}, true, pool);
    }
    for (std::size_t t = 0; t < model.tables.size(); ++t) {
      const RowRange range = tables.shown_rows(t);
      const std::int64_t state = tables.state_floats_per_row(t);
      std::vector<float> rows(static_cast<std::size_t>(range.count * model.tables[t].dim));
      std::vector<float> states(static_cast<std::size_t>(range.count * state));
      ShownRows values(tables, t, ShownRows::What::kValues);
      ShownRows all_states(tables, t, ShownRows::What::kState);
      if (range.count > 0) values.read(range.first, range.count, rows.data());
      values.finish();
      if (range.count > 0 && state > 0) all_states.read(range.first, range.count, states.data());
      all_states.finish();
      if (range.count == 0) continue;
      const std::lock_guard lock(mutex);
      std::vector<float>& part = parts[{t, range.first}];
      for (std::int64_t row = 0; row < range.count; ++row) {
        part.insert(part.end(), rows.begin() + row * model.tables[t].dim, rows.begin() + (row + 1) * model.tables[t].dim);
        part.insert(part.end(), states.begin() + row * state, states.begin() + (row + 1) * state);
      }
    }
  });
  for (auto& [place, part] : parts) trained.rows[place.first].insert(trained.rows[place.first].end(), part.begin(), part.end());
  return trained;
}

Trained train_in_one_process(const Model& model, RowPrecision wire = RowPrecision::kFp32) {
  return train(
      model, 1,
      [](const auto& body) {
        SingleCommunicator single;
        body(single);
      },
      wire);
}

}  // namespace

TEST_CASE("rows and state have the same bits however the slices and tables are spread over ranks") {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kRowwiseAdagrad, OptimizerKind::kAdam}) {
    RandomValues random(11);
    Model model(8, kind, Pooling::kMean, kRows, random);
    if (kind == OptimizerKind::kAdam) model.weigh_ids(random);
    const Trained alone = train_in_one_process(model);
    for (const int ranks : {2, 3, 4}) {
      const Trained together = train(model, ranks, [&](const auto& body) { with_tcp(ranks, body); });
      for (std::size_t t = 0; t < model.tables.size(); ++t) {
        INFO("table " << model.tables[t].name << ", " << ranks << " ranks");
        CHECK(together.rows[t] == alone.rows[t]);
      }
    }
  }
}

TEST_CASE("rows and state have the same bits under every sharding") {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kMomentum, OptimizerKind::kAdagrad, OptimizerKind::kRowwiseAdagrad, OptimizerKind::kAdam}) {
    for (const Sharding sharding : kShardings) {
      if ((sharding == Sharding::kColumnWise || sharding == Sharding::kGrid) && kind == OptimizerKind::kRowwiseAdagrad) continue;  // refused: see placement.cpp
      RandomValues random(14);
      Model model(24, kind, Pooling::kMean, kRows, random);
      const Trained alone = train_in_one_process(model);
      for (TableConfig& table : model.tables) table.sharding = sharding;
      for (const int ranks : {2, 3, 4}) {
        const Trained together = train(model, ranks, [&](const auto& body) { with_tcp(ranks, body); });
        for (std::size_t t = 0; t < model.tables.size(); ++t) {
          INFO("table " << model.tables[t].name << ", " << sharding_name(sharding) << ", " << optimizer_name(kind) << ", " << ranks << " ranks");
          CHECK(together.rows[t] == alone.rows[t]);
        }
      }
    }
  }
}

TEST_CASE("rows of 16 bits are rounded alike wherever they lie") {
  for (const RowPrecision precision : {RowPrecision::kFp16, RowPrecision::kBf16}) {
    RandomValues random(13);
    const Model model(8, OptimizerKind::kRowwiseAdagrad, Pooling::kMean, kRows, random, precision);
    const Trained alone = train_in_one_process(model);
    const Trained together = train(model, 3, [&](const auto& body) { with_tcp(3, body); });
    for (std::size_t t = 0; t < model.tables.size(); ++t) {
      INFO("table " << model.tables[t].name << ", " << row_precision_name(precision));
      CHECK(together.rows[t] == alone.rows[t]);
    }
    // More columns than share random numbers, so that ranks get some each.
    Model wide(100, OptimizerKind::kAdagrad, Pooling::kSum, kRows, random, precision);
    const Trained wide_alone = train_in_one_process(wide);
    for (const Sharding sharding : {Sharding::kRowWiseHash, Sharding::kColumnWise, Sharding::kDataParallel, Sharding::kGrid}) {
      for (TableConfig& table : wide.tables) table.sharding = sharding;
      const Trained spread = train(wide, 3, [&](const auto& body) { with_tcp(3, body); });
      for (std::size_t t = 0; t < wide.tables.size(); ++t) {
        INFO("table " << wide.tables[t].name << ", " << row_precision_name(precision) << ", " << sharding_name(sharding));
        CHECK(spread.rows[t] == wide_alone.rows[t]);
      }
    }
  }
}

TEST_CASE("16 bits on the wire round alike wherever tables lie, and by no more than they must") {
  for (const auto& [wire, bound] : {std::pair(RowPrecision::kFp16, 3e-3F), std::pair(RowPrecision::kBf16, 3e-2F)}) {
    RandomValues random(16);
    Model model(24, OptimizerKind::kAdagrad, Pooling::kMean, kRows, random);
    const Trained exact = train_in_one_process(model);
    const Trained alone = train_in_one_process(model, wire);
    float worst = 0.0F;
    for (std::size_t t = 0; t < model.tables.size(); ++t) {
      for (std::size_t i = 0; i < exact.rows[t].size(); ++i) worst = std::max(worst, std::abs(exact.rows[t][i] - alone.rows[t][i]));
    }
    INFO(row_precision_name(wire) << ": worst " << worst);
    CHECK(worst > 0.0F);
    CHECK(worst < bound);
    for (const Sharding sharding : {Sharding::kTableWise, Sharding::kRowWise, Sharding::kRowWiseHash, Sharding::kColumnWise, Sharding::kDataParallel}) {
      for (TableConfig& table : model.tables) table.sharding = sharding;
      const Trained together = train(model, 3, [&](const auto& body) { with_tcp(3, body); }, wire);
      for (std::size_t t = 0; t < model.tables.size(); ++t) {
        INFO("table " << model.tables[t].name << ", " << sharding_name(sharding));
        CHECK(together.rows[t] == alone.rows[t]);
      }
    }
  }
}

namespace {

/// Tables in one process whose requests go ahead as among ranks.
struct AheadAlone {
  explicit AheadAlone(const Model& model, RowPrecision wire = RowPrecision::kFp32)
      : tables(model.tables, model.lookups, model.blocks, 1, pool, {.communicator = &steps, .ahead = &ahead, .slices = 1, .note_size = 1, .wire = wire}) {
    tables.lookups().prepare(model.views(), prepared, pool);
  }

  ThreadPool pool{1};
  SingleCommunicator steps;
  SingleCommunicator ahead;
  ShardedTables tables;
  PreparedIds prepared;
  RowRequests requests;
  const PreparedIds* slice = &prepared;
  const double note[1] = {5.0};
};

}  // namespace

TEST_CASE("requests that go ahead are those of one step after another") {
  RandomValues random(17);
  const Model model(8, OptimizerKind::kSgd, Pooling::kSum, kRows, random);
  AheadAlone alone(model);
  alone.tables.begin_requests(4);
  alone.tables.request_ahead(4, {&alone.slice, 1}, alone.note, alone.requests);
  CHECK(alone.requests.notes == std::vector<std::vector<double>>{{5.0}});
  CHECK(alone.requests.made);
  CHECK_THROWS_WITH(alone.tables.request_ahead(6, {&alone.slice, 1}, alone.note, alone.requests), Catch::Contains("step 6") && Catch::Contains("step 5"));
  alone.tables.fetch({&alone.slice, 1}, alone.requests);
  CHECK_FALSE(alone.requests.made);
}

TEST_CASE("a value that 16 bits cannot carry is an error that names the table, unless the step has failed anyway") {
  RandomValues random(18);
  Model model(8, OptimizerKind::kSgd, Pooling::kSum, kRows, random);
  model.tables[1].initializer = {Initializer::Kind::kConstant, 1e5, 0.0};
  AheadAlone large(model, RowPrecision::kFp16);
  large.tables.request({&large.slice, 1}, large.note, large.requests);
  CHECK_THROWS_WITH(large.tables.fetch({&large.slice, 1}, large.requests),
                    Catch::Contains("a row of table \"" + model.tables[1].name + "\"") && Catch::Contains("100000") && Catch::Contains("set it to \"bf16\""));

  model.tables[1].initializer = {Initializer::Kind::kConstant, 0.5, 0.0};
  AheadAlone small(model, RowPrecision::kBf16);
  const auto exchange = [&](double note) {
    small.tables.request({&small.slice, 1}, small.note, small.requests);
    small.tables.fetch({&small.slice, 1}, small.requests);
    std::vector<std::vector<float>> outputs;
    std::vector<const float*> gradients;
    for (std::size_t b = 0; b < model.blocks.size(); ++b) {
      const EmbeddingEngine& lookups = small.tables.lookups();
      outputs.emplace_back(static_cast<std::size_t>(lookups.block_rows(small.prepared, b) * lookups.block_slots(b) * lookups.block_dim(b)), std::nanf(""));
    }
    for (const std::vector<float>& output : outputs) gradients.push_back(output.data());
    small.tables.add_gradients(0, gradients, small.pool);
    small.tables.exchange_gradients({&note, 1});
  };
  CHECK_THROWS_WITH(exchange(1.0), Catch::Contains("a gradient of table \"") && Catch::Contains("nan"));
  CHECK_NOTHROW(exchange(std::nan("")));
}

TEST_CASE("every rank can read any rows of any sharding, and writes back what it holds of them") {
  for (const Sharding sharding : kShardings) {
    RandomValues random(15);
    Model model(24, OptimizerKind::kAdam, Pooling::kSum, kRows, random);
    for (TableConfig& table : model.tables) table.sharding = sharding;
    INFO(sharding_name(sharding));
    with_tcp(3, [&](Communicator& all) {
      ThreadPool pool(1);
      const ShardedTables::Settings settings{.communicator = &all, .slices = 1, .note_size = 1, .ranks_per_node = kRanksPerNode};
      ShardedTables tables(model.tables, model.lookups, model.blocks, 1, pool, settings);
      for (std::size_t t = 0; t < model.tables.size(); ++t) {
        const TableConfig& table = model.tables[t];
        const std::int64_t states = tables.state_floats_per_row(t);
        // What the rows become: a number for each place.
        std::vector<float> values(static_cast<std::size_t>(table.rows * table.dim));
        std::vector<float> state(static_cast<std::size_t>(table.rows * states));
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 100003);
        for (std::size_t i = 0; i < state.size(); ++i) state[i] = static_cast<float>(i % 100019) + 0.5f;
        const RowRange held = tables.held_rows(t);
        if (held.count > 0) tables.write_rows(t, held.first, held.count, values.data() + held.first * table.dim, state.data() + held.first * states);
        // Each rank reads others; the last one none.
        const std::int64_t first = all.rank() == 2 ? 0 : 7 * all.rank();
        const std::int64_t count = all.rank() == 2 ? 0 : table.rows - first - 3;
        std::vector<float> read_values(static_cast<std::size_t>(count * table.dim) + 1);
        std::vector<float> read_state(static_cast<std::size_t>(count * states) + 1);
        tables.read_rows_together(t, first, count, read_values.data(), read_state.data());
        read_values.pop_back();
        read_state.pop_back();
        const bool same = std::equal(read_values.begin(), read_values.end(), values.begin() + first * table.dim) &&
                          std::equal(read_state.begin(), read_state.end(), state.begin() + first * states);
        if (!same) throw std::runtime_error("rank " + std::to_string(all.rank()) + " reads other rows of " + table.name + " than were written");
      }
      try {
        tables.write_rows(0, 0, model.tables[0].rows + 1, nullptr, nullptr);
      } catch (const Error&) {
        return;
      }
      throw std::runtime_error("a row beyond the table was written");
    });
  }
}

TEST_CASE("a row that starts anew does so wherever it lies") {
  for (const Sharding sharding : {Sharding::kTableWise, Sharding::kRowWise, Sharding::kRowWiseHash, Sharding::kColumnWise, Sharding::kDataParallel}) {
    INFO(sharding_name(sharding));
    RandomValues random(16);
    Model model(24, OptimizerKind::kAdam, Pooling::kSum, kRows, random);
    for (TableConfig& table : model.tables) table.sharding = sharding;
    const std::vector<std::int32_t> rows{2, static_cast<std::int32_t>(model.tables[0].rows) - 1, 3};
    const std::vector<std::int64_t> numbers{1LL << 40, -5, 17};
    ThreadPool own(1);
    const auto alone = model.engine(own);
    alone->start_rows(0, rows, numbers);
    const std::size_t dim = static_cast<std::size_t>(model.tables[0].dim);
    std::vector<float> expected(static_cast<std::size_t>(model.tables[0].rows) * dim);
    alone->read_rows(0, 0, model.tables[0].rows, expected.data(), nullptr);
    with_tcp(3, [&](Communicator& all) {
      ThreadPool pool(1);
      ShardedTables tables(model.tables, model.lookups, model.blocks, 1, pool, {.communicator = &all, .slices = 1, .note_size = 1});
      tables.start_rows(0, rows, numbers);
      std::vector<float> read(expected.size());
      tables.read_rows_together(0, 0, model.tables[0].rows, read.data(), nullptr);
      if (read != expected) throw std::runtime_error("rank " + std::to_string(all.rank()) + " has other rows");
    });
  }
}

TEST_CASE("slices add up to what one engine does with the whole batch") {
  RandomValues random(12);
  const Model model(16, OptimizerKind::kSgd, Pooling::kSum, kRows, random);
  const Trained alone = train_in_one_process(model);
  ThreadPool pool(1);
  const auto engine = model.engine(pool);
  PreparedIds prepared;
  engine->prepare(model.views(), prepared, pool);
  for (std::int64_t step = 1; step <= 3; ++step) {
    std::vector<std::vector<float>> outputs;
    std::vector<float*> pointers;
    for (std::size_t b = 0; b < model.blocks.size(); ++b) {
      outputs.emplace_back(static_cast<std::size_t>(engine->block_rows(prepared, b) * engine->block_slots(b) * engine->block_dim(b)));
    }
    for (std::vector<float>& output : outputs) pointers.push_back(output.data());
    engine->forward(prepared, pointers, pool);
    std::vector<const float*> gradients;
    for (std::vector<float>& output : outputs) {
      for (float& value : output) value = std::sin(value * 3.0F);
      gradients.push_back(output.data());
    }
    const EmbeddingEngine::UpdateSettings settings{.step = step, .lr_factor = 0.5, .l2 = 0.01, .clip_value = 0.8};
    engine->update(prepared, gradients, settings, pool);
    engine->decay_untouched(prepared, settings, pool);
  }
  for (std::size_t t = 0; t < model.tables.size(); ++t) {
    std::vector<float> rows(static_cast<std::size_t>(model.tables[t].rows * model.tables[t].dim));
    engine->read_rows(t, 0, model.tables[t].rows, rows.data(), nullptr);
    REQUIRE(rows.size() == alone.rows[t].size());
    for (std::size_t i = 0; i < rows.size(); ++i) REQUIRE(rows[i] == Approx(alone.rows[t][i]).epsilon(1e-5).margin(1e-6));
  }
}
