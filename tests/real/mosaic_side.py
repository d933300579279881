"""MosaicML's own writer and reader. Run with the Python of packaging/mosaic: mosaic_side.py <command> <arguments>."""
import json
import pathlib
import sys

import numpy
from streaming import MDSWriter, StreamingDataset
from streaming.base.util import clean_stale_shared_memory, merge_index

COLUMNS = {
    "label": "int32", "count": "int", "tiny": "int8", "byte": "uint8", "short": "int16", "word": "uint16", "long": "uint32", "number": "int64",
    "half": "float16", "single": "float32", "double": "float64", "name": "str", "digits": "str_int", "fraction": "str_float",
    "tags": "ndarray:int64", "any": "ndarray", "triple": "ndarray:float32:3", "pair": "ndarray:int16:2", "vector": "ndarray:float64",
}


def sample(i):
    return {
        "label": i % 2, "count": i * 10**12, "tiny": i % 100 - 50, "byte": i % 256, "short": -i, "word": i * 7 % 65536, "long": 2**31 + i, "number": -(2**40) - i,
        "half": numpy.float16(i / 8), "single": numpy.float32(i) / 3, "double": i / 4, "name": f"né {i}" if i % 5 else "plain", "digits": i * 3 - 7,
        "fraction": i / 16, "tags": numpy.arange(1 + i % 4, dtype=numpy.int64) * i, "any": numpy.arange(i % 300 + 1, dtype=numpy.int32),
        "triple": numpy.array([i, i + 0.5, -i], numpy.float32), "pair": numpy.array([i, -i], numpy.int16), "vector": numpy.array([i / 2, i / 4]),
    }


def open_folder(folder):
    clean_stale_shared_memory()
    return StreamingDataset(local=folder, shuffle=False, batch_size=1)


def write(folder, compression, rows, size_limit, hashes):
    """All encodings that rechost reads, as the samples above."""
    with MDSWriter(out=folder, columns=COLUMNS, compression=None if compression == "none" else compression, hashes=hashes.split(","),
                   size_limit=int(size_limit)) as writer:
        for i in range(int(rows)):
            writer.write(sample(i))


def merge(folder):
    merge_index(folder, keep_local=True)


def plain(value):
    if isinstance(value, numpy.ndarray):
        return [plain(element) for element in value.tolist()]
    value = value.item() if isinstance(value, numpy.generic) else value
    # NaN is no JSON, and unequal to itself.
    return "nan" if value != value else value


def read(folder):
    """Each sample as a line of JSON."""
    dataset = open_folder(folder)
    for i in range(len(dataset)):
        print(json.dumps({name: plain(value) for name, value in dataset[i].items()}))


def rewrite(source, target, compression, size_limit):
    """The same samples and encodings once more, by MosaicML's writer."""
    shard = json.loads((pathlib.Path(source) / "index.json").read_text())["shards"][0]
    dataset = open_folder(source)
    with MDSWriter(out=target, columns=dict(zip(shard["column_names"], shard["column_encodings"])), hashes=["xxh3_64"], size_limit=int(size_limit),
                   compression=None if compression == "none" else compression) as writer:
        for i in range(len(dataset)):
            writer.write(dataset[i])


{"write": write, "merge": merge, "read": read, "rewrite": rewrite}[sys.argv[1]](*sys.argv[2:])
