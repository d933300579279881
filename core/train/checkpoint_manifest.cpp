#include "train/checkpoint_manifest.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::string_view kFormatName = "rechost-checkpoint";
/// Stands in the text while the checksum of the text is taken.
constexpr std::string_view kChecksumPlace = "xxh3:0000000000000000";
constexpr std::string_view kChecksumKey = "\"checksum\": \"";

[[noreturn]] void damaged(std::string_view origin, std::string_view what) {
  fail<CheckpointError>("{} is damaged: {}; restore it from a copy, or use another checkpoint", origin, what);
}

Json to_json(const CheckpointTable& table) {
  Json parts = Json::array();
  for (const TablePart& part : table.parts) parts.push_back({{"first_row", part.first_row}, {"rows", part.rows}, {"file", part.file}});
  return {{"name", table.name},
          {"rows", table.rows},
          {"dim", table.dim},
          {"precision", row_precision_name(table.precision)},
          {"state_floats", table.state_floats},
          {"optimizer", table.optimizer},
          {"has_ids", table.has_ids},
          {"parts", parts}};
}

CheckpointTable table_from(const Json& json) {
  CheckpointTable table;
  table.name = json.at("name").get<std::string>();
  table.rows = json.at("rows").get<std::int64_t>();
  table.dim = json.at("dim").get<std::int64_t>();
  // Manifests from before tables had a precision do not name it.
  if (json.contains("precision")) table.precision = row_precision(json.at("precision").get<std::string>());
  table.state_floats = json.at("state_floats").get<std::int64_t>();
  table.optimizer = json.at("optimizer").get<std::string>();
  table.has_ids = json.at("has_ids").get<bool>();
  for (const Json& part : json.at("parts")) {
    table.parts.push_back(
        {part.at("first_row").get<std::int64_t>(), part.at("rows").get<std::int64_t>(), part.at("file").get<std::string>()});
  }
  return table;
}

CheckpointManifest manifest_from(const Json& json) {
  CheckpointManifest manifest;
  manifest.sequence = json.at("sequence").get<std::int64_t>();
  manifest.created = json.at("created").get<std::string>();
  manifest.position.step = json.at("step").get<std::int64_t>();
  manifest.position.epoch = json.at("epoch").get<std::int64_t>();
  manifest.position.sample_cursor = json.at("sample_cursor").get<std::int64_t>();
  manifest.position.seed = json.at("seed").get<std::uint64_t>();
  manifest.rechost_version = json.at("rechost_version").get<std::string>();
  manifest.config_checksum = json.at("config_checksum").get<std::string>();
  for (const Json& plugin : json.at("plugins")) {
    manifest.plugins.push_back(
        {plugin.at("role").get<std::string>(), plugin.at("id").get<std::string>(), plugin.at("version").get<std::string>()});
  }
  for (const Json& table : json.at("tables")) manifest.tables.push_back(table_from(table));
  for (const Json& tensor : json.at("dense")) {
    manifest.dense.push_back({tensor.at("name").get<std::string>(), tensor.at("role").get<std::string>(),
                              tensor.at("type").get<std::string>(), tensor.at("shape").get<std::vector<std::int64_t>>()});
  }
  manifest.state = json.at("state");
  for (const Json& file : json.at("files")) {
    manifest.files.push_back(
        {file.at("path").get<std::string>(), file.at("bytes").get<std::uint64_t>(), file.at("checksum").get<std::string>()});
  }
  return manifest;
}

bool stays_inside(const std::string& path) {
  const std::filesystem::path relative(path);
  return !path.empty() && relative.is_relative() &&
         std::none_of(relative.begin(), relative.end(), [](const std::filesystem::path& name) { return name == ".."; });
}

void require_consistent(const CheckpointManifest& manifest, std::string_view origin) {
  for (const FileRecord& file : manifest.files) {
    if (!stays_inside(file.path)) damaged(origin, fmt::format("it names the file \"{}\" outside the checkpoint", file.path));
  }
  for (const CheckpointTable& table : manifest.tables) {
    std::int64_t next = 0;
    for (const TablePart& part : table.parts) {
      if (part.first_row != next || part.rows < 0)
        damaged(origin, fmt::format("parts of table \"{}\" do not follow each other", table.name));
      if (manifest.find_file(part.file) == nullptr) damaged(origin, fmt::format("{} is not in its list of files", part.file));
      next += part.rows;
    }
    if (next != table.rows) damaged(origin, fmt::format("table \"{}\" has {} rows, its parts hold {}", table.name, table.rows, next));
  }
  if (!manifest.dense.empty() && manifest.find_file(CheckpointManifest::kDenseFile) == nullptr) {
    damaged(origin, fmt::format("{} is not in its list of files", CheckpointManifest::kDenseFile));
  }
}

}  // namespace

