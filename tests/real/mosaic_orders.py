"""The order of samples that MosaicML's StreamingDataset gives the ranks of a job. Run with the Python of packaging/mosaic:

    mosaic_orders.py golden FILE    the file that tests/core/data/mosaic_order.cpp compares with, made anew
    mosaic_orders.py case           one case as JSON on standard input; its batches, or the error, as JSON on standard output
    mosaic_orders.py random SEED N  N cases, one a line

A case is what the job is given: "mosaic" (the keys of [data.mosaic]), "batch_size" (of a rank), "epoch_size", "streams" with the sizes of
their shards and weights, "epochs", and "state" to go on from. The package makes the whole plan; one process stands for all ranks of the job.
"""
import json
import logging
import os
import pathlib
import random
import sys
import tempfile
import warnings

import xxhash

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

from streaming import Stream, StreamingDataset  # noqa: E402
from streaming.base.batching import generate_work  # noqa: E402
from streaming.base.util import clean_stale_shared_memory  # noqa: E402
from streaming.base.world import World  # noqa: E402

DEFAULTS = {"shuffle": True, "shuffle_algo": "py1e", "shuffle_seed": 9176, "shuffle_block_size": 0, "num_canonical_nodes": 0, "partition_algo": "relaxed",
            "batching_method": "random", "sampling_method": "balanced", "sampling_granularity": 1, "replication": 1, "nodes": 1, "ranks_per_node": 1}


def write_index(folder, sizes):
    """The index alone: no plan reads a sample."""
    folder.mkdir(parents=True)
    shards = [{"column_encodings": ["int64"], "column_names": ["id"], "column_sizes": [8], "compression": None, "format": "mds", "hashes": [],
               "raw_data": {"basename": f"shard.{i:05}.mds", "bytes": 100 + 12 * size, "hashes": {}}, "samples": size, "size_limit": 1 << 26, "version": 2,
               "zip_data": None} for i, size in enumerate(sizes)]
    (folder / "index.json").write_text(json.dumps({"shards": shards, "version": 2}))


def open_job(case, folder):
    job = {**DEFAULTS, **case["mosaic"]}
    clean_stale_shared_memory()
    World.detect = classmethod(lambda cls: cls(job["nodes"], job["ranks_per_node"], case.get("workers", 1), 0))
    streams = []
    for i, stream in enumerate(case["streams"]):
        write_index(folder / f"{i:02}", stream["shards"])
        streams.append(Stream(local=str(folder / f"{i:02}"), **{key: stream[key] for key in ("proportion", "repeat", "choose") if key in stream}))
    return StreamingDataset(streams=streams, batch_size=case["batch_size"], epoch_size=case.get("epoch_size") or None, shuffle=job["shuffle"],
                            shuffle_algo=job["shuffle_algo"], shuffle_seed=job["shuffle_seed"], shuffle_block_size=job["shuffle_block_size"] or None,
                            num_canonical_nodes=job["num_canonical_nodes"] or None, partition_algo=job["partition_algo"],
                            batching_method=job["batching_method"], sampling_method=job["sampling_method"],
                            sampling_granularity=job["sampling_granularity"], replication=job["replication"] if job["replication"] > 1 else None)


def global_batches(plan):
    """What the job trains on, step by step: (nodes, ranks, workers, batches, rows) in order of traversal; -1 is no sample."""
    steps = plan.transpose(3, 2, 0, 1, 4).reshape(plan.shape[3] * plan.shape[2], -1)
    batches = [[int(sample) for sample in step if sample >= 0] for step in steps]
    return [batch for batch in batches if batch]


def orders(case):
    """For each epoch its batches; with a state, from there on."""
    with tempfile.TemporaryDirectory() as folder:
        job = open_job(case, pathlib.Path(folder))
        world = job._parallel_rank_world
        if "state" in case:
            job.load_state_dict(case["state"])
        result = []
        for epoch in case["epochs"]:
            epoch, seen = job._resume(world, epoch)
            result.append(global_batches(generate_work(job.batching_method, job, world, epoch, seen)))
        return result


