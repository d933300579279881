#include "index.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <system_error>

#include <nlohmann/json.hpp>

#include "rechost/cxx/dataset.hpp"
#include "rechost/cxx/files.hpp"
#include "text/text_file.h"
#include "unpack.h"

namespace mds {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using rechost::DataError;

std::string in_quotes(const std::string& text) { return "'" + text + "'"; }

// The folders in which this is looked for are the user's; a link that leads back up must not be followed for ever.
constexpr int kDeepest = 16;

// A compressed shard that unpacks to more than so many times its size is damaged, or made to fill the memory. Small ones may be anything.
constexpr std::uint64_t kMostTimes = 500;
constexpr std::uint64_t kAlwaysUnpacked = 64 << 20;

void collect_indexes(const fs::path& folder, int depth, std::vector<std::string>& found) {
  if (const fs::path index = folder / "index.json"; fs::is_regular_file(index)) return found.push_back(index.string());
  if (depth == kDeepest) return;
  std::vector<fs::path> children;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_directory()) children.push_back(entry.path());
  std::sort(children.begin(), children.end());
  for (const fs::path& child : children) collect_indexes(child, depth + 1, found);
}

// In an object store folders are only names: all files below are listed at once. The order is that of folders on a disk.
std::vector<std::string> remote_indexes(const std::string& path, const std::string& option) {
  if (path.ends_with(".json")) return {path};
  const std::string index = rechost::child(path, "index.json");
  if (rechost::look_at(index).kind == rechost::FileState::Kind::kFile) return {index};
  if (!path.starts_with("s3:")) throw rechost::ConfigError(option + ": there is no " + in_quotes(index));
  std::vector<fs::path> folders;
  for (const rechost::FolderFile& file : rechost::list_files(path))
    if (const fs::path name = file.name; name.filename() == "index.json") folders.push_back(name.parent_path());
  std::sort(folders.begin(), folders.end());
  std::vector<std::string> found;
  std::optional<fs::path> last;
  for (const fs::path& folder : folders) {
    // What lies below a folder with an index belongs to it.
    if (last && std::mismatch(last->begin(), last->end(), folder.begin(), folder.end()).first == last->end()) continue;
    last = folder;
    found.push_back(rechost::child(path, (folder / "index.json").string()));
  }
  if (found.empty()) throw rechost::ConfigError(option + ": neither " + in_quotes(path) + " nor a folder in it has an index.json");
  return found;
}

std::vector<std::string> index_files(const std::string& path, const std::string& option) {
  if (rechost::is_remote(path)) return remote_indexes(path, option);
  std::error_code error;
  std::vector<std::string> found;
  if (fs::is_regular_file(path, error)) {
    found.push_back(path);
  } else if (fs::is_directory(path, error)) {
    try {
      collect_indexes(path, 0, found);
    } catch (const fs::filesystem_error& failure) {
      throw DataError("cannot look for index.json in " + in_quotes(path) + ": " + failure.code().message());
    }
    if (found.empty()) throw rechost::ConfigError(option + ": neither " + in_quotes(path) + " nor a folder in it has an index.json");
  } else {
    throw rechost::ConfigError(option + ": " + in_quotes(path) + " is neither a folder of MDS shards nor an index.json");
  }
  return found;
}

std::string read_text(const std::string& path) {
  const rechost::File file = rechost::open_file(path);
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  text::read_fully(file.descriptor(), 0, text.size(), text.data(), path);
  return text;
}

// One index file; `place_` says where in it we are.
class IndexReader {
 public:
  IndexReader(const std::string& path, Index& index) : path_(path), place_(in_quotes(path)), folder_(rechost::folder_of(path)), index_(index) {}

  void read(const std::string& text) {
    json document;
    try {
      document = json::parse(text);
    } catch (const json::exception& error) {
      throw DataError(in_quotes(path_) + " is not valid JSON (cut short?): " + error.what());
    }
    if (!document.is_object()) fail("is no JSON object");
    require_version(document);
    const json& shards = member(document, "shards");
    if (!shards.is_array()) fail("\"shards\" is no list");
    for (std::size_t i = 0; i < shards.size(); ++i) {
      place_ = in_quotes(path_) + ", shard " + std::to_string(i);
      read_shard(shards[i], i);
    }
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const { throw DataError(place_ + ": " + reason); }

  const json& member(const json& object, const char* name) const {
    if (!object.is_object()) fail("an object is expected that has " + in_quotes(name));
    const auto found = object.find(name);
    if (found == object.end()) fail("\"" + std::string(name) + "\" is missing");
    return *found;
  }
  std::string text(const json& object, const char* name) const {
    const json& value = member(object, name);
    if (!value.is_string()) fail("\"" + std::string(name) + "\" is no text");
    return value.get<std::string>();
  }
  std::uint64_t count(const json& object, const char* name, std::uint64_t most) const {
    const json& value = member(object, name);
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most)
      fail("\"" + std::string(name) + "\" is " + value.dump() + ", it should be a number from 0 to " + std::to_string(most));
    return value.get<std::uint64_t>();
  }
  std::vector<std::string> texts(const json& object, const char* name) const {
    const json& value = member(object, name);
    if (!value.is_array()) fail("\"" + std::string(name) + "\" is no list");
    std::vector<std::string> list;
    for (const json& element : value) {
      if (!element.is_string()) fail("\"" + std::string(name) + "\" holds something that is no text: " + element.dump());
      list.push_back(element.get<std::string>());
    }
    return list;
  }

