#include "registry/model_registry.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <system_error>
#include <thread>

#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/nearest_name.h"
#include "base/time.h"
#include "registry/database.h"
#include "registry/model_files.h"

namespace rechost {
namespace {

constexpr std::int64_t kSchemaVersion = 1;
constexpr std::int64_t kApplicationId = 0x72636873;  // "rchs": tells our file from another program's
constexpr int kBusyTimeoutMs = 60'000;
constexpr std::string_view kAddingPrefix = ".adding-";
constexpr std::string_view kLockSuffix = ".lock";

constexpr const char* kSchema = R"(
CREATE TABLE models (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  last_version INTEGER NOT NULL DEFAULT 0  -- a number is never given twice, removed or not
);
CREATE TABLE versions (
  model_id INTEGER NOT NULL REFERENCES models(id),
  version INTEGER NOT NULL,
  created TEXT NOT NULL,
  run_directory TEXT NOT NULL,
  config_text TEXT NOT NULL,
  data_fingerprint TEXT NOT NULL,
  plugin_id TEXT NOT NULL,
  plugin_version TEXT NOT NULL,
  sdk_version TEXT NOT NULL,
  metrics TEXT NOT NULL,
  manifest_checksum TEXT NOT NULL,
  PRIMARY KEY (model_id, version)
);
CREATE TABLE aliases (
  model_id INTEGER NOT NULL,
  alias TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (model_id, alias),
  FOREIGN KEY (model_id, version) REFERENCES versions(model_id, version)
);
CREATE TABLE alias_history (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  model_id INTEGER NOT NULL REFERENCES models(id),
  alias TEXT NOT NULL,
  version INTEGER NOT NULL,  -- 0: taken away
  time TEXT NOT NULL,
  cause TEXT NOT NULL
);
)";

std::string now_text() { return utc_text(std::chrono::system_clock::now()); }

}  // namespace

/// The database with the questions that several functions ask.
class ModelRegistry::Database : public SqliteDatabase {
 public:
  explicit Database(const std::filesystem::path& path) : SqliteDatabase(path, kBusyTimeoutMs) {
    use_write_ahead_log();
    execute("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL");
    make_or_check_schema();
  }

  std::int64_t pragma(const std::string& name) const {
    Statement statement = prepare("PRAGMA " + name);
    return statement.step() ? statement.number(0) : 0;
  }

  /// 0: there is no such model.
  std::int64_t model_id(std::string_view model) const {
    Statement statement = prepare("SELECT id FROM models WHERE name = ?1");
    return statement.bind(model).step() ? statement.number(0) : 0;
  }

  std::int64_t require_model(std::string_view model) const {
    if (const std::int64_t id = model_id(model); id != 0) return id;
    std::vector<std::string> names;
    for (Statement statement = prepare("SELECT name FROM models"); statement.step();) names.push_back(statement.text(0));
    fail<ConfigError>("there is no model \"{}\" in {}{}", model, path().string(), suggestion(model, names));
  }

  bool has_version(std::int64_t model_id, std::int64_t version) const {
    return prepare("SELECT 1 FROM versions WHERE model_id = ?1 AND version = ?2").bind(model_id).bind(version).step();
  }

  void require_version(std::int64_t model_id, std::string_view model, std::int64_t version) const {
    if (has_version(model_id, version)) return;
    Statement newest = prepare("SELECT max(version) FROM versions WHERE model_id = ?1");
    newest.bind(model_id).step();
    fail<ConfigError>("model \"{}\" has no version {}; its newest is {}", model, version, newest.number(0));
  }

  /// 0: there is no such alias.
  std::int64_t alias_version(std::int64_t model_id, std::string_view alias) const {
    Statement statement = prepare("SELECT version FROM aliases WHERE model_id = ?1 AND alias = ?2");
    return statement.bind(model_id).bind(alias).step() ? statement.number(0) : 0;
  }

  std::int64_t require_alias(std::int64_t model_id, std::string_view model, std::string_view alias) const {
    if (const std::int64_t version = alias_version(model_id, alias); version != 0) return version;
    std::vector<std::string> names;
    Statement statement = prepare("SELECT alias FROM aliases WHERE model_id = ?1");
    for (statement.bind(model_id); statement.step();) names.push_back(statement.text(0));
    fail<ConfigError>("model \"{}\" has no alias \"{}\"{}", model, alias, suggestion(alias, names));
  }

