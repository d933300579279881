#include <filesystem>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "core/train/checkpoint_fixture.h"

using namespace rechost;
using rechost::test::CheckpointedRun;

namespace {

constexpr int kDied = 37;
constexpr int kFinished = 38;

/// Writes the checkpoint of `step` in a process that dies, without any clean-up, before disk operation number `last` (from 0).
/// Returns whether it died; otherwise there were fewer operations and it finished.
bool dies_before(const CheckpointedRun& run, std::int64_t step, int last, std::int64_t keep) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int count = 0;
    try {
      run.write(step, {.keep = keep, .before_step = [&](std::string_view) {
                         if (count++ == last) ::_exit(kDied);
                       }});
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(kFinished);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  REQUIRE((WEXITSTATUS(status) == kDied || WEXITSTATUS(status) == kFinished));
  return WEXITSTATUS(status) == kDied;
}

std::int64_t latest_step(const CheckpointedRun& run) {
  const auto latest = find_latest_checkpoint(run.path());
  REQUIRE(latest.has_value());
  const CheckpointReader reader(*latest);
  reader.verify();
  return reader.manifest().position.step;
}

std::vector<std::int64_t> steps_of(const CheckpointedRun& run) {
  std::vector<std::int64_t> steps;
  for (const StoredCheckpoint& checkpoint : list_checkpoints(run.checkpoints())) steps.push_back(checkpoint.step);
  return steps;
}

std::int64_t hidden_entries(const CheckpointedRun& run) {
  std::int64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(run.checkpoints()))
    count += entry.path().filename().string().starts_with(".");
  return count;
}

}  // namespace

TEST_CASE("A process that dies before any step of writing leaves a complete checkpoint") {
  int deaths = 0;
  for (int last = 0;; ++last) {
    INFO("died before operation " << last);
    const CheckpointedRun run;
    run.write(100);
    run.write(200);
    const bool died = dies_before(run, 300, last, 0);
    const std::int64_t step = latest_step(run);
    CHECK((step == 200 || step == 300));
    // What happens next: clean, find, go on.
    clean_checkpoint_leftovers(run.checkpoints());
    CHECK(hidden_entries(run) == 0);
    CHECK(latest_step(run) == step);
    CHECK(CheckpointReader(run.checkpoints() / "latest").manifest().position.step == step);
    run.write(400);
    CHECK(latest_step(run) == 400);
    if (!died) break;
    ++deaths;
  }
  CHECK(deaths >= 12);  // staging, dense, three parts, a file, manifest, sync, rename, latest, two removals
}

TEST_CASE("A process that dies while it replaces a checkpoint of the same step leaves one of the two") {
  int deaths = 0;
  for (int last = 0;; ++last) {
    INFO("died before operation " << last);
    const CheckpointedRun run;
    run.write(100);
    const bool died = dies_before(run, 100, last, 2);
    CHECK(latest_step(run) == 100);
    clean_checkpoint_leftovers(run.checkpoints());
    CHECK(hidden_entries(run) == 0);
    CHECK(latest_step(run) == 100);
    CHECK(steps_of(run) == std::vector<std::int64_t>{100});
    if (!died) break;
    ++deaths;
  }
  CHECK(deaths >= 12);
}

TEST_CASE("Older checkpoints go once the newer one is there, but not the kept ones") {
  const CheckpointedRun run;
  for (const std::int64_t step : {100, 200, 300, 400, 500}) run.write(step, {.keep = 1, .keep_steps = {200}});
  CHECK(steps_of(run) == std::vector<std::int64_t>{500, 400, 200});
}

TEST_CASE("The newest checkpoint is the last one written, not the one of the highest step") {
  const CheckpointedRun run;
  run.write(900);
  run.write(500);  // went back to an older state and on from there
  CHECK(latest_step(run) == 500);
  CHECK(CheckpointReader(run.checkpoints() / "latest").manifest().position.step == 500);
}

TEST_CASE("A damaged newest checkpoint is passed over with a warning, and left for its owner to look at") {
  const CheckpointedRun run;
  run.write(100);
  run.write(200);
  std::vector<std::string> warnings;
  set_log_sink([](void* context, LogLevel, std::string_view line) { static_cast<std::vector<std::string>*>(context)->emplace_back(line); },
               &warnings);
  SECTION("a changed byte") {
    const std::filesystem::path file = run.checkpoint(200) / "dense.safetensors";
    test::flip_byte(file, std::filesystem::file_size(file) - 1);
    CHECK(find_latest_checkpoint(run.path(), CheckDepth::kSizes) == run.checkpoint(200));
    warnings.clear();
  }
  SECTION("a missing table") { std::filesystem::remove_all(run.checkpoint(200) / "tables/user"); }
  SECTION("no manifest") { std::filesystem::remove(run.checkpoint(200) / "manifest.json"); }
  SECTION("a dangling link") {
    std::filesystem::remove_all(run.checkpoint(200));
    std::filesystem::create_directory(run.checkpoint(200));
  }
  CHECK(find_latest_checkpoint(run.path()) == run.checkpoint(100));
  set_log_sink(nullptr, nullptr);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("step-0000000200"));
  CHECK(std::filesystem::exists(run.checkpoint(200)));
}

TEST_CASE("A run without checkpoints has no latest") {
  const CheckpointedRun run;
  CHECK_FALSE(find_latest_checkpoint(run.path()).has_value());
  CHECK(clean_checkpoint_leftovers(run.checkpoints()) == 0);
  CHECK(list_checkpoints(run.checkpoints()).empty());
}

TEST_CASE("A disk that refuses is one error, and older checkpoints stay") {
  const CheckpointedRun run;
  run.write(100);
  write_file_atomically(run.path() / "file", "x");
  CHECK_THROWS_WITH(CheckpointWriter(run.path() / "file" / "checkpoints", CheckpointedRun::manifest(1)),
                    Catch::Contains("not written") && Catch::Contains("older ones are unharmed"));
  CheckpointWriter writer(run.checkpoints(), CheckpointedRun::manifest(200));
  std::filesystem::remove_all(writer.staging());  // as if someone had cleaned up
  CHECK_THROWS_AS(writer.commit(), CheckpointError);
  CHECK(latest_step(run) == 100);
}
