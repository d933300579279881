# label: real
# serial
"""packaging/launch/rechost.sbatch in a real queue: four nodes with unequal numbers of ranks, a USR1 in the middle, and the job goes on by itself."""
import os
import pathlib
import re
import time

from launched import RUN, SMALL_RUN, as_documented, launch, ranks, run_folder
from slurm_rig import Slurm

from checkpoints import expect_same_weights
from program import BIN, SMALL, SOURCE, expect, folder, main

TRAIN = ["--plugin", "dlrm", *SMALL, "--set", "run.deterministic=true", "--set", "run.steps=700", "--set", "run.epochs=1000", "--set",
         "run.log_every_steps=10"]
SCRIPT = SOURCE / "packaging" / "launch" / "rechost.sbatch"


def state(job):
    shown = slurm.command("scontrol", "show", "job", job, check=True).stdout
    return dict(re.findall(r"(\S+?)=(\S*)", shown))


def wait_for(condition, log, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < deadline, f"it did not come\n{log.read_text() if log.exists() else ''}\n{slurm.logs()}")
        time.sleep(0.1)


def a_job_that_is_stopped_goes_back_into_the_queue_and_ends_as_if_it_had_not_been():
    launch(BIN, "run", *TRAIN, "--out", place / "one")
    launch(BIN, "run", *TRAIN, "--nproc", 2, "--out", place / "nproc")
    expect_same_weights(run_folder(place / "one"), run_folder(place / "nproc"))
    out, log = place / "queue", place / "queue.log"
    # Four nodes for seven ranks: Slurm makes it two on three of them and one on the last.
    done = slurm.command("sbatch", "--parsable", "--nodes=4", "--ntasks=7", "--ntasks-per-node=2", f"--output={log}", SCRIPT, *TRAIN, "--out", out, check=True)
    job = done.stdout.strip()
    wait_for(lambda: any(metrics.stat().st_size for metrics in out.glob("dlrm-*/metrics.jsonl")), log)
    spread = {env["SLURM_STEP_TASKS_PER_NODE"] for env in ranks(out).values()}
    expect(spread == {"2(x3),1"}, f"{spread}")
    slurm.command("scancel", "--signal=USR1", job, check=True)
    wait_for(lambda: state(job)["JobState"] == "PENDING" and state(job)["Restarts"] == "1", log)
    said = log.read_text()
    expect(f"start 1 of job {job} ended with 75: it goes back into the queue" in said, said)
    expect(not ranks(out), "ranks are left of the first start")
    # Slurm would wait two minutes; to start in the second of the kill is what slurmd refuses.
    time.sleep(5)
    slurm.command("scontrol", "update", f"JobId={job}", "StartTime=now", check=True)
    wait_for(lambda: state(job)["JobState"] in ("COMPLETED", "FAILED"), log)
    said = log.read_text()
    expect(state(job)["JobState"] == "COMPLETED" and "resumed from" in said, f"{state(job)}\n{said}\n{slurm.logs()}")
    expect_same_weights(run_folder(place / "one"), run_folder(out))


def what_would_fail_again_does_not_go_back():
    log = place / "wrong.log"
    done = slurm.command("sbatch", "--wait", "--parsable", "--nodes=2", f"--output={log}", SCRIPT, "--plugin", "dlrm", "--set", "data.batch_sizes=1",
                         "--out", place / "wrong")
    job = state(done.stdout.strip())
    expect(job["JobState"] == "FAILED" and job["Restarts"] == "0" and job["ExitCode"] == "78:0", f"{job}\n{log.read_text()}")


def the_documented_line_trains():
    as_documented("Slurm", place / "documented", slurm.env)
    launch(*RUN, "--set", f"run.steps={SMALL_RUN['RECHOST_RUN__STEPS']}", "--out", place / "short")
    expect_same_weights(run_folder(place / "short"), run_folder(place / "documented" / "runs"))


with folder() as made:
    place = pathlib.Path(made)
    # The script calls rechost by its name.
    (place / "bin").mkdir()
    (place / "bin" / "rechost").write_text(f'#!/bin/sh\nexec {BIN} "$@"\n')
    (place / "bin" / "rechost").chmod(0o755)
    os.environ["PATH"] = f"{place / 'bin'}:{os.environ['PATH']}"
    with Slurm(place / "slurm", ("n1", "n2", "n3", "n4")) as slurm:
        os.environ.update(slurm.env)
        main([a_job_that_is_stopped_goes_back_into_the_queue_and_ends_as_if_it_had_not_been, what_would_fail_again_does_not_go_back,
              the_documented_line_trains])
