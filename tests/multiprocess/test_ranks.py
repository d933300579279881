# label: multiprocess
"""Several processes train what one does; one that dies or stops is named, and a rerun on another number of ranks goes on."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import checkpoints  # noqa: E402
from program import BIN, SMALL, expect, folder, main, rechost  # noqa: E402

MODELS = ("dlrm", "deepfm", "two_tower")
# Rules without a division by the gradient's size: with Adam the last bits of a gradient near zero decide on a whole step.
SMOOTH = ["--set", "optimizer.dense.kind=sgd", "--set", "optimizer.dense.lr=0.05", "--set", "optimizer.sparse.kind=rowwise_adagrad",
          "--set", "optimizer.sparse.lr=0.02", "--set", "optimizer.sparse.initial_accumulator=0.1"]
TCP = ["--set", "comm.transport=tcp"]
EXACT = ["--set", "run.deterministic=true"]
DATA = ["--set", "data.rows=60000", "--set", "data.valid_rows=3000", "--set", "data.test_rows=3000", "--set", "data.batch_size=250",
        "--set", "run.threads=1", "--set", "run.log_every_steps=1"]


def run_directory(root):
    found = sorted(pathlib.Path(root).glob("*/summary.json"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent


def train(root, model, ranks, *more, code=0):
    result = rechost("run", "--plugin", model, *DATA, "--set", "run.steps=200", "--nproc", ranks, "--out", root, *more, timeout=300, code=code)
    return result, run_directory(root)


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["train.loss"] for line in lines if "train.loss" in line]


def losses_do_not_depend_on_the_number_of_ranks():
    with folder() as temporary:
        for model in MODELS:
            alone = None
            for ranks in (1, 2, 3, 4):
                result, run = train(pathlib.Path(temporary) / f"{model}-{ranks}", model, ranks, *SMOOTH)
                curve = losses(run)
                expect(len(curve) == 200, f"{model}: {len(curve)} losses")
                alone = alone or curve
                worst = max(abs(a - b) / abs(a) for a, b in zip(alone, curve))
                expect(worst <= 1e-5, f"{model} on {ranks} ranks: losses differ by {worst:.2g}")
                test = json.loads((run / "summary.json").read_text())["metrics"]["test"]
                if ranks == 1:
                    auc = test["auc"]
                expect(abs(test["auc"] - auc) <= 1e-5, f"{model} on {ranks} ranks: test AUC {test['auc']} instead of {auc}")
                if ranks > 1:
                    expect(f"[0] placement: {ranks} ranks over shared memory" in result.err, f"no placement is shown\n{result}")


def deterministic_runs_have_the_same_bits():
    with folder() as temporary:
        for model in MODELS:
            runs = [train(pathlib.Path(temporary) / f"{model}-{ranks}", model, ranks, *EXACT, "--set", "run.steps=60")[1] for ranks in (1, 2, 3, 4)]
            result, run = train(pathlib.Path(temporary) / f"{model}-tcp", model, 3, *EXACT, *TCP, "--set", "run.steps=60")
            expect("3 ranks over TCP" in result.err, f"{result}")
            runs.append(run)
            # Wherever the tables lie: in rows over all ranks, whole, and all of them on one rank.
            for name, where, shown in (("rows", ['tables."*".sharding="row_wise"'], "split by rows: "), ("whole", ['tables."*".sharding="table_wise"'], "split by rows: none"),
                                       ("one", ['tables."*".rank=1'], "split by rows: none")):
                settings = [word for setting in where for word in ("--set", setting)]
                result, run = train(pathlib.Path(temporary) / f"{model}-{name}", model, 2, *EXACT, *settings, "--set", "run.steps=60")
                expect(shown in result.err and (name != "rows" or "split by rows: none" not in result.err), f"{name}\n{result}")
                runs.append(run)
            for run in runs[1:]:
                checkpoints.expect_same_weights(runs[0], run)
                expect(losses(run) == losses(runs[0]), f"{run}: another loss curve")


def batch_normalisation_follows_all_ranks():
    normalised = ["--set", "model.batch_norm=true", "--set", "run.steps=40", "--set", "data.batch_size=97"]
    with folder() as temporary:
        for model in ("dlrm", "deepfm"):
            runs = [train(f"{temporary}/{model}-{ranks}", model, ranks, *EXACT, *normalised)[1] for ranks in (1, 2, 3)]
            for run in runs[1:]:
                checkpoints.expect_same_weights(runs[0], run)
                expect(losses(run) == losses(runs[0]), f"{run}: another loss curve")
        result, _ = train(f"{temporary}/usual", "dlrm", 2, *normalised)
        expect("each slice of the batch sees only its own samples: 1 of 2" in result.err, result)


def what_is_wrong_is_said_once():
    with folder() as temporary:
        rows = pathlib.Path(temporary) / "rows.csv"
        rows.write_text("label,d,s\n" + 60 * "1,0.5,a\n" + "1,x7,a\n" + 60 * "0,0.5,b\n")
        columns = ["--set", "data.plugin=csv", "--set", f"data.path={rows}", "--set", 'data.label=["label"]', "--set", 'data.dense=["d"]', "--set", 'data.sparse=["s"]']
        for code, said, settings in ((1, "x7", columns), (78, "at most 16 ranks", ["--nproc", 17, *EXACT]), (78, "there are 3 ranks", ["--set", 'tables."*".rank=3'])):
            ranks = [] if "--nproc" in settings else ["--nproc", 3]
            failed = rechost("run", "--plugin", "dlrm", *ranks, *settings, "--out", f"{temporary}/out", code=code)
            # A rank that waits for one which has failed quotes it.
            errors = [line for line in failed.err.splitlines() if "error: " in line and " failed: " not in line]
            expect(len(errors) == 1 and said in errors[0], failed)


def a_table_is_split_by_rows_and_joined_again():
    # One table far larger than the others.
    one_large = ["--set", "data.cardinality=[5, 40000, 7, 11, 3, 9, 6, 4]"]
    with folder() as temporary:
        alone = train(f"{temporary}/1", "dlrm", 1, *EXACT, *one_large, "--set", "run.steps=40")[1]
        result, split = train(f"{temporary}/3", "dlrm", 3, *EXACT, *one_large, "--set", "run.steps=40")
        expect(re.search(r"by (hashed rows|rows|columns): (?!none)\w+", result.err), f"no table is split\n{result}")
        checkpoints.expect_same_weights(alone, split)
        # And the checkpoint of three ranks is one that everything else can use.
        one = rechost("eval", alone, "--output", "json").json()
        three = rechost("eval", split, "--output", "json").json()
        expect(one["metrics"] == three["metrics"], f"{one} and {three}")
        rechost("checkpoint", "verify", split)
        refused = rechost("run", "--plugin", "dlrm", *DATA, "--nproc", 2, "--out", f"{temporary}/none", "--set", 'tables."*".rank=2', code=78)
        expect(".rank = 2: there are 2 ranks, 0 to 1" in refused.err, refused)


def processes_of(parent):
    """pid by rank."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) != parent:
                continue
            environment = dict(item.split("=", 1) for item in (entry / "environ").read_text().split("\0") if "=" in item)
            found[int(environment["RECHOST_RANK"])] = int(entry.name)
        except (OSError, KeyError, IndexError):
            continue
    return found