  /// Inside a transaction. Version 0 takes the alias away.
  void point_alias(std::int64_t model_id, std::string_view alias, std::int64_t version, std::string_view cause) const {
    if (version == 0) {
      prepare("DELETE FROM aliases WHERE model_id = ?1 AND alias = ?2").bind(model_id).bind(alias).run();
    } else {
      prepare("INSERT INTO aliases VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET version = excluded.version")
          .bind(model_id)
          .bind(alias)
          .bind(version)
          .run();
    }
    prepare("INSERT INTO alias_history (model_id, alias, version, time, cause) VALUES (?1, ?2, ?3, ?4, ?5)")
        .bind(model_id)
        .bind(alias)
        .bind(version)
        .bind(now_text())
        .bind(cause)
        .run();
  }

  /// The versions that the alias had, oldest first, without what was rolled back; 0 where it was taken away.
  std::vector<std::int64_t> alias_stack(std::int64_t model_id, std::string_view alias) const {
    std::vector<std::int64_t> stack;
    Statement statement = prepare("SELECT version, cause FROM alias_history WHERE model_id = ?1 AND alias = ?2 ORDER BY id");
    for (statement.bind(model_id).bind(alias); statement.step();) {
      if (statement.text(1) == "rollback") {
        stack.pop_back();
      } else {
        stack.push_back(statement.number(0));
      }
    }
    return stack;
  }

 private:
  /// Readers then never wait for a writer. It needs shared memory between the processes, which network file systems do not have: SQLite
  /// keeps its ordinary journal there.
  void use_write_ahead_log() const {
    for (int attempt = 0;; ++attempt) {
      try {
        Statement statement = prepare("PRAGMA journal_mode = WAL");
        statement.step();
        return;
      } catch (const Error&) {
        // The switch itself does not honour the busy timeout when several processes open a new file at once.
        if (attempt == 100) throw;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    }
  }

  void make_or_check_schema() const {
    const auto check = [&] {
      const std::int64_t found = pragma("user_version");
      if (found > kSchemaVersion) {
        fail("{} was written by a newer rechost (registry format {}, this one knows {}): update rechost, or choose another registry",
             path().string(), found, kSchemaVersion);
      }
      const bool ours = pragma("application_id") == kApplicationId;
      Statement tables = prepare("SELECT count(*) FROM sqlite_master");
      tables.step();
      if (!ours && tables.number(0) > 0) fail("{} is a database of another program, not a model registry", path().string());
      return ours && found == kSchemaVersion;
    };
    if (check()) return;
    Transaction transaction(*this);
    if (check()) return;  // another process was first
    execute(kSchema);
    execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, kSchemaVersion));
    transaction.commit();
  }
};

ModelRegistry::ModelRegistry(std::filesystem::path directory) : directory_(std::filesystem::absolute(directory).lexically_normal()) {
  std::error_code reason;
  std::filesystem::create_directories(directory_ / "models", reason);
  if (reason) fail("cannot create {}: {}", (directory_ / "models").string(), reason.message());
  database_ = std::make_unique<Database>(directory_ / "registry.sqlite");
  remove_leftovers();
}

ModelRegistry::~ModelRegistry() = default;
ModelRegistry::ModelRegistry(ModelRegistry&&) noexcept = default;

std::filesystem::path ModelRegistry::version_directory(std::string_view model, std::int64_t version) const {
  return directory_ / "models" / model / std::to_string(version);
}

namespace {

/// A directory of its own for files on their way in, with a lock beside it that dies with this process. Removes both, unless the directory was
/// moved away. Both are made while nobody else writes to the database, so that remove_leftovers() never sees the one without the other.
class Arrival {
 public:
  Arrival(const SqliteDatabase& database, const std::filesystem::path& models)
      : path_(models / fmt::format("{}{}-{}", kAddingPrefix, ::getpid(), std::chrono::steady_clock::now().time_since_epoch().count())) {
    SqliteDatabase::Transaction transaction(database);
    lock_ = LockFile::acquire(lock_of(path_));
    std::filesystem::create_directory(path_);
    transaction.commit();
  }
  ~Arrival() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
    std::filesystem::remove(lock_of(path_), ignored);
  }
  Arrival(const Arrival&) = delete;  // owns the directory
  Arrival& operator=(const Arrival&) = delete;

