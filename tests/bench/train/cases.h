#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json.h"

namespace rechost::bench {

/// One dense layer, as its matrix products see it.
struct DenseLayer {
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  bool input_gradient = true;  ///< false where the input is data
};

/// Another framework's training of the same network.
struct TrainPeer {
  std::string name;
  std::string model;        ///< in train/peers.py
  bool ctr = false;         ///< lives in the environment of packaging/ctr-peers, not in that of packaging/peers
  double target = 0.0;      ///< how many times its samples per second are asked for
};

struct TrainCase {
  std::string name;
  std::string plugin;
  std::int64_t batch = 2048;
  std::int64_t batches = 24;  ///< different ones, gone through again and again
  std::vector<std::string> settings;
  std::vector<DenseLayer> layers;
  std::vector<TrainPeer> peers;
  double floor_target = 0.0;  ///< at most this multiple of the layers' matrix products alone; 0: nothing is asked
};

inline std::vector<DenseLayer> dense_layers(const std::vector<std::int64_t>& widths, bool input_is_data) {
  std::vector<DenseLayer> layers;
  for (std::size_t i = 1; i < widths.size(); ++i) layers.push_back({widths[i - 1], widths[i], i > 1 || !input_is_data});
  return layers;
}

/// Rows of the 26 tables of the Criteo Kaggle data, at most `limit` each.
inline std::vector<std::int64_t> kaggle_rows(std::int64_t limit) {
  std::vector<std::int64_t> rows = {1460,  583,     10131227, 2202608, 305,  24, 12517, 633,  3,  93145,   5683, 8351593, 3194,
                                    27,    14992,   5461306,  10,      5652, 2173, 4,   7046547, 18, 15,   286181, 105,  142572};
  for (std::int64_t& count : rows) count = std::min(count, limit);
  return rows;
}

/// What all cases have in common: data in memory, in one order, Zipf-distributed ids, nothing but steps.
inline std::vector<std::string> common_settings(std::int64_t batch, std::int64_t batches, std::int64_t dense, const std::vector<std::int64_t>& rows) {
  return {"data.plugin=\"synthetic\"",
          fmt::format("data.dense={}", dense),
          fmt::format("data.sparse={}", rows.size()),
          fmt::format("data.cardinality=[{}]", fmt::join(rows, ", ")),
          "data.zipf=1.05",
          fmt::format("data.rows={}", batch * batches),
          "data.valid_rows=0",
          "data.test_rows=0",
          "data.shuffle=\"none\"",
          fmt::format("data.batch_size={}", batch),
          "eval.every_epochs=0",
          "eval.final_test=false",
          "checkpoint.final=false",
          "sentinels.action=\"off\"",  // its look at all rows is once a run, not once a round
          "optimizer.sparse.lr=0.01",
          "optimizer.dense.lr=0.001"};
}

inline void add(std::vector<std::string>& settings, std::initializer_list<std::string> more) { settings.insert(settings.end(), more); }

inline TrainCase dlrm_case(std::int64_t batch, double target) {
  const std::int64_t batches = std::clamp<std::int64_t>(100'000 / batch, 12, 64);
  TrainCase made{.name = fmt::format("dlrm, B {}", batch), .plugin = "dlrm", .batch = batch, .batches = batches, .settings = {}, .layers = {}, .peers = {}};
  made.settings = common_settings(batch, batches, 13, kaggle_rows(2'000'000));
  add(made.settings, {"model.embedding_dim=16", "model.bottom_mlp=[512, 256, 64, 16]", "model.top_mlp=[512, 256]", "optimizer.dense.kind=\"adagrad\"",
                      "optimizer.sparse.kind=\"rowwise_adagrad\""});
  made.layers = dense_layers({13, 512, 256, 64, 16}, true);
  // 27 vectors meet in pairs, and the dense one goes along.
  for (const DenseLayer& layer : dense_layers({16 + 27 * 26 / 2, 512, 256, 1}, false)) made.layers.push_back(layer);
  made.peers = {{.name = "TorchRec", .model = "dlrm", .target = target}};
  made.floor_target = 1.35;
  return made;
}

inline TrainCase two_tower_case(std::int64_t batch, double target) {
  TrainCase made{.name = fmt::format("two_tower, B {}", batch), .plugin = "two_tower", .batch = batch, .batches = 64, .settings = {}, .layers = {}, .peers = {}};
  made.settings = common_settings(batch, made.batches, 0, {162'541, 62'423});
  add(made.settings, {"model.embedding_dim=128", "model.user_layers=[128, 64]", "model.item_layers=[128, 64]", "model.similarity=\"dot\"", "model.loss=\"bce\"",
                      "optimizer.dense.kind=\"adam\"", "optimizer.sparse.kind=\"rowwise_adagrad\"", "eval.retrieval.enabled=false"});
  for (int tower = 0; tower < 2; ++tower) {
    for (const DenseLayer& layer : dense_layers({128, 128, 64}, false)) made.layers.push_back(layer);
  }
  made.peers = {{.name = "TorchRec", .model = "two_tower", .target = target}};
  return made;
}

/// 39 fields with one id each. `sparse`: the optimizer of the tables.
inline TrainCase deepfm_case(const std::string& sparse, std::vector<TrainPeer> peers) {
  std::vector<std::int64_t> rows(13, 100);
  for (const std::int64_t count : kaggle_rows(330'000)) rows.push_back(count);
  TrainCase made{.name = fmt::format("deepfm {}, B 4096", sparse), .plugin = "deepfm", .batch = 4096, .batches = 16, .settings = {}, .layers = {}, .peers = std::move(peers)};
  made.settings = common_settings(made.batch, made.batches, 0, rows);
  add(made.settings, {"model.embedding_dim=16", "model.deep_mlp=[400, 400, 400]", "optimizer.dense.kind=\"adam\"",
                      fmt::format("optimizer.sparse.kind=\"{}\"", sparse)});
  made.layers = dense_layers({39 * 16, 400, 400, 400, 1}, false);
  return made;
}

/// TorchRec's SimpleDeepFMNN has one deep layer where ours has three, so its network is beside it with the same layers as ours. FuxiCTR and
/// DeepCTR-Torch update with Adam; ours then does too, but for the rows of the batch only.
inline std::vector<TrainCase> train_cases() {
  return {dlrm_case(128, 2.2),
          dlrm_case(2048, 1.5),
          dlrm_case(8192, 1.5),
          two_tower_case(1024, 2.0),
          deepfm_case("rowwise_adagrad", {{.name = "TorchRec, same layers", .model = "deepfm", .target = 1.6},
                                          {.name = "TorchRec SimpleDeepFMNN", .model = "simple_deepfm", .target = 1.1}}),
          deepfm_case("adam", {{.name = "FuxiCTR", .model = "fuxictr_deepfm", .ctr = true, .target = 3.0},
                               {.name = "DeepCTR-Torch", .model = "deepctr_deepfm", .ctr = true, .target = 3.0}})};
}

inline TrainCase train_case(const std::string& name) {
  for (const TrainCase& one : train_cases()) {
    if (one.name == name) return one;
  }
  fail("no case is called {}", name);
}

inline Json layers_json(const std::vector<DenseLayer>& layers) {
  Json list = Json::array();
  for (const DenseLayer& layer : layers) list.push_back({layer.inputs, layer.outputs, layer.input_gradient});
  return list;
}

}  // namespace rechost::bench
