#include "launch/process_identity.h"

#include <algorithm>
#include <charconv>

#include <unistd.h>

#include "base/error.h"
#include "base/host.h"
#include "base/philox.h"
#include "launch/slurm_hosts.h"

namespace rechost {
namespace {

constexpr int kPortsToTry = 16;
constexpr const char* kLoopback = "127.0.0.1";

/// Reads the environment and notes which variables counted.
class Variables {
 public:
  explicit Variables(const ReadVariable& read) : read_(read) {}

  bool has(const std::string& name) const { return read_(name).has_value(); }
  bool same(const std::string& left, const std::string& right) const { return read_(left) == read_(right); }

  std::optional<std::string> text(const std::string& name) {
    const auto value = read_(name);
    if (value) because_.push_back(name + "=" + *value);
    return value;
  }

  /// Not noted: looked at, but it decides nothing by itself.
  std::optional<std::string> peek(const std::string& name) const { return read_(name); }

  /// Noted without its value.
  std::optional<std::string> secret(const std::string& name) {
    const auto value = read_(name);
    if (value) because_.push_back(name);
    return value;
  }

  std::optional<int> number(const std::string& name) {
    const auto value = text(name);
    if (!value) return std::nullopt;
    int result = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), result);
    if (error != std::errc() || end != value->data() + value->size() || result < 0) {
      fail<ConfigError>("{}=\"{}\" is not a number from 0 up", name, *value);
    }
    return result;
  }

  /// `contract`: what sets it, for the message.
  int need(const std::string& name, const std::string& contract) {
    const auto value = number(name);
    if (!value) fail<ConfigError>("{} is set but {} is not: {}", contract, name, "set both, or unset both to train in one process");
    return *value;
  }

  std::vector<std::string> because() const { return because_; }

 private:
  const ReadVariable& read_;
  std::vector<std::string> because_;
};

/// Where rank 0 is, if a variable says so.
void read_meeting(Variables& variables, ProcessIdentity& identity, int port_offset, const std::vector<std::string>& prefixes = {"RECHOST_", ""}) {
  for (const std::string& prefix : prefixes) {
    if (const auto host = variables.text(prefix + "MASTER_ADDR"); host && identity.host.empty()) identity.host = *host;
    if (!identity.ports.empty()) continue;
    if (const auto port = variables.number(prefix + "MASTER_PORT")) {
      if (*port < 1 || *port > 65535) fail<ConfigError>("{}MASTER_PORT={} is no port", prefix, *port);
      for (int i = 0; i < kPortsToTry && *port + port_offset + i <= 65535; ++i) identity.ports.push_back(*port + port_offset + i);
    }
  }
}

/// Which rank of its machine this is, and of how many; where nothing says so, as given.
void read_place(Variables& variables, ProcessIdentity& identity, const std::string& prefix, int rank, int size) {
  const std::optional<int> said_rank = variables.number(prefix + "LOCAL_RANK");
  const std::optional<int> said_size = variables.number(prefix + "LOCAL_WORLD_SIZE");
  identity.local_rank = said_rank.value_or(rank);
  identity.local_world_size = said_size.value_or(size);
  if (said_size && *said_size > identity.world_size) {
    fail<ConfigError>("{0}LOCAL_WORLD_SIZE={1}, but there are {2} ranks in all ({0}WORLD_SIZE): set both as the launcher does, or neither", prefix, *said_size,
                      identity.world_size);
  }
  if (said_rank && said_size && *said_rank >= *said_size) {
    fail<ConfigError>("{0}LOCAL_RANK={1}, but {0}LOCAL_WORLD_SIZE={2}: ranks of a machine are counted from 0", prefix, *said_rank, *said_size);
  }
}

ProcessIdentity from_rechost(Variables& variables) {
  ProcessIdentity identity;
  identity.launcher = "rechost";
  identity.rank = variables.need("RECHOST_RANK", "RECHOST_WORLD_SIZE");
  identity.world_size = variables.need("RECHOST_WORLD_SIZE", "RECHOST_RANK");
  read_place(variables, identity, "RECHOST_", identity.rank, identity.world_size);
  identity.listener = variables.number("RECHOST_LISTENER").value_or(-1);
  identity.token = variables.secret("RECHOST_JOB_TOKEN").value_or("");
  read_meeting(variables, identity, 0);
  return identity;
}

