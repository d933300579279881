#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "registry/model_name.h"

namespace rechost {

/// What the caller knows of a model that it registers.
struct ModelDescription {
  std::filesystem::path run_directory;  ///< "" unknown
  std::filesystem::path checkpoint;     ///< a complete checkpoint directory (a link will do)
  std::string config_text;
  std::string data_fingerprint;
  std::string plugin_id;
  std::string plugin_version;
  std::string sdk_version;
  Json metrics = Json::object();  ///< name -> number
};

struct ModelVersion {
  std::string model;
  std::int64_t version = 0;
  std::string created;               ///< UTC
  std::filesystem::path checkpoint;  ///< the registry's own, complete
  std::filesystem::path run_directory;
  std::string config_text;
  std::string data_fingerprint;
  std::string plugin_id;
  std::string plugin_version;
  std::string sdk_version;
  Json metrics = Json::object();
  std::string manifest_checksum;
  std::vector<std::string> aliases;  ///< that point at this version, sorted

  Json to_json() const;  ///< config_text left out
};

struct ModelSummary {
  std::string model;
  std::int64_t versions = 0;                                  ///< how many there are
  std::int64_t latest = 0;                                    ///< highest version number
  std::string updated;                                        ///< UTC
  std::vector<std::pair<std::string, std::int64_t>> aliases;  ///< alias -> version, sorted
};

struct AliasChange {
  std::string alias;
  std::int64_t version = 0;  ///< 0: the alias was taken away
  std::string time;          ///< UTC
  std::string cause;         ///< "alias", "promote", "rollback", "remove"
};

/// Versions of trained models. `<directory>/registry.sqlite` holds the facts; `<directory>/models/<name>/<version>/` holds the files.
///
/// Files of a checkpoint are hard-linked, because they are written once and never changed: a registered model then costs no space, and
/// survives pruning and deletion of its run. On another file system they are copied. Any number of processes may use one registry at a
/// time: each change is one transaction that waits its turn. What a killed process left half-way is never part of it, and is deleted by the
/// next one that opens the registry. One object: one thread.
class ModelRegistry {
 public:
  /// Opens or creates. Throws Error for a registry of a newer rechost, or a file that is none.
  explicit ModelRegistry(std::filesystem::path directory);
  ~ModelRegistry();
  ModelRegistry(ModelRegistry&&) noexcept;

  /// The new version, numbered 1 more than any that ever was. The files are checked on the way in (sizes and checksums).
  /// Throws ConfigError for a bad name, CheckpointError for a damaged checkpoint.
  ModelVersion add(std::string_view model, const ModelDescription& description);

  std::vector<ModelSummary> models() const;
  /// Newest first. Throws ConfigError, with the nearest name, for a model that is not there; so do the functions below.
  std::vector<ModelVersion> versions(std::string_view model) const;

  ModelVersion find(const ModelReference& reference) const;
  /// Directory of the checkpoint.
  std::filesystem::path resolve(const ModelReference& reference) const;

  /// Points `alias` at a version; a new alias is made.
  void set_alias(std::string_view model, std::string_view alias, std::int64_t version);
  void remove_alias(std::string_view model, std::string_view alias);

  /// Points `alias` at the version that `from` means. Returns it.
  ModelVersion promote(const ModelReference& from, std::string_view alias);

  /// Points `alias` back at the version it had before its last change (several calls go back further). Returns that version.
  /// Throws ConfigError when there is none, or it has been removed.
  ModelVersion rollback(std::string_view model, std::string_view alias);

  /// Newest first.
  std::vector<AliasChange> alias_history(std::string_view model, std::string_view alias) const;

  /// Deletes a version and its files. Throws ConfigError while an alias points at it.
  void remove(std::string_view model, std::int64_t version);

  /// One line per defect: a missing, cut or changed file, a manifest that is not the registered one. Empty: sound.
  std::vector<std::string> verify(const ModelReference& reference) const;

 private:
  class Database;

  /// Files that no version owns, of processes that were killed while they added or removed one.
  std::vector<std::filesystem::path> leftovers() const;
  void remove_leftovers() const;

  std::filesystem::path version_directory(std::string_view model, std::int64_t version) const;

  std::filesystem::path directory_;
  std::unique_ptr<Database> database_;
};

}  // namespace rechost