  const std::filesystem::path& path() const { return path_; }

  static std::filesystem::path lock_of(const std::filesystem::path& directory) { return directory.string() + std::string(kLockSuffix); }

 private:
  std::filesystem::path path_;
  std::optional<LockFile> lock_;
};

/// What processes that were killed on their way in have left, of files and locks.
std::vector<std::filesystem::path> abandoned_arrivals(const std::filesystem::path& models) {
  std::error_code ignored;
  std::vector<std::filesystem::path> abandoned;
  for (const auto& entry : std::filesystem::directory_iterator(models, ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kAddingPrefix)) continue;
    if (!LockFile::held(name.ends_with(kLockSuffix) ? entry.path() : Arrival::lock_of(entry.path()))) abandoned.push_back(entry.path());
  }
  return abandoned;
}

}  // namespace

std::vector<std::filesystem::path> ModelRegistry::leftovers() const {
  std::vector<std::filesystem::path> found = abandoned_arrivals(directory_ / "models");
  std::error_code ignored;
  for (const auto& model : std::filesystem::directory_iterator(directory_ / "models", ignored)) {
    const std::string name = model.path().filename();
    if (name.starts_with(kAddingPrefix)) continue;
    const std::int64_t id = database_->model_id(name);
    for (const auto& entry : std::filesystem::directory_iterator(model.path(), ignored)) {
      const std::string number = entry.path().filename();
      std::int64_t version = 0;
      const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), version);
      const bool numbered = error == std::errc() && end == number.data() + number.size();
      if (numbered && !database_->has_version(id, version)) found.push_back(entry.path());
    }
  }
  return found;
}

void ModelRegistry::remove_leftovers() const {
  try {
    if (leftovers().empty()) return;
    // While nobody adds: what is still left over then belongs to nobody.
    SqliteDatabase::Transaction transaction(*database_);
    std::error_code ignored;
    for (const std::filesystem::path& path : leftovers()) std::filesystem::remove_all(path, ignored);
    transaction.commit();
  } catch (const Error& error) {
    // A registry that may only be read is as good with them as without.
    log_debug("leftovers in {} stay: {}", directory_.string(), error.what());
  }
}

ModelVersion ModelRegistry::add(std::string_view model, const ModelDescription& description) {
  require_model_name(model);
  std::error_code reason;
  const std::filesystem::path checkpoint = std::filesystem::canonical(description.checkpoint, reason);
  if (reason) fail<CheckpointError>("there is no checkpoint {}: {}", description.checkpoint.string(), reason.message());
  const CheckpointFileList list = read_checkpoint_file_list(checkpoint);

  const Arrival arrival(*database_, directory_ / "models");
  link_checkpoint(checkpoint, list, arrival.path());
  // Checked where they are now: what happens to the run's own files from here on does not matter.
  if (const std::vector<std::string> defects = checkpoint_defects(arrival.path(), list); !defects.empty()) {
    fail<CheckpointError>("checkpoint {} is damaged and was not registered: {}", checkpoint.string(), defects.front());
  }

  SqliteDatabase::Transaction transaction(*database_);
  database_->prepare("INSERT INTO models (name) VALUES (?1) ON CONFLICT DO NOTHING").bind(model).run();
  const std::int64_t id = database_->require_model(model);
  database_->prepare("UPDATE models SET last_version = last_version + 1 WHERE id = ?1").bind(id).run();
  SqliteDatabase::Statement last = database_->prepare("SELECT last_version FROM models WHERE id = ?1");
  last.bind(id).step();
  const std::int64_t version = last.number(0);
  const std::string run_directory =
      description.run_directory.empty() ? "" : std::filesystem::absolute(description.run_directory).lexically_normal().string();
  database_->prepare("INSERT INTO versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")
      .bind(id)
      .bind(version)
      .bind(now_text())
      .bind(run_directory)
      .bind(description.config_text)
      .bind(description.data_fingerprint)
      .bind(description.plugin_id)
      .bind(description.plugin_version)
      .bind(description.sdk_version)
      .bind(json_line(description.metrics))
      .bind(list.manifest_checksum)
      .run();

  const std::filesystem::path target = version_directory(model, version);
  try {
    std::filesystem::create_directories(target.parent_path());
    // Of a process that died between the rename and the commit, since this registry was opened: no row ever pointed at it.
    std::filesystem::remove_all(target);
    std::filesystem::rename(arrival.path(), target);
  } catch (const std::filesystem::filesystem_error& error) {
    fail("cannot keep version {} of \"{}\": {}", version, model, error.what());
  }
  sync_directory(target.parent_path());
  sync_directory(target.parent_path().parent_path());
  transaction.commit();
  return find({std::string(model), version, ""});
}

