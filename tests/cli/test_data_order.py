# Which samples training sees: what `data order` says, what runs log, what is left after kills; streams and their weights; states of MosaicML's.
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import time

from program import BIN, expect, folder, main, rechost
from sample_logs import by_epoch, global_batches

SEED = int(os.environ.get("RECHOST_TEST_SEED", str(random.SystemRandom().randrange(1 << 30))))
ROWS = 3000
DATA = ["--set", f"data.rows={ROWS}", "--set", "data.chunk_rows=130", "--set", "data.valid_rows=200", "--set", "data.test_rows=0", "--set", "data.batch_size=96"]
MODEL = ["--set", "run.threads=1", "--set", "model.embedding_dim=4", "--set", "model.bottom_mlp=[8, 4]", "--set", "model.top_mlp=[8]"]
MOSAIC = ["--set", "data.shuffle=mosaic", "--set", "data.mosaic.shuffle_block_size=600", "--set", "data.mosaic.nodes=2", "--set", "data.mosaic.ranks_per_node=2"]
BUFFER = ["--set", "data.shuffle=buffer", "--set", "data.shuffle_window=400"]


def order(*arguments):
    """By epoch and step, as the verb prints it."""
    lines = [json.loads(line) for line in rechost("data", "order", "--output", "json", *arguments).out.splitlines()]
    return {(line["epoch"], line["step"]): line["samples"] for line in lines}


def run_directory(root):
    return next(path for path in pathlib.Path(root).iterdir() if (path / "config.toml").exists())


