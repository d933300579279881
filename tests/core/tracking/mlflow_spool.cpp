#include "tracking/mlflow_spool.h"

#include <cmath>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "core/base/temporary_directory.h"
#include "tracking/mlflow_limits.h"
#include "tracking/run_directory.h"

using namespace rechost;
using rechost::test::TemporaryDirectory;

namespace {

const WallTime kNow = WallTime(std::chrono::milliseconds(1'700'000'000'123));

/// A run directory with a spool, and its records in short: "start", "metrics 10 a=1 b=2", "params a=x", "status KILLED".
class Run {
 public:
  Run() { std::filesystem::create_directory(folder_ / "spool"); }

  MlflowSpool open(std::int64_t first_step = 0, const std::string& experiment = "clicks") {
    return MlflowSpool(folder_.path(), {experiment, "dlrm-1", kNow}, first_step);
  }

  std::vector<Json> records() const {
    std::vector<Json> all;
    SpoolReader reader(MlflowSpoolFiles(folder_.path()).records);
    while (const auto record = reader.next()) all.push_back(record->fields);
    return all;
  }

  std::vector<std::string> words() const {
    std::vector<std::string> all;
    for (const Json& record : records()) {
      std::string text = record["kind"].get<std::string>();
      if (record.contains("step")) text += fmt::format(" {}", record["step"].get<std::int64_t>());
      if (record.contains("status")) text += " " + record["status"].get<std::string>();
      if (record.contains("name")) text += " " + record["name"].get<std::string>();
      if (record.contains("values")) {
        for (const auto& [key, value] : record["values"].items()) text += fmt::format(" {}={}", key, value.is_string() ? value.get<std::string>() : value.dump());
      }
      all.push_back(text);
    }
    return all;
  }

  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TemporaryDirectory folder_;
};

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("A spool begins with the start of the run") {
  Run run;
  {
    MlflowSpool spool = run.open();
    spool.params({{"a", "x"}});
    spool.metrics(10, kNow, {{"step", 10}, {"epoch", 0}, {"time", "now"}, {"train.loss", 0.5}, {"bad", std::nan("")}});
    spool.artifact("config.toml", "config.toml");
    spool.status("FINISHED", kNow);
  }
  CHECK(run.words() == Words{"start", "params a=x", "metrics 10 train/loss=0.5", "artifact config.toml", "status FINISHED"});
  const Json start = run.records().front();
  CHECK(start["experiment"] == "clicks");
  CHECK(start["run_name"] == "dlrm-1");
  CHECK(start["time"] == 1'700'000'000'123);
  CHECK(start["key"].get<std::string>().size() == 32);
  CHECK(run.records()[2]["time"] == 1'700'000'000'123);
}

TEST_CASE("A resumed run repeats steps, and its spool does not") {
  Run run;
  {
    MlflowSpool spool = run.open();
    for (const std::int64_t step : {10, 20, 30}) spool.metrics(step, kNow, {{"a", 0.1 * static_cast<double>(step)}});
    // Evaluated twice at one step: before and after the best weights came back.
    spool.metrics(30, kNow, {{"b", 1.0}});
    spool.metrics(30, kNow, {{"b", 2.0}});
  }
  {
    MlflowSpool spool = run.open(15);
    for (const std::int64_t step : {20, 30, 40}) spool.metrics(step, kNow, {{"a", 0.1 * static_cast<double>(step)}});
    spool.metrics(30, kNow, {{"b", 1.0}});
    spool.metrics(30, kNow, {{"b", 2.0}});
    spool.metrics(30, kNow, {{"b", 2.0}});
  }
  const Words words = run.words();
  CHECK(Words(words.begin() + 6, words.end()) == Words{"status RUNNING", "metrics 40 a=4.0", "metrics 30 b=2.0"});
}

TEST_CASE("What comes out otherwise after a resumption is told") {
  Run run;
  { run.open().metrics(20, kNow, {{"a", 1.0}}); }
  { run.open(15).metrics(20, kNow, {{"a", 1.5}}); }
  CHECK(run.words() == Words{"start", "metrics 20 a=1.0", "status RUNNING", "metrics 20 a=1.5"});
}

TEST_CASE("Params that were told are not told again; one that has changed becomes a tag") {
  Run run;
  { run.open().params({{"run.threads", "1"}, {"run.seed", "1"}}); }
  { run.open().params({{"run.threads", "2"}, {"run.seed", "1"}, {"fresh", "1"}}); }
  CHECK(run.words() == Words{"start", "params run.threads=1 run.seed=1", "status RUNNING", "params fresh=1", "tags resumed.run.threads=2"});
}

TEST_CASE("No record is larger than a request may be") {
  Run run;
  {
    MlflowSpool spool = run.open();
    MlflowPairs params;
    for (int i = 0; i < 250; ++i) params.emplace_back(fmt::format("p{}", i), std::string(7000, 'x'));
    spool.params(params);
    Json many = Json::object();
    for (int i = 0; i < 2500; ++i) many[fmt::format("m{}", i)] = i;
    spool.metrics(1, kNow, many);
    spool.tags({{"t", std::string(9000, 'y')}});
  }
  std::size_t values = 0;
  for (const Json& record : run.records()) {
    if (!record.contains("values")) continue;
    values += record["values"].size();
    CHECK(record["values"].size() <= (record["kind"] == "metrics" ? kMlflowBatchMetrics : kMlflowBatchParams));
    for (const auto& [key, value] : record["values"].items()) {
      if (value.is_string()) CHECK(value.get<std::string>().size() <= (record["kind"] == "params" ? kMlflowParamLength : kMlflowTagLength));
    }
  }
  CHECK(values == 250 + 2500 + 1);
}

TEST_CASE("Two names that look the same to MLflow stay two") {
  Run run;
  { run.open().params({{"features.c*", "x"}, {"features.c+", "y"}}); }
  const Json values = run.records()[1]["values"];
  REQUIRE(values.size() == 2);
  CHECK(values["features.c_"] == "x");
  CHECK(values.back() == "y");
}

TEST_CASE("A spool that begins late is told of what was before") {
  TemporaryDirectory root;
  RunDirectory directory = RunDirectory::create(root.path(), "dlrm", "");
  for (const std::int64_t step : {10, 20, 30}) directory.metrics(step, {{"train.loss", 0.5}});
  const LockFile lock = lock_mlflow_spool(directory.path());
  { MlflowSpool spool(directory.path(), {"clicks", "dlrm-1", kNow}, 20); }
  SpoolReader reader(MlflowSpoolFiles(directory.path()).records);
  CHECK(reader.next()->fields["kind"] == "start");
  CHECK(reader.next()->fields["step"] == 10);
  CHECK(reader.next()->fields["step"] == 20);
  CHECK_FALSE(reader.next());
  CHECK_THROWS_WITH(lock_mlflow_spool(directory.path()), Catch::Contains("is held by a running process"));
}

TEST_CASE("A full disk ends the telling, not the run") {
  Run run;
  {
    MlflowSpool spool = run.open();
    spool.tags({{"a", "x"}});
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    rlimit full = before;
    full.rlim_cur = std::filesystem::file_size(spool.records().path()) + 20;
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &full);
    spool.tags({{"b", "y"}});
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    spool.tags({{"c", "z"}});
    spool.sync();
  }
  { MlflowSpool spool = run.open(); }
  CHECK(run.words() == Words{"start", "tags a=x", "status RUNNING"});
}

TEST_CASE("A run that was killed is given its end once") {
  Run run;
  { MlflowSpool spool = run.open(); }
  Spool records(MlflowSpoolFiles(run.path()).records);
  end_mlflow_spool(records, kNow);
  end_mlflow_spool(records, kNow);
  CHECK(run.words() == Words{"start", "status KILLED"});
  { MlflowSpool spool = run.open(); }
  Spool again(MlflowSpoolFiles(run.path()).records);
  end_mlflow_spool(again, kNow);
  CHECK(run.words() == Words{"start", "status KILLED", "status RUNNING", "status KILLED"});
}