std::vector<ModelSummary> ModelRegistry::models() const {
  std::vector<ModelSummary> summaries;
  SqliteDatabase::Statement models = database_->prepare(
      "SELECT id, name, count(version), max(version), max(created) FROM models JOIN versions ON id = model_id GROUP BY id ORDER BY name");
  while (models.step()) {
    ModelSummary summary{models.text(1), models.number(2), models.number(3), models.text(4), {}};
    SqliteDatabase::Statement aliases = database_->prepare("SELECT alias, version FROM aliases WHERE model_id = ?1 ORDER BY alias");
    for (aliases.bind(models.number(0)); aliases.step();) summary.aliases.emplace_back(aliases.text(0), aliases.number(1));
    summaries.push_back(std::move(summary));
  }
  return summaries;
}

std::vector<ModelVersion> ModelRegistry::versions(std::string_view model) const {
  const std::int64_t id = database_->require_model(model);
  std::vector<ModelVersion> versions;
  SqliteDatabase::Statement statement = database_->prepare("SELECT version FROM versions WHERE model_id = ?1 ORDER BY version DESC");
  for (statement.bind(id); statement.step();) versions.push_back(find({std::string(model), statement.number(0), ""}));
  return versions;
}

ModelVersion ModelRegistry::find(const ModelReference& reference) const {
  const std::int64_t id = database_->require_model(reference.name);
  std::int64_t version = reference.version.value_or(0);
  if (!reference.alias.empty()) {
    version = database_->require_alias(id, reference.name, reference.alias);
  } else if (!reference.version) {
    SqliteDatabase::Statement newest = database_->prepare("SELECT max(version) FROM versions WHERE model_id = ?1");
    newest.bind(id).step();
    version = newest.number(0);
    if (version == 0) fail<ConfigError>("model \"{}\" has no versions left: all were removed", reference.name);
  }
  database_->require_version(id, reference.name, version);

  SqliteDatabase::Statement row = database_->prepare(
      "SELECT created, run_directory, config_text, data_fingerprint, plugin_id, plugin_version, sdk_version, metrics, manifest_checksum "
      "FROM versions WHERE model_id = ?1 AND version = ?2");
  if (!row.bind(id).bind(version).step()) fail<ConfigError>("version {} of \"{}\" was removed just now", version, reference.name);
  ModelVersion found;
  found.model = reference.name;
  found.version = version;
  found.created = row.text(0);
  found.checkpoint = version_directory(reference.name, version);
  found.run_directory = row.text(1);
  found.config_text = row.text(2);
  found.data_fingerprint = row.text(3);
  found.plugin_id = row.text(4);
  found.plugin_version = row.text(5);
  found.sdk_version = row.text(6);
  found.metrics = parse_json(row.text(7), database_->path().string());
  found.manifest_checksum = row.text(8);
  SqliteDatabase::Statement aliases = database_->prepare("SELECT alias FROM aliases WHERE model_id = ?1 AND version = ?2 ORDER BY alias");
  for (aliases.bind(id).bind(version); aliases.step();) found.aliases.push_back(aliases.text(0));
  return found;
}

std::filesystem::path ModelRegistry::resolve(const ModelReference& reference) const { return find(reference).checkpoint; }

void ModelRegistry::set_alias(std::string_view model, std::string_view alias, std::int64_t version) {
  require_alias_name(alias);
  SqliteDatabase::Transaction transaction(*database_);
  const std::int64_t id = database_->require_model(model);
  database_->require_version(id, model, version);
  if (database_->alias_version(id, alias) != version) database_->point_alias(id, alias, version, "alias");
  transaction.commit();
}

void ModelRegistry::remove_alias(std::string_view model, std::string_view alias) {
  SqliteDatabase::Transaction transaction(*database_);
  const std::int64_t id = database_->require_model(model);
  database_->require_alias(id, model, alias);
  database_->point_alias(id, alias, 0, "remove");
  transaction.commit();
}

