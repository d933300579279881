# label: multiprocess
"""Launchers that start one process on each machine (Kubernetes, Kubeflow): it starts the ranks there, which train what --nproc trains."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import checkpoints  # noqa: E402
from program import BIN, SMALL, expect, folder, main, rechost  # noqa: E402

RUN = ["run", "--plugin", "dlrm", *SMALL, "--set", "run.deterministic=true"]
# Checkpoints come soon, the end does not.
LONG = ["--set", "run.steps=800", "--set", "run.epochs=1000", "--set", "checkpoint.every_steps=50", "--resume", "auto"]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def trainer_pods(count, processes):
    """What Kubeflow's Trainer puts into its pods, which share this machine here."""
    port = free_port()
    return [{"PET_NNODES": str(count), "PET_NODE_RANK": str(pod), "PET_NPROC_PER_NODE": str(processes), "PET_MASTER_ADDR": "127.0.0.1",
             "PET_MASTER_PORT": port, "JOB_COMPLETION_INDEX": str(pod)} for pod in range(count)]


def pytorch_job_pods(count, processes):
    """RANK is the number of the pod, WORLD_SIZE that of all processes."""
    port = free_port()
    return [{"PET_NNODES": str(count), "PET_NODE_RANK": str(pod), "PET_NPROC_PER_NODE": str(processes), "MASTER_ADDR": "127.0.0.1",
             "MASTER_PORT": port, "RANK": str(pod), "WORLD_SIZE": str(count * processes)} for pod in range(count)]


def indexed_pods(count, processes):
    token = f"uid {os.getpid()} {time.monotonic()}"
    return [{"JOB_COMPLETION_INDEX": str(pod), "RECHOST_NNODES": str(count), "RECHOST_NPROC_PER_NODE": str(processes),
             "RECHOST_MASTER_ADDR": "127.0.0.1", "RECHOST_JOB_TOKEN": token} for pod in range(count)]


