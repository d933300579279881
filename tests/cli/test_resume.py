# Killing a run costs nothing: weights and loss curve of a run that was killed again and again equal those of an unbroken one, byte by byte.
import json
import os
import pathlib
import random
import signal
import subprocess
import time

from program import BIN, SMALL, expect, folder, main, rechost

KILLS = int(os.environ.get("RECHOST_TEST_KILLS", "20"))
SEED = int(os.environ.get("RECHOST_TEST_SEED", str(random.SystemRandom().randrange(1 << 30))))
# Batch normalisation, dropout, a decaying learning rate, rows rounded at random, rows that change hands: everything that a careless resume would get wrong.
RUN = [
    "run", "--plugin", "dlrm", "--set", "data.rows=60000", "--set", "data.valid_rows=2000", "--set", "data.test_rows=2000",
    "--set", "data.batch_size=256", "--set", "run.threads=1", "--set", "run.epochs=2", "--set", "run.log_every_steps=10",
    "--set", "model.bottom_mlp=[16, 16]", "--set", "model.top_mlp=[16]", "--set", "model.batch_norm=true", "--set", "model.dropout=0.1",
    "--set", "schedule.kind=\"cosine\"", "--set", "schedule.warmup_steps=20", "--set", "eval.every_steps=100",
    "--set", "optimizer.sparse.kind=\"adam\"", "--set", "optimizer.sparse.lr=0.01",
    "--set", "tables.\"user*\".precision=\"bf16\"", "--set", "tables.\"item*\".precision=\"fp16\"",
    "--set", "data.cardinality=[3000]", "--set", "features.user_0.encoder=\"dynamic\"", "--set", "features.user_0.max_rows=500", "--set", "features.user_0.min_count=2",
    "--set", "features.item_0.encoder=\"dynamic\"", "--set", "features.item_0.max_rows=400", "--set", "features.item_0.evict=\"frequency\"",
]
CHECKPOINTS = ["--set", "checkpoint.every_steps=15"]


def weights(run):
    latest = (run / "checkpoints" / "latest").resolve()
    return {str(path.relative_to(latest)): path.read_bytes() for path in sorted(latest.rglob("*.safetensors"))}


def loss_curve(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "time"} for row in rows]


def only_run(root):
    runs = [path for path in pathlib.Path(root).iterdir() if path.is_dir()]
    expect(len(runs) == 1, f"one run directory expected, there are {runs}")
    return runs[0]


def killed_runs_equal_an_unbroken_one():
    print(f"seed {SEED} (RECHOST_TEST_SEED), {KILLS} kills", flush=True)
    dice = random.Random(SEED)
    with folder() as place:
        place = pathlib.Path(place)
        begin = time.monotonic()
        unbroken = rechost(*RUN, "--out", place / "unbroken", timeout=300)
        whole = time.monotonic() - begin
        kills = 0
        before_any_checkpoint = 0
        while True:
            with open(place / "log", "ab") as log:
                process = subprocess.Popen([BIN, *RUN, *CHECKPOINTS, "--resume", "auto", "--out", str(place / "broken")], stderr=log,
                                           stdout=log)
                try:
                    # Any instant of a run's life: while it starts, reads, trains, evaluates, writes a checkpoint.
                    process.wait(timeout=dice.uniform(0.0, whole) if kills < KILLS else 300)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    kills += 1
                    continue
            expect(process.returncode == 0, f"exit code {process.returncode}\n{(place / 'log').read_text()}")
            if kills >= KILLS:
                break
            # It came to its end early: begin another, so that all kills happen.
            finished = [path for path in (place / "broken").iterdir()]
            for run in finished:
                if (run / "summary.json").exists():
                    check_equal(place, run)
                    run.rename(place / f"done-{kills}-{before_any_checkpoint}")
                    before_any_checkpoint += 1
        # Runs killed before their first checkpoint leave directories of their own, and a kill may come between the end of a run and that
        # of its process: then the next one began anew. Whatever came to its end must be equal.
        finished = [run for run in (place / "broken").iterdir() if (run / "summary.json").exists()]
        expect(finished, "no run came to its end")
        for run in finished:
            check_equal(place, run)
        expect("auc" in unbroken.err, unbroken)


