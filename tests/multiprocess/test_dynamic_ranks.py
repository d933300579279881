# label: multiprocess
"""Tables whose rows are given to keys while training, on several ranks: the same rows, bits and checkpoints as on one."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import checkpoints  # noqa: E402
from program import BIN, SMALL, expect, folder, main, rechost  # noqa: E402

EXACT = ["--set", "run.deterministic=true"]
SMOOTH = ["--set", "optimizer.dense.kind=sgd", "--set", "optimizer.dense.lr=0.05", "--set", "optimizer.sparse.kind=rowwise_adagrad",
          "--set", "optimizer.sparse.lr=0.02", "--set", "optimizer.sparse.initial_accumulator=0.1"]
RUN = ["run", "--plugin", "dlrm", *SMALL, "--set", "run.steps=60", "--set", "run.log_every_steps=1", "--set", "data.cardinality=[20000]",
       "--set", "schedule.kind=\"constant\"", "--set", "tables.\"*\".init=\"uniform\"", "--set", "tables.\"*\".init_scale=0.05"]


def dynamic(feature, *settings):
    made = ["--set", f"features.{feature}.encoder=\"dynamic\""]
    for setting in settings:
        made += ["--set", f"features.{feature}.{setting}"]
    return made


# Rows are given late, by chance, taken by age, by frequency that fades, and when a key was not seen for long.
SCARCE = [*dynamic("user_0", "max_rows=2000"), *dynamic("item_0", "max_rows=450", "evict=\"frequency\"", "min_count=2", "half_life_steps=15"),
          *dynamic("user_1", "max_rows=1500", "min_count=3", "max_age_steps=9"),
          *dynamic("item_1", "max_rows=1500", "admit_probability=0.3", "evict=\"frequency\"", "max_age_steps=5", "half_life_steps=4")]


def train(root, ranks, *more, code=0):
    pathlib.Path(root).mkdir(parents=True, exist_ok=True)
    result = rechost(*RUN, "--nproc", ranks, "--out", root, *more, timeout=300, code=code)
    return result, newest(root)


def newest(root):
    return max(pathlib.Path(root).glob("*/summary.json"), key=lambda path: path.stat().st_mtime).parent


def losses(run):
    return [json.loads(line)["train.loss"] for line in (run / "metrics.jsonl").read_text().splitlines() if "train.loss" in line]


def keys_of(run):
    """The files of keys, byte by byte."""
    return {path.name: path.read_bytes() for path in sorted((checkpoints.latest(run) / "keys").glob("*.safetensors"))}


def metrics_of(run):
    return json.loads((run / "summary.json").read_text())["metrics"]


def the_number_of_ranks_and_the_sharding_leave_no_trace():
    with folder() as place:
        one = train(f"{place}/1", 1, *EXACT, *SCARCE)[1]
        expect(len(keys_of(one)) == 4 and len(losses(one)) == 60, keys_of(one).keys())
        panel = {entry["table"]: entry["dynamic"] for entry in json.loads((one / "summary.json").read_text())["tables"] if "dynamic" in entry}
        expect(all(facts["evictions"] > 0 for facts in panel.values()) and panel["item_1"]["keys"] < 1500, panel)
        others = [("2", 2, []), ("3 over TCP", 3, ["--set", "comm.transport=tcp"])]
        for sharding in ("row_wise", "row_wise_hash", "table_wise", "data_parallel"):
            others.append((sharding, 3, ["--set", f'tables."*".sharding="{sharding}"', "--set", "data.prefetch=7", "--set", "data.reader_threads=3"]))
        for name, ranks, settings in others:
            run = train(f"{place}/{name}", ranks, *EXACT, *SCARCE, *settings)[1]
            expect(keys_of(run) == keys_of(one), f"{name}: other keys")
            checkpoints.expect_same_weights(one, run)
            expect(losses(run) == losses(one), f"{name}: another loss curve")
            expect(metrics_of(run) == metrics_of(one), (name, metrics_of(run), metrics_of(one)))


def losses_do_not_depend_on_the_number_of_ranks():
    with folder() as place:
        alone = train(f"{place}/1", 1, *SMOOTH, *SCARCE)[1]
        for ranks in (2, 3):
            run = train(f"{place}/{ranks}", ranks, *SMOOTH, *SCARCE)[1]
            worst = max(abs(a - b) / abs(a) for a, b in zip(losses(alone), losses(run), strict=True))
            expect(worst <= 1e-5, f"{ranks} ranks: losses differ by {worst:.2g}")
            expect(keys_of(run) == keys_of(alone), f"{ranks} ranks: other keys")


def drawn_negatives_count_alike_on_any_number_of_ranks():
    with folder() as place:
        towers = ["run", "--plugin", "two_tower", "--set", "data.rows=6000", "--set", "data.valid_rows=500", "--set", "data.test_rows=500", "--set", "run.threads=1",
                  "--set", "data.batch_size=250", "--set", "model.loss=\"sampled_softmax\"", "--set", "model.negatives=3", *EXACT,
                  *dynamic("user_0", "max_rows=2000"), *dynamic("item_0", "max_rows=1500", "min_count=2", "evict=\"frequency\"")]
        runs = []
        for ranks in (1, 3):
            rechost(*towers, "--nproc", ranks, "--out", f"{place}/{ranks}", timeout=300)
            runs.append(newest(f"{place}/{ranks}"))
        expect(keys_of(runs[0]) == keys_of(runs[1]) and len(keys_of(runs[0])) == 2, "keys")
        checkpoints.expect_same_weights(*runs)
        exported = [rechost("export", run, "--what", "items", "--out", f"{place}/items-{i}") and pathlib.Path(f"{place}/items-{i}") for i, run in enumerate(runs)]
        expect((exported[0] / "ids.txt").read_text() == (exported[1] / "ids.txt").read_text(), "exported ids")


def a_run_goes_on_with_another_number_of_ranks():
    with folder() as place:
        longer = ["--set", "eval.every_steps=0", "--set", "eval.every_epochs=0"]
        whole = train(f"{place}/whole", 2, *EXACT, *SCARCE, *longer)[1]
        part = train(f"{place}/part", 3, *EXACT, *SCARCE, *longer, "--set", "run.steps=33")[1]
        rechost(*RUN, *EXACT, *SCARCE, *longer, "--resume", part, "--nproc", 2, "--out", f"{place}/part", timeout=300)
        expect(keys_of(part) == keys_of(whole), "keys")
        checkpoints.expect_same_weights(whole, part)
        rechost("checkpoint", "verify", part)
        expect(rechost("predict", whole, "--split", "test").out == rechost("predict", part, "--split", "test").out, "predictions")


class Running:
    """A run of several ranks without end."""

    def __init__(self, root, ranks):
        self.errors = pathlib.Path(root) / "errors.txt"
        command = [BIN, *RUN, *SCARCE, "--set", "run.steps=1000000", "--set", "checkpoint.every_steps=20", "--nproc", str(ranks), "--out", str(root)]
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(command, stderr=errors, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not list(pathlib.Path(root).glob("*/checkpoints/step-*/manifest.json")):
            expect(self.process.poll() is None and time.monotonic() < deadline, f"no checkpoint came\n{self.text()}")
            time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def text(self):
        return self.errors.read_text()

    def rank(self, number):
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if parent == self.process.pid and any(variable == b"RECHOST_RANK=%d" % number for variable in variables):
                return int(entry.name)
        raise AssertionError(f"no rank {number}\n{self.text()}")


def ranks_that_prepare_ahead_do_not_hold_up_the_end():
    with folder() as place, Running(place, 3) as run:
        run.process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        expect(run.process.wait(timeout=60) == 75, run.text())
        # Threads that wait for the keys of other ranks are let go at once; a loaded machine gets more.
        expect(time.monotonic() - begin < 30 and "error" not in run.text(), run.text())
        expect(json.loads((newest(place) / "summary.json").read_text())["status"] == "stopped", "status")


def a_killed_rank_is_named():
    with folder() as place, Running(place, 3) as run:
        os.kill(run.rank(1), signal.SIGKILL)
        expect(run.process.wait(timeout=60) == 76 and "rank 1 on host" in run.text() and "was lost" in run.text(), run.text())


def a_batch_with_too_many_keys_ends_all_ranks():
    with folder() as place:
        few = rechost(*RUN, *dynamic("user_0", "max_rows=50"), "--nproc", 3, "--out", place, code=None)
        expect(few.code not in (0, 76) and "more keys with a row in table \"user_0\" than the 50 that fit it: raise max_rows" in few.err, few)


main([the_number_of_ranks_and_the_sharding_leave_no_trace, losses_do_not_depend_on_the_number_of_ranks, drawn_negatives_count_alike_on_any_number_of_ranks,
      a_run_goes_on_with_another_number_of_ranks, ranks_that_prepare_ahead_do_not_hold_up_the_end, a_killed_rank_is_named, a_batch_with_too_many_keys_ends_all_ranks])