ProcessIdentity from_torchrun(Variables& variables) {
  ProcessIdentity identity;
  identity.launcher = "torchrun";
  identity.token = *variables.text("TORCHELASTIC_RUN_ID") + "/" + variables.text("TORCHELASTIC_RESTART_COUNT").value_or("0");
  identity.rank = variables.need("RANK", "TORCHELASTIC_RUN_ID");
  identity.world_size = variables.need("WORLD_SIZE", "TORCHELASTIC_RUN_ID");
  read_place(variables, identity, "", 0, 1);
  // The agent of torchrun may have a store of its own at MASTER_PORT; the ports above it are ours to try.
  read_meeting(variables, identity, 1);
  return identity;
}

/// Under launchers that do not say where rank 0 is: on this machine when all ranks are, else the user must say.
void require_address(ProcessIdentity& identity, const std::string& remedy) {
  if (!identity.host.empty() || identity.world_size == 1) return;
  if (identity.local_world_size == identity.world_size) {
    identity.host = kLoopback;
    return;
  }
  fail<ConfigError>("{} started {} ranks on several machines, and nothing says where rank 0 is: {}", identity.launcher, identity.world_size, remedy);
}

ProcessIdentity from_open_mpi(Variables& variables) {
  ProcessIdentity identity;
  identity.launcher = "ompi";
  identity.rank = variables.need("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE");
  identity.world_size = variables.need("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK");
  identity.local_rank = variables.number("OMPI_COMM_WORLD_LOCAL_RANK").value_or(0);
  identity.local_world_size = variables.number("OMPI_COMM_WORLD_LOCAL_SIZE").value_or(1);
  identity.token = variables.text("PMIX_NAMESPACE").value_or(variables.text("OMPI_MCA_ess_base_jobid").value_or("ompi"));
  read_meeting(variables, identity, 0);
  require_address(identity, "mpirun -x MASTER_ADDR=HOST, with the machine of the first rank");
  return identity;
}

ProcessIdentity from_slurm(Variables& variables);

ProcessIdentity from_pmi(Variables& variables) {
  ProcessIdentity identity;
  identity.launcher = "pmi";
  identity.rank = variables.need("PMI_RANK", "PMI_SIZE");
  identity.world_size = variables.need("PMI_SIZE", "PMI_RANK");
  // srun --mpi=pmi2 numbers its tasks in both ways, and Slurm's variables name the machines.
  const bool of_slurm = variables.same("PMI_RANK", "SLURM_PROCID") && variables.same("PMI_SIZE", "SLURM_NTASKS");
  if (of_slurm && variables.has("SLURM_STEP_ID")) return from_slurm(variables);
  identity.local_rank = variables.number("MPI_LOCALRANKID").value_or(0);
  identity.local_world_size = variables.number("MPI_LOCALNRANKS").value_or(1);
  identity.token = variables.text("PMI_JOBID").value_or(variables.secret("RECHOST_JOB_TOKEN").value_or(""));
  // Two mpiexec on one machine may not be told apart by variables; all ranks on a machine have one parent.
  if (identity.token.empty() && identity.local_world_size == identity.world_size) identity.token = fmt::format("pmi {}", getppid());
  read_meeting(variables, identity, 0);
  require_address(identity, "mpiexec -genv MASTER_ADDR HOST, with the machine of the first rank");
  return identity;
}

