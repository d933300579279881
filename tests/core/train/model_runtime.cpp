// What a model is given in a step, seen from the model.
#include "train/model_runtime.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "abi/plugins/records_inputs.h"
#include "core/data/fixture.h"
#include "core/plugin/fixture.h"

namespace rechost::test {
namespace {

/// Ten rows: item 100 six times, 101 three times, 102 once; a list of items as history.
PreparedData prepare_rows() {
  auto rows = source(16);
  rows->ids("user", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}).of("user", true);
  rows->ids("item", {100, 100, 101, 100, 102, 100, 101, 100, 101, 100}).of("item", true);
  rows->lists("history", {{}, {100}, {100, 101}, {}, {102}, {}, {}, {}, {}, {100}}).of("user");
  DataFixture fixture;
  fixture.features["history"].pooling = "none";
  return fixture.prepare("train", rows);
}

/// The model "records_inputs" over these rows.
class Recorder {
 public:
  explicit Recorder(const std::string& negatives)
      : module_(load_plugin(plugin_file("records_inputs")).front()),
        data_(prepare_rows()),
        model_(Config{}, module_, options_of(module_, {{"negatives", value(negatives)}}), data_.plan->schema, data_.vocabularies,
               data_.train.get(), {}, pool_) {}

  const RecordedInputs& train(std::int64_t rows) {
    data_.train->gather_range(0, rows, batch_);
    StepTimes times;
    model_.prepare_step({&batch_, 1}, {&prepared_, 1});
    model_.train_step({&batch_, 1}, {&prepared_, 1}, {}, times);
    return inputs();
  }
  const RecordedInputs& export_items() {
    const Dataset* const splits[] = {data_.train.get()};
    const Catalogue items("item", splits);
    items.fill(0, items.size(), batch_);
    model_.prepare_entity(items, batch_, prepared_);
    model_.predict(batch_, prepared_, 1);
    return inputs();
  }

 private:
  const RecordedInputs& inputs() const { return *static_cast<const RecordedInputs*>(module_.interface("test.recorded_inputs")); }

  ThreadPool pool_{1};
  Module module_;
  PreparedData data_;
  ModelRuntime model_;
  Batch batch_;
  PreparedBatch prepared_;
};

}  // namespace

TEST_CASE("sequences of one id a row have their offsets in both groups") {
  Recorder recorder("6");
  for (const std::int64_t rows : {3, 8}) {
    const RecordedInputs& inputs = recorder.train(rows);
    REQUIRE(inputs.groups[0].rows == rows);
    REQUIRE(inputs.groups[1].rows == 6 * rows);
    for (const RecordedInputs::Group& group : inputs.groups) {
      for (std::int64_t i = 0; i <= group.rows; ++i) CHECK(group.offsets[0][i] == i);
    }
  }
}

TEST_CASE("exporting one entity's vectors leaves the sequences of others empty") {
  Recorder recorder("0");
  const RecordedInputs::Group& samples = recorder.export_items().groups[0];
  REQUIRE(samples.rows == 3);
  for (std::int64_t i = 0; i <= 3; ++i) {
    CHECK(samples.offsets[0][i] == i);
    CHECK(samples.offsets[1][i] == 0);
  }
}

TEST_CASE("the probability of a draw is the batch's without negatives and the sampler's with them") {
  const double counts[] = {6, 6, 3, 6, 1};
  const RecordedInputs in_batch = Recorder("0").train(5);
  const RecordedInputs drawn = Recorder("4").train(5);
  const double sum = std::sqrt(6) + std::sqrt(3) + 1;  // the model draws in proportion to count^0.5
  for (std::size_t row = 0; row < 5; ++row) {
    CHECK(in_batch.groups[0].log_probability[row] == Approx(std::log(counts[row] / 10)));
    CHECK(drawn.groups[0].log_probability[row] == Approx(std::log(std::sqrt(counts[row]) / sum)));
  }
}

}  // namespace rechost::test
