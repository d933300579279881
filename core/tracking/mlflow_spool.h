#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "tracking/mlflow_client.h"
#include "tracking/spool.h"

namespace rechost {

/// Files of a run's directory `spool/`, all of them small but the first.
struct MlflowSpoolFiles {
  explicit MlflowSpoolFiles(const std::filesystem::path& run_directory);

  std::filesystem::path directory;
  std::filesystem::path records;  ///< mlflow.log: all that was ever to be sent, in order (spool.h)
  std::filesystem::path state;    ///< mlflow.json: which MLflow run it is, and up to which record the server has it
  std::filesystem::path lock;     ///< see lock_mlflow_spool()
};

/// What begins an MLflow run.
struct MlflowBeginning {
  std::string experiment;
  std::string run_name;
  WallTime start;
};

/// Writes down what MLflow is to know of a run, whether or not there is a server. Threads may not share it.
///
/// Kinds of records: "start" (first, once), "params", "metrics", "tags", "artifact", "status". Nothing is ever taken back, here or by MLflow. So a
/// resumed run, which repeats the steps after its checkpoint, writes down only what its spool does not have already.
///
/// Once the disk has refused, one warning is given and nothing more is written: training goes on.
class MlflowSpool {
 public:
  /// Opens the spool of `run_directory`, which must be locked, and writes its beginning, unless it has one: then the same MLflow run goes on. `first_step` > 0:
  /// resumed there; metrics.jsonl up to there is written down where the spool is new. Throws Error when it cannot be opened or is damaged.
  MlflowSpool(const std::filesystem::path& run_directory, const MlflowBeginning& beginning, std::int64_t first_step);
  ~MlflowSpool();

  /// Params never change in MLflow. One whose value is another since the run was resumed becomes a tag "resumed.<key>".
  void params(const MlflowPairs& values);
  void tags(const MlflowPairs& values);

  /// `fields` as a line of metrics.jsonl has them: numbers are taken, but for "step" and "epoch".
  void metrics(std::int64_t step, WallTime time, const Json& fields);

  /// A file of the run directory (`file` relative to it), read when it is sent. `name`: its path among the artifacts.
  void artifact(const std::string& file, const std::string& name);

  /// FINISHED, FAILED or KILLED; RUNNING is written by a spool that is opened again.
  void status(std::string_view status, WallTime time);

  /// What was written down is on the disk when this returns.
  void sync();

  const Spool& records() const { return spool_; }

 private:
  using Point = std::pair<std::string, std::int64_t>;  // key, step

  void take_over(std::int64_t first_step, const MlflowBeginning& beginning);
  void append(const Json& record);

  std::filesystem::path run_directory_;
  MlflowSpoolFiles files_;
  Spool spool_;
  std::map<std::string, std::string> params_;                ///< written down
  std::map<Point, std::vector<double>> written_after_;  ///< of steps after the one of the checkpoint; what comes again is taken out
  std::int64_t values_changed_ = 0;
  bool off_ = false;
};

/// Whoever reads or writes the spool of a run holds this. Throws Error, naming the holder, when it is taken.
LockFile lock_mlflow_spool(const std::filesystem::path& run_directory);

/// For the spool of a run that was killed and so could not say that it ended: writes the status KILLED, unless the last one is an end.
void end_mlflow_spool(Spool& records, WallTime time);

}  // namespace rechost
