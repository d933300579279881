"""Shards of numbered samples, and a job that reads them with MosaicML's StreamingDataLoader. Run with the Python of packaging/mosaic.

    mosaic_job.py write FOLDERS                         JSON: by folder, the rows of each shard; sample n has id n
    mosaic_job.py train FOLDER JOB STATE BATCHES        the ids of so many batches from STATE on (JSON, or null), and the state after them
"""
import json
import logging
import pathlib
import sys
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset  # noqa: E402
from streaming.base.util import clean_stale_shared_memory, merge_index  # noqa: E402


def write_shards(folder, rows):
    """The package's writer cuts by bytes, so each shard is written alone and all are merged."""
    sample = 0
    for number, count in enumerate(rows):
        part = pathlib.Path(folder) / f"{number:03}"
        # Before a sample that is larger than a shard may be, the writer leaves a shard without samples.
        with MDSWriter(out=str(part), columns={"id": "int64", "label": "int32"}, size_limit=(1 << 26) if count else 16) as writer:
            for _ in range(max(count, 1)):
                writer.write({"id": sample, "label": sample % 2})
                sample += 1 if count else 0
        if count == 0:
            index = json.loads((part / "index.json").read_text())
            index["shards"] = index["shards"][:1]
            (part / "index.json").write_text(json.dumps(index))
    merge_index(str(folder), keep_local=True)


def write(folders):
    for folder, rows in json.loads(folders).items():
        write_shards(folder, rows)


def train(folder, job, state, batches):
    job = json.loads(job)
    clean_stale_shared_memory()
    dataset = StreamingDataset(local=folder, shuffle=True, **{key: value for key, value in job.items() if key != "workers"})
    loader = StreamingDataLoader(dataset, batch_size=job["batch_size"], num_workers=job["workers"])
    if json.loads(state) is not None:
        loader.load_state_dict(json.loads(state))
    seen = []
    for batch in loader:
        seen.append(batch["id"].tolist())
        if len(seen) == int(batches):
            break
    print(json.dumps({"batches": seen, "state": loader.state_dict()}))


{"write": write, "train": train}[sys.argv[1]](*sys.argv[2:])