def answer(case):
    """In a process of its own: the package keeps files open for every job that it has seen."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = {"orders": orders(case)}
        except (ValueError, RuntimeError, ZeroDivisionError, IndexError) as error:
            result = {"error": str(error)}
        with os.fdopen(sink, "w") as out:
            json.dump(result, out)
        os._exit(0)
    os.close(sink)
    with os.fdopen(source) as result:
        text = result.read()
    os.waitpid(child, 0)
    return json.loads(text)


def digest(batches):
    return "xxh3:" + xxhash.xxh3_64_hexdigest("".join(" ".join(map(str, batch)) + "\n" for batch in batches).encode())


ALGORITHMS = ("naive", "py1s", "py2s", "py1br", "py1e")
BATCHING = ("random", "stratified", "per_stream", "device_per_stream")
TOPOLOGIES = [  # nodes, ranks per node, workers, rows of a rank, canonical nodes
    (1, 1, 1, 16, 2), (1, 2, 2, 8, 1), (2, 2, 1, 4, 4), (2, 1, 3, 8, 2), (4, 2, 2, 2, 8), (4, 1, 1, 4, 2)]
STREAMS = [{"shards": [40, 40, 17], "repeat": 0.7}, {"shards": [33, 1, 50, 26, 26], "repeat": 1.4}, {"shards": [64, 9]}]


def table():
    """5 algorithms x 6 topologies x 4 ways to batch, 3 epochs each."""
    for algorithm in ALGORITHMS:
        for nodes, ranks, workers, rows, canonical in TOPOLOGIES:
            for batching in BATCHING:
                yield {"mosaic": {"shuffle_algo": algorithm, "nodes": nodes, "ranks_per_node": ranks, "num_canonical_nodes": canonical,
                                  "batching_method": batching, "shuffle_block_size": 60}, "workers": workers, "batch_size": rows,
                       "streams": STREAMS, "epochs": [0, 1, 2]}


def random_case(source):
    """Any combination, refused ones included."""
    nodes, ranks = source.choice([1, 1, 2, 3, 4]), source.choice([1, 2, 2, 4])
    replication = source.choice([1, 1, 1, 2])
    mosaic = {"shuffle": source.random() < 0.85, "shuffle_algo": source.choice(ALGORITHMS), "shuffle_seed": source.choice([0, 1, 9176, 2**32 + 5]),
              "shuffle_block_size": source.choice([8, 30, 60, 1000, 0]), "num_canonical_nodes": source.choice([0, 1, 2, 3, 4, 8, nodes, 2 * nodes]),
              "partition_algo": source.choice(["relaxed", "orig"]), "batching_method": source.choice(BATCHING),
              "sampling_method": source.choice(["balanced", "fixed"]), "sampling_granularity": source.choice([1, 1, 3, 10]),
              "replication": replication, "nodes": nodes, "ranks_per_node": ranks}
    streams = [{"shards": [source.choice([0, 1, 5, 20, 20, 33, 50]) for _ in range(source.randint(1, 8))] + [source.randint(1, 60)]}
               for _ in range(source.choice([1, 1, 2, 3, 5, 9]))]
    kind = source.choice(["none", "none", "proportion", "absolute"])
    case = {"mosaic": mosaic, "workers": source.choice([1, 2, 3]), "batch_size": source.choice([1, 2, 4, 7]), "streams": streams, "epochs": [0, 1]}
    for stream in streams:
        if kind == "proportion":
            stream["proportion"] = source.choice([0.3, 1, 2, 1.7])
        elif kind == "absolute" and source.random() < 0.7:
            stream.update(source.choice([{"repeat": 0.5}, {"repeat": 2.3}, {"choose": 15}, {"choose": 90}]))
    if kind != "absolute" and source.random() < 0.4:
        case["epoch_size"] = source.choice([10, 64, 200, 333])
    if source.random() < 0.4:
        canonical = source.choice([1, 2, 4, nodes, 2 * nodes])
        # A job of fewer or more nodes wrote it; its batches were as large.
        case["state"] = {"epoch": source.choice([0, 1]), "sample_in_epoch": nodes * ranks // replication * case["batch_size"] * source.choice([0, 1, 2, 5]),
                         "num_canonical_nodes": canonical, "shuffle_seed": mosaic["shuffle_seed"],
                         "initial_physical_nodes": source.choice([nodes, nodes, 1, 2, None])}
        case["epochs"] = [0, case["state"]["epoch"] + 1]
    return case


def golden(path):
    lines = []
    for number, case in enumerate(table()):
        result = answer(case)
        if "orders" in result:
            result["digests"] = [digest(batches) for batches in result["orders"]]
            if number > 3:  # a few in full, the others by a checksum of their text
                del result["orders"]
        lines.append(json.dumps({**case, **result}))
    source = random.Random(20)
    for _ in range(100):
        case = random_case(source)
        result = answer(case)
        if "orders" in result:
            result = {"digests": [digest(batches) for batches in result["orders"]]}
        lines.append(json.dumps({**case, **result}))
    pathlib.Path(path).write_text("\n".join(lines) + "\n")


if sys.argv[1] == "golden":
    golden(sys.argv[2])
elif sys.argv[1] == "case":
    print(json.dumps(answer(json.load(sys.stdin))))
elif sys.argv[1] == "random":
    cases = random.Random(int(sys.argv[2]))
    for _ in range(int(sys.argv[3])):
        generated = random_case(cases)
        print(json.dumps({**generated, **answer(generated)}))
