// MDS shards written byte by byte, as the description of the format says, so that the loader is not tested against our own writer.
#ifndef RECHOST_TESTS_PLUGINS_DATASETS_WRITTEN_SHARD_H
#define RECHOST_TESTS_PLUGINS_DATASETS_WRITTEN_SHARD_H

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "plugins/datasets/written_file.h"

namespace datasets_test {

// The bytes of a number in memory, which is little-endian here.
template <class Number>
std::string bytes_of(Number number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}

inline std::string words(const std::vector<std::uint32_t>& numbers) {
  std::string bytes;
  for (const std::uint32_t number : numbers) bytes += bytes_of(number);
  return bytes;
}

struct ShardColumn {
  std::string name, encoding;
  int size = 0;  // 0 = varies
};

inline std::string quoted_list(const std::vector<ShardColumn>& columns, std::string ShardColumn::*member) {
  std::string text = "[";
  for (const ShardColumn& column : columns) text += (text.size() > 1 ? ", \"" : "\"") + column.*member + "\"";
  return text + "]";
}

inline std::string sizes(const std::vector<ShardColumn>& columns) {
  std::string text = "[";
  for (const ShardColumn& column : columns) text += (text.size() > 1 ? ", " : "") + (column.size == 0 ? "null" : std::to_string(column.size));
  return text + "]";
}

inline std::string column_entries(const std::vector<ShardColumn>& columns) {
  return "\"column_encodings\": " + quoted_list(columns, &ShardColumn::encoding) + ", \"column_names\": " +
         quoted_list(columns, &ShardColumn::name) + ", \"column_sizes\": " + sizes(columns);
}

// `samples` [sample][column], encoded.
inline std::string shard_bytes(const std::vector<ShardColumn>& columns, const std::vector<std::vector<std::string>>& samples) {
  const std::string header = "{" + column_entries(columns) + ", \"compression\": null, \"format\": \"mds\", \"hashes\": [], \"size_limit\": 67108864, \"version\": 2}";
  const auto count = static_cast<std::uint32_t>(samples.size());
  std::vector<std::uint32_t> head{count, 4 + 4 * (count + 1) + static_cast<std::uint32_t>(header.size())};
  std::string body;
  for (const auto& sample : samples) {
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (columns[i].size == 0) body += words({static_cast<std::uint32_t>(sample[i].size())});
    for (const std::string& payload : sample) body += payload;
    head.push_back(head[1] + static_cast<std::uint32_t>(body.size()));
  }
  return words(head) + header + body;
}

// What an index says of a file. `hashes` is JSON.
inline std::string file_entry(const std::string& basename, std::size_t bytes, const std::string& hashes = "{}") {
  return "{\"basename\": \"" + basename + "\", \"bytes\": " + std::to_string(bytes) + ", \"hashes\": " + hashes + "}";
}

inline std::string shard_entry(const std::vector<ShardColumn>& columns, std::size_t samples, const std::string& raw, const std::string& zip = "null",
                               const std::string& compression = "null") {
  return "{" + column_entries(columns) + ", \"compression\": " + compression + ", \"format\": \"mds\", \"hashes\": [], \"raw_data\": " + raw +
         ", \"samples\": " + std::to_string(samples) + ", \"size_limit\": 67108864, \"version\": 2, \"zip_data\": " + zip + "}";
}

inline std::string index_of(const std::vector<std::string>& entries) {
  std::string text = "{\"shards\": [";
  for (const std::string& entry : entries) text += (text.back() == '[' ? "" : ", ") + entry;
  return text + "], \"version\": 2}";
}

// A folder with one shard and its index.
inline void write_shard(const std::string& folder, const std::vector<ShardColumn>& columns, const std::vector<std::vector<std::string>>& samples) {
  std::filesystem::create_directories(folder);
  const std::string bytes = shard_bytes(columns, samples);
  std::ofstream(folder + "/shard.00000.mds", std::ios::binary) << bytes;
  std::ofstream(folder + "/index.json") << index_of({shard_entry(columns, samples.size(), file_entry("shard.00000.mds", bytes.size()))});
}

}  // namespace datasets_test

#endif  // RECHOST_TESTS_PLUGINS_DATASETS_WRITTEN_SHARD_H