ModelVersion ModelRegistry::promote(const ModelReference& from, std::string_view alias) {
  require_alias_name(alias);
  SqliteDatabase::Transaction transaction(*database_);
  const std::int64_t version = find(from).version;
  const std::int64_t id = database_->require_model(from.name);
  if (database_->alias_version(id, alias) != version) database_->point_alias(id, alias, version, "promote");
  transaction.commit();
  return find({from.name, version, ""});
}

ModelVersion ModelRegistry::rollback(std::string_view model, std::string_view alias) {
  SqliteDatabase::Transaction transaction(*database_);
  const std::int64_t id = database_->require_model(model);
  database_->require_alias(id, model, alias);
  const std::vector<std::int64_t> stack = database_->alias_stack(id, alias);
  const std::int64_t earlier = stack.size() < 2 ? 0 : stack[stack.size() - 2];
  if (earlier == 0) fail<ConfigError>("alias \"{}\" of model \"{}\" had no version before this one", alias, model);
  if (!database_->has_version(id, earlier)) {
    fail<ConfigError>("alias \"{}\" of model \"{}\" cannot go back to version {}: it was removed; set the alias to another version", alias,
                      model, earlier);
  }
  database_->point_alias(id, alias, earlier, "rollback");
  transaction.commit();
  return find({std::string(model), earlier, ""});
}

std::vector<AliasChange> ModelRegistry::alias_history(std::string_view model, std::string_view alias) const {
  std::vector<AliasChange> history;
  SqliteDatabase::Statement statement =
      database_->prepare("SELECT alias, version, time, cause FROM alias_history WHERE model_id = ?1 AND alias = ?2 ORDER BY id DESC");
  for (statement.bind(database_->require_model(model)).bind(alias); statement.step();) {
    history.push_back({statement.text(0), statement.number(1), statement.text(2), statement.text(3)});
  }
  return history;
}

void ModelRegistry::remove(std::string_view model, std::int64_t version) {
  {
    SqliteDatabase::Transaction transaction(*database_);
    const std::int64_t id = database_->require_model(model);
    database_->require_version(id, model, version);
    SqliteDatabase::Statement alias = database_->prepare("SELECT alias FROM aliases WHERE model_id = ?1 AND version = ?2");
    if (alias.bind(id).bind(version).step()) {
      fail<ConfigError>("version {} of \"{}\" is what alias \"{}\" points at: point it elsewhere first", version, model, alias.text(0));
    }
    database_->prepare("DELETE FROM versions WHERE model_id = ?1 AND version = ?2").bind(id).bind(version).run();
    transaction.commit();
  }
  // After the commit: a row without files would be a lie, files without a row are only space, and their number is never given again.
  // Still while nobody else writes, because others delete such files too.
  const SqliteDatabase::Transaction alone(*database_);
  std::error_code reason;
  std::filesystem::remove_all(version_directory(model, version), reason);
  if (reason) fail("version {} of \"{}\" was removed, but not its files: {}", version, model, reason.message());
}

std::vector<std::string> ModelRegistry::verify(const ModelReference& reference) const {
  const ModelVersion version = find(reference);
  CheckpointFileList list;
  try {
    list = read_checkpoint_file_list(version.checkpoint);
  } catch (const CheckpointError& error) {
    return {error.what()};
  }
  std::vector<std::string> defects;
  if (list.manifest_checksum != version.manifest_checksum) {
    defects.push_back(fmt::format("{} is not the one that was registered (checksum {}, not {})",
                                  (version.checkpoint / "manifest.json").string(), list.manifest_checksum, version.manifest_checksum));
  }
  for (std::string& defect : checkpoint_defects(version.checkpoint, list)) defects.push_back(std::move(defect));
  return defects;
}

Json ModelVersion::to_json() const {
  return {{"model", model},
          {"version", version},
          {"created", created},
          {"aliases", aliases},
          {"checkpoint", checkpoint.string()},
          {"run_directory", run_directory.string()},
          {"plugin", {{"id", plugin_id}, {"version", plugin_version}}},
          {"sdk_version", sdk_version},
          {"data_fingerprint", data_fingerprint},
          {"metrics", metrics},
          {"manifest_checksum", manifest_checksum}};
}

}  // namespace rechost
