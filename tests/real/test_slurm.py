# label: real
# serial
"""Slurm's srun starts the ranks on two nodes; the weights are those of one process, also after a stop and with fewer ranks."""
import os
import pathlib
import re

from launched import ENDLESS, SHORT, kill_rank_one, launch, ranks, run_folder, training
from slurm_rig import Slurm

from checkpoints import expect_same_weights, latest
from program import BIN, SMALL, expect, folder, main

# One table is larger than the others together, so it is split.
TABLES = ["--set", "data.sparse=4", "--set", "data.cardinality=[20000, 200, 50, 30]"]
RUN = [BIN, "run", "--plugin", "dlrm", *SMALL, *TABLES, "--set", "run.deterministic=true",
       "--set", "schedule.kind=constant"]  # a decay to the end of the run would make its length part of the training

# Each line of the ranks' output begins with the task's number. Slurm fills the first node first: three and one, two and one.
FOUR = ["srun", "-l", "-N2", "-n4"]
FOUR_EVEN = [*FOUR, "--ntasks-per-node=2"]
THREE = ["srun", "-l", "-N2", "-n3"]


def endings(said):
    """task -> (node, how it ended) of those that srun complains about: "srun: error: n1: tasks 0,2-3: Exited with exit code 76"."""
    found = {}
    for node, tasks, how in re.findall(r"^srun: error: (\S+): tasks? ([\d,-]+): (.+)$", said, re.MULTILINE):
        for part in tasks.split(","):
            first, _, last = part.partition("-")
            found.update({task: (node, how) for task in range(int(first), int(last or first) + 1)})
    return found


def expect_split(said, count):
    expect(re.search(rf"^0: placement: {count} ranks over shared memory; .*by (hashed rows|rows|columns): (?!none)\w+", said, re.MULTILINE), f"not one table split over {count} ranks\n{said}")


def the_weights_are_those_of_one_process():
    launch(*RUN, *SHORT, "--out", place / "one")
    for name, step, count in (("four", FOUR_EVEN, 4), ("three", THREE, 3)):
        said = launch(*step, *RUN, *SHORT, "--out", place / name)
        expect_split(said, count)
        expect_same_weights(run_folder(place / "one"), run_folder(place / name))


def a_killed_rank_ends_all():
    out = place / "killed"
    # Slurm, unless told otherwise, leaves the other tasks alone: they have to notice.
    said = kill_rank_one("SLURM_PROCID", out, *FOUR_EVEN, *RUN, *ENDLESS, "--out", out)
    ended = endings(said)
    expect(ended.pop(1)[1] == "Killed", said)
    expect({task: how for task, (_, how) in ended.items()} == dict.fromkeys((0, 2, 3), "Exited with exit code 76"), said)
    expect({node for node, _ in ended.values()} == {"n1", "n2"}, said)
    for task in ended:
        expect(re.search(rf"^{task}: .*error: rank 1 on host \S+ was lost", said, re.MULTILINE), f"rank {task} does not name rank 1\n{said}")


def a_stopped_step_goes_on_with_fewer_tasks():
    out = place / "stopped"
    with training(out, *FOUR, *RUN, *ENDLESS, "--out", out) as (step, log):
        environment = next(iter(ranks(out).values()))
        slurm.command("scancel", "--signal=TERM", f"{environment['SLURM_JOB_ID']}.{environment['SLURM_STEP_ID']}", check=True)
        code = step.wait(60)
        said = log.read_text()
    expect(code == 75, f"exit code {code}\n{said}")
    expect({task: how for task, (_, how) in endings(said).items()} == dict.fromkeys(range(4), "Exited with exit code 75"), said)
    expect_split(said, 4)

    stopped_at = int(latest(run_folder(out)).name.removeprefix("step-"))
    rest = [*ENDLESS, "--set", f"run.steps={stopped_at + 20}"]
    said = launch(*THREE, *RUN, *rest, "--out", out, "--resume", "auto")
    expect(f"at step {stopped_at} of {stopped_at + 20}" in said, said)
    expect_split(said, 3)
    launch(*RUN, *rest, "--out", place / "unbroken")
    expect_same_weights(run_folder(place / "unbroken"), run_folder(out))


with folder() as made:
    place = pathlib.Path(made)
    with Slurm(place / "slurm") as slurm:
        os.environ.update(slurm.env)
        main([the_weights_are_those_of_one_process, a_killed_rank_ends_all, a_stopped_step_goes_on_with_fewer_tasks])
