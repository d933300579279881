"""Small data of Criteo's form, and what a DLRM learns from them, step by step."""
import json
import random

from program import rechost

TRAIN = ["--set", "data.batch_size=250", "--set", "run.threads=1", "--set", "run.epochs=2", "--set", "model.embedding_dim=4",
         "--set", "model.bottom_mlp=[8, 4]", "--set", "model.top_mlp=[8]", "--set", "run.log_every_steps=1"]


def criteo_line(draw):
    """A row of Criteo's form; every tenth value is missing."""
    counts = ["" if draw.random() < 0.1 else str(draw.randrange(-2, 300)) for _ in range(13)]
    categories = ["" if draw.random() < 0.1 else format(draw.randrange(30) * 2654435761 % 2**32, "08x") for _ in range(26)]
    return "\t".join([str(int(draw.random() < 0.3)), *counts, *categories]) + "\n"


def write_criteo(path, rows, seed):
    draw = random.Random(seed)
    path.write_text("".join(criteo_line(draw) for _ in range(rows)))


def curve(run):
    """What the run recorded of every step, less the clock."""
    keep = lambda entry: {key: value for key, value in entry.items() if not any(word in key for word in ("time", "second", "share"))}
    return [keep(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()]


def trained(place, name, *arguments):
    rechost("run", "--plugin", "dlrm", *arguments, *TRAIN, "--out", place / name)
    return curve(next(path for path in (place / name).iterdir() if (path / "summary.json").exists()))