ProcessIdentity from_slurm(Variables& variables) {
  ProcessIdentity identity;
  identity.launcher = "slurm";
  identity.rank = variables.need("SLURM_PROCID", "SLURM_STEP_ID");
  const auto tasks = variables.number("SLURM_STEP_NUM_TASKS");
  identity.world_size = tasks ? *tasks : variables.need("SLURM_NTASKS", "SLURM_STEP_ID");
  identity.local_rank = variables.number("SLURM_LOCALID").value_or(0);
  const auto node = static_cast<std::size_t>(variables.number("SLURM_NODEID").value_or(0));
  if (const auto per_node = variables.text("SLURM_STEP_TASKS_PER_NODE")) {
    const std::vector<int> counts = expand_tasks_per_node(*per_node);
    if (node < counts.size()) identity.local_world_size = counts[node];
  }
  const std::string job = variables.text("SLURM_JOB_ID").value_or("0") + "." + variables.text("SLURM_STEP_ID").value_or("0");
  identity.token = "slurm " + job + "/" + variables.text("SLURM_RESTART_COUNT").value_or("0");
  read_meeting(variables, identity, 0);
  // The names of nodes need not resolve; on one machine no name is needed.
  if (identity.host.empty() && identity.local_world_size == identity.world_size) identity.host = kLoopback;
  if (identity.host.empty()) {
    if (const auto nodes = variables.text("SLURM_STEP_NODELIST")) identity.host = expand_slurm_hosts(*nodes).front();
  }
  require_address(identity, "export MASTER_ADDR=HOST before srun, with the first machine of the step");
  return identity;
}

ProcessIdentity from_plain(Variables& variables) {
  ProcessIdentity identity;
  identity.launcher = "env";
  identity.world_size = variables.need("WORLD_SIZE", "RANK");
  // Some containers set WORLD_SIZE=1 for everybody.
  if (identity.world_size == 1 && !variables.has("RANK")) return identity;
  identity.rank = variables.need("RANK", "WORLD_SIZE");
  read_place(variables, identity, "", 0, 1);
  read_meeting(variables, identity, 0);
  identity.token = fmt::format("env {} {}:{}", identity.world_size, identity.host, identity.ports.empty() ? 0 : identity.ports.front());
  if (identity.world_size > 1 && identity.host.empty()) {
    throw ConfigError("RANK and WORLD_SIZE are set but MASTER_ADDR is not: set MASTER_ADDR and MASTER_PORT to the machine of rank 0 and a free port");
  }
  return identity;
}

void require_ranks(const ProcessIdentity& identity, std::int64_t ranks) {
  if (ranks > kMostRanks) fail<ConfigError>("{} ranks{}: a run has at most {}", ranks, identity.launcher == "single" ? "" : " under " + identity.launcher, kMostRanks);
}

/// Sets rank and number of ranks for the agent of a node: `count` processes on each of `nodes`.
void share_nodes(ProcessIdentity& identity, int nodes, int node, int count) {
  if (nodes < 1 || node >= nodes) fail<ConfigError>("{} says that this is node {} of {}", identity.launcher, node, nodes);
  require_ranks(identity, std::int64_t{nodes} * count);
  identity.one_each = true;
  identity.starts = count;
  identity.local_world_size = count;
  identity.rank = node * count;
  identity.world_size = nodes * count;
  if (nodes == 1) identity.host = kLoopback;
}

/// `said` by the contract in variable `name`, `wanted` by the user (0: nothing said).
int processes_per_node(const std::string& name, int said, int wanted) {
  if (said != 0 && wanted != 0 && said != wanted) fail<ConfigError>("{}={} but --nproc {}: leave one of them out", name, said, wanted);
  return std::max({said, wanted, 1});
}

/// What torchrun takes for PET_NPROC_PER_NODE, without torch.
int kubeflow_processes(Variables& variables, int wanted) {
  const std::string name = "PET_NPROC_PER_NODE";
  const auto text = variables.peek(name);
  if (!text || (*text != "auto" && *text != "cpu" && *text != "gpu")) return processes_per_node(name, variables.number(name).value_or(0), wanted);
  variables.text(name);
  if (wanted != 0) return wanted;
  // One process uses all cores of its machine.
  if (*text == "auto") return 1;
  if (*text == "cpu") return usable_cores();
  throw ConfigError("PET_NPROC_PER_NODE=gpu: the GPUs are not counted here; set numProcPerNode to a number, or start with --nproc");
}

