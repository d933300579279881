#include "registry/model_registry.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/checksum.h"
#include "base/error.h"
#include "base/file.h"
#include "core/base/temporary_directory.h"
#include "registry/database.h"

using namespace rechost;
using rechost::test::TemporaryDirectory;

namespace {

/// A folder with runs, whose checkpoints hold what a registry looks at, and a registry.
class Shop {
 public:
  std::filesystem::path registry_path() const { return directory_ / "registry"; }
  std::filesystem::path run_path() const { return directory_ / "runs/dlrm-1"; }
  std::filesystem::path operator/(std::string_view name) const { return directory_ / name; }

  /// A checkpoint with one table; `content` makes it differ from others.
  std::filesystem::path checkpoint(const std::string& content) const {
    const std::filesystem::path path = run_path() / "checkpoints" / content;
    std::filesystem::create_directories(path / "tables/user");
    write_file_atomically(path / "dense.safetensors", "dense " + content);
    write_file_atomically(path / "tables/user/1-of-1.safetensors", "rows " + content);
    Json files = Json::array();
    for (const char* file : {"dense.safetensors", "tables/user/1-of-1.safetensors"}) {
      const FileRecord record = record_file(path, path / file);
      files.push_back({{"path", record.path}, {"bytes", record.bytes}, {"checksum", record.checksum}});
    }
    write_file_atomically(path / "manifest.json", json_document({{"format", "rechost-checkpoint"}, {"files", files}}));
    return path;
  }

  ModelDescription description(const std::string& content) const {
    return {.run_directory = run_path(),
            .checkpoint = checkpoint(content),
            .config_text = "[run]\nname = \"" + content + "\"\n",
            .data_fingerprint = "rows=100",
            .plugin_id = "dlrm",
            .plugin_version = "0.1.0",
            .sdk_version = "1.0",
            .metrics = {{"auc", 0.75}}};
  }

  ModelVersion add(ModelRegistry& registry, const std::string& model, const std::string& content) const {
    return registry.add(model, description(content));
  }

 private:
  TemporaryDirectory directory_;
};

std::int64_t version_of(const ModelRegistry& registry, std::string_view reference) {
  return registry.find(ModelReference::parse(reference)).version;
}

}  // namespace

TEST_CASE("A registered model can be found in each way") {
  const Shop shop;
  ModelRegistry registry(shop.registry_path());
  CHECK(registry.models().empty());
  const ModelVersion first = shop.add(registry, "dlrm", "a");
  const ModelVersion second = shop.add(registry, "dlrm", "b");
  registry.set_alias("dlrm", "champion", 1);
  CHECK(first.version == 1);
  CHECK(second.version == 2);
  CHECK(version_of(registry, "models:/dlrm") == 2);
  CHECK(version_of(registry, "models:/dlrm@latest") == 2);
  CHECK(version_of(registry, "models:/dlrm/1") == 1);
  CHECK(version_of(registry, "dlrm@champion") == 1);
  const ModelVersion found = registry.find(ModelReference::parse("models:/dlrm@champion"));
  CHECK(found.config_text == "[run]\nname = \"a\"\n");
  CHECK(found.metrics["auc"] == 0.75);
  CHECK(found.run_directory == shop.run_path());
  CHECK(found.aliases == std::vector<std::string>{"champion"});
  CHECK(found.to_json()["plugin"]["id"] == "dlrm");
  CHECK(read_file(registry.resolve(ModelReference::parse("dlrm/1")) / "dense.safetensors") == "dense a");
  CHECK(registry.verify(ModelReference::parse("dlrm/1")).empty());

  shop.add(registry, "another", "c");
  const std::vector<ModelSummary> models = registry.models();
  REQUIRE(models.size() == 2);
  CHECK(models[0].model == "another");
  CHECK(models[1].versions == 2);
  CHECK(models[1].latest == 2);
  CHECK(models[1].aliases == std::vector<std::pair<std::string, std::int64_t>>{{"champion", 1}});
  CHECK(registry.versions("dlrm")[0].version == 2);
}

TEST_CASE("A registered model survives its run and needs no space of its own") {
  const Shop shop;
  ModelRegistry registry(shop.registry_path());
  const ModelVersion model = shop.add(registry, "dlrm", "a");
  struct stat status {};
  REQUIRE(::stat((model.checkpoint / "dense.safetensors").c_str(), &status) == 0);
  CHECK(status.st_nlink == 2);
  std::filesystem::remove_all(shop.run_path());
  CHECK(registry.verify(ModelReference::parse("dlrm")).empty());
}

