# label: multiprocess
"""Real ranks see the global batches of one process, whatever their number; killed and resumed on another number they lose and double nothing;
rows that cannot be used are the same everywhere, and counted once."""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from program import BIN, expect, folder, main, rechost  # noqa: E402
from sample_logs import by_epoch, global_batches  # noqa: E402

SEED = int(os.environ.get("RECHOST_TEST_SEED", str(random.SystemRandom().randrange(1 << 30))))
RANKS = (1, 2, 3, 4, 8)
ROWS = 900
# A model without LibTorch: a process of it starts in a twentieth of a second, and what it learns has no part in what it sees.
MODEL = ["--plugin", pathlib.Path(os.environ["RECHOST_TEST_PLUGIN_DIR"]) / "plain_c_plugin.so", "--set", "run.threads=1", "--set", "run.log_samples=true",
         "--set", "data.batch_size=72", "--set", "eval.every_epochs=15"]
ORDERS = {
    "full": [],
    "buffer": ["--set", "data.shuffle_window=200"],
    "chunk": ["--set", "data.shuffle_chunks=3"],
    "none": [],
    "mosaic": ["--set", "data.mosaic.shuffle_block_size=300", "--set", "data.mosaic.nodes=2", "--set", "data.mosaic.ranks_per_node=2"],
}


class Case:
    """A way to order samples, and the data of it."""

    def __init__(self, name, settings, every_sample_once=True):
        self.name = name
        self.arguments = [*MODEL, *map(str, settings)]
        self.every_sample_once = every_sample_once  # else some are drawn several times, or not at all