/// Kubeflow's Trainer, whose pods are nodes, and its predecessor PyTorchJob, which sets RANK to the number of the pod as well.
ProcessIdentity from_kubeflow(Variables& variables, int wanted) {
  ProcessIdentity identity;
  identity.launcher = "kubeflow";
  if (const auto range = variables.peek("PET_NNODES"); range && range->find(':') != std::string::npos) {
    fail<ConfigError>("PET_NNODES={}: a number of nodes that changes is not supported; set numNodes (in elasticPolicy: minReplicas and "
                      "maxReplicas) to one number. A run goes on with another number of ranks by --resume auto", *range);
  }
  const int nodes = variables.need("PET_NNODES", variables.has("PET_NODE_RANK") ? "PET_NODE_RANK" : "PET_NPROC_PER_NODE");
  const int node = nodes == 1 ? variables.number("PET_NODE_RANK").value_or(0) : variables.need("PET_NODE_RANK", "PET_NNODES");
  share_nodes(identity, nodes, node, kubeflow_processes(variables, wanted));
  const auto contradiction = [&](const std::string& name, int value) {
    const auto other = variables.number(name);
    if (!other || *other == value) return;
    fail<ConfigError>("{}={}, but by PET_NNODES, PET_NODE_RANK and PET_NPROC_PER_NODE it would be {}: unset {}, or start with --launcher env "
                      "if each process is a rank of its own", name, *other, value, name);
  };
  contradiction("RANK", node);
  contradiction("WORLD_SIZE", identity.world_size);
  read_meeting(variables, identity, 0, {"RECHOST_", "PET_", ""});
  if (nodes > 1 && identity.host.empty()) {
    throw ConfigError("PET_NNODES is above 1 but PET_MASTER_ADDR is not set: Kubeflow sets it in the container named node; by hand, set it to "
                      "the address of node 0");
  }
  identity.token = variables.secret("RECHOST_JOB_TOKEN").value_or(fmt::format("kubeflow {} {}", nodes, identity.host));
  return identity;
}

/// Pods of an Indexed Job or of a JobSet, or machines that are numbered by hand.
ProcessIdentity from_nodes(Variables& variables, int wanted) {
  ProcessIdentity identity;
  identity.launcher = "nodes";
  const auto given = variables.number("RECHOST_NNODES");
  if (!given) {
    throw ConfigError("JOB_COMPLETION_INDEX (or RECHOST_NODE_RANK) is set but RECHOST_NNODES is not: set RECHOST_NNODES to the number of pods "
                      "that train together; 1 if each trains alone");
  }
  const int nodes = *given;
  std::optional<int> node = variables.number("RECHOST_NODE_RANK");
  // Where each pod trains alone, its number says nothing about ranks.
  if (nodes == 1) node = node.value_or(0);
  if (!node) node = variables.number("JOB_COMPLETION_INDEX");
  if (!node) {
    throw ConfigError("RECHOST_NNODES is set but neither RECHOST_NODE_RANK nor JOB_COMPLETION_INDEX is: in Kubernetes give the Job "
                      "completionMode: Indexed; elsewhere set RECHOST_NODE_RANK to this machine's number from 0 up");
  }
  const std::string name = "RECHOST_NPROC_PER_NODE";
  share_nodes(identity, nodes, *node, processes_per_node(name, variables.number(name).value_or(0), wanted));
  if (nodes > 1) read_meeting(variables, identity, 0);
  if (nodes > 1 && identity.host.empty()) {
    throw ConfigError("RECHOST_NNODES is above 1 but RECHOST_MASTER_ADDR is not set: set it to the name of the pod with index 0, such as "
                      "train-0.train for an Indexed Job train with a headless service train, or train-node-0-0.train for a JobSet train with a job node");
  }
  identity.token = variables.secret("RECHOST_JOB_TOKEN").value_or(fmt::format("nodes {} {}", nodes, identity.host));
  return identity;
}

/// A process alone, or the agent of one machine.
ProcessIdentity from_nothing(Variables& variables, int wanted) {
  ProcessIdentity identity;
  share_nodes(identity, 1, 0, std::max(wanted, 1));
  const auto tasks = variables.peek("SLURM_NTASKS");
  if (tasks && *tasks != "1" && !variables.has("SLURM_STEP_ID") && wanted == 0) {
    identity.warning = fmt::format("Slurm has {} tasks for this job, but this process was not started by srun and trains alone: put srun before "
                                   "rechost", *tasks);
  }
  return identity;
}

