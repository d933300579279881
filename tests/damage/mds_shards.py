"""MDS shards by hand, so that every field of them can lie."""
import copy
import hashlib
import json
import struct

import zstd_frames

NAMES = ["d", "m", "s", "u", "y"]
ENCODINGS = ["float32", "ndarray:int32", "str", "int64", "int"]
SIZES = [4, None, None, 8, 8]
SETTINGS = ("label=[\"y\"]", "dense=[\"d\"]", "sparse=[\"s\",\"u\"]", "multi_hot=[\"m\"]")


def array(values):
    """One dimension, its length in one byte."""
    return bytes([1 << 2, len(values)]) + struct.pack(f"<{len(values)}i", *values)


def row(number):
    return [struct.pack("<f", number * 0.5), array([number, number + 1]), f"word{number % 3}".encode(), struct.pack("<q", number), struct.pack("<q", number % 2)]


def sample(values, sizes=SIZES, lengths=None):
    """The bytes of one sample; `lengths` are those that are written for the values of no fixed size."""
    true_lengths = [len(value) for value, size in zip(values, sizes) if size is None]
    return b"".join(struct.pack("<I", length) for length in (true_lengths if lengths is None else lengths)) + b"".join(values)


def column_header(names=NAMES, encodings=ENCODINGS, sizes=SIZES):
    return json.dumps({"column_encodings": encodings, "column_names": names, "column_sizes": sizes, "compression": None, "format": "mds",
                       "hashes": [], "size_limit": 1 << 26, "version": 2}, sort_keys=True).encode()


class Shard:
    """The parts of one shard; change one before asking for the bytes."""

    def __init__(self, rows=6, first=0):
        self.samples = [sample(row(first + number)) for number in range(rows)]
        self.header = column_header()
        self.count = None  # what the shard says of itself; None: the truth
        self.offset_changes = {}  # place in the table of offsets -> value

    def offsets(self):
        at = 4 + 4 * (len(self.samples) + 1) + len(self.header)
        offsets = [at]
        for content in self.samples:
            at += len(content)
            offsets.append(at)
        return offsets

    def bytes(self):
        offsets = self.offsets()
        for place, value in self.offset_changes.items():
            offsets[place] = value
        count = len(self.samples) if self.count is None else self.count
        return struct.pack("<I", count) + struct.pack(f"<{len(offsets)}I", *offsets) + self.header + b"".join(self.samples)

    def boundaries(self):
        """Where one part of the file ends and the next begins, with names."""
        table_end = 4 + 4 * (len(self.samples) + 1)
        places = {"nothing": 0, "inside the count": 2, "the count": 4, "the first offset": 8, "inside the offsets": table_end - 6,
                  "the offsets": table_end, "inside the column header": table_end + len(self.header) // 2}
        for number, offset in enumerate(self.offsets()[:-1]):
            places[f"before sample {number}"] = offset
            places[f"the first length of sample {number}"] = offset + 4
            places[f"the lengths of sample {number}"] = offset + 8
        places["the last byte"] = self.offsets()[-1] - 1
        return places


def file_entry(basename, content, hashes=()):
    return {"basename": basename, "bytes": len(content), "hashes": {name: hashlib.new(name, content).hexdigest() for name in hashes}}


def shard_entry(content, basename="shard.00000.mds", samples=6, hashes=(), packed=None, compression="zstd:3"):
    """What index.json says of one shard. `packed`: the compressed file beside it."""
    entry = {"column_encodings": list(ENCODINGS), "column_names": list(NAMES), "column_sizes": list(SIZES), "compression": None, "format": "mds",
             "hashes": list(hashes), "raw_data": file_entry(basename, content, hashes), "samples": samples, "size_limit": 1 << 26, "version": 2,
             "zip_data": None}
    if packed is not None:
        entry["compression"] = compression
        entry["zip_data"] = file_entry(basename + "." + compression.split(":")[0], packed, hashes)
    return entry


def index(*entries):
    return {"shards": copy.deepcopy(list(entries)), "version": 2}


def write(folder, document, **files):
    """index.json (a document or bytes) and the shards, named shard.<key>.mds."""
    (folder / "index.json").write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)


def packed_shard(content, **lies):
    return zstd_frames.frame(content, **lies)