TEST_CASE("A registry can be moved") {
  const Shop shop;
  {
    ModelRegistry registry(shop.registry_path());
    shop.add(registry, "dlrm", "a");
  }
  std::filesystem::rename(shop.registry_path(), shop / "moved");
  const ModelRegistry registry(shop / "moved");
  CHECK(read_file(registry.resolve(ModelReference::parse("dlrm")) / "dense.safetensors") == "dense a");
}

TEST_CASE("A link to a checkpoint may be registered") {
  const Shop shop;
  ModelRegistry registry(shop.registry_path());
  ModelDescription description = shop.description("a");
  switch_symlink(shop.run_path() / "checkpoints/latest", "a");
  description.checkpoint = shop.run_path() / "checkpoints/latest";
  CHECK(registry.add("dlrm", description).version == 1);
}

TEST_CASE("A damaged or missing checkpoint is not registered and takes no number") {
  const Shop shop;
  ModelRegistry registry(shop.registry_path());
  ModelDescription description = shop.description("a");
  SECTION("changed") { test::flip_byte(description.checkpoint / "dense.safetensors", 2); }
  SECTION("missing file") { std::filesystem::remove(description.checkpoint / "dense.safetensors"); }
  SECTION("no manifest") { std::filesystem::remove(description.checkpoint / "manifest.json"); }
  SECTION("another manifest") { write_file_atomically(description.checkpoint / "manifest.json", "{}"); }
  SECTION("no checkpoint") { description.checkpoint = shop / "nowhere"; }
  CHECK_THROWS_AS(registry.add("dlrm", description), CheckpointError);
  CHECK(registry.models().empty());
  CHECK(std::filesystem::is_empty(shop.registry_path() / "models"));
  CHECK(shop.add(registry, "dlrm", "b").version == 1);
}

TEST_CASE("A file that goes bad later is found") {
  const Shop shop;
  ModelRegistry registry(shop.registry_path());
  const ModelVersion model = shop.add(registry, "dlrm", "a");
  const ModelReference reference = ModelReference::parse("dlrm");
  SECTION("changed") {
    test::flip_byte(model.checkpoint / "dense.safetensors", 2);
    CHECK_THAT(registry.verify(reference).at(0), Catch::Contains("dense.safetensors has changed"));
  }
  SECTION("missing") {
    std::filesystem::remove(model.checkpoint / "tables/user/1-of-1.safetensors");
    CHECK_THAT(registry.verify(reference).at(0), Catch::Contains("1-of-1.safetensors is missing"));
  }
  SECTION("another manifest") {
    write_file_atomically(model.checkpoint / "manifest.json", read_file(model.checkpoint / "manifest.json") + "\n");
    CHECK_THAT(registry.verify(reference).at(0), Catch::Contains("is not the one that was registered"));
  }
  SECTION("nothing left") {
    std::filesystem::remove_all(model.checkpoint);
    CHECK(registry.verify(reference).size() == 1);
  }
}

TEST_CASE("An alias goes forward by promotion and back by rollback, as far as it came") {
  const Shop shop;
  ModelRegistry registry(shop.registry_path());
  for (const char* content : {"a", "b", "c"}) shop.add(registry, "dlrm", content);
  registry.set_alias("dlrm", "champion", 1);
  registry.set_alias("dlrm", "challenger", 2);
  CHECK(registry.promote(ModelReference::parse("dlrm@challenger"), "champion").version == 2);
  CHECK(registry.promote(ModelReference::parse("dlrm"), "champion").version == 3);
  registry.set_alias("dlrm", "champion", 3);  // no change: nothing to roll back
  CHECK(registry.rollback("dlrm", "champion").version == 2);
  CHECK(registry.rollback("dlrm", "champion").version == 1);
  CHECK_THROWS_WITH(registry.rollback("dlrm", "champion"), Catch::Contains("no version before"));
  CHECK(version_of(registry, "dlrm@champion") == 1);
  registry.set_alias("dlrm", "champion", 3);
  CHECK(registry.rollback("dlrm", "champion").version == 1);

  std::vector<std::pair<std::int64_t, std::string>> history;
  for (const AliasChange& change : registry.alias_history("dlrm", "champion")) history.emplace_back(change.version, change.cause);
  CHECK(history == std::vector<std::pair<std::int64_t, std::string>>{
                       {1, "rollback"}, {3, "alias"}, {1, "rollback"}, {2, "rollback"}, {3, "promote"}, {2, "promote"}, {1, "alias"}});
}

