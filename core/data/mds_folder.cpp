#include "data/mds_folder.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "data/mds_rows.h"
#include "storage/digest.h"

static_assert(std::endian::native == std::endian::little, "shards are little-endian and written as they lie in memory");

namespace rechost {

namespace {

using SortedJson = nlohmann::json;

/// As Python's json.dumps(value, sort_keys=True) writes it: the index of another writer would differ in its spaces alone.
void append_json(const SortedJson& value, std::string& text) {
  const char* separator = "";
  if (value.is_object()) {
    text += '{';
    for (const auto& [key, member] : value.items()) {
      text += separator + SortedJson(key).dump(-1, ' ', true) + ": ";
      append_json(member, text);
      separator = ", ";
    }
    text += '}';
  } else if (value.is_array()) {
    text += '[';
    for (const SortedJson& element : value) {
      text += separator;
      append_json(element, text);
      separator = ", ";
    }
    text += ']';
  } else {
    text += value.dump(-1, ' ', true);
  }
}

std::string json_text(const SortedJson& value) {
  std::string text;
  append_json(value, text);
  return text;
}

void append_count(std::string& bytes, std::uint64_t count) {
  const auto value = static_cast<std::uint32_t>(count);
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

SortedJson file_entry(const std::string& basename, const std::string& bytes, const std::vector<std::string>& hashes) {
  SortedJson digests = SortedJson::object();
  for (const std::string& name : hashes) {
    Digest digest = *Digest::named(name);
    digest.add(bytes.data(), bytes.size());
    digests[name] = digest.finish();
  }
  return {{"basename", basename}, {"bytes", bytes.size()}, {"hashes", std::move(digests)}};
}

SortedJson common_entry(const std::vector<MdsColumn>& columns, const MdsOptions& options) {
  SortedJson entry{{"compression", nullptr}, {"format", "mds"}, {"hashes", options.hashes}, {"size_limit", options.shard_bytes}, {"version", 2}};
  if (!options.compression.none()) entry["compression"] = options.compression.name();
  for (const MdsColumn& column : columns) {
    entry["column_names"].push_back(column.name);
    entry["column_encodings"].push_back(column.encoding);
    entry["column_sizes"].push_back(column.size ? SortedJson(*column.size) : SortedJson(nullptr));
  }
  return entry;
}

/// What a shard without samples takes: their number, the first offset and the header.
std::uint64_t empty_shard_bytes(const std::string& header) { return 8 + header.size(); }

}  // namespace

std::vector<std::string> mds_hashes(std::string_view list) {
  std::vector<std::string> names;
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    names.emplace_back(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    if (!Digest::named(names.back())) {
      fail<ConfigError>("hash '{}': it is blake2b, blake2s, md5, sha1, sha224, sha256, sha384, sha512, sha3_224, sha3_256, sha3_384, sha3_512, xxh32, xxh64, xxh128, xxh3_64 or xxh3_128",
                        names.back());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void MdsRows::add_to(ShardRows& other, std::int64_t begin, std::int64_t end) const {
  auto& target = static_cast<MdsRows&>(other);
  const std::uint64_t from = end_of(begin), moved = target.bytes.size();
  target.bytes.append(bytes, from, size(begin, end));
  for (std::int64_t row = begin; row < end; ++row) target.ends.push_back(end_of(row + 1) - from + moved);
}

MdsFolder::MdsFolder(std::filesystem::path path, std::vector<MdsColumn> columns, MdsOptions options) : ShardFolder(std::move(path)), options_(std::move(options)) {
  if (columns.empty()) fail<ConfigError>("{}: there is no column to write", this->path().string());
  for (std::size_t i = 0; i < columns.size(); ++i) sources_.push_back(i);
  std::sort(sources_.begin(), sources_.end(), [&](std::size_t left, std::size_t right) { return columns[left].name < columns[right].name; });
  for (const std::size_t source : sources_) {
    if (!columns_.empty() && columns_.back().name == columns[source].name) fail<ConfigError>("two columns are called '{}'", columns[source].name);
    columns_.push_back(columns[source]);
  }
  header_ = json_text(common_entry(columns_, options_));
}

std::unique_ptr<ShardRows> MdsFolder::rows_of(const ChunkSource& source, std::shared_ptr<const ChunkData> chunk, std::int64_t first_row, std::int64_t begin) const {
  return std::make_unique<MdsRows>(mds_rows(source, *chunk, *this, first_row, begin));
}

bool MdsFolder::holds(std::int64_t rows, std::uint64_t bytes) const {
  return empty_shard_bytes(header_) + bytes + 4 * static_cast<std::uint64_t>(rows) <= options_.shard_bytes;
}

Shard MdsFolder::write(const ShardRows& encoded, std::int64_t number, std::int64_t first_row) const {
  const auto& rows = static_cast<const MdsRows&>(encoded);
  const std::uint64_t begin = empty_shard_bytes(header_) + 4 * rows.ends.size();
  std::string shard;
  shard.reserve(begin + rows.bytes.size());
  append_count(shard, rows.ends.size());
  append_count(shard, begin);
  for (const std::uint64_t end : rows.ends) append_count(shard, begin + end);
  shard += header_;
  shard += rows.bytes;

  const std::string basename = fmt::format("shard.{:05}.mds", number);
  SortedJson entry = common_entry(columns_, options_);
  entry["samples"] = rows.ends.size();
  entry["raw_data"] = file_entry(basename, shard, options_.hashes);
  entry["zip_data"] = nullptr;
  Shard written{.number = number, .first_row = first_row, .rows = static_cast<std::int64_t>(rows.ends.size()), .file = basename};
  if (!options_.compression.none()) {
    shard = options_.compression.packed(shard);
    written.file += "." + options_.compression.extension();
    entry["zip_data"] = file_entry(written.file, shard, options_.hashes);
  }
  written.entry = json_text(entry);
  write_file(written, shard);
  return written;
}

void MdsFolder::finish(std::span<const Shard> shards) const {
  std::string index = "{\"shards\": [";
  for (std::size_t i = 0; i < shards.size(); ++i) index += (i == 0 ? "" : ", ") + shards[i].entry;
  index += "], \"version\": 2}";
  write_file_atomically(path() / "index.json", index);
}

}  // namespace rechost