def the_verb_shows_batches_and_who_gets_what():
    common = ["--plugin", "synthetic", *DATA]
    whole = order(*common, "--epoch", "2")
    expect(len(whole) == -(-ROWS // 96) and sorted(sum((batch[0] for batch in whole.values()), [])) == list(range(ROWS)), "an epoch is not every sample once")
    shared = order(*common, "--epoch", "2", "--step", "5", "--ranks", "3")[(2, 5)]
    expect([len(part) for part in shared] == [32, 32, 32] and sum(shared, []) == whole[(2, 5)][0], shared)
    text = rechost("data", "order", *common, "--epoch", "2", "--step", "5", "--ranks", "2").out
    expect(text == f"epoch 2 step 5: {' '.join(map(str, whole[(2, 5)][0][:48]))} | {' '.join(map(str, whole[(2, 5)][0][48:]))}\n", text)
    expect("steps 0 to 31" in rechost("data", "order", *common, "--step", "32", code=2).err, "a step after the end")


def a_run_is_trained_in_the_order_shown():
    with folder() as place:
        for name, shuffle in (("full", []), ("buffer", BUFFER), ("chunk", ["--set", "data.shuffle=chunk", "--set", "data.shuffle_chunks=3"]), ("mosaic", MOSAIC)):
            rechost("run", "--plugin", "dlrm", *DATA, *MODEL, *shuffle, "--set", "run.epochs=2", "--set", "run.log_samples=true", "--out", f"{place}/{name}")
            trained = by_epoch(global_batches(run_directory(f"{place}/{name}")))
            for epoch in (0, 1):
                shown = order("--plugin", "synthetic", *DATA, *shuffle, "--epoch", epoch)
                expect(trained[epoch] == sum((batch[0] for batch in shown.values()), []), f"{name}: epoch {epoch} was trained in another order")
            if name != "mosaic":
                expect(sorted(trained[1]) == list(range(ROWS)) and trained[0] != trained[1], name)


def killed_runs_lose_and_double_nothing():
    print(f"seed {SEED} (RECHOST_TEST_SEED)", flush=True)
    dice = random.Random(SEED)
    with folder() as place:
        for name, shuffle in (("full", []), ("buffer", BUFFER), ("mosaic", MOSAIC)):
            arguments = ["run", "--plugin", "dlrm", *DATA, *MODEL, *shuffle, "--set", "run.epochs=40", "--set", "run.log_samples=true"]
            begin = time.monotonic()
            rechost(*arguments, "--out", f"{place}/{name}-whole")
            seconds = time.monotonic() - begin
            for kill in range(6):
                process = subprocess.Popen([BIN, *arguments, "--set", "checkpoint.every_steps=7", "--resume", "auto", "--out", f"{place}/{name}"],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    process.wait(timeout=dice.uniform(0.2, 0.7) * seconds)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
            rechost(*arguments, "--set", "checkpoint.every_steps=7", "--resume", "auto", "--out", f"{place}/{name}")
            runs = sorted(path for path in pathlib.Path(f"{place}/{name}").iterdir() if (path / "samples").exists())
            whole = global_batches(run_directory(f"{place}/{name}-whole"))
            # Kills before the first checkpoint leave runs that nobody goes on with.
            last = global_batches(max(runs, key=lambda run: len(global_batches(run))))
            expect(last == whole, f"{name}: {len(last)} of {len(whole)} steps, or other samples in them")
            if name != "mosaic":
                for epoch, samples in by_epoch(last).items():
                    expect(sorted(samples) == list(range(ROWS)), f"{name}: epoch {epoch} lost or doubled samples")


def another_order_is_refused():
    with folder() as place:
        arguments = ["run", "--plugin", "dlrm", *DATA, *MODEL, *MOSAIC, "--set", "checkpoint.every_steps=5", "--set", "run.steps=20"]
        rechost(*arguments, "--out", place)
        run = run_directory(place) / "checkpoints/step-0000000015"
        changed = rechost(*arguments, "--set", "data.mosaic.shuffle_block_size=601", "--resume", run, code=78)
        expect("shuffle_block_size = 600" in changed.err and "601" in changed.err, changed)
        # The same settings, other chunks of the same rows.
        clicks = pathlib.Path(place) / "clicks"
        rechost("data", "synth", clicks, "--rows", "2000")
        shards = ["--config", clicks / "data.toml", *MODEL, "--set", "data.batch_size=96", "--set", "checkpoint.every_steps=5", "--set", "run.steps=20"]
        rechost("run", "--plugin", "dlrm", *shards, "--out", f"{place}/csv")
        with open(clicks / "train.csv") as file:
            lines = file.readlines()
        (clicks / "train.csv").write_text("".join(lines[:-100]))
        refused = rechost("run", "--plugin", "dlrm", *shards, "--resume", run_directory(f"{place}/csv") / "checkpoints/step-0000000015", code=None)
        expect(refused.code != 0 and "order of training samples is another" in refused.err, refused)


def streams_are_mixed_by_their_weights():
    with folder() as place:
        place = pathlib.Path(place)
        for name, rows in (("a", 900), ("b", 300)):
            rechost("data", "synth", place / name, "--rows", rows)
        base = (place / "a/data.toml").read_text()
        base = "".join(line + "\n" for line in base.splitlines() if "_path" not in line)
        config = place / "streams.toml"
        config.write_text(base + f"batch_size = 80\nvalid_path = '{place / 'a/valid.csv'}'\n[data.streams.first]\ntrain_path = '{place / 'a/train.csv'}'\n"
                          f"proportion = 1\n[data.streams.second]\ntrain_path = '{place / 'b/train.csv'}'\nproportion = 3\n")
        for shuffle in ("full", "chunk", "buffer", "none", "mosaic"):
            arguments = ["--config", config, "--set", f"data.shuffle={shuffle}"]
            samples = sum((batch[0] for batch in order(*arguments, "--epoch", "1").values()), [])
            counts = collections.Counter(samples)
            second = sum(count for sample, count in counts.items() if sample >= 900)
            expect(len(samples) >= 1200 and abs(second - 900) <= 1, f"{shuffle}: {second} of {len(samples)} samples are of the stream with three quarters")
            expect(all(counts[sample] == 3 for sample in range(900, 1200)) or shuffle == "mosaic", f"{shuffle}: not every sample of the second stream came three times")
            expect(sum(1 for sample in range(900) if counts[sample]) == 300, f"{shuffle}: a third of the first stream, nothing twice")
            if shuffle in ("chunk", "buffer", "none"):
                for batch in order(*arguments).values():
                    share = sum(sample >= 900 for sample in batch[0])
                    expect(abs(share - 60) <= 2, f"{shuffle}: {share} of 80 samples are of the second stream")
        rechost("run", "--plugin", "dlrm", "--config", config, *MODEL, "--set", "run.log_samples=true", "--out", place / "runs")
        trained = by_epoch(global_batches(run_directory(place / "runs")))[0]
        shown = sum((batch[0] for batch in order("--config", config).values()), [])
        expect(trained == shown, "streams were trained in another order than shown")
        inspected = rechost("data", "inspect", "--config", config).out
        expect("split train: 1,200 rows" in inspected and inspected.count("split valid") == 1, inspected)
        # A stream that does not fit is refused by its name.
        odd = (place / "b/train.csv").read_text().splitlines()
        (place / "odd.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in odd) + "\n")
        text = config.read_text().replace(str(place / "b/train.csv"), str(place / "odd.csv"))
        (place / "odd.toml").write_text(text)
        refused = rechost("data", "order", "--config", place / "odd.toml", code=None)
        expect(refused.code != 0 and ("odd.csv" in refused.err or "data.streams.second" in refused.err), refused)
        mixed = rechost("data", "order", "--config", config, "--set", "data.streams.second.choose=5", code=78)
        expect("data.streams.second" in mixed.err and "choose" in mixed.err, mixed)


def a_state_of_mosaic_is_taken_over_and_given_back():
    with folder() as place:
        place = pathlib.Path(place)
        arguments = ["--plugin", "synthetic", *DATA, *MOSAIC]
        state = {"epoch": 1, "sample_in_epoch": 96 * 4, "num_canonical_nodes": 2, "shuffle_seed": 9176, "initial_physical_nodes": 2}
        (place / "state.json").write_text(json.dumps(state))
        unbroken = order(*arguments, "--epoch", "1")
        resumed = order(*arguments, "--set", f"data.mosaic.state={place / 'state.json'}")
        expect([resumed[key] for key in sorted(resumed)] == [unbroken[(1, step)] for step in range(4, len(unbroken))], "the state goes on elsewhere")
        run = ["run", "--plugin", "dlrm", *DATA, *MODEL, *MOSAIC, "--set", f"data.mosaic.state={place / 'state.json'}", "--set", "run.log_samples=true"]
        rechost(*run, "--set", "run.steps=5", "--out", place / "runs")
        made = run_directory(place / "runs")
        written = json.loads((made / "checkpoints/latest/mosaic_state.json").read_text())
        expect(written == {**state, "sample_in_epoch": 96 * 9}, written)
        trained = by_epoch(global_batches(made))
        expect(trained == {1: sum((unbroken[(1, step)][0] for step in range(4, 9)), [])}, trained)
        # To the end of the second epoch, the one that the state was in the middle of.
        done = rechost(*run, "--set", "run.epochs=2", "--output", "json", "--out", place / "rest").json()
        expect(done["steps"] == len(unbroken) - 4, done)
        late = rechost(*run, "--set", "run.epochs=1", "--out", place / "late", code=78)
        expect("run.epochs = 1" in late.err and "epoch 1" in late.err, late)
        (place / "state.json").write_text("{\"epoch\": 1}")
        broken = rechost("data", "order", *arguments, "--set", f"data.mosaic.state={place / 'state.json'}", code=None)
        expect(broken.code != 0 and "sample_in_epoch" in broken.err and "state.json" in broken.err, broken)


def small_blocks_are_warned_of():
    warned = rechost("data", "order", "--plugin", "synthetic", *DATA, "--set", "data.shuffle=mosaic", "--set", "data.mosaic.shuffle_block_size=100").err
    expect("blocks of 75 to 124 samples" in warned and "largest shard holds 130" in warned and "shuffle_block_size to 521" in warned, warned)


main([the_verb_shows_batches_and_who_gets_what, a_run_is_trained_in_the_order_shown, killed_runs_lose_and_double_nothing, another_order_is_refused,
      streams_are_mixed_by_their_weights, a_state_of_mosaic_is_taken_over_and_given_back, small_blocks_are_warned_of])
