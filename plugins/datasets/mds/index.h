// What index.json says of a data set: its shards, in the order of the samples, and their columns, which are the same in all of them.
#ifndef RECHOST_MDS_INDEX_H
#define RECHOST_MDS_INDEX_H

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "encoding.h"

namespace mds {

// One file of a shard.
struct ShardFile {
  std::string path;
  std::uint64_t bytes = 0;
  std::vector<std::pair<std::string, std::string>> hashes{};  // name, hexadecimal
};

struct Shard {
  std::string index_path;  // of the index.json that lists it
  std::size_t number = 0;  // its place there, from 0
  std::int64_t samples = 0;
  ShardFile raw;
  std::optional<ShardFile> zip{};  // compressed
  std::string compression{};       // as the index has it; empty = none
};

// "shard 3 of 'clicks/index.json'", for messages.
std::string describe(const Shard& shard);

struct Index {
  std::vector<std::string> names;    // of the columns, as they are ordered in a sample
  std::vector<Encoding> encodings;   // [names]
  // At least one has samples. Those without stay: orders of StreamingDataset count them.
  std::vector<Shard> shards;
  std::uint64_t fingerprint = 0;     // of the index files
};

// `path` is an index.json, the folder of one, or a folder of partitions, each with an index.json somewhere below it (in the order of their
// names). Throws rechost::DataError naming index and shard when something in it is missing, wrong or not supported, and
// rechost::ConfigError with `option` when there is no index.
Index read_index(const std::string& path, const std::string& option);

}  // namespace mds

#endif  // RECHOST_MDS_INDEX_H