  void require_version(const json& object) const {
    if (const json& version = member(object, "version"); version != 2) fail("version " + version.dump() + " of the format; version 2 is read");
  }

  ShardFile file(const json& entry) const {
    ShardFile result;
    const std::string basename = text(entry, "basename");
    // A merged index names folders below its own; whatever leads elsewhere is not part of the data set.
    const fs::path relative(basename);
    const bool leaves = std::any_of(relative.begin(), relative.end(), [](const fs::path& part) { return part == ".."; });
    if (basename.find('\0') != std::string::npos) fail("the name " + json(basename).dump(-1, ' ', false, json::error_handler_t::replace) + " of a file holds a byte that is NUL");
    if (basename.empty() || relative.is_absolute() || leaves) fail("the file " + in_quotes(basename) + " lies outside the folder of the index");
    result.path = rechost::child(folder_, relative.string());
    // Offsets in a shard have 32 bits.
    result.bytes = count(entry, "bytes", std::numeric_limits<std::uint32_t>::max());
    const json& hashes = member(entry, "hashes");
    if (!hashes.is_object()) fail("\"hashes\" is no object");
    for (const auto& [name, value] : hashes.items()) {
      if (!value.is_string()) fail("hash " + in_quotes(name) + " is no text");
      result.hashes.emplace_back(name, value.get<std::string>());
    }
    return result;
  }

  void read_shard(const json& entry, std::size_t number) {
    require_version(entry);
    if (const std::string format = text(entry, "format"); format != "mds") fail("format " + in_quotes(format) + "; only 'mds' is read");
    Shard shard{.index_path = path_, .number = number, .raw = file(member(entry, "raw_data"))};
    shard.samples = static_cast<std::int64_t>(count(entry, "samples", std::numeric_limits<std::uint32_t>::max() / 4));
    if (const json& compression = member(entry, "compression"); !compression.is_null()) {
      shard.compression = text(entry, "compression");
      if (!can_unpack(shard.compression)) fail("compression " + in_quotes(shard.compression) + "; none, zstd, gz, bz2, br and snappy are read");
      shard.zip = file(member(entry, "zip_data"));
    }
    read_columns(entry);
    check_sizes(shard);
    index_.shards.push_back(std::move(shard));
  }

  // What cannot be true is found here, before memory is taken for it.
  void check_sizes(const Shard& shard) const {
    std::uint64_t least = 0;  // bytes of a sample, and its place in the table of offsets
    for (const Encoding& encoding : index_.encodings) least += encoding.size ? *encoding.size : sizeof(std::uint32_t);
    least += sizeof(std::uint32_t);
    if (shard.samples > 0 && static_cast<std::uint64_t>(shard.samples) > shard.raw.bytes / least)
      fail(std::to_string(shard.samples) + " samples of at least " + std::to_string(least) + " bytes in a file of " + std::to_string(shard.raw.bytes) + " bytes");
    if (shard.zip && shard.raw.bytes > kAlwaysUnpacked && shard.raw.bytes / kMostTimes > shard.zip->bytes)
      fail(in_quotes(shard.zip->path) + " of " + std::to_string(shard.zip->bytes) + " bytes is to unpack to " + std::to_string(shard.raw.bytes) + ", more than " +
           std::to_string(kMostTimes) + " times its size: no samples are like that");
  }

  void read_columns(const json& entry) {
    const std::vector<std::string> names = texts(entry, "column_names"), encodings = texts(entry, "column_encodings");
    const json& sizes = member(entry, "column_sizes");
    if (names.size() != encodings.size() || !sizes.is_array() || sizes.size() != names.size())
      fail("column_names, column_encodings and column_sizes are not of one length");
    std::vector<Encoding> parsed;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) != names.begin() + static_cast<std::ptrdiff_t>(i))
        fail("column " + in_quotes(names[i]) + " is there twice");
      parsed.push_back(parse_encoding(encodings[i], names[i], path_));
      const json size = parsed[i].size ? json(*parsed[i].size) : json(nullptr);
      if (sizes[i] != size)
        fail("column " + in_quotes(names[i]) + ": a size of " + sizes[i].dump() + " bytes, encoding " + in_quotes(encodings[i]) + " has " + size.dump());
    }
    if (index_.names.empty()) {
      index_.names = names;
      index_.encodings = std::move(parsed);
    } else if (names != index_.names || parsed != index_.encodings) {
      fail("its columns are not those of the first shard; all shards of a data set must have the same columns and encodings");
    }
  }

  std::string path_, place_;
  std::string folder_;
  Index& index_;
};

}  // namespace

std::string describe(const Shard& shard) { return "shard " + std::to_string(shard.number) + " of " + in_quotes(shard.index_path); }

Index read_index(const std::string& path, const std::string& option) {
  Index index;
  rechost::Fingerprint fingerprint;
  for (const std::string& file : index_files(path, option)) {
    const std::string text = read_text(file);
    fingerprint.add(text);
    IndexReader(file, index).read(text);
  }
  if (std::all_of(index.shards.begin(), index.shards.end(), [](const Shard& shard) { return shard.samples == 0; })) throw DataError(in_quotes(path) + ": the shards in its index.json have no sample");
  index.fingerprint = fingerprint.value();
  return index;
}

}  // namespace mds