std::string CheckpointManifest::to_text() const {
  Json json;
  json["format"] = kFormatName;
  json["format_version"] = kFormatVersion;
  json["checksum"] = kChecksumPlace;
  json["sequence"] = sequence;
  json["created"] = created;
  json["step"] = position.step;
  json["epoch"] = position.epoch;
  json["sample_cursor"] = position.sample_cursor;
  json["seed"] = position.seed;
  json["rechost_version"] = rechost_version;
  json["config_checksum"] = config_checksum;
  json["plugins"] = Json::array();
  for (const PluginIdentity& plugin : plugins) {
    json["plugins"].push_back({{"role", plugin.role}, {"id", plugin.id}, {"version", plugin.version}});
  }
  json["tables"] = Json::array();
  for (const CheckpointTable& table : tables) json["tables"].push_back(to_json(table));
  json["dense"] = Json::array();
  for (const DenseTensorInfo& tensor : dense) {
    json["dense"].push_back({{"name", tensor.name}, {"role", tensor.role}, {"type", tensor.type}, {"shape", tensor.shape}});
  }
  json["state"] = state;
  json["files"] = Json::array();
  for (const FileRecord& file : files) {
    json["files"].push_back({{"path", file.path}, {"bytes", file.bytes}, {"checksum", file.checksum}});
  }
  std::string text = json_document(json);
  text.replace(text.find(kChecksumPlace), kChecksumPlace.size(), checksum_of(text));
  return text;
}

CheckpointManifest CheckpointManifest::from_text(std::string_view text, std::string_view origin) {
  Json json;
  try {
    json = parse_json(text, origin);
  } catch (const Error& error) {
    damaged(origin, error.what());
  }
  if (!json.is_object() || json.value("format", Json()) != kFormatName) damaged(origin, "it is not the manifest of a checkpoint");
  if (json.value("format_version", Json()) != kFormatVersion) {
    fail<CheckpointError>("{} has format version {}, this rechost reads version {}: use the rechost that wrote it, or another checkpoint",
                          origin, json.value("format_version", Json()).dump(), kFormatVersion);
  }
  // The first one: nothing before it in the text can hold the key.
  const std::size_t key = text.find(kChecksumKey);
  std::string checked(text);
  if (key == std::string_view::npos || key + kChecksumKey.size() + kChecksumPlace.size() > text.size())
    damaged(origin, "it has no checksum");
  const std::size_t place = key + kChecksumKey.size();
  checked.replace(place, kChecksumPlace.size(), kChecksumPlace);
  if (checksum_of(checked) != text.substr(place, kChecksumPlace.size())) damaged(origin, "its text is not what its checksum says");

  CheckpointManifest manifest;
  try {
    manifest = manifest_from(json);
  } catch (const Json::exception& error) {
    damaged(origin, error.what());
  } catch (const ConfigError& error) {
    damaged(origin, error.what());
  }
  require_consistent(manifest, origin);
  return manifest;
}

const CheckpointTable* CheckpointManifest::find_table(std::string_view name) const {
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const CheckpointTable& table) { return table.name == name; });
  return found == tables.end() ? nullptr : &*found;
}

const FileRecord* CheckpointManifest::find_file(std::string_view path) const {
  const auto found = std::find_if(files.begin(), files.end(), [&](const FileRecord& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

ScalarType rows_type(RowPrecision precision) {
  switch (precision) {
    case RowPrecision::kFp16:
      return ScalarType::kF16;
    case RowPrecision::kInt8:
      fail<CheckpointError>("rows in int8 are for using a model, and are not written to a checkpoint");
    case RowPrecision::kBf16:
      return ScalarType::kBF16;
    case RowPrecision::kFp32:
      break;
  }
  return ScalarType::kF32;
}

namespace {

/// A table's name as a file's.
std::string file_name(std::string_view table) {
  constexpr std::size_t kLongestName = 200;  // file systems stop at 255 bytes
  std::string name;
  for (const char c : table) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = std::isalnum(byte) != 0 || c == '_' || c == '-' || (c == '.' && !name.empty());
    name += plain && byte < 0x80 ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  if (name.size() > kLongestName) name = name.substr(0, kLongestName - 17) + "-" + checksum_of(table).substr(5);
  return name;
}

}  // namespace

std::string table_part_path(std::string_view table, std::int64_t part, std::int64_t parts) {
  return fmt::format("tables/{}/{}-of-{}.safetensors", file_name(table), part, parts);
}

std::string keys_path(std::string_view table) { return fmt::format("keys/{}.safetensors", file_name(table)); }

std::string checkpoint_directory_name(std::int64_t step) { return fmt::format("step-{:010}", step); }

}  // namespace rechost