class Running:
    """A run of several ranks under way."""

    def __init__(self, root, ranks, *more):
        self.ranks = ranks
        self.root = pathlib.Path(root)
        self.before = self.newest_step()
        self.errors = open(pathlib.Path(root) / "errors.txt", "w+")
        command = [BIN, "run", "--plugin", "dlrm", *DATA, *EXACT, "--set", "checkpoint.every_steps=20", "--nproc", str(ranks), "--out", str(root), *more]
        self.process = subprocess.Popen(command, stderr=self.errors, stdout=subprocess.DEVNULL)
        self.pids = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in [*self.pids.values(), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.errors.close()

    def text(self):
        return pathlib.Path(self.errors.name).read_text()

    def newest_step(self):
        return max((int(path.parent.name.split("-")[1]) for path in self.root.glob("*/checkpoints/step-*/manifest.json")), default=0)

    def wait_for_checkpoint(self):
        """Until this process has written one itself, and all ranks are known."""
        deadline = time.monotonic() + 120
        while len(self.pids) != self.ranks or self.newest_step() <= self.before:
            expect(self.process.poll() is None and time.monotonic() < deadline, f"no checkpoint came\n{self.text()}")
            time.sleep(0.05)
            self.pids = processes_of(self.process.pid)


STEPS = ["--set", "run.steps=400"]


def a_killed_rank_is_named_and_a_rerun_on_another_number_ends_with_the_same_weights():
    with folder() as temporary:
        unbroken = pathlib.Path(temporary) / "unbroken"
        unbroken.mkdir()
        rechost("run", "--plugin", "dlrm", *DATA, *EXACT, *STEPS, "--out", unbroken, timeout=300)
        broken = pathlib.Path(temporary) / "broken"
        broken.mkdir()
        # 3 ranks lose rank 1, 2 ranks lose rank 0, 4 ranks end.
        for ranks, victim, transport in ((3, 1, TCP), (2, 0, [])):
            with Running(broken, ranks, *STEPS, *transport, "--resume", "auto") as run:
                run.wait_for_checkpoint()
                os.kill(run.pids[victim], signal.SIGKILL)
                code = run.process.wait(timeout=60)
                expect(code == 76, f"exit code {code}\n{run.text()}")
                expect(re.search(rf"error: .*rank {victim} on host \S+ was lost", run.text()), f"rank {victim} is not named\n{run.text()}")
                for pid in run.pids.values():
                    expect(not pathlib.Path(f"/proc/{pid}").exists(), f"process {pid} is still there\n{run.text()}")
        rechost("run", "--plugin", "dlrm", *DATA, *EXACT, *STEPS, "--set", "checkpoint.every_steps=20", "--nproc", 4, "--resume", "auto", "--out", broken,
                timeout=300)
        checkpoints.expect_same_weights(run_directory(unbroken), run_directory(broken))


def a_stopped_rank_is_named():
    for victim, transport in ((1, []), (0, TCP)):
        with folder() as temporary, Running(temporary, 3, "--set", "run.steps=100000", *transport) as run:
            run.wait_for_checkpoint()
            os.kill(run.pids[victim], signal.SIGSTOP)
            stopped = time.monotonic()
            while not re.search(rf"error: .*rank {victim} on host \S+ was lost: nothing heard of it", run.text()):
                # The promise is 10 s; a loaded machine gets more before this test gives up.
                expect(time.monotonic() - stopped < 30, f"rank {victim} is not named\n{run.text()}")
                time.sleep(0.1)
            code = run.process.wait(timeout=60)
            expect(code == 76, f"exit code {code}\n{run.text()}")
            # It cannot end when asked, and nobody waits for it. (Again 10 s are the promise.)
            expect(time.monotonic() - stopped < 30 and f"rank {victim} (process {run.pids[victim]}) is stopped" in run.text(), run.text())


def a_signal_stops_all_ranks_with_a_checkpoint():
    with folder() as temporary, Running(temporary, 3, "--set", "run.steps=100000") as run:
        run.wait_for_checkpoint()
        run.process.send_signal(signal.SIGTERM)
        code = run.process.wait(timeout=60)
        expect(code == 75, f"exit code {code}\n{run.text()}")
        expect(json.loads((run_directory(temporary) / "summary.json").read_text())["status"] == "stopped", "not recorded as stopped")


def an_error_of_one_rank_ends_all():
    with folder() as temporary:
        result = rechost("run", "--plugin", "dlrm", *SMALL, "--set", "optimizer.dense.lr=1e30", "--nproc", 2, "--out", temporary, code=1)
        expect("loss is not finite" in result.err, f"{result}")
        # What is wrong with the command is said once, and not by each process.
        result = rechost("run", "--plugin", "dlrm", "--set", "data.batch_sizes=1", "--nproc", 2, "--out", temporary, code=78)
        expect(result.err.count("batch_sizes") == 1 and "[0]" not in result.err, f"{result}")
        result = rechost("run", "--plugin", "dlrm", *SMALL, *EXACT, "--nproc", 17, "--out", temporary, code=78)
        expect("at most 16 ranks" in result.err, f"{result}")
        result = rechost("run", "--plugin", "dlrm", *SMALL, "--out", temporary, env={"WORLD_SIZE": "2"}, code=78)
        expect("WORLD_SIZE is set but RANK is not" in result.err, f"{result}")


def plain_variables_make_ranks():
    with folder() as temporary:
        def start(rank):
            environment = dict(os.environ, RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="29711")
            return subprocess.Popen([BIN, "run", "--plugin", "dlrm", *SMALL, *EXACT, "--out", f"{temporary}/two"], env=environment,
                                    stderr=subprocess.PIPE, text=True)
        others = [start(1), start(0)]
        for process in others:
            _, errors = process.communicate(timeout=120)
            expect(process.returncode == 0, errors)
        rechost("run", "--plugin", "dlrm", *SMALL, *EXACT, "--out", f"{temporary}/one")
        checkpoints.expect_same_weights(run_directory(f"{temporary}/one"), run_directory(f"{temporary}/two"))


def doctor_says_which_rank_this_is():
    found = rechost("doctor", env={"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}, code=None).out
    expect("env: rank 1 of 2" in found and "RANK=1" in found, found)
    found = rechost("doctor", env={"WORLD_SIZE": "2"}, code=1).out
    expect("WORLD_SIZE is set but RANK is not" in found, found)


if __name__ == "__main__":
    main([losses_do_not_depend_on_the_number_of_ranks, deterministic_runs_have_the_same_bits, batch_normalisation_follows_all_ranks, what_is_wrong_is_said_once, a_table_is_split_by_rows_and_joined_again,
          a_killed_rank_is_named_and_a_rerun_on_another_number_ends_with_the_same_weights, a_stopped_rank_is_named,
          a_signal_stops_all_ranks_with_a_checkpoint, an_error_of_one_rank_ends_all, plain_variables_make_ranks, doctor_says_which_rank_this_is])