TEST_CASE("An alias can be taken away, and there is no way back from that") {
  const Shop shop;
  ModelRegistry registry(shop.registry_path());
  shop.add(registry, "dlrm", "a");
  registry.set_alias("dlrm", "champion", 1);
  registry.remove_alias("dlrm", "champion");
  CHECK_THROWS_WITH(registry.find(ModelReference::parse("dlrm@champion")), Catch::Contains("no alias \"champion\""));
  CHECK_THROWS_AS(registry.remove_alias("dlrm", "champion"), ConfigError);
  registry.set_alias("dlrm", "champion", 1);
  CHECK_THROWS_AS(registry.rollback("dlrm", "champion"), ConfigError);
}

TEST_CASE("A version is removed with its files, never its number") {
  const Shop shop;
  ModelRegistry registry(shop.registry_path());
  shop.add(registry, "dlrm", "a");
  const ModelVersion second = shop.add(registry, "dlrm", "b");
  registry.set_alias("dlrm", "champion", 2);
  CHECK_THROWS_WITH(registry.remove("dlrm", 2), Catch::Contains("champion"));
  registry.set_alias("dlrm", "champion", 1);
  registry.remove("dlrm", 2);
  CHECK_FALSE(std::filesystem::exists(second.checkpoint));
  CHECK(std::filesystem::exists(shop.run_path() / "checkpoints/b/manifest.json"));
  CHECK_THROWS_WITH(registry.rollback("dlrm", "champion"), Catch::Contains("version 2: it was removed"));
  CHECK_THROWS_WITH(registry.remove("dlrm", 2), Catch::Contains("no version 2"));
  CHECK(shop.add(registry, "dlrm", "c").version == 3);
  registry.remove_alias("dlrm", "champion");
  registry.remove("dlrm", 1);
  registry.remove("dlrm", 3);
  CHECK(registry.models().empty());
  CHECK_THROWS_WITH(registry.find(ModelReference::parse("dlrm")), Catch::Contains("no versions left"));
}

TEST_CASE("What is not there is named, with what is near") {
  const Shop shop;
  ModelRegistry registry(shop.registry_path());
  shop.add(registry, "two-tower", "a");
  registry.set_alias("two-tower", "champion", 1);
  CHECK_THROWS_WITH(registry.find(ModelReference::parse("two-towr")), Catch::Contains("did you mean \"two-tower\"?"));
  CHECK_THROWS_WITH(registry.find(ModelReference::parse("two-tower@champio")), Catch::Contains("did you mean \"champion\"?"));
  CHECK_THROWS_WITH(registry.find(ModelReference::parse("two-tower/7")), Catch::Contains("no version 7; its newest is 1"));
  CHECK_THROWS_AS(registry.set_alias("two-tower", "champion", 7), ConfigError);
  CHECK_THROWS_AS(registry.versions("none"), ConfigError);
}

TEST_CASE("Names and references") {
  const Shop shop;
  ModelRegistry registry(shop.registry_path());
  for (const char* name : {"", "..", "a/b", ".a", "a b", "-a", "a@b", "ü"}) {
    INFO(name);
    CHECK_THROWS_AS(registry.add(name, shop.description("a")), ConfigError);
  }
  for (const char* alias : {"", "7", "latest", "a/b", "a@b"}) {
    INFO(alias);
    CHECK_THROWS_AS(require_alias_name(alias), ConfigError);
  }
  for (const char* text : {"models:/", "models:/a/", "models:/a/x", "models:/a/0", "models:/a/-1", "models:/a@", "models:/a@7",
                           "models:/a/1@b", "models:/a/99999999999999999999", "models:/a@b/1"}) {
    INFO(text);
    CHECK_THROWS_WITH(ModelReference::parse(text), Catch::Contains("models:/NAME@ALIAS"));
  }
  for (const char* text : {"models:/a", "models:/a/3", "models:/a@b"}) CHECK(ModelReference::parse(text).text() == text);
  CHECK(ModelReference::is_reference("models:/a"));
  CHECK_FALSE(ModelReference::is_reference("runs/a"));
}