class Pods:
    """One process for each of these environments. At the end nothing of them is left."""

    def __init__(self, place, environments, *arguments):
        self.logs = []
        self.words = []
        self.processes = []
        for number, environment in enumerate(environments):
            self.logs.append(pathlib.Path(place) / f"pod-{number}.log")
            # The kubelet makes the file, empty.
            self.words.append(pathlib.Path(place) / f"pod-{number}.termination")
            self.words[-1].touch()
            with self.logs[-1].open("w") as log:
                self.processes.append(subprocess.Popen([BIN, *map(str, arguments)], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                                       env={**os.environ, **environment, "RECHOST_TERMINATION_LOG": str(self.words[-1])}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in [*self.ranks().values(), *(process.pid for process in self.processes)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.processes:
            process.wait()

    def ranks(self):
        """rank -> pid of those that the pods' processes have started."""
        parents = {process.pid for process in self.processes}
        found = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) in parents:
                    environment = dict(item.split("=", 1) for item in (entry / "environ").read_text().split("\0") if "=" in item)
                    found[int(environment["RECHOST_RANK"])] = int(entry.name)
            except (OSError, KeyError, IndexError):
                continue
        return found

    def text(self):
        return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in self.logs)

    def codes(self, timeout=120):
        deadline = time.monotonic() + timeout
        return [process.wait(max(0.1, deadline - time.monotonic())) for process in self.processes]

    def wait_for_checkpoint(self, out, count, after=0):
        """Until there is one of a later step, and all ranks are there: rank -> pid."""
        deadline = time.monotonic() + 120
        while newest_step(out) <= after or len(self.ranks()) != count:
            expect(time.monotonic() < deadline and all(process.poll() is None for process in self.processes), f"no checkpoint came\n{self.text()}")
            time.sleep(0.05)
        return self.ranks()


def newest_step(out):
    return max((int(path.parent.name.split("-")[1]) for path in pathlib.Path(out).glob("*/checkpoints/step-*/manifest.json")), default=0)


def only_run(out):
    found = list(pathlib.Path(out).glob("dlrm-*"))
    expect(len(found) == 1, f"{out} holds {len(found)} runs, not one")
    return found[0]


def pods_train_what_one_process_trains():
    with folder() as place:
        place = pathlib.Path(place)
        rechost(*RUN, "--nproc", 4, "--out", place / "nproc")
        for name, pods in (("trainer", trainer_pods(2, 2)), ("pytorch-job", pytorch_job_pods(2, 2)), ("indexed", indexed_pods(2, 2)),
                           ("indexed-single", indexed_pods(3, 1))):
            out = place / name
            out.mkdir()
            with Pods(out, pods, *RUN, "--out", out) as running:
                expect(running.codes() == [0] * len(pods), f"{name}\n{running.text()}")
                count = 3 if name == "indexed-single" else 4
                expect(f"placement: {count} ranks" in running.text(), f"{name}\n{running.text()}")
            checkpoints.expect_same_weights(only_run(place / "nproc"), only_run(out))


def a_killed_rank_ends_all_pods_and_its_own_says_so():
    with folder() as place:
        out = pathlib.Path(place)
        with Pods(out, trainer_pods(2, 2), *RUN, *LONG, "--set", "run.steps=1000000", "--out", out) as running:
            ranks = running.wait_for_checkpoint(out, 4)
            os.kill(ranks[3], signal.SIGKILL)
            expect(running.codes(30) == [76, 76], running.text())
            expect(not running.ranks(), f"ranks outlived their agents: {running.ranks()}")
            for log in running.logs:
                expect(re.search(r"error: .*rank 3 on host \S+ was lost", log.read_text()), f"rank 3 is not named\n{running.text()}")
            # In the pod of the killed one stands what the others cannot know.
            expect(running.words[1].read_text() == f"rank 3 (process {ranks[3]}) was ended by signal 9 (Killed)", running.words[1].read_text())
            expect(re.search(r"rank 3 on host \S+ was lost", running.words[0].read_text()), running.words[0].read_text())


def ranks_start_again_from_the_last_checkpoint():
    with folder() as place:
        place = pathlib.Path(place)
        rechost(*RUN, *LONG, "--out", place / "unbroken")
        for name, pods in (("nproc", [{}]), ("pods", indexed_pods(2, 2))):
            out = place / name
            out.mkdir()
            more = ["--nproc", "4"] if name == "nproc" else []
            with Pods(out, pods, *RUN, *LONG, "--out", out, "--max-restarts", 2, *more) as running:
                step = 0
                for victim in (1, 0):
                    # All have met, and rank 0 has written since the last kill.
                    ranks = running.wait_for_checkpoint(out, 4, step)
                    step = newest_step(out)
                    os.kill(ranks[victim], signal.SIGKILL)
                    deadline = time.monotonic() + 30
                    while pathlib.Path(f"/proc/{ranks[victim]}").exists() or set(running.ranks().values()) & set(ranks.values()):
                        expect(time.monotonic() < deadline, f"ranks of the start before are left\n{running.text()}")
                        time.sleep(0.05)
                expect(running.codes() == [0] * len(pods), f"{name}\n{running.text()}")
                expect(running.logs[0].read_text().count("start 1 of 2 more") == 1 and "resumed from" in running.text(), running.text())
            checkpoints.expect_same_weights(only_run(place / "unbroken"), only_run(out))


def what_would_fail_again_is_not_started_again():
    with folder() as place:
        started = ["--nproc", 2, "--max-restarts", 3, "--resume", "auto", "--out", place]
        result = rechost(*RUN, "--set", "optimizer.dense.lr=1e30", *started, code=1)
        expect(result.err.count("the ranks of this machine ended with") == 3, f"{result}")
        result = rechost(*RUN, "--nproc", 17, "--max-restarts", 3, "--resume", "auto", "--out", place, code=78)
        expect("at most 16 ranks" in result.err and "more" not in result.err.replace("at most", ""), f"{result}")
        result = rechost(*RUN, "--nproc", 2, "--max-restarts", 3, code=2)
        expect("say --resume auto as well" in result.err, f"{result}")


def a_signal_to_the_pods_stops_them_with_a_checkpoint():
    with folder() as place:
        out = pathlib.Path(place)
        with Pods(out, trainer_pods(2, 2), *RUN, *LONG, "--set", "run.steps=1000000", "--out", out, "--max-restarts", 2) as running:
            running.wait_for_checkpoint(out, 4)
            for process in running.processes:
                process.send_signal(signal.SIGTERM)
            expect(running.codes(60) == [75, 75], running.text())
        expect(json.loads((only_run(out) / "summary.json").read_text())["status"] == "stopped", "not recorded as stopped")


def a_forced_launcher_is_not_handed_on():
    with folder() as place:
        result = rechost(*RUN, "--nproc", 2, "--launcher", "single", "--out", place, env={"WORLD_SIZE": "2"})
        expect("placement: 2 ranks" in result.err, f"{result}")
        result = rechost(*RUN, "--nproc=2", "--launcher=kubeflow", "--out", place, env={"PET_NNODES": "1", "RANK": "0", "JOB_COMPLETION_INDEX": "1"})
        expect("placement: 2 ranks" in result.err, f"{result}")


def half_a_contract_is_refused_with_what_to_do():
    for environment, text in (({"JOB_COMPLETION_INDEX": "1"}, "set RECHOST_NNODES to the number of pods"),
                              ({"PET_NNODES": "2"}, "PET_NODE_RANK is not"),
                              ({**trainer_pods(2, 2)[0], "RANK": "3", "WORLD_SIZE": "4"}, "--launcher env")):
        result = rechost(*RUN, env=environment, code=78)
        expect(text in result.err, f"{environment}\n{result}")
    result = rechost(*RUN, "--max-restarts", 1, "--resume", "auto", env={"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}, code=2)
    expect("env has started the ranks" in result.err, f"{result}")
    result = rechost(*RUN, "--nproc", 2, env={"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}, code=2)
    expect("env has started 2 processes already" in result.err, f"{result}")


def the_error_is_left_where_the_launcher_looks():
    with folder() as place:
        file = pathlib.Path(place) / "error.json"
        word = pathlib.Path(place) / "termination"
        word.touch()
        rechost(*RUN, "--set", "data.batch_sizes=1", env={"TORCHELASTIC_ERROR_FILE": str(file), "RECHOST_TERMINATION_LOG": str(word)}, code=78)
        message = json.loads(file.read_text())["message"]
        expect("batch_sizes" in message["message"] and abs(int(message["extraInfo"]["timestamp"]) - time.time()) < 60, message)
        expect("batch_sizes" in word.read_text(), word.read_text())
        # Its own reason is not replaced by what another rank makes of it.
        rechost(*RUN, "--nproc", 2, "--set", "optimizer.dense.lr=1e30", "--out", place, env={"RECHOST_TERMINATION_LOG": str(word)}, code=1)
        expect(word.read_text().startswith("loss is not finite") or "loss is not finite" in word.read_text(), word.read_text())
        # A folder that is not there is no reason to fail otherwise.
        rechost(*RUN, "--set", "data.batch_sizes=1", env={"TORCHELASTIC_ERROR_FILE": "/nowhere/error.json", "RECHOST_TERMINATION_LOG": "/nowhere/t"}, code=78)


def doctor_explains_each_variable():
    found = rechost("doctor", "launch", env={**trainer_pods(3, 2)[1], "RECHOST_JOB_TOKEN": "hidden"}).out
    expect("kubeflow: starts ranks 2 to 3 of 6 here; rank 0 at 127.0.0.1:" in found, found)
    for text in ("PET_NODE_RANK=1", "number of this pod", "PET_NPROC_PER_NODE=2", "JOB_COMPLETION_INDEX=1", "does not count under kubeflow"):
        expect(text in found, f"{text}\n{found}")
    expect("RECHOST_JOB_TOKEN" in found and "hidden" not in found, found)
    found = rechost("doctor", "launch", env={"JOB_COMPLETION_INDEX": "1"}, code=1).out
    expect("cannot be told" in found and "set RECHOST_NNODES" in found, found)
    expect("kubeflow" in rechost("doctor", "launch", "--launcher", "kubeflow", code=1).out, "a forced launcher is not looked at")
    found = rechost("doctor", "launch", env={"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, code=1).out
    expect("single: one process" in found and "put srun before rechost" in found, found)
    expect("the only part is launch" in rechost("doctor", "lunch", code=2).err, "an unknown part")


if __name__ == "__main__":
    main([pods_train_what_one_process_trains, a_killed_rank_ends_all_pods_and_its_own_says_so, ranks_start_again_from_the_last_checkpoint,
          what_would_fail_again_is_not_started_again, a_signal_to_the_pods_stops_them_with_a_checkpoint, a_forced_launcher_is_not_handed_on,
          half_a_contract_is_refused_with_what_to_do, the_error_is_left_where_the_launcher_looks, doctor_explains_each_variable])
