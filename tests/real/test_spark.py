# label: real
# serial
"""Spark starts the ranks: a barrier job, and the real TorchDistributor, in one process of Spark and in a cluster of a master and two workers."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

from launched import ENDLESS, RUN, SHORT, as_documented, launch, ranks, run_folder, training

from checkpoints import expect_same_weights
from program import BIN, SOURCE, expect, folder, main

PYTHON = subprocess.run([SOURCE / "packaging" / "spark"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
SPARK = pathlib.Path(subprocess.run([PYTHON, "-c", "import pyspark; print(pyspark.__path__[0])"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
ENVIRONMENT = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": PYTHON, "RECHOST_PROGRAM": BIN, "PYTHONPATH": str(SOURCE / "packaging" / "launch")}
ARGUMENTS = RUN[2:]  # what follows "rechost run"
STARTS_WITHIN = 400  # seconds: Java, Spark's Pythons and torch's, on a loaded machine


def driver(master, way, count, *arguments):
    return [PYTHON, SOURCE / "tests" / "real" / "spark_side.py", master, way, count, *ARGUMENTS, *arguments]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def cluster(place):
    """A master and two workers with one core each, all on the loopback interface; gives the master's address."""
    place.mkdir()
    port = free_port()
    master = f"spark://127.0.0.1:{port}"
    environment = {**os.environ, **ENVIRONMENT, "SPARK_WORKER_DIR": str(place), "SPARK_LOG_DIR": str(place)}
    daemons = []

    def start(name, *arguments):
        with (place / f"{name}.log").open("w") as log:
            daemons.append(subprocess.Popen([SPARK / "bin" / "spark-class", f"org.apache.spark.deploy.{arguments[0]}", "--host", "127.0.0.1",
                                             "--webui-port", "0", *arguments[1:]], env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True))

    try:
        start("master", "master.Master", "--port", str(port))
        for worker in ("worker-1", "worker-2"):
            start(worker, "worker.Worker", "--cores", "1", "--memory", "600m", master)
        deadline = time.monotonic() + 120
        while (place / "master.log").read_text().count("Registering worker") < 2:
            expect(all(daemon.poll() is None for daemon in daemons) and time.monotonic() < deadline,
                   "Spark did not start\n" + "\n".join(log.read_text() for log in place.glob("*.log")))
            time.sleep(0.2)
        yield master
    finally:
        for daemon in daemons:
            # Its executors with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()


def expect_ranks(out, count):
    summary = json.loads((run_folder(out) / "summary.json").read_text())
    expect(summary["ranks"] == count and summary["status"] == "finished", f"{summary}")


def the_weights_are_those_of_one_process():
    launch(*RUN, *SHORT, "--out", place / "one")
    for way in ("barrier", "distributor-local"):
        said = launch(*driver("local[2]", way, 2, *SHORT, "--out", place / way), env=ENVIRONMENT, timeout=STARTS_WITHIN)
        if way == "barrier":
            last = next(line for line in reversed(said.splitlines()) if line.startswith("{"))
            expect(json.loads(last)["ranks"] == 2, said)
        expect_ranks(place / way, 2)
        expect_same_weights(run_folder(place / "one"), run_folder(place / way))


def the_documented_line_does_the_same():
    as_documented("Spark", place / "documented", ENVIRONMENT, {"spark-submit": [SPARK / "bin" / "spark-submit"]})
    expect_ranks(place / "documented" / "runs", 2)
    expect_same_weights(run_folder(place / "one"), run_folder(place / "documented" / "runs"))


def so_they_are_in_a_cluster():
    with cluster(place / "cluster") as master:
        for way in ("barrier", "distributor"):
            out = place / f"cluster-{way}"
            launch(*driver(master, way, 2, *SHORT, "--out", out), env=ENVIRONMENT, timeout=STARTS_WITHIN)
            expect_ranks(out, 2)
            expect_same_weights(run_folder(place / "one"), run_folder(out))


def wait_until_gone(out, log):
    """No rank trains on for a driver that has given up."""
    deadline = time.monotonic() + 60
    while ranks(out):
        expect(time.monotonic() < deadline, f"ranks {list(ranks(out))} are left\n{log.read_text()}")
        time.sleep(0.2)


def a_killed_rank_ends_the_job_with_its_reason():
    for way, variable in (("barrier", "RECHOST_RANK"), ("distributor-local", "RANK")):
        out = place / f"killed-{way}"
        with training(out, *driver("local[2]", way, 2, *ENDLESS, "--out", out), env=ENVIRONMENT, starts_within=STARTS_WITHIN) as (launcher, log):
            victim, = (pid for pid, env in ranks(out).items() if env.get(variable) == "1")
            os.kill(victim, signal.SIGKILL)
            code = launcher.wait(120)
            said = log.read_text()
            # The process that pyspark 4.3 has between TorchDistributor and torchrun ends with 0 whatever torchrun ends with; the README says so.
            expect((code != 0) == (way == "barrier"), f"{way}: exit code {code} though a rank was killed\n{said}")
            expect(json.loads((run_folder(out) / "summary.json").read_text())["status"] == "failed", "not recorded as failed")
            expect(re.search(r"rank 1 on host \S+ was lost|rank 1 on \S+ ended with -9", said), said)
            wait_until_gone(out, log)


def a_driver_that_ends_takes_its_ranks_along():
    out = place / "cancelled"
    with training(out, *driver("local[2]", "barrier", 2, *ENDLESS, "--out", out), env=ENVIRONMENT, starts_within=STARTS_WITHIN) as (launcher, log):
        launcher.kill()
        wait_until_gone(out, log)
    # They were asked to end, and had the time for a checkpoint.
    expect(json.loads((run_folder(out) / "summary.json").read_text())["status"] == "stopped", "not recorded as stopped")


with folder() as made:
    place = pathlib.Path(made)
    main([the_weights_are_those_of_one_process, the_documented_line_does_the_same, so_they_are_in_a_cluster, a_killed_rank_ends_the_job_with_its_reason,
          a_driver_that_ends_takes_its_ranks_along])