TEST_CASE("A registry of a newer rechost and another program's database are refused") {
  const Shop shop;
  std::filesystem::create_directories(shop.registry_path());
  SECTION("newer") {
    { const ModelRegistry registry(shop.registry_path()); }
    SqliteDatabase(shop.registry_path() / "registry.sqlite", 1000).execute("PRAGMA user_version = 99");
    CHECK_THROWS_WITH(ModelRegistry(shop.registry_path()), Catch::Contains("newer rechost (registry format 99"));
  }
  SECTION("another program's") {
    SqliteDatabase(shop.registry_path() / "registry.sqlite", 1000).execute("CREATE TABLE songs (title TEXT)");
    CHECK_THROWS_WITH(ModelRegistry(shop.registry_path()), Catch::Contains("another program"));
  }
  SECTION("no database at all") {
    write_file_atomically(shop.registry_path() / "registry.sqlite", std::string(5000, 'x'));
    CHECK_THROWS_WITH(ModelRegistry(shop.registry_path()), Catch::Contains("not a database"));
  }
}

TEST_CASE("Several processes register, point and roll back at once") {
  const Shop shop;
  constexpr int kProcesses = 4;
  constexpr int kEach = 10;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      int result = 0;
      try {
        // All of them create the registry at the same moment.
        ModelRegistry registry(shop.registry_path());
        for (int i = 0; i < kEach; ++i) {
          const ModelVersion model = shop.add(registry, "dlrm", std::to_string(p) + "-" + std::to_string(i));
          registry.set_alias("dlrm", "champion", model.version);
          if (!registry.verify(ModelReference::parse("dlrm")).empty()) result = 2;
        }
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        result = 1;
      }
      ::_exit(result);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  const ModelRegistry registry(shop.registry_path());
  const std::vector<ModelVersion> versions = registry.versions("dlrm");
  CHECK(versions.size() == kProcesses * kEach);
  CHECK(versions.front().version == kProcesses * kEach);
  std::set<std::string> contents;
  for (const ModelVersion& version : versions) contents.insert(version.manifest_checksum);
  CHECK(contents.size() == versions.size());
  for (const AliasChange& change : registry.alias_history("dlrm", "champion")) CHECK(change.version > 0);
}

TEST_CASE("What killed processes left behind is gone when the registry is opened again, and what living ones are at is not") {
  const Shop shop;
  ModelVersion model;
  {
    ModelRegistry registry(shop.registry_path());
    model = shop.add(registry, "dlrm", "a");
  }
  const std::filesystem::path models = shop.registry_path() / "models";
  std::filesystem::create_directories(models / ".adding-1-2/tables");  // killed while it linked
  write_file_atomically(models / ".adding-3-4.lock", "host:3");        // killed before, or after it moved the files away
  std::filesystem::create_directories(models / "dlrm/2/tables");       // killed between the move and the commit, or after a removal
  std::filesystem::create_directories(models / "never/1");             // the same of a model's first version
  std::filesystem::create_directories(models / ".adding-5-6");
  const LockFile living = LockFile::acquire(models / ".adding-5-6.lock");
  write_file_atomically(models / "dlrm/notes.txt", "not ours");
  const ModelRegistry registry(shop.registry_path());
  CHECK_FALSE(std::filesystem::exists(models / ".adding-1-2"));
  CHECK_FALSE(std::filesystem::exists(models / ".adding-3-4.lock"));
  CHECK_FALSE(std::filesystem::exists(models / "dlrm/2"));
  CHECK_FALSE(std::filesystem::exists(models / "never/1"));
  CHECK(std::filesystem::exists(models / ".adding-5-6"));
  CHECK(std::filesystem::exists(models / ".adding-5-6.lock"));
  CHECK(std::filesystem::exists(models / "dlrm/notes.txt"));
  CHECK(registry.verify(ModelReference::parse("dlrm")).empty());
}

TEST_CASE("Files of a process that died before its commit are replaced") {
  const Shop shop;
  ModelRegistry registry(shop.registry_path());
  std::filesystem::create_directories(shop.registry_path() / "models/dlrm/1/tables");
  write_file_atomically(shop.registry_path() / "models/dlrm/1/stray", "x");
  const ModelVersion model = shop.add(registry, "dlrm", "a");
  CHECK(model.version == 1);
  CHECK_FALSE(std::filesystem::exists(model.checkpoint / "stray"));
  CHECK(registry.verify(ModelReference::parse("dlrm")).empty());
}