struct Contract {
  const char* name;
  /// Any of these makes it this one.
  std::vector<const char*> signs;
  ProcessIdentity (*read)(Variables&);                   ///< of a launcher that starts each rank; or
  ProcessIdentity (*read_agent)(Variables&, int wanted);  ///< of one that starts one process on each machine
};

const std::vector<Contract>& contracts() {
  static const std::vector<Contract> all{
      {"rechost", {"RECHOST_RANK", "RECHOST_WORLD_SIZE"}, from_rechost, nullptr},
      {"torchrun", {"TORCHELASTIC_RUN_ID"}, from_torchrun, nullptr},
      {"ompi", {"OMPI_COMM_WORLD_RANK"}, from_open_mpi, nullptr},
      {"pmi", {"PMI_RANK"}, from_pmi, nullptr},
      {"slurm", {"SLURM_STEP_ID"}, from_slurm, nullptr},
      {"kubeflow", {"PET_NODE_RANK", "PET_NNODES", "PET_NPROC_PER_NODE"}, nullptr, from_kubeflow},
      {"env", {"RANK", "WORLD_SIZE"}, from_plain, nullptr},
      {"nodes", {"JOB_COMPLETION_INDEX", "RECHOST_NODE_RANK", "RECHOST_NNODES"}, nullptr, from_nodes},
      {"single", {}, nullptr, from_nothing},
  };
  return all;
}

/// A Slurm step that mpirun or srun --mpi=pmi2 uses to start its own processes sets SLURM_STEP_ID without making each a rank; the order above
/// settles that. An sbatch body or salloc shell has SLURM_NTASKS but no step: it is one process.
ProcessIdentity read_contract(const Contract& contract, Variables& variables, int wanted) {
  ProcessIdentity identity = contract.read != nullptr ? contract.read(variables) : contract.read_agent(variables, wanted);
  if (identity.world_size < 1 || identity.rank >= identity.world_size) {
    fail<ConfigError>("{} says that this is rank {} of {}", contract.name, identity.rank, identity.world_size);
  }
  require_ranks(identity, identity.world_size);
  // Of one process that a launcher started, the user may make several. (The ranks that --nproc starts are given that option too.)
  if (contract.read != nullptr && identity.launcher != "rechost" && identity.world_size == 1 && wanted > 1) share_nodes(identity, 1, 0, wanted);
  if (identity.token.empty()) identity.token = fmt::format("{} {}", identity.launcher, identity.world_size);
  if (identity.host.empty() && identity.world_size > 1) identity.host = kLoopback;
  if (identity.ports.empty()) identity.ports = ports_of_job(identity.token);
  identity.because = variables.because();
  return identity;
}

}  // namespace

std::vector<int> ports_of_job(const std::string& job) {
  // The system hands out ports from 32768 on; of those below, 10000 to 29999 are seldom in use.
  constexpr std::uint64_t kFirst = 10000;
  constexpr std::uint64_t kCount = 20000;
  const std::uint64_t hash = name_seed(job);
  std::vector<int> ports;
  for (int i = 0; i < kPortsToTry; ++i) ports.push_back(static_cast<int>(kFirst + (hash + static_cast<std::uint64_t>(i) * 7919) % kCount));
  return ports;
}

ProcessIdentity find_identity(const ReadVariable& read, const std::string& forced, int processes) {
  Variables variables(read);
  for (const Contract& contract : contracts()) {
    if (!forced.empty() && forced != contract.name) continue;
    const bool here = contract.signs.empty() ||
                      std::any_of(contract.signs.begin(), contract.signs.end(), [&](const char* sign) { return variables.has(sign); });
    if (!here && !forced.empty()) fail<ConfigError>("launcher {} was asked for, but {} is not set", forced, contract.signs.front());
    if (!here) continue;
    ProcessIdentity identity = read_contract(contract, variables, processes);
    if (!forced.empty()) identity.warning.clear();
    return identity;
  }
  fail<ConfigError>("there is no launcher \"{}\"; there are: {}", forced, launcher_names());
}

std::string launcher_names() {
  std::string names;
  for (const Contract& contract : contracts()) names += fmt::format("{}{}", names.empty() ? "" : ", ", contract.name);
  return names;
}

}  // namespace rechost
