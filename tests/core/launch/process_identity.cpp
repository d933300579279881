#include "launch/process_identity.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "base/error.h"
#include "launch/launch_variables.h"
#include "launch/slurm_hosts.h"

using namespace rechost;
using Catch::Contains;

namespace {

using Variables = std::map<std::string, std::string>;

ProcessIdentity identity(Variables variables, const std::string& forced = "", int processes = 0) {
  return find_identity(
      [variables](const std::string& name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
      },
      forced, processes);
}

/// `base` with changes; "" takes a variable away.
Variables with(Variables base, const Variables& changes) {
  for (const auto& [name, value] : changes) {
    base[name] = value;
    if (value.empty()) base.erase(name);
  }
  return base;
}

const Variables kSlurmStep{{"SLURM_JOB_ID", "17"},     {"SLURM_STEP_ID", "3"},
                           {"SLURM_PROCID", "5"},      {"SLURM_STEP_NUM_TASKS", "8"},
                           {"SLURM_NTASKS", "8"},      {"SLURM_LOCALID", "1"},
                           {"SLURM_NODEID", "1"},      {"SLURM_STEP_TASKS_PER_NODE", "4,2,1(x2)"},
                           {"SLURM_STEP_NODELIST", "rack[1-2]n[08-10]"}};

/// What Kubeflow's Trainer sets in the second of three pods with two ranks each.
const Variables kTrainerPod{{"PET_NNODES", "3"},
                            {"PET_NODE_RANK", "1"},
                            {"PET_NPROC_PER_NODE", "2"},
                            {"PET_MASTER_ADDR", "job-node-0-0.job"},
                            {"PET_MASTER_PORT", "29500"},
                            {"JOB_COMPLETION_INDEX", "1"}};

const Variables kIndexedPod{{"JOB_COMPLETION_INDEX", "2"}, {"RECHOST_NNODES", "4"}, {"RECHOST_MASTER_ADDR", "train-0.train"}};

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

TEST_CASE("srun --mpi=pmi2 numbers a task twice, and Slurm's variables name the machines") {
  const Variables both = with(kSlurmStep, {{"PMI_RANK", "5"}, {"PMI_SIZE", "8"}, {"PMI_JOBID", "17.3"}});
  CHECK(identity(both).launcher == "slurm");
  CHECK(identity(both).host == "rack1n08");
  // An mpiexec inside of a step numbers its own.
  CHECK(identity(with(both, {{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"MPI_LOCALNRANKS", "2"}})).launcher == "pmi");
}

TEST_CASE("a task of Slurm that srun has not started is warned, unless it is wanted so") {
  const Variables body{{"SLURM_JOB_ID", "17"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}};
  CHECK_THAT(identity(body).warning, Contains("put srun before rechost"));
  CHECK(identity(body, "single").warning.empty());
  CHECK(identity(body, "", 4).warning.empty());
  CHECK(identity(with(body, {{"SLURM_NTASKS", "1"}})).warning.empty());
}

TEST_CASE("a process alone becomes the agent of several") {
  const ProcessIdentity found = identity({}, "", 3);
  CHECK(found.launcher == "single");
  CHECK(found.starts == 3);
  CHECK(found.rank == 0);
  CHECK(found.world_size == 3);
  CHECK(found.local_world_size == 3);
  CHECK(identity({{"RECHOST_RANK", "1"}, {"RECHOST_WORLD_SIZE", "3"}}, "", 3).starts == 1);
  CHECK(identity({{"WORLD_SIZE", "1"}}, "", 2).starts == 2);
}

TEST_CASE("a pod of Kubeflow's Trainer is the agent of its ranks") {
  const ProcessIdentity found = identity(kTrainerPod);
  CHECK(found.launcher == "kubeflow");
  CHECK(found.starts == 2);
  CHECK(found.rank == 2);
  CHECK(found.world_size == 6);
  CHECK(found.local_world_size == 2);
  CHECK(found.host == "job-node-0-0.job");
  CHECK(found.ports.front() == 29500);
  CHECK(found.token == identity(with(kTrainerPod, {{"PET_NODE_RANK", "2"}, {"JOB_COMPLETION_INDEX", "2"}})).token);
  // Ranks that it starts, or torchrun in the pod, are told who they are.
  CHECK(identity(with(kTrainerPod, {{"RECHOST_RANK", "3"}, {"RECHOST_WORLD_SIZE", "6"}})).starts == 1);
  CHECK(identity(with(kTrainerPod, {{"TORCHELASTIC_RUN_ID", "r"}, {"RANK", "3"}, {"WORLD_SIZE", "6"}})).launcher == "torchrun");
  // One rank in each pod needs no agent.
  const ProcessIdentity single = identity(with(kTrainerPod, {{"PET_NPROC_PER_NODE", "1"}}));
  CHECK(single.starts == 1);
  CHECK(single.rank == 1);
  CHECK(single.world_size == 3);
  CHECK(identity(with(kTrainerPod, {{"PET_NPROC_PER_NODE", "auto"}})).world_size == 3);
  CHECK(identity(with(kTrainerPod, {{"PET_NPROC_PER_NODE", "auto"}}), "", 4).world_size == 12);
  CHECK(identity(with(kTrainerPod, {{"PET_NPROC_PER_NODE", "cpu"}})).starts >= 1);
  CHECK(identity({{"PET_NNODES", "1"}, {"PET_NPROC_PER_NODE", "2"}}).host == "127.0.0.1");
}

TEST_CASE("a pod of a PyTorchJob has its own number in RANK") {
  const Variables pod{{"PET_NNODES", "3"},   {"PET_NODE_RANK", "1"}, {"PET_NPROC_PER_NODE", "2"},    {"RANK", "1"},
                      {"WORLD_SIZE", "6"}, {"MASTER_PORT", "23456"}, {"MASTER_ADDR", "job-master-0"}};
  const ProcessIdentity found = identity(pod);
  CHECK(found.launcher == "kubeflow");
  CHECK(found.rank == 2);
  CHECK(found.world_size == 6);
  CHECK(found.starts == 2);
  CHECK(found.host == "job-master-0");
  CHECK(found.ports.front() == 23456);
  CHECK_THROWS_WITH(identity(with(pod, {{"RANK", "4"}})), Contains("RANK=4") && Contains("it would be 1") && Contains("--launcher env"));
  CHECK(identity(with(pod, {{"RANK", "4"}}), "env").rank == 4);
  CHECK_THROWS_WITH(identity(with(pod, {{"WORLD_SIZE", "3"}})), Contains("WORLD_SIZE=3") && Contains("it would be 6"));
}

TEST_CASE("a pod of an Indexed Job or a JobSet is a node") {
  const ProcessIdentity found = identity(kIndexedPod);
  CHECK(found.launcher == "nodes");
  CHECK(found.starts == 1);
  CHECK(found.rank == 2);
  CHECK(found.world_size == 4);
  CHECK(found.host == "train-0.train");
  CHECK(found.ports == ports_of_job(found.token));
  for (const ProcessIdentity& several : {identity(kIndexedPod, "", 3), identity(with(kIndexedPod, {{"RECHOST_NPROC_PER_NODE", "3"}}))}) {
    CHECK(several.starts == 3);
    CHECK(several.rank == 6);
    CHECK(several.world_size == 12);
  }
  CHECK_THROWS_WITH(identity(kIndexedPod, "", 2147483647), Contains("8589934588 ranks under nodes") && Contains("at most 4096"));
  CHECK(identity(with(kIndexedPod, {{"RECHOST_NODE_RANK", "3"}})).rank == 3);
  CHECK(identity(with(kIndexedPod, {{"RECHOST_JOB_TOKEN", "a uid"}})).token == "a uid");
  // Pods that train alone.
  CHECK(identity({{"JOB_COMPLETION_INDEX", "2"}, {"RECHOST_NNODES", "1"}}).world_size == 1);
  CHECK(identity({{"JOB_COMPLETION_INDEX", "2"}}, "single").world_size == 1);
}

TEST_CASE("half of a node's contract is an error that says what is missing") {
  CHECK_THROWS_WITH(identity({{"JOB_COMPLETION_INDEX", "2"}}), Contains("set RECHOST_NNODES to the number of pods"));
  CHECK_THROWS_WITH(identity({{"RECHOST_NNODES", "4"}}), Contains("completionMode: Indexed"));
  CHECK_THROWS_WITH(identity(with(kIndexedPod, {{"RECHOST_MASTER_ADDR", ""}})), Contains("RECHOST_MASTER_ADDR is not set"));
  CHECK_THROWS_WITH(identity(with(kIndexedPod, {{"JOB_COMPLETION_INDEX", "4"}})), Contains("node 4 of 4"));
  CHECK_THROWS_WITH(identity(with(kIndexedPod, {{"RECHOST_NPROC_PER_NODE", "3"}}), "", 2), Contains("RECHOST_NPROC_PER_NODE=3 but --nproc 2"));
  CHECK_THROWS_WITH(identity(with(kTrainerPod, {{"PET_NODE_RANK", ""}})), Contains("PET_NODE_RANK is not"));
  CHECK_THROWS_WITH(identity(with(kTrainerPod, {{"PET_NNODES", ""}})), Contains("PET_NNODES is not"));
  CHECK_THROWS_WITH(identity({{"PET_NPROC_PER_NODE", "2"}}), Contains("PET_NPROC_PER_NODE is set but PET_NNODES is not"));
  CHECK_THROWS_WITH(identity(with(kTrainerPod, {{"PET_NNODES", "1:3"}})), Contains("PET_NNODES=1:3") && Contains("numNodes"));
  CHECK_THROWS_WITH(identity(with(kTrainerPod, {{"PET_MASTER_ADDR", ""}})), Contains("PET_MASTER_ADDR is not set"));
  CHECK_THROWS_WITH(identity(with(kTrainerPod, {{"PET_NPROC_PER_NODE", "gpu"}})), Contains("PET_NPROC_PER_NODE=gpu"));
  CHECK_THROWS_WITH(identity(with(kTrainerPod, {{"PET_NPROC_PER_NODE", "two"}})), Contains("PET_NPROC_PER_NODE=\"two\" is not a number"));
  CHECK_THROWS_WITH(identity({}, "kubeflow"), Contains("PET_NODE_RANK is not set"));
}

TEST_CASE("every variable that is read is explained") {
  std::set<std::string> asked;
  const auto find = [&](const Variables& variables, const std::string& forced) {
    try {
      find_identity(
          [&](const std::string& name) {
            asked.insert(name);
            const auto found = variables.find(name);
            return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
          },
          forced);
    } catch (const ConfigError&) {
      // What it looked at counts.
    }
  };
  find({}, "");
  find(kSlurmStep, "");
  find(kTrainerPod, "");
  find(kIndexedPod, "");
  find({{"RECHOST_RANK", "0"}, {"RECHOST_WORLD_SIZE", "2"}}, "");
  find({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}}, "");
  find({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"MPI_LOCALNRANKS", "2"}}, "");
  find({{"TORCHELASTIC_RUN_ID", "r"}, {"RANK", "0"}, {"WORLD_SIZE", "2"}}, "");
  CHECK(asked.size() > 35);
  for (const std::string& name : asked) {
    const auto variables = launch_variables();
    INFO(name);
    CHECK(std::any_of(variables.begin(), variables.end(), [&](const LaunchVariable& variable) { return variable.name == name; }));
  }
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

TEST_CASE("a place on a machine that is none is refused") {
  const Variables plain{{"RANK", "1"}, {"WORLD_SIZE", "4"}, {"MASTER_ADDR", "a"}, {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "2"}};
  CHECK(identity(plain).local_rank == 1);
  CHECK_THROWS_WITH(identity(with(plain, {{"LOCAL_RANK", "2"}})), Contains("LOCAL_RANK=2") && Contains("LOCAL_WORLD_SIZE=2"));
  CHECK_THROWS_WITH(identity(with(plain, {{"LOCAL_WORLD_SIZE", "5"}})), Contains("LOCAL_WORLD_SIZE=5") && Contains("4 ranks in all"));
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
