#include "tracking/run_directory.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/log.h"
#include "core/base/temporary_directory.h"
#include "tracking/rank_log.h"

using namespace rechost;
using rechost::test::TemporaryDirectory;

namespace {

std::vector<std::int64_t> steps_in(const RunDirectory& run) {
  std::vector<std::int64_t> steps;
  for (const Json& line : read_json_lines(run.path() / "metrics.jsonl")) steps.push_back(line["step"]);
  return steps;
}

void append(const std::filesystem::path& path, std::string_view text) { std::ofstream(path, std::ios::app) << text; }

}  // namespace

TEST_CASE("A finished run has its files and says so") {
  const TemporaryDirectory root;
  std::filesystem::path path;
  {
    RunDirectory run = RunDirectory::create(root / "runs", "dlrm", "[run]\nseed = 1\n");
    path = run.path();
    CHECK_THAT(run.name(), Catch::Matches("dlrm-[0-9]{8}-[0-9]{6}"));
    CHECK(inspect_run(path).status == RunStatus::kRunning);
    run.event("epoch", {{"epoch", 0}});
    run.metrics(10, {{"split", "train"}, {"log_loss", 0.5}});
    CHECK(inspect_run(path).last_step == 10);  // there before the run has ended
    const Json summary = run.finish(RunStatus::kFinished, {{"steps", 10}, {"status", "not this"}});
    CHECK(summary["status"] == "finished");
    CHECK(summary["run_dir"] == path.string());
    CHECK_THROWS_AS(run.finish(RunStatus::kFailed, {}), Error);
  }
  CHECK(read_file(path / "config.toml") == "[run]\nseed = 1\n");
  const Json summary = parse_json(read_file(path / "summary.json"), "summary");
  CHECK(summary["steps"] == 10);
  CHECK(std::filesystem::is_directory(path / "checkpoints"));
  const std::vector<Json> events = read_json_lines(path / "events.jsonl");
  REQUIRE(events.size() == 3);
  CHECK(events[0]["event"] == "started");
  CHECK(events[1]["epoch"] == 0);
  CHECK(events[2]["event"] == "finished");
  CHECK_THAT(events[0]["time"].get<std::string>(), Catch::Matches("[0-9-]{10}T[0-9:.]{12}Z"));
  const RunRecord record = inspect_run(path);
  CHECK(record.status == RunStatus::kFinished);
  CHECK(record.started == events[0]["time"]);
  CHECK(record.summary["steps"] == 10);
}

TEST_CASE("Runs that start in the same second get different directories") {
  const TemporaryDirectory root;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { RunDirectory::create(root.path(), "same", ""); });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(list_runs(root.path()).size() == 8);
}

TEST_CASE("A bad name is refused before anything is made") {
  const TemporaryDirectory root;
  for (const char* name : {"", "a/b", "..", ".hidden", "a b", "ü"}) {
    INFO(name);
    CHECK_THROWS_AS(RunDirectory::create(root.path(), name, ""), ConfigError);
  }
  CHECK(std::filesystem::is_empty(root.path()));
}

TEST_CASE("A resumed run cuts what came after its checkpoint, and half a line") {
  const TemporaryDirectory root;
  std::filesystem::path path;
  {
    RunDirectory run = RunDirectory::create(root.path(), "dlrm", "old");
    path = run.path();
    for (const std::int64_t step : {10, 20, 30, 40}) run.metrics(step, {{"log_loss", 0.5}});
    run.finish(RunStatus::kStopped, {});
  }
  append(path / "metrics.jsonl", "{\"step\": 50, \"log_l");
  append(path / "events.jsonl", "{\"time\": \"20");
  CHECK(inspect_run(path).status == RunStatus::kStopped);
  CHECK(inspect_run(path).last_step == 40);

  RunDirectory run = RunDirectory::resume(path, 20, "resolved again");
  CHECK(inspect_run(path).status == RunStatus::kRunning);
  CHECK(steps_in(run) == std::vector<std::int64_t>{10, 20});
  run.metrics(30, {{"log_loss", 0.4}});
  CHECK(steps_in(run) == std::vector<std::int64_t>{10, 20, 30});
  CHECK(read_file(path / "config.toml") == "resolved again");
  const std::vector<Json> events = read_json_lines(path / "events.jsonl");
  CHECK(events.back()["event"] == "resumed");
  CHECK(events.back()["step"] == 20);
}

