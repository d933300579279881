# Training on a GPU that the CPU plays: everything of the GPU's path but CUDA itself and LibTorch's CUDA half.
import gpu_runs
from program import SMALL, expect, folder, main, rechost


def losses_equal_those_of_the_cpu():
    gpu_runs.losses_equal_those_of_the_cpu(gpu_runs.EMULATED)


def a_run_goes_on_from_its_checkpoint_with_the_same_bits():
    gpu_runs.a_run_goes_on_from_its_checkpoint(gpu_runs.EMULATED, exact=True)


def checkpoints_pass_between_cpu_and_gpu():
    gpu_runs.checkpoints_pass_between_cpu_and_gpu(gpu_runs.EMULATED)


def a_trained_model_is_used():
    gpu_runs.use_of_a_model(gpu_runs.EMULATED)


def a_loss_that_is_not_finite_names_its_place():
    gpu_runs.a_loss_that_is_not_finite_names_its_place(gpu_runs.EMULATED)


def every_optimizer_and_regularization_equals_the_cpu():
    gpu_runs.every_optimizer_and_regularization(gpu_runs.EMULATED)


def without_a_gpu_auto_says_so_once_and_cuda_refuses():
    hidden = {"CUDA_VISIBLE_DEVICES": ""}  # the same on a machine with a GPU
    with folder() as place:
        run = ["run", "--plugin", "dlrm", *SMALL, "--out", place]
        result = rechost(*run, env=hidden)
        said = [line for line in result.err.splitlines() if "running on" in line]
        expect(len(said) == 1 and said[0].startswith("running on the CPU: ") and len(said[0]) > 30, f"auto says where it runs, once\n{result}")
        result = rechost(*run, "--set", "run.device=cuda", env=hidden, code=78)
        expect("run.device" in result.err and '"cpu"' in result.err, f"cuda refuses\n{result}")
        # Asked for the CPU, nobody speaks of GPUs.
        expect("running on" not in rechost(*run, "--set", "run.device=cpu", env=hidden).err, "cpu is silent")


def a_module_that_is_none_is_refused():
    with folder() as place:
        missing = {"RECHOST_CUDA_MODULE": f"{place}/rechost_cuda.so"}
        result = rechost("run", "--plugin", "dlrm", *SMALL, "--set", "run.device=cuda", "--out", place, env=missing, code=78)
        expect("no CUDA module" in result.err and "preset" in result.err, result)


def doctor_lists_gpus():
    result = rechost("doctor", env=gpu_runs.EMULATED, code=None)
    expect("emulated on the CPU" in result.out, result)


main([losses_equal_those_of_the_cpu, a_run_goes_on_from_its_checkpoint_with_the_same_bits, checkpoints_pass_between_cpu_and_gpu,
      a_trained_model_is_used, a_loss_that_is_not_finite_names_its_place, every_optimizer_and_regularization_equals_the_cpu,
      without_a_gpu_auto_says_so_once_and_cuda_refuses, a_module_that_is_none_is_refused, doctor_lists_gpus])