def cases(place):
    """Every order of one source, and of two streams those that mix them each in its own way."""
    synthetic = ["--set", "data.plugin=synthetic", "--set", f"data.rows={ROWS}", "--set", "data.chunk_rows=130", "--set", "data.valid_rows=100", "--set", "data.test_rows=0"]
    for name, more in ORDERS.items():
        # The order of MosaicML's draws some samples twice, so that its ranks have equally many.
        yield Case(name, [*synthetic, "--set", f"data.shuffle={name}", *more], name != "mosaic")
    for name, rows in (("a", ROWS), ("b", ROWS // 3)):
        rechost("data", "synth", place / name, "--rows", rows)
    common = "".join(line + "\n" for line in (place / "a/data.toml").read_text().splitlines() if "_path" not in line)
    config = place / "streams.toml"
    config.write_text(f"{common}valid_path = '{place / 'a/valid.csv'}'\n[data.streams.first]\ntrain_path = '{place / 'a/train.csv'}'\nproportion = 1\n"
                      f"[data.streams.second]\ntrain_path = '{place / 'b/train.csv'}'\nproportion = 2\n")
    for shuffle in ("full", "chunk", "mosaic"):
        yield Case(f"streams, {shuffle}", ["--config", config, "--set", f"data.shuffle={shuffle}", *ORDERS[shuffle]], False)


def run_directory(root):
    """The run that went on to its end; kills before the first checkpoint leave others that nobody goes on with."""
    finished = [path.parent for path in pathlib.Path(root).glob("*/summary.json") if json.loads(path.read_text())["status"] == "finished"]
    expect(len(finished) == 1, f"{len(finished)} runs in {root} are finished")
    return finished[0]


def expect_every_sample_once(case, batches):
    if case.every_sample_once:
        for epoch, samples in by_epoch(batches).items():
            expect(sorted(samples) == list(range(ROWS)), f"{case.name}: epoch {epoch} lost or doubled samples")


def any_number_of_ranks_sees_the_same_global_batches():
    with folder() as place:
        for case in cases(pathlib.Path(place)):
            seen = {}
            for ranks in RANKS:
                root = pathlib.Path(place) / f"{case.name}-{ranks}"
                rechost("run", *case.arguments, "--set", "run.epochs=2", "--nproc", ranks, "--out", root)
                expect(len(list(run_directory(root).glob("samples/rank-*.jsonl"))) == ranks, f"{case.name}: not every one of {ranks} ranks wrote a log")
                seen[ranks] = global_batches(run_directory(root))
            expect_every_sample_once(case, seen[1])
            expect(len(by_epoch(seen[1])) == 2, case.name)
            for ranks in RANKS:
                expect(seen[ranks] == seen[1], f"{case.name}: {ranks} ranks see other global batches than one process")


def ranks_of(supervisor):
    """Process ids of the ranks that a supervisor has started."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == supervisor:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def logged_bytes(root):
    return sum(path.stat().st_size for path in pathlib.Path(root).glob("*/samples/rank-*.jsonl"))


def train_until_killed(arguments, root, ranks, bytes_more, dice):
    """Kills one rank, or all of them with their supervisor, once the logs have grown so much. False: the run had ended before that."""
    limit = logged_bytes(root) + bytes_more
    command = [BIN, *map(str, arguments), "--nproc", str(ranks), "--resume", "auto", "--out", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while process.poll() is None and logged_bytes(root) < limit:
        expect(time.monotonic() < deadline, f"{ranks} ranks train nothing")
        time.sleep(0.002)
    children = ranks_of(process.pid) if ranks > 1 else []
    everybody = [process.pid, *children]
    for victim in [dice.choice(children)] if children and dice.random() < 0.5 else everybody:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass
    _, errors = process.communicate(timeout=60)
    expect(process.returncode in (0, 76, -signal.SIGKILL), f"{ranks} ranks: exit code {process.returncode}\n{errors}")
    # Without their supervisor they end by themselves, or were killed; a file must not grow behind the back of the next run.
    for child in children:
        while pathlib.Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
    return process.returncode != 0


def runs_killed_anywhere_and_resumed_on_other_ranks_lose_and_double_nothing():
    print(f"seed {SEED} (RECHOST_TEST_SEED)", flush=True)
    dice = random.Random(SEED)
    tries = kills = 0
    with folder() as place:
        for case in cases(pathlib.Path(place)):
            arguments = ["run", *case.arguments, "--set", "run.epochs=15"]
            rechost(*arguments, "--out", f"{place}/{case.name}-whole")
            whole = global_batches(run_directory(f"{place}/{case.name}-whole"))
            expect_every_sample_once(case, whole)
            root = pathlib.Path(place) / f"{case.name}-broken"
            arguments += ["--set", "checkpoint.every_steps=30"]
            size = logged_bytes(f"{place}/{case.name}-whole")
            for ranks in dice.sample(RANKS, 3):
                tries += 1
                kills += train_until_killed(arguments, root, ranks, dice.randrange(size // 4), dice)
            rechost(*arguments, "--nproc", dice.choice(RANKS), "--resume", "auto", "--out", root)
            broken = global_batches(run_directory(root))
            expect(broken == whole, f"{case.name}: {len(broken)} of {len(whole)} steps, or other samples in them")
    expect(kills > tries // 2, f"{tries - kills} of {tries} runs had ended before they were to be killed")


def damaged_csv(place):
    """Rows that the loader refuses, and rows that it reads but that cannot be encoded: which line of the file, by reason."""
    rechost("data", "synth", place / "data", "--rows", ROWS)
    lines = (place / "data/train.csv").read_text().splitlines()
    names = lines[0].split(",")
    label = names.index(json.loads((place / "data/data.toml").read_text().split("label = ")[1].splitlines()[0])[0])
    dense = names.index(json.loads((place / "data/data.toml").read_text().split("dense = ")[1].splitlines()[0])[0])
    damaged = []
    for line in range(17, ROWS, 61):
        fields = lines[line].split(",")
        if line % 3 == 0:
            fields[dense] = "much"
        elif line % 3 == 1:
            fields[label] = "3"
        else:
            fields.append("one too many")
        lines[line] = ",".join(fields)
        damaged.append(line + 1)
    (place / "data/train.csv").write_text("\n".join(lines) + "\n")
    return ["--config", place / "data/data.toml", *MODEL], damaged


def bad_rows_are_the_same_on_any_number_of_ranks_and_counted_once():
    print(f"seed {SEED} (RECHOST_TEST_SEED)", flush=True)
    dice = random.Random(SEED)
    with folder() as place:
        place = pathlib.Path(place)
        arguments, damaged = damaged_csv(place)
        good = ROWS - len(damaged)
        for action in ("skip", "quarantine"):
            begin = ["run", *arguments, "--set", f"data.bad_rows={action}", "--set", f"data.bad_row_budget={len(damaged)}", "--set", "run.epochs=2"]
            alone = None
            for ranks in (1, 2, 3, 4):
                root = place / f"{action}-{ranks}"
                summary = rechost(*begin, "--nproc", ranks, "--output", "json", "--out", root).json()
                expect(summary["bad_rows"] == len(damaged) and summary["bad_rows_by_split"] == {"train": len(damaged)}, f"{ranks} ranks: {summary}")
                run = run_directory(root)
                kept = sorted((path.name, path.read_bytes()) for path in run.glob("quarantine/*"))
                seen = (global_batches(run), summary["bad_rows_by_column"], kept)
                alone = alone or seen
                expect(seen == alone, f"{action}: {ranks} ranks drop other rows than one process")
            expect(sorted(by_epoch(alone[0])[1]) == list(range(good)), f"{action}: not every good row once")
            if action == "quarantine":
                expect([name for name, _ in alone[2]] == ["train.jsonl"], alone[2])
                lines = [json.loads(line)["line"] for line in alone[2][0][1].splitlines()]
                expect(lines == damaged, f"rows of lines {lines} were quarantined, not {damaged}")
            # One more than the budget ends all ranks, each for the same reason.
            over = rechost(*begin, "--set", f"data.bad_row_budget={len(damaged) - 1}", "--nproc", 3, "--out", place / "over", code=1)
            expect(f"more than data.bad_row_budget = {len(damaged) - 1} bad rows" in over.err, over)

            # Killed and resumed: read with vocabularies that exist already, the same rows are dropped, and not counted again.
            begin += ["--set", "run.epochs=15", "--set", "checkpoint.every_steps=30"]
            rechost(*begin, "--out", place / f"{action}-whole")
            whole = global_batches(run_directory(place / f"{action}-whole"))
            root = place / f"{action}-broken"
            for ranks in (3, 1, 2):
                train_until_killed(begin, root, ranks, dice.randrange(logged_bytes(place / f"{action}-whole") // 4), dice)
            summary = rechost(*begin, "--nproc", 4, "--resume", "auto", "--output", "json", "--out", root).json()
            run = run_directory(root)
            expect(summary["bad_rows"] == len(damaged), f"after kills {summary['bad_rows']} bad rows instead of {len(damaged)}")
            expect(global_batches(run) == whole, f"{action}: killed and resumed, other samples were seen")
            expect(sorted((path.name, path.read_bytes()) for path in run.glob("quarantine/*")) == alone[2], f"{action}: the quarantine changed by kills")


if __name__ == "__main__":
    main([any_number_of_ranks_sees_the_same_global_batches, runs_killed_anywhere_and_resumed_on_other_ranks_lose_and_double_nothing,
          bad_rows_are_the_same_on_any_number_of_ranks_and_counted_once])