TEST_CASE("A living run cannot be resumed, and what is no run neither") {
  const TemporaryDirectory root;
  const RunDirectory run = RunDirectory::create(root.path(), "dlrm", "");
  CHECK_THROWS_WITH(RunDirectory::resume(run.path(), 0, ""), Catch::Contains("held by a running process"));
  CHECK_THROWS_WITH(RunDirectory::resume(root.path(), 0, ""), Catch::Contains("not a run directory"));
  CHECK_THROWS_WITH(inspect_run(root / "absent"), Catch::Contains("not a run directory"));
}

TEST_CASE("A killed run is told from a living one") {
  const TemporaryDirectory root;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    RunDirectory run = RunDirectory::create(root.path(), "dlrm", "");
    run.metrics(1, {{"log_loss", 0.7}});
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  REQUIRE(list_runs(root.path()).size() == 1);
  CHECK(list_runs(root.path())[0].status == RunStatus::kRunning);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(list_runs(root.path())[0].status == RunStatus::kKilled);
  CHECK(list_runs(root.path())[0].last_step == 1);
  const RunDirectory again = RunDirectory::resume(list_runs(root.path())[0].path, 0, "");
  CHECK(list_runs(root.path())[0].status == RunStatus::kRunning);
  CHECK(steps_in(again).empty());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("A run that ends with an exception and no word counts as killed") {
  const TemporaryDirectory root;
  { const RunDirectory run = RunDirectory::create(root.path(), "dlrm", ""); }
  CHECK(list_runs(root.path())[0].status == RunStatus::kKilled);
}

TEST_CASE("Runs are listed newest first, other directories and damaged runs left out") {
  const TemporaryDirectory root;
  CHECK(list_runs(root / "absent").empty());
  for (const char* name : {"first", "second", "third"}) {
    RunDirectory::create(root.path(), name, "").finish(RunStatus::kFailed, {});
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  std::filesystem::create_directory(root / "notes");
  std::filesystem::create_directory(root / "broken");
  write_file_atomically(root / "broken/events.jsonl", "not json\n");
  const std::vector<RunRecord> runs = list_runs(root.path());
  REQUIRE(runs.size() == 3);
  CHECK_THAT(runs[0].name, Catch::StartsWith("third-"));
  CHECK_THAT(runs[2].name, Catch::StartsWith("first-"));
  CHECK(runs[0].status == RunStatus::kFailed);
}

TEST_CASE("Threads may write events and metrics at once") {
  const TemporaryDirectory root;
  RunDirectory run = RunDirectory::create(root.path(), "dlrm", "");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&run, t] {
      for (int i = 0; i < 200; ++i) {
        run.metrics(i, {{"thread", t}});
        run.event("tick", {{"thread", t}});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(read_json_lines(run.path() / "metrics.jsonl").size() == 800);
  CHECK(read_json_lines(run.path() / "events.jsonl").size() == 801);
}

TEST_CASE("Log lines of a rank go to its file as long as the log lives") {
  const TemporaryDirectory root;
  {
    const RankLog log(root.path(), 3);
    log_info("step {}", 7);
    log_warning("slow disk");
  }
  log_info("after the end");
  const std::string text = read_file(root / "logs/rank-00003.log");
  CHECK_THAT(text, Catch::Contains("Z info step 7\n") && Catch::Contains("Z warning slow disk\n"));
  CHECK_THAT(text, !Catch::Contains("after"));
}

TEST_CASE("The name that a run was given ends before its time") {
  CHECK(given_name("dlrm-20260101-120000") == "dlrm");
  CHECK(given_name("dlrm-20260101-120000-2") == "dlrm");
  CHECK(given_name("dlrm-big-20260101-120000") == "dlrm-big");
  CHECK(given_name("a-20250101-000000-20260101-120000") == "a-20250101-000000");
  CHECK(given_name("dlrm") == "");
  CHECK(given_name("-20260101-120000") == "");
}
