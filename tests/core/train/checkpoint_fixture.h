#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/temporary_directory.h"
#include "train/checkpoint_reader.h"
#include "train/checkpoint_store.h"
#include "train/checkpoint_writer.h"

namespace rechost::test {

/// A run with one dense layer, a table of two parts and a hashed one, whose values all tell the step at which they were written.
class CheckpointedRun {
 public:
  static constexpr std::int64_t kUserRows = 70;
  static constexpr std::int64_t kItemRows = 5;

  const std::filesystem::path& path() const { return directory_.path(); }
  std::filesystem::path checkpoints() const { return directory_ / "checkpoints"; }
  std::filesystem::path checkpoint(std::int64_t step) const { return checkpoints() / checkpoint_directory_name(step); }

  static float user_value(std::int64_t step, std::int64_t row, std::int64_t column) {
    return static_cast<float>(step * 1000 + row * 4 + column);
  }
  static float dense_value(std::int64_t step, std::size_t index) { return static_cast<float>(step) + static_cast<float>(index) * 0.25f; }

  static CheckpointTable user_table() {
    return {.name = "user", .rows = kUserRows, .dim = 4, .state_floats = 1, .optimizer = "rowwise_adagrad"};
  }
  static CheckpointTable item_table() {
    return {.name = "item/über", .rows = kItemRows, .dim = 2, .state_floats = 0, .optimizer = "sgd", .has_ids = true};
  }

  static CheckpointManifest manifest(std::int64_t step) {
    CheckpointManifest manifest;
    manifest.position = {.step = step, .epoch = 1, .sample_cursor = step * 32, .seed = 18446744073709551557ull};
    manifest.config_checksum = "xxh3:00000000000000aa";
    manifest.plugins = {{"model", "dlrm", "0.1.0"}, {"dataset", "synthetic", "0.1.0"}};
    manifest.state = {{"best", 0.1}};
    return manifest;
  }

  static TablePartSource user_part(std::int64_t step, std::int64_t part, std::int64_t parts) {
    TablePartSource source{.part = part, .parts = parts, .first_row = kUserRows * (part - 1) / parts};
    source.row_count = kUserRows * part / parts - source.first_row;
    source.read_rows = [step](std::int64_t first, std::int64_t count, float* out) {
      for (std::int64_t i = 0; i < count * 4; ++i) out[i] = user_value(step, first + i / 4, i % 4);
    };
    source.read_state = [step](std::int64_t first, std::int64_t count, float* out) {
      for (std::int64_t i = 0; i < count; ++i) out[i] = -user_value(step, first + i, 0);
    };
    return source;
  }

  static TablePartSource item_part() {
    TablePartSource source{.first_row = 0, .row_count = kItemRows};
    source.read_rows = [](std::int64_t first, std::int64_t count, float* out) {
      for (std::int64_t i = 0; i < count * 2; ++i) out[i] = static_cast<float>(first * 2 + i);
    };
    source.read_ids = [](std::int64_t first, std::int64_t count, std::int64_t* out) {
      for (std::int64_t i = 0; i < count; ++i) out[i] = (first + i) * 1'000'000'007;
    };
    return source;
  }

  /// Writes the checkpoint of `step`, the user table in `parts` parts, handed in last part first.
  std::filesystem::path write(std::int64_t step, CheckpointWriterSettings settings = {}, std::int64_t parts = 2) const {
    CheckpointWriter writer(checkpoints(), manifest(step), std::move(settings));
    std::vector<float> weights(6);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = dense_value(step, i);
    const std::vector<float> moments(6, 0.5f);
    writer.write_dense(
        std::vector<DenseTensor>{{"parameter", tensor_of("mlp.0.weight", {2, 3}, weights)},
                                 {"optimizer_state", tensor_of(optimizer_state_name("exp_avg", "mlp.0.weight"), {2, 3}, moments)}});
    writer.add_table(user_table());
    writer.add_table(item_table());
    const CheckpointPosition position = manifest(step).position;
    for (std::int64_t part = parts; part >= 1; --part) {
      writer.add_part(CheckpointWriter::write_table_part(writer.staging(), user_table(), position, user_part(step, part, parts)));
    }
    writer.add_part(CheckpointWriter::write_table_part(writer.staging(), item_table(), position, item_part()));
    writer.add_file("vocabularies/user.json", "[\"a\", \"b\"]");
    return writer.commit();
  }

 private:
  TemporaryDirectory directory_;
};

}  // namespace rechost::test
