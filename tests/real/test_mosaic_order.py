# label: real
# serial: mosaicml-streaming removes every shared memory of its names when it starts, that of a process beside it too
# Orders and states between rechost and MosaicML's own StreamingDataset and StreamingDataLoader, in the environment that packaging/mosaic makes.
import json
import os
import pathlib
import random
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))

from program import expect, folder, main, rechost  # noqa: E402
from sample_logs import global_batches  # noqa: E402

CACHE = pathlib.Path(os.environ.get("RECHOST_CACHE") or pathlib.Path.home() / ".cache/rechost")
PYTHON = CACHE / "venv-mosaic/bin/python"
SEED = int(os.environ.get("RECHOST_TEST_SEED", str(random.SystemRandom().randrange(1 << 30))))
MODEL = ["--set", "run.threads=1", "--set", "model.embedding_dim=4", "--set", "model.bottom_mlp=[]", "--set", "model.top_mlp=[8]"]
ROLES = ["--plugin", "mds", "--set", 'data.label=["label"]', "--set", 'data.sparse=["id"]']


def mosaic(script, *arguments):
    expect(PYTHON.exists(), f"{PYTHON} is missing: run packaging/mosaic")
    done = subprocess.run([PYTHON, HERE / script, *map(str, arguments)], capture_output=True, text=True, timeout=600)
    expect(done.returncode == 0, f"{script} {arguments}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def settings(job):
    """A case of mosaic_orders.py as settings of rechost, without its data."""
    keys = job["mosaic"]
    ranks = keys.get("nodes", 1) * keys.get("ranks_per_node", 1) // keys.get("replication", 1)
    arguments = ["--set", "data.shuffle=mosaic", "--set", f"data.batch_size={job['batch_size'] * max(ranks, 1)}"]
    for key, value in keys.items():
        arguments += ["--set", f"data.mosaic.{key}={json.dumps(value)}"]
    if job.get("epoch_size"):
        arguments += ["--set", f"data.epoch_size={job['epoch_size']}"]
    return arguments


def orders_of_jobs_are_the_same():
    print(f"seed {SEED} (RECHOST_TEST_SEED)", flush=True)
    compared = refused = 0
    # Up to two thirds of them are jobs that the package refuses.
    jobs = mosaic("mosaic_orders.py", "random", SEED, 64)
    with folder() as place:
        place = pathlib.Path(place)
        mosaic("mosaic_job.py", "write", json.dumps({f"{place}/{number}-{i}": stream["shards"] for number, job in enumerate(jobs)
                                                     for i, stream in enumerate(job["streams"]) if sum(stream["shards"])}))
        for number, job in enumerate(jobs):
            arguments = [*ROLES, *settings(job)]
            for i, stream in enumerate(job["streams"]):
                shards = place / f"{number}-{i}"
                arguments += ["--set", f"data.streams.s{i:02}.path={shards}"]
                arguments += sum((["--set", f"data.streams.s{i:02}.{key}={stream[key]}"] for key in ("proportion", "repeat", "choose") if key in stream), [])
            if "state" in job:
                (place / "state.json").write_text(json.dumps(job["state"]))
                arguments += ["--set", f"data.mosaic.state={place / 'state.json'}"]
            first = job.get("state", {"epoch": 0})["epoch"]
            result = rechost("data", "order", *arguments, "--epoch", first, "--output", "json", code=None)
            if "error" in job:
                refused += 1
                expect(result.code != 0 or "cannot reshape array of size 0" in job["error"], f"seed {SEED}, job {number}: {job} was not refused")
                continue
            got = [json.loads(line)["samples"][0] for line in result.out.splitlines()]
            expect(result.code == 0 and got == job["orders"][0], f"seed {SEED}, job {number}: {job}\n{result}")
            compared += 1
    expect(compared >= 15, f"only {compared} orders compared, {refused} refused")


def a_run_is_handed_over_and_back_in_the_middle_of_an_epoch():
    with folder() as place:
        place = pathlib.Path(place)
        mosaic("mosaic_job.py", "write", json.dumps({str(place / "shards"): [130, 130, 61, 90]}))
        job = {"batch_size": 20, "shuffle_algo": "py1e", "shuffle_block_size": 300, "num_canonical_nodes": 2, "workers": 2}
        alone = mosaic("mosaic_job.py", "train", place / "shards", json.dumps(job), "null", 100)[0]
        # MosaicML's trains 5 batches of the first epoch, ours 9, MosaicML's the rest.
        begun = mosaic("mosaic_job.py", "train", place / "shards", json.dumps(job), "null", 5)[0]
        expect(begun["batches"] == alone["batches"][:5], "the package is not its own continuation")
        (place / "state.json").write_text(json.dumps(begun["state"]))
        rechost("run", "--plugin", "dlrm", "--set", "data.plugin=mds", "--set", f"data.path={place / 'shards'}", *ROLES[2:], *MODEL,
                "--set", "data.shuffle=mosaic", "--set", "data.batch_size=20", "--set", "data.mosaic.shuffle_block_size=300", "--set", "data.mosaic.num_canonical_nodes=2",
                "--set", f"data.mosaic.state={place / 'state.json'}", "--set", "run.steps=9", "--set", "run.log_samples=true", "--out", place / "runs")
        run = next(path for path in (place / "runs").iterdir() if (path / "samples").exists())
        ours = [batch for _, batch in sorted(global_batches(run).items())]
        expect(ours == alone["batches"][5:14], f"{ours} instead of {alone['batches'][5:14]}")
        state = (run / "checkpoints/latest/mosaic_state.json").read_text()
        rest = mosaic("mosaic_job.py", "train", place / "shards", json.dumps(job), state, 100)[0]
        expect(rest["batches"] == alone["batches"][14:], f"{rest['batches']} instead of {alone['batches'][14:]}")
        expect(rest["state"] == alone["state"], f"{rest['state']} instead of {alone['state']}")


main([orders_of_jobs_are_the_same, a_run_is_handed_over_and_back_in_the_middle_of_an_epoch])
