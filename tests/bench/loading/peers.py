"""Readers of other frameworks, for bench_data: answers each line of JSON on standard input with one on standard output, until the end.

Run with the Python of packaging/mosaic and the packages of packaging/parquet-peers on PYTHONPATH. Times leave out what is made once: imports,
the opening of a data set, the first batch.
"""
import logging
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from answers import serve

DENSE = [f"I{i}" for i in range(1, 14)]
SPARSE = [f"C{i}" for i in range(1, 27)]
TEXT_COLUMNS = ["label", *DENSE, *SPARSE]


def processor_seconds(processes):
    """Of this process and its workers, which are still running."""
    ticks = 0
    for process in processes:
        with open(f"/proc/{process}/stat", encoding="ascii") as status:
            fields = status.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def answer(done, processor, wall):
    return {"done": done, "processor_seconds": processor, "wall_seconds": wall}


def timed(body):
    processor, wall = time.process_time(), time.perf_counter()
    done = body()
    return answer(done, time.process_time() - processor, time.perf_counter() - wall)


def mosaic(path, workers, rows, batch):
    import torch
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    torch.set_num_threads(1)
    clean_stale_shared_memory()
    dataset = StreamingDataset(local=path, batch_size=batch, shuffle=False)
    batches = iter(torch.utils.data.DataLoader(dataset, batch_size=batch, num_workers=workers))
    next(batches)
    processes = [worker.pid for worker in getattr(batches, "_workers", [])]
    processor, wall, done = processor_seconds(processes), time.perf_counter(), 0
    for found in batches:
        done += len(found["label"])
        if done >= rows:
            break
    return answer(done, processor_seconds(processes) - processor, time.perf_counter() - wall)


def write_parquet(source, target, rows):
    """`source`: the columns one after the other, label and dense ones float32, sparse ones int64."""
    import numpy
    import pyarrow
    import pyarrow.parquet

    columns, at = {}, 0
    for name in TEXT_COLUMNS:
        kind = numpy.int64 if name in SPARSE else numpy.float32
        columns[name] = numpy.fromfile(source, kind, rows, offset=at)
        at += columns[name].nbytes
    pyarrow.parquet.write_table(pyarrow.table(columns), target, compression="snappy", row_group_size=65536)
    return answer(rows, 1.0, 1.0)


def parquet(path, batch, stack):
    import numpy
    import pyarrow.parquet

    def scan():
        rows = 0
        for found in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=batch, use_threads=False):
            arrays = [column.to_numpy(zero_copy_only=False) for column in found.columns]
            if stack:
                label, dense, sparse = arrays[0].copy(), numpy.stack(arrays[1:14], 1), numpy.stack(arrays[14:], 1)
                assert len(label) == len(dense) == len(sparse)
            rows += found.num_rows
        return rows

    return timed(scan)


def arrow_csv(path, texts):
    import pyarrow
    import pyarrow.csv

    pyarrow.set_cpu_count(1)
    types = {name: pyarrow.float32() for name in TEXT_COLUMNS[:14]} | {name: pyarrow.string() for name in SPARSE} if texts else None
    return timed(lambda: pyarrow.csv.read_csv(
        path, read_options=pyarrow.csv.ReadOptions(column_names=TEXT_COLUMNS, use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(delimiter="\t"), convert_options=pyarrow.csv.ConvertOptions(column_types=types)).num_rows)


def polars_csv(path, texts, dictionary):
    import polars

    schema = {name: polars.Float32 for name in TEXT_COLUMNS[:14]} | {name: polars.String for name in SPARSE} if texts else None

    def read():
        table = polars.read_csv(path, separator="\t", has_header=False, new_columns=TEXT_COLUMNS, schema=schema, infer_schema_length=10000,
                                ignore_errors=True)
        if dictionary:
            table = table.with_columns(polars.col(SPARSE).cast(polars.Categorical).to_physical())
        return table.height

    return timed(read)


def mosaic_order(algorithm, samples, chunk, batch):
    """The plan of an epoch as StreamingDataset makes it with batching_method "random", on 2 nodes with 4 ranks each."""
    import numpy
    from streaming.base.partition import get_partitions
    from streaming.base.shuffle import get_shuffle

    sizes = numpy.array([chunk] * (samples // chunk) + ([samples % chunk] if samples % chunk else []), numpy.int64)

    def plan():
        places = get_partitions("relaxed", samples, 8, 2, 4, 1, batch // 8)
        shuffle = get_shuffle(algorithm, sizes, 8, 9176, 0, max(4_000_000 // 8, 1 << 18))
        places = numpy.where(places != -1, shuffle[places], -1)
        return int((numpy.where(places != -1, numpy.arange(samples)[places], -1) >= 0).sum())

    return timed(plan)


KINDS = {"mosaic_order": mosaic_order, "mosaic": mosaic, "write_parquet": write_parquet, "parquet": parquet, "arrow_csv": arrow_csv, "polars_csv": polars_csv}

serve(lambda request: KINDS[request.pop("kind")](**request), prints=2)
