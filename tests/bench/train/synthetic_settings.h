#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace rechost::bench {

/// Of a run that does nothing but steps, on 26 one-hot features and 13 numbers, as in Criteo; 100,000 rows a table.
inline std::vector<std::string> synthetic_settings(std::int64_t batch, std::int64_t samples) {
  return {"data.plugin=\"synthetic\"", "data.dense=13", "data.sparse=26", "data.cardinality=[100000]", fmt::format("data.rows={}", samples), "data.valid_rows=0",
          "data.test_rows=0", fmt::format("data.batch_size={}", batch), "checkpoint.final=false", "sentinels.action=\"off\"", "model.embedding_dim=16",
          "optimizer.dense.kind=\"adagrad\"", "optimizer.dense.lr=0.01"};
}

}  // namespace rechost::bench
