# label: gpu
# Training on a real GPU.
import gpu_runs
from program import main

MODULE = {}  # the one beside the program


def losses_equal_those_of_the_cpu():
    gpu_runs.losses_equal_those_of_the_cpu(MODULE)


def a_run_goes_on_from_its_checkpoint():
    # The same bits are not promised: some of LibTorch's sums on a GPU have no fixed order.
    gpu_runs.a_run_goes_on_from_its_checkpoint(MODULE, exact=False)


def checkpoints_pass_between_cpu_and_gpu():
    gpu_runs.checkpoints_pass_between_cpu_and_gpu(MODULE)


def a_trained_model_is_used():
    gpu_runs.use_of_a_model(MODULE)


def a_loss_that_is_not_finite_names_its_place():
    gpu_runs.a_loss_that_is_not_finite_names_its_place(MODULE)


def every_optimizer_and_regularization_equals_the_cpu():
    gpu_runs.every_optimizer_and_regularization(MODULE)


main([losses_equal_those_of_the_cpu, a_run_goes_on_from_its_checkpoint, checkpoints_pass_between_cpu_and_gpu, a_trained_model_is_used,
      a_loss_that_is_not_finite_names_its_place, every_optimizer_and_regularization_equals_the_cpu])