def check_equal(place, run):
    whole = only_run(place / "unbroken")
    expect(weights(whole) == weights(run), "final weights differ from the unbroken run's")
    expect(loss_curve(whole) == loss_curve(run), "the loss curve differs from the unbroken run's:\n"
           + "\n".join(f"{a}\n{b}" for a, b in zip(loss_curve(whole), loss_curve(run)) if a != b))


def a_stop_signal_writes_a_checkpoint_and_exits_75():
    with folder() as place:
        place = pathlib.Path(place)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            root = place / number.name
            process = subprocess.Popen([BIN, *RUN, "--set", "run.epochs=500", "--set", "schedule.kind=\"constant\"", "--out", str(root)], stderr=subprocess.PIPE, text=True)
            # The line that announces the memory is the last one before training.
            for line in process.stderr:
                if line.startswith("memory:"):
                    break
            time.sleep(0.5)
            process.send_signal(number)
            rest = process.stderr.read()
            expect(process.wait(timeout=60) == 75, f"{number.name}: exit code {process.returncode}\n{rest}")
            run = only_run(root)
            expect((run / "checkpoints" / "latest" / "manifest.json").exists(), "no checkpoint")
            summary = json.loads((run / "summary.json").read_text())
            expect(summary["status"] == "stopped", summary)
            again = rechost("run", "--resume", run, "--set", f"run.steps={summary['steps'] + 10}", "--out", root, timeout=120)
            expect("resumed from" in again.err, again)


def a_second_signal_ends_at_once():
    with folder() as place:
        # One batch has all ids, so all must have rows at once.
        roomy = ["--set", "features.user_0.max_rows=3000", "--set", "features.item_0.max_rows=3000"]
        process = subprocess.Popen([BIN, *RUN, *roomy, "--set", "run.epochs=1000", "--set", "data.batch_size=60000", "--out", place],
                                   stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if line.startswith("memory:"):
                break
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        code = process.wait(timeout=30)
        # Two signals sent in one breath may arrive as one: then it is an ordinary stop.
        expect(code in (128 + signal.SIGTERM, 75), f"exit code {code}")


def a_changed_configuration_is_refused():
    with folder() as place:
        rechost(*RUN, "--set", "run.steps=30", "--out", place)
        run = only_run(place)
        changed = rechost(*RUN, "--set", "run.steps=30", "--set", "optimizer.dense.lr=0.5", "--resume", run, "--out", place, code=78)
        expect("the configuration has changed" in changed.err and "lr = 0.5" in changed.err, changed)


def auto_takes_the_unfinished_run_of_this_name():
    with folder() as place:
        rechost("run", "--plugin", "dlrm", *SMALL, "--set", "run.steps=20", "--out", place)
        run = only_run(place)
        rechost("run", "--plugin", "dlrm", *SMALL, "--set", "run.steps=20", "--set", "run.name=dlrm-big", "--out", place)
        # As if killed while it wrote the checkpoint of this step for the second time.
        (run / "summary.json").unlink()
        checkpoint = (run / "checkpoints" / "latest").resolve()
        checkpoint.rename(checkpoint.with_name(".replaced-" + checkpoint.name))
        again = rechost("run", "--plugin", "dlrm", *SMALL, "--set", "run.steps=20", "--set", "run.threads=2", "--out", place, "--resume", "auto")
        expect("resumed from" in again.err and (run / "summary.json").exists() and checkpoint.exists(), again)
        expect("run.threads from 1 to 2. The run goes on" in again.err, again)


main([killed_runs_equal_an_unbroken_one, a_stop_signal_writes_a_checkpoint_and_exits_75, a_second_signal_ends_at_once,
      a_changed_configuration_is_refused, auto_takes_the_unfinished_run_of_this_name])
