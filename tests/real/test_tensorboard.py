# label: real
"""TensorBoard shows the scalars of a run as it wrote them, also of one that was resumed."""
import json
import os
import pathlib
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request

SOURCE = pathlib.Path(os.environ["RECHOST_SOURCE_DIR"])
sys.path.insert(0, str(SOURCE / "tests" / "cli"))

from mlflow_process import free_port, python  # noqa: E402
from program import BIN, SMALL, expect, folder, main, rechost  # noqa: E402

RUN = ["run", "--plugin", "dlrm", *SMALL, "--set", "run.log_every_steps=5", "--set", "eval.every_steps=10", "--set", "checkpoint.every_steps=10",
       "--set", "schedule.kind=constant"]


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


class TensorBoard:
    def __init__(self, folder_path):
        self.port = free_port()
        self.log = open(pathlib.Path(folder_path).parent / "tensorboard.log", "w+b")
        self.process = subprocess.Popen([python(), "-m", "tensorboard.main", "--logdir", folder_path, "--host", "127.0.0.1", "--port", str(self.port),
                                         "--reload_interval", "1"], stdout=self.log, stderr=self.log)

    def get(self, path, **query):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/data/{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
            return json.load(answer)

    def runs(self, wanted):
        """By run its tags, once those runs are there."""
        while True:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise AssertionError(f"TensorBoard ended: {self.log.read().decode()}")
            try:
                found = self.get("plugin/scalars/tags")
                if wanted <= set(found):
                    return found
            except OSError:
                pass
            time.sleep(0.2)

    def scalars(self, run, tag):
        return [(step, value) for _, step, value in self.get("plugin/scalars/scalars", run=run, tag=tag)]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def written(run):
    """By tag the points of metrics.jsonl, in the precision that an event file has."""
    points = {}
    for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        for name, value in line.items():
            if name not in ("step", "epoch", "time"):
                points.setdefault(name.replace(".", "/", 1), []).append((line["step"], single(value)))
    return points


def what_a_run_wrote_is_what_tensorboard_shows():
    with folder() as place:
        runs = pathlib.Path(place) / "runs"
        rechost(*RUN, "--set", "run.name=whole", "--out", runs)
        # Killed, and resumed from an earlier step: what comes again must not stand there twice.
        killed = subprocess.Popen([BIN, *RUN, "--set", "run.name=killed", "--set", "run.epochs=60", "--out", runs], stderr=subprocess.DEVNULL)
        while not list(runs.glob("killed-*/checkpoints/latest")):
            expect(killed.poll() is None, "it ended")
            time.sleep(0.02)
        time.sleep(0.5)
        expect(killed.poll() is None, "it ended before it could be killed")
        killed.kill()
        killed.wait()
        rechost(*RUN, "--set", "run.name=killed", "--set", "run.epochs=60", "--out", runs, "--resume", "auto", timeout=300)
        names = {path.name for path in runs.iterdir()}
        expect(len(names) == 2, names)
        with TensorBoard(runs) as board:
            shown = board.runs({f"{name}/tensorboard" for name in names})
            for name in names:
                points = written(runs / name)
                expect(set(shown[f"{name}/tensorboard"]) == set(points), shown)
                for tag, wanted in points.items():
                    got = board.scalars(f"{name}/tensorboard", tag)
                    # It shows a sample of long curves; every point of it must be one of ours, in order, and short ones whole.
                    expect(len(got) == min(len(wanted), 1000) or len(wanted) > 1000, f"{name} {tag}: {len(got)} of {len(wanted)}")
                    expect(got == wanted if len(wanted) <= 1000 else set(got) <= set(wanted), f"{name} {tag}: {got[:3]} {wanted[:3]}")


main([what_a_run_wrote_is_what_tensorboard_shows])
