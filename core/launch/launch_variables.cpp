#include "launch/launch_variables.h"

namespace rechost {
namespace {

constexpr LaunchVariable kVariables[] = {
    {"RECHOST_RANK", "rechost", "rank of this process, from 0 up"},
    {"RECHOST_WORLD_SIZE", "rechost", "number of ranks"},
    {"RECHOST_LOCAL_RANK", "rechost", "number of this process among those of this machine"},
    {"RECHOST_LOCAL_WORLD_SIZE", "rechost", "number of processes on this machine, which share its cores"},
    {"RECHOST_LISTENER", "rechost", "descriptor of the socket that rank 0 inherits from its supervisor"},
    {"TORCHELASTIC_RUN_ID", "torchrun", "number of the job; it shows that torchrun has started this process"},
    {"TORCHELASTIC_RESTART_COUNT", "torchrun", "starts before this one; ranks of different starts do not meet"},
    {"OMPI_COMM_WORLD_RANK", "ompi", "rank of this process"},
    {"OMPI_COMM_WORLD_SIZE", "ompi", "number of ranks"},
    {"OMPI_COMM_WORLD_LOCAL_RANK", "ompi", "number of this process among those of this machine"},
    {"OMPI_COMM_WORLD_LOCAL_SIZE", "ompi", "number of processes on this machine"},
    {"PMIX_NAMESPACE", "ompi", "number of the job"},
    {"OMPI_MCA_ess_base_jobid", "ompi", "number of the job, where PMIX_NAMESPACE is not set"},
    {"PMI_RANK", "pmi", "rank of this process"},
    {"PMI_SIZE", "pmi", "number of ranks"},
    {"PMI_JOBID", "pmi", "number of the job"},
    {"MPI_LOCALRANKID", "pmi", "number of this process among those of this machine"},
    {"MPI_LOCALNRANKS", "pmi", "number of processes on this machine"},
    {"SLURM_STEP_ID", "slurm", "number of the step; it shows that srun has started this process"},
    {"SLURM_PROCID", "slurm", "rank of this process; in the body of an sbatch script it is 0 and means nothing"},
    {"SLURM_STEP_NUM_TASKS", "slurm", "number of ranks"},
    {"SLURM_NTASKS", "slurm", "number of ranks, where SLURM_STEP_NUM_TASKS is not set"},
    {"SLURM_LOCALID", "slurm", "number of this process among those of this machine"},
    {"SLURM_NODEID", "slurm", "number of this machine in the step"},
    {"SLURM_STEP_TASKS_PER_NODE", "slurm", "processes of each machine"},
    {"SLURM_STEP_NODELIST", "slurm", "machines of the step; rank 0 is on the first"},
    {"SLURM_JOB_ID", "slurm", "number of the job"},
    {"SLURM_RESTART_COUNT", "slurm", "times that the job was put back into the queue; ranks of different starts do not meet"},
    {"PET_NNODES", "kubeflow", "number of pods, each a node"},
    {"PET_NODE_RANK", "kubeflow", "number of this pod"},
    {"PET_NPROC_PER_NODE", "kubeflow", "ranks that this process starts in its pod; auto: one, with all cores; cpu: one for each core"},
    {"PET_MASTER_ADDR", "kubeflow", "name of the pod that has rank 0"},
    {"PET_MASTER_PORT", "kubeflow", "port of rank 0"},
    {"RANK", "env", "rank of this process; a PyTorchJob puts the number of the pod there"},
    {"WORLD_SIZE", "env", "number of ranks"},
    {"LOCAL_RANK", "env", "number of this process among those of this machine; torchrun sets it too"},
    {"LOCAL_WORLD_SIZE", "env", "number of processes on this machine; torchrun sets it too"},
    {"RECHOST_NNODES", "nodes", "number of pods or machines that train together"},
    {"RECHOST_NODE_RANK", "nodes", "number of this machine, where JOB_COMPLETION_INDEX is not set or another"},
    {"JOB_COMPLETION_INDEX", "nodes", "number of this pod in its Indexed Job"},
    {"RECHOST_NPROC_PER_NODE", "nodes", "ranks that this process starts; --nproc says the same"},
    {"RECHOST_MASTER_ADDR", "", "machine of rank 0, before what the launcher says of it"},
    {"RECHOST_MASTER_PORT", "", "first port that rank 0 tries"},
    {"MASTER_ADDR", "", "machine of rank 0"},
    {"MASTER_PORT", "", "first port that rank 0 tries; under torchrun, which may listen there itself, the port before it"},
    {"RECHOST_JOB_TOKEN", "", "what all ranks of this start know and no others", true},
    {"RECHOST_JOB_SECRET_FILE", "", "file whose contents all ranks prove to know"},
    {"TORCHELASTIC_ERROR_FILE", "", "where the error that ends this process is written for torchrun"},
    {"RECHOST_TERMINATION_LOG", "", "where it is written for Kubernetes; in a pod /dev/termination-log"},
};

}  // namespace

std::span<const LaunchVariable> launch_variables() { return kVariables; }

}  // namespace rechost
