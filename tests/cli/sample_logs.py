"""What `run.log_samples` leaves behind, put together over ranks."""
import json
import pathlib


def global_batches(run):
    """By (epoch, step): the samples of the global batch, in order. A step that was trained again, perhaps cut for another number of ranks, must
    have had the same."""
    places = {}
    for path in sorted(pathlib.Path(run).glob("samples/rank-*.jsonl")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            rows = places.setdefault((entry["epoch"], entry["step"]), {})
            for row, sample in enumerate(entry["samples"], entry["first_row"]):
                if rows.setdefault(row, sample) != sample:
                    raise AssertionError(f"row {row} of step {entry['step']} was sample {rows[row]} and again {sample}")
    batches = {}
    for place, rows in sorted(places.items()):
        if sorted(rows) != list(range(len(rows))):
            raise AssertionError(f"{place}: {len(rows)} rows up to row {max(rows)}")
        batches[place] = [rows[row] for row in range(len(rows))]
    return batches


def by_epoch(batches):
    """The samples of each epoch, in order."""
    epochs = {}
    for (epoch, _), samples in sorted(batches.items()):
        epochs.setdefault(epoch, []).extend(samples)
    return epochs
