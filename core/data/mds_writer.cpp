#include "data/mds_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
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

MdsWriter::MdsWriter(std::filesystem::path folder, std::vector<MdsColumn> columns, MdsOptions options)
    : folder_(std::move(folder)), options_(std::move(options)) {
  if (columns.empty()) fail<ConfigError>("{}: there is no column to write", folder_.string());
  for (std::size_t i = 0; i < columns.size(); ++i) sources_.push_back(i);
  std::sort(sources_.begin(), sources_.end(), [&](std::size_t left, std::size_t right) { return columns[left].name < columns[right].name; });
  for (const std::size_t source : sources_) {
    if (!columns_.empty() && columns_.back().name == columns[source].name) fail<ConfigError>("two columns are called '{}'", columns[source].name);
    columns_.push_back(columns[source]);
  }
  header_ = json_text(common_entry(columns_, options_));
  std::error_code error;
  if (std::filesystem::exists(folder_ / "index.json", error)) fail<ConfigError>("{} has an index.json already: choose another folder", folder_.string());
  std::filesystem::create_directories(folder_, error);
  if (error) fail("cannot make the folder {}: {}", folder_.string(), error.message());
}

void MdsWriter::write(std::span<const std::string> payloads) {
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const std::string& payload = payloads[sources_[i]];
    if (columns_[i].size && *columns_[i].size != payload.size()) fail("column '{}': a value of {} bytes, not {}", columns_[i].name, payload.size(), *columns_[i].size);
    size += payload.size() + (columns_[i].size ? 0 : 4);
  }
  const std::uint64_t cost = size + 4;  // and its offset
  if (empty_shard_bytes(header_) + cost > options_.shard_bytes) {
    fail<ConfigError>("sample {} takes {} bytes, which a shard of {} does not hold: allow larger shards", samples_, size, options_.shard_bytes);
  }
  if (empty_shard_bytes(header_) + pending_.size() + 4 * ends_.size() + cost > options_.shard_bytes) flush();
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].size) append_count(pending_, payloads[sources_[i]].size());
  }
  for (const std::size_t source : sources_) pending_ += payloads[source];
  ends_.push_back(static_cast<std::uint32_t>(pending_.size()));
  ++samples_;
}

void MdsWriter::flush() {
  if (ends_.empty()) return;
  const std::uint64_t begin = empty_shard_bytes(header_) + 4 * ends_.size();
  std::string shard;
  shard.reserve(begin + pending_.size());
  append_count(shard, ends_.size());
  append_count(shard, begin);
  for (const std::uint32_t end : ends_) append_count(shard, begin + end);
  shard += header_;
  shard += pending_;

  const std::string basename = fmt::format("shard.{:05}.mds", entries_.size());
  SortedJson entry = common_entry(columns_, options_);
  entry["samples"] = ends_.size();
  entry["raw_data"] = file_entry(basename, shard, options_.hashes);
  entry["zip_data"] = nullptr;
  if (options_.compression.none()) {
    write_file_atomically(folder_ / basename, shard);
    bytes_ += shard.size();
  } else {
    const std::string zip = options_.compression.packed(shard);
    const std::string zip_name = basename + "." + options_.compression.extension();
    entry["zip_data"] = file_entry(zip_name, zip, options_.hashes);
    write_file_atomically(folder_ / zip_name, zip);
    bytes_ += zip.size();
  }
  entries_.push_back(json_text(entry));
  pending_.clear();
  ends_.clear();
}

void MdsWriter::finish() {
  flush();
  std::string index = "{\"shards\": [";
  for (std::size_t i = 0; i < entries_.size(); ++i) index += (i == 0 ? "" : ", ") + entries_[i];
  index += "], \"version\": 2}";
  write_file_atomically(folder_ / "index.json", index);
}

}  // namespace rechost
