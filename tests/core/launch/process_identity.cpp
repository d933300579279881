#include "launch/process_identity.h"

#include <catch2/catch.hpp>
#include <map>

#include "base/error.h"
#include "launch/slurm_hosts.h"

using namespace rechost;
using Catch::Contains;

namespace {

ProcessIdentity identity(std::map<std::string, std::string> variables, const std::string& forced = "") {
  return find_identity(
      [variables](const std::string& name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
      },
      forced);
}

const std::map<std::string, std::string> kSlurmStep{{"SLURM_JOB_ID", "17"},     {"SLURM_STEP_ID", "3"},
                                                    {"SLURM_PROCID", "5"},      {"SLURM_STEP_NUM_TASKS", "8"},
                                                    {"SLURM_NTASKS", "8"},      {"SLURM_LOCALID", "1"},
                                                    {"SLURM_NODEID", "1"},      {"SLURM_STEP_TASKS_PER_NODE", "4,2,1(x2)"},
                                                    {"SLURM_STEP_NODELIST", "rack[1-2]n[08-10]"}};

}  // namespace

TEST_CASE("a process alone") {
  CHECK(identity({}).world_size == 1);
  CHECK(identity({}).launcher == "single");
  CHECK(identity({{"WORLD_SIZE", "1"}}).world_size == 1);
  // The body of an sbatch script, and a shell of salloc, have a number of tasks but are no task.
  CHECK(identity({{"SLURM_JOB_ID", "17"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}).launcher == "single");
}

TEST_CASE("a step of Slurm") {
  const ProcessIdentity found = identity(kSlurmStep);
  CHECK(found.launcher == "slurm");
  CHECK(found.rank == 5);
  CHECK(found.world_size == 8);
  CHECK(found.local_rank == 1);
  CHECK(found.local_world_size == 2);
  CHECK(found.host == "rack1n08");
  CHECK(found.ports == ports_of_job(found.token));
  auto one_node = kSlurmStep;
  one_node["SLURM_STEP_TASKS_PER_NODE"] = "8";
  one_node["SLURM_NODEID"] = "0";
  CHECK(identity(one_node).host == "127.0.0.1");
  auto again = kSlurmStep;
  again["SLURM_RESTART_COUNT"] = "1";
  CHECK(identity(again).token != found.token);
}

TEST_CASE("the more particular contract wins") {
  auto variables = kSlurmStep;
  // mpirun inside salloc starts its daemons with srun.
  variables.insert({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "3"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"}, {"PMIX_NAMESPACE", "n"}});
  CHECK(identity(variables).launcher == "ompi");
  CHECK(identity(variables).rank == 2);
  CHECK(identity(variables).host == "127.0.0.1");
  variables.insert({{"TORCHELASTIC_RUN_ID", "r"}, {"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "h"}, {"MASTER_PORT", "29500"}});
  CHECK(identity(variables).launcher == "torchrun");
  // Its agent may listen at MASTER_PORT itself.
  CHECK(identity(variables).ports.front() == 29501);
  variables.insert({{"RECHOST_RANK", "0"}, {"RECHOST_WORLD_SIZE", "2"}});
  CHECK(identity(variables).launcher == "rechost");
  CHECK(identity(variables, "slurm").rank == 5);
}

TEST_CASE("half of a contract is an error that says what is missing") {
  CHECK_THROWS_WITH(identity({{"WORLD_SIZE", "4"}}), Contains("RANK is not"));
  CHECK_THROWS_WITH(identity({{"RANK", "0"}}), Contains("WORLD_SIZE is not"));
  CHECK_THROWS_WITH(identity({{"RANK", "0"}, {"WORLD_SIZE", "4"}}), Contains("MASTER_ADDR is not"));
  CHECK_THROWS_WITH(identity({{"RANK", "4"}, {"WORLD_SIZE", "4"}, {"MASTER_ADDR", "h"}}), Contains("rank 4 of 4"));
  CHECK_THROWS_WITH(identity({{"RANK", "one"}, {"WORLD_SIZE", "4"}}), Contains("RANK=\"one\" is not a number"));
  CHECK_THROWS_WITH(identity({{"RECHOST_RANK", "1"}}), Contains("RECHOST_WORLD_SIZE is not"));
  CHECK_THROWS_WITH(identity({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}}),
                    Contains("mpirun -x MASTER_ADDR=HOST"));
  CHECK_THROWS_WITH(identity({}, "slurm"), Contains("SLURM_STEP_ID is not set"));
  CHECK_THROWS_WITH(identity({}, "slrum"), Contains("no launcher \"slrum\""));
}

TEST_CASE("Slurm's lists of hosts, as scontrol expands them") {
  using Hosts = std::vector<std::string>;
  CHECK(expand_slurm_hosts("n1") == Hosts{"n1"});
  CHECK(expand_slurm_hosts("gpu-a[001-003,007],login") == Hosts{"gpu-a001", "gpu-a002", "gpu-a003", "gpu-a007", "login"});
  CHECK(expand_slurm_hosts("rack[1-2]n[08-10]") == Hosts{"rack1n08", "rack1n09", "rack1n10", "rack2n08", "rack2n09", "rack2n10"});
  for (const char* bad : {"", "n[1-", "n]1", "n[1-x]", "a,,b", "n[1-99999999]"}) CHECK_THROWS_AS(expand_slurm_hosts(bad), ConfigError);
  CHECK(expand_tasks_per_node("4,2,1(x2)") == std::vector<int>{4, 2, 1, 1});
  CHECK_THROWS_AS(expand_tasks_per_node("4,(x2)"), ConfigError);
}
