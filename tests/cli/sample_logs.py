"""What `run.log_samples` leaves behind, put together over ranks."""
import json
import pathlib


def global_batches(run):
    """By (epoch, step): the samples of the global batch, in order. A step that was trained again must have had the same."""
    slices = {}
    for path in sorted(pathlib.Path(run).glob("samples/rank-*.jsonl")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            rows = slices.setdefault((entry["epoch"], entry["step"]), {})
            if not entry["samples"]:
                continue
            known = rows.setdefault(entry["first_row"], entry["samples"])
            if known != entry["samples"]:
                raise AssertionError(f"step {entry['step']} was trained on {known} and again on {entry['samples']}")
    batches = {}
    for place, rows in sorted(slices.items()):
        batches[place] = []
        for first in sorted(rows):
            if first != len(batches[place]):
                raise AssertionError(f"{place}: row {first} after {len(batches[place])} rows")
            batches[place] += rows[first]
    return batches


def by_epoch(batches):
    """The samples of each epoch, in order."""
    epochs = {}
    for (epoch, _), samples in sorted(batches.items()):
        epochs.setdefault(epoch, []).extend(samples)
    return epochs
