// Which storage a loader's files come through: its own, whatever other loaders the process has.
#include <catch2/catch.hpp>

#include "core/base/temporary_directory.h"
#include "core/storage/loopback_server.h"
#include "fixture.h"
#include "plugin/dataset_instance.h"

namespace rechost::test {
namespace {

std::shared_ptr<Storage> storage_with_cache(const std::filesystem::path& cache) {
  StorageSettings settings;
  settings.cache = cache;
  settings.retry = {.deadline_seconds = 5, .first_delay_seconds = 0.01};
  return std::make_shared<Storage>(std::move(settings));
}

std::int64_t files_in(const std::filesystem::path& folder) {
  std::error_code none;
  std::int64_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, none)) count += entry.path().extension() == ".data";
  return count;
}

}  // namespace

TEST_CASE("each loader reads through the storage that it was made with") {
  const LoopbackServer server(LoopbackServer::Files{{"/a.csv", "label,s\n1,x\n0,y\n"}, {"/b.csv", "label,s\n1,z\n"}});
  const TemporaryDirectory folder;
  const char* build = std::getenv("RECHOST_BUILD_DIR");
  REQUIRE(build != nullptr);
  const Module csv = load_plugin(std::filesystem::path(build) / "lib/rechost/plugins/csv.so").front();
  const auto loader = [&](const std::string& name, const std::filesystem::path& cache) {
    return DatasetInstance(csv, options_of(csv, {{"path", value("\"" + server.address() + name + "\"")}, {"sparse", value("[\"s\"]")}}), storage_with_cache(cache));
  };
  const DatasetInstance first = loader("/a.csv", folder / "first"), second = loader("/b.csv", folder / "second");
  CHECK_FALSE(std::filesystem::exists(folder / "first"));
  const auto a = first.open("all");  // though the other was made later
  CHECK(a->remote());
  CHECK(files_in(folder / "first") == 1);
  CHECK(files_in(folder / "second") == 0);
  const auto b = second.open("all");
  CHECK(files_in(folder / "second") == 1);
  constexpr std::uint32_t kBoth[] = {0, 1};
  CHECK(a->read(0, kBoth, [](BadRow&&) {})->rows() == 2);
  CHECK(b->read(0, kBoth, [](BadRow&&) {})->rows() == 1);
  CHECK(server.fetched() == std::vector<std::string>{"/a.csv", "/b.csv"});
}

}  // namespace rechost::test
