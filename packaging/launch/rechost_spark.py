"""Trains on the executors of Spark. One file that needs pyspark and nothing else; rechost must be installed on every worker.

As a barrier job, each task of which is a rank:

    import rechost_spark
    rechost_spark.run(spark, ["--plugin", "dlrm", "--resume", "auto", "--out", "/shared/runs"], processes=4)

or: spark-submit rechost_spark.py --processes 4 -- --plugin dlrm --resume auto --out /shared/runs

Under TorchDistributor, which starts Python files and nothing else, this file becomes rechost:

    TorchDistributor(num_processes=4, local_mode=False, use_gpu=False).run(rechost_spark.__file__, "--plugin", "dlrm", "--out", "/shared/runs")

Where rechost is not in the path of the workers, RECHOST_PROGRAM (or program=, --program) says where it is.
"""
import argparse
import collections
import ctypes
import json
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys

PR_SET_PDEATHSIG = 1
LINES_KEPT = 100  # of each rank, for the exception that the driver sees
STOPPED = 75


def run(spark, arguments, processes, program=None):
    """Runs `rechost run` with these arguments as a barrier job of so many ranks; returns what rank 0 has printed (with --output json: its
    summary is the last line). RuntimeError with the last lines of the rank that failed. All ranks need the folder of --out."""
    context = spark.sparkContext
    if processes > context.defaultParallelism:
        print(f"rechost: Spark has {context.defaultParallelism} slots at the moment, and {processes} ranks need that many at once: they wait for more",
              file=sys.stderr, flush=True)
    if __name__ != "__main__":
        context.addPyFile(__file__)  # what the tasks run is found by this name
    program = program or os.environ.get("RECHOST_PROGRAM", "rechost")
    printed = context.parallelize(range(processes), processes).barrier().mapPartitions(lambda _: _task(list(arguments), program)).collect()
    return printed[0]


def _task(arguments, program):
    """One rank, from its barrier to its end."""
    from pyspark import BarrierTaskContext

    context = BarrierTaskContext.get()
    rank = context.partitionId()
    hosts = [info.address.rsplit(":", 1)[0] for info in context.getTaskInfos()]
    # Rank 0 tries the ports from this one on: somebody may take it before it comes to that.
    said = json.dumps({"port": _free_port(), "token": secrets.token_hex(16)}) if rank == 0 else ""
    meeting = json.loads(context.allGather(said)[0])
    here = [other for other, host in enumerate(hosts) if host == hosts[rank]]
    environment = dict(os.environ, RECHOST_RANK=str(rank), RECHOST_WORLD_SIZE=str(len(hosts)), RECHOST_LOCAL_RANK=str(here.index(rank)),
                       RECHOST_LOCAL_WORLD_SIZE=str(len(here)), RECHOST_MASTER_ADDR=hosts[0], RECHOST_MASTER_PORT=str(meeting["port"]),
                       RECHOST_JOB_TOKEN=meeting["token"])
    environment.pop("OMP_NUM_THREADS", None)  # Spark sets it to the cores of a task, for its own Python
    yield _rank(rank, [program, "run", *arguments], environment)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def _rank(rank, command, environment):
    """Runs it to its end; its lines go to the log of the executor."""
    libc = ctypes.CDLL(None)
    # Spark kills the Python of a task that it gives up; the rank then stops with a checkpoint. It must not be in the group of that Python, to
    # which Spark's daemon sends SIGHUP. No thread here: each that dies would signal the rank anew, and a second signal ends it at once.
    child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             start_new_session=True, preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))
    printed, line = b"", b""
    last = collections.deque(maxlen=LINES_KEPT)
    with selectors.DefaultSelector() as selector:
        for pipe in (child.stdout, child.stderr):
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                piece = key.fileobj.read1(65536)
                if not piece:
                    selector.unregister(key.fileobj)
                elif key.fileobj is child.stdout:
                    printed += piece
                else:
                    *lines, line = (line + piece).split(b"\n")
                    for text in lines:
                        last.append(text.decode(errors="replace") + "\n")
                        sys.stderr.write(f"[rank {rank}] {last[-1]}")
                    sys.stderr.flush()
    last.append(line.decode(errors="replace"))
    printed = printed.decode(errors="replace")
    code = child.wait()
    if code == 0:
        return printed
    how = "stopped with a checkpoint before it was done; with --resume auto it goes on" if code == STOPPED else f"ended with {code}"
    raise RuntimeError(f"rank {rank} on {socket.gethostname()} {how}\n{''.join(last)}")


def _main():
    if "TORCHELASTIC_RUN_ID" in os.environ:
        program = os.environ.get("RECHOST_PROGRAM", "rechost")
        os.execvp(program, [program, "run", *sys.argv[1:]])
    parser = argparse.ArgumentParser(description="Runs rechost as a barrier job of Spark.")
    parser.add_argument("--processes", type=int, required=True, help="ranks, each a task of its own")
    parser.add_argument("--program", help="where rechost is on the workers")
    parser.add_argument("arguments", nargs="+", help="-- and what follows rechost run")
    given = parser.parse_args()
    from pyspark.sql import SparkSession

    print(run(SparkSession.builder.appName("rechost").getOrCreate(), given.arguments, given.processes, given.program), end="")


if __name__ == "__main__":
    _main()
