#include "launch/process_identity.h"

#include <algorithm>
#include <charconv>

#include <unistd.h>

#include "base/error.h"
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

  std::optional<std::string> text(const std::string& name) {
    const auto value = read_(name);
    if (value) because_.push_back(name + "=" + *value);
    return value;
  }

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
void read_meeting(Variables& variables, ProcessIdentity& identity, int port_offset) {
  for (const std::string prefix : {"RECHOST_", ""}) {
    if (const auto host = variables.text(prefix + "MASTER_ADDR"); host && identity.host.empty()) identity.host = *host;
    if (!identity.ports.empty()) continue;
    if (const auto port = variables.number(prefix + "MASTER_PORT")) {
      if (*port < 1 || *port > 65535) fail<ConfigError>("{}MASTER_PORT={} is no port", prefix, *port);
      for (int i = 0; i < kPortsToTry && *port + port_offset + i <= 65535; ++i) identity.ports.push_back(*port + port_offset + i);
    }
  }
}

ProcessIdentity from_rechost(Variables& variables) {
  ProcessIdentity identity;
  identity.launcher = "rechost";
  identity.rank = variables.need("RECHOST_RANK", "RECHOST_WORLD_SIZE");
  identity.world_size = variables.need("RECHOST_WORLD_SIZE", "RECHOST_RANK");
  identity.local_rank = variables.number("RECHOST_LOCAL_RANK").value_or(identity.rank);
  identity.local_world_size = variables.number("RECHOST_LOCAL_WORLD_SIZE").value_or(identity.world_size);
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
  identity.local_rank = variables.number("LOCAL_RANK").value_or(0);
  identity.local_world_size = variables.number("LOCAL_WORLD_SIZE").value_or(1);
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

ProcessIdentity from_pmi(Variables& variables) {
  ProcessIdentity identity;
  identity.launcher = "pmi";
  identity.rank = variables.need("PMI_RANK", "PMI_SIZE");
  identity.world_size = variables.need("PMI_SIZE", "PMI_RANK");
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
  identity.local_rank = variables.number("LOCAL_RANK").value_or(0);
  identity.local_world_size = variables.number("LOCAL_WORLD_SIZE").value_or(1);
  read_meeting(variables, identity, 0);
  identity.token = fmt::format("env {} {}:{}", identity.world_size, identity.host, identity.ports.empty() ? 0 : identity.ports.front());
  if (identity.world_size > 1 && identity.host.empty()) {
    throw ConfigError("RANK and WORLD_SIZE are set but MASTER_ADDR is not: set MASTER_ADDR and MASTER_PORT to the machine of rank 0 and a free port");
  }
  return identity;
}

struct Contract {
  const char* name;
  /// Any of these makes it this one.
  std::vector<const char*> signs;
  ProcessIdentity (*read)(Variables&);
};

const std::vector<Contract>& contracts() {
  static const std::vector<Contract> all{
      {"rechost", {"RECHOST_RANK", "RECHOST_WORLD_SIZE"}, from_rechost},
      {"torchrun", {"TORCHELASTIC_RUN_ID"}, from_torchrun},
      {"ompi", {"OMPI_COMM_WORLD_RANK"}, from_open_mpi},
      {"pmi", {"PMI_RANK"}, from_pmi},
      {"slurm", {"SLURM_STEP_ID"}, from_slurm},
      {"env", {"RANK", "WORLD_SIZE"}, from_plain},
  };
  return all;
}

/// A Slurm step that mpirun or srun --mpi=pmi2 uses to start its own processes sets SLURM_STEP_ID without making each a rank; the order above
/// settles that. An sbatch body or salloc shell has SLURM_NTASKS but no step: it is one process.
ProcessIdentity read_contract(const Contract& contract, Variables& variables) {
  ProcessIdentity identity = contract.read(variables);
  if (identity.world_size < 1 || identity.rank >= identity.world_size) {
    fail<ConfigError>("{} says that this is rank {} of {}", contract.name, identity.rank, identity.world_size);
  }
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

ProcessIdentity find_identity(const ReadVariable& read, const std::string& forced) {
  Variables variables(read);
  for (const Contract& contract : contracts()) {
    if (!forced.empty() && forced != contract.name) continue;
    const bool here = std::any_of(contract.signs.begin(), contract.signs.end(), [&](const char* sign) { return variables.has(sign); });
    if (here) return read_contract(contract, variables);
    if (!forced.empty()) fail<ConfigError>("launcher {} was asked for, but {} is not set", forced, contract.signs.front());
  }
  if (!forced.empty() && forced != "single") {
    fail<ConfigError>("there is no launcher \"{}\"; there are: rechost, torchrun, ompi, pmi, slurm, env, single", forced);
  }
  return {};
}

}  // namespace rechost
