# label: multiprocess
# One registry used by several processes at once, some of which are killed at whatever they are doing.
import json
import os
import pathlib
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))

from program import BIN, SMALL, expect, folder, main, rechost  # noqa: E402

SEED = int(os.environ.get("RECHOST_TEST_SEED") or random.SystemRandom().randrange(2**32))
WORKERS, COMMANDS = 4, 40
ALIASES = ["champion", "challenger"]


def draw_command(draw, runs):
    kind = draw.choice(["register", "register", "alias", "promote", "rollback", "remove"])
    if kind == "register":
        return ["register", "clicks", str(draw.choice(runs))]
    if kind == "alias":
        return ["alias", f"models:/clicks/{draw.randrange(1, 30)}", draw.choice(ALIASES)]
    if kind == "promote":
        return ["promote", f"models:/clicks@{ALIASES[1]}", ALIASES[0]]
    if kind == "rollback":
        return ["rollback", "clicks", draw.choice(ALIASES)]
    return ["remove", f"models:/clicks/{draw.randrange(1, 30)}"]


def version_in(reference):
    return int(reference.rsplit("/", 1)[1])


class Worker(threading.Thread):
    """Runs one command after the other; kills about every third at a moment drawn by chance."""

    def __init__(self, number, runs):
        super().__init__()
        self.draw, self.runs = random.Random(SEED * WORKERS + number), runs
        self.killed, self.registered, self.removed, self.perhaps_removed, self.complaints = 0, [], [], [], []

    def run(self):
        for _ in range(COMMANDS):
            command = draw_command(self.draw, self.runs)
            process = subprocess.Popen([BIN, "models", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if self.draw.random() < 0.35:
                time.sleep(self.draw.random() ** 2 * 0.08)
                process.send_signal(signal.SIGKILL)
            out, err = process.communicate(timeout=120)
            if process.returncode == -signal.SIGKILL:
                self.killed += 1
                if command[0] == "remove":
                    self.perhaps_removed.append(version_in(command[1]))
            elif process.returncode == 0 and command[0] == "register":
                self.registered.append(int(re.fullmatch(r"models:/clicks/(\d+)\n", out).group(1)))
            elif process.returncode == 0 and command[0] == "remove":
                self.removed.append(version_in(command[1]))
            # A version, an alias or a way back that is not there is refused by name; nothing else may go wrong.
            elif process.returncode not in (0, 78):
                self.complaints.append(f"{' '.join(command)}: {process.returncode}: {err}")


def check(registry, workers):
    said = [number for worker in workers for number in worker.registered]
    removed = {number for worker in workers for number in worker.removed}
    perhaps_removed = {number for worker in workers for number in worker.perhaps_removed}
    listed = {version["version"]: version for version in shown("clicks")}
    expect(len(said) == len(set(said)), f"a number was given twice: {sorted(said)}")
    expect(not removed & set(listed), f"removed and there: {removed & set(listed)}")
    expect(set(said) <= set(listed) | removed | perhaps_removed, f"registered and gone: {set(said) - set(listed)}")

    # What the killed left, the command above has deleted: it opened the registry when all others had ended.
    files = sorted(path.name for path in (registry / "models").iterdir())
    expect(files == ["clicks"], files)
    versions = sorted(int(path.name) for path in (registry / "models/clicks").iterdir())
    expect(versions == sorted(listed), f"files {versions}, rows {sorted(listed)}")

    database = sqlite3.connect(registry / "registry.sqlite")
    expect(database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "integrity_check")
    expect(database.execute("PRAGMA foreign_key_check").fetchall() == [], "foreign_key_check")
    last = database.execute("SELECT last_version FROM models").fetchone()[0]
    database.close()
    # A number is taken in the transaction that keeps the version: each up to the last was one.
    missing = set(range(1, last + 1)) - set(listed)
    expect(max(listed) <= last and missing <= removed | perhaps_removed, f"numbers up to {last} that no version ever had: {missing - removed}")
    for version in listed.values():
        rechost("models", "verify", f"models:/clicks/{version['version']}")
        for alias in version["aliases"]:
            expect(shown(f"models:/clicks@{alias}")[0]["version"] == version["version"], alias)
        known = [version["run_directory"], version["data_fingerprint"], version["plugin"]["id"], version["plugin"]["version"], version["sdk_version"]]
        expect(all(known), f"version {version['version']} does not say where it comes from: {known}")
    return listed, last


def shown(model):
    return [json.loads(line) for line in rechost("models", "show", model, "--output", "json").out.splitlines()]


def a_registry_stays_whole_while_its_users_are_killed():
    print(f"seed {SEED} (RECHOST_TEST_SEED repeats the draws, not the moments)", flush=True)
    with folder() as place:
        place = pathlib.Path(place)
        registry = place / "registry"
        for number in (1, 2):
            rechost("run", "--plugin", "dlrm", *SMALL, "--set", f"run.seed={number}", "--out", place / f"runs-{number}")
        runs = [next((place / f"runs-{number}").glob("dlrm-*")) for number in (1, 2)]
        workers = [Worker(number, runs) for number in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        complaints = [complaint for worker in workers for complaint in worker.complaints]
        expect(not complaints, "\n".join(complaints))
        killed = sum(worker.killed for worker in workers)
        expect(killed > WORKERS, f"only {killed} of {WORKERS * COMMANDS} were killed")
        listed, last = check(registry, workers)
        print(f"{killed} of {WORKERS * COMMANDS} processes killed; {len(listed)} versions are left", flush=True)

        # And it goes on as if nothing had been.
        expect(rechost("models", "register", "clicks", runs[0]).out == f"models:/clicks/{last + 1}\n", "the next number")
        rechost("models", "alias", "models:/clicks", "champion")
        for verb, more in (("eval", []), ("predict", ["--out", place / "scores.jsonl"])):
            rechost(verb, "models:/clicks@champion", *more)


main([a_registry_stays_whole_while_its_users_are_killed])
