"""MosaicML's own writer and reader. Run with the Python of packaging/mosaic: mosaic_side.py <command> <arguments>."""
import base64
import decimal
import io
import json
import pathlib
import sys
import tempfile

import numpy
from PIL import Image
from streaming import MDSWriter, StreamingDataset
from streaming.base.compression import get_compressions
from streaming.base.format.mds.encodings import get_mds_encodings, mds_encode
from streaming.base.hashing import get_hashes
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

# What is not read as numbers, texts or arrays of them is carried as it is stored.
CARRIED = {"blob": "bytes", "note": "json", "raw_image": "pil", "photo": "jpeg", "icon": "png", "raw_images": "list[pil]", "photos": "list[jpeg]", "icons": "list[png]",
           "files": "jpeg_array", "older": "jpegarray"}
EVERY_COLUMN = {**COLUMNS, "wide": "uint64", "money": "str_decimal", "square": "ndarray:float32:2,2", "grid": "ndarray:int32", **CARRIED}


def every_sample(i):
    """All encodings but pickles."""
    image = Image.new("RGB", (3 + i % 5, 2), (i % 256, 40, 90))
    file = io.BytesIO()
    image.save(file, format="JPEG")
    return {**sample(i), "wide": 2**62 + i, "money": decimal.Decimal(i) / 8, "square": numpy.arange(4, dtype=numpy.float32).reshape(2, 2) + i,
            "grid": numpy.arange(6, dtype=numpy.int32).reshape(2, 3) * i, "blob": bytes([i % 256, 0, 255]), "note": {"i": [i, "é", None]}, "raw_image": image, "photo": image,
            "icon": image, "raw_images": [image] * (i % 3), "photos": [image], "icons": [image, image], "files": [file.getvalue()] * (1 + i % 2), "older": [file.getvalue()]}


def as_stored(written):
    """A sample of all encodings as JSON."""
    return {name: encoded(mds_encode(CARRIED[name], value)) if name in CARRIED else plain(value) for name, value in written.items()}


def write_every(folder):
    """All compressions and levels, and all compressions with all hashes: a data set of partitions with all encodings. Prints the samples."""
    left = get_mds_encodings() - {encoding.split(":")[0] for encoding in EVERY_COLUMN.values()}
    assert left == {"pkl"}, left
    hashes = sorted(get_hashes())
    names = sorted(get_compressions())
    cases = [(name, [hashes[number % len(hashes)]]) for number, name in enumerate(names)]
    cases += [(family, [name]) for family in (None, "zstd", "gz", "bz2", "br", "snappy") for name in hashes] + [(None, []), ("br:3", hashes)]
    i = 0
    for number, (compression, chosen) in enumerate(cases):
        with MDSWriter(out=str(pathlib.Path(folder) / f"{number:04}"), columns=EVERY_COLUMN, compression=compression, hashes=chosen) as writer:
            for _ in range(3):
                written = every_sample(i)
                writer.write(written)
                print(json.dumps(as_stored(written)))
                i += 1


def golden():
    """Each family of compressions with all encodings, and all hashes among them: files and samples, for tests/cli/mds_golden.jsonl."""
    hashes = sorted(get_hashes())
    for number, compression in enumerate((None, "zstd:7", "gz:5", "bz2:9", "br:6", "snappy")):
        chosen = hashes[number::6]
        with tempfile.TemporaryDirectory() as folder:
            written = [every_sample(5 * number + i) for i in range(3)]
            with MDSWriter(out=folder, columns=EVERY_COLUMN, compression=compression, hashes=chosen) as writer:
                for each in written:
                    writer.write(each)
            files = {path.name: base64.b64encode(path.read_bytes()).decode() for path in sorted(pathlib.Path(folder).iterdir())}
            print(json.dumps({"compression": compression or "none", "hashes": chosen, "files": files, "samples": [as_stored(each) for each in written]}))


def names():
    print(json.dumps({"compressions": sorted(get_compressions()), "hashes": sorted(get_hashes())}))


def encoded(value):
    return "base64:" + base64.b64encode(value).decode()


def read_every(folder, expected):
    """Each data set below, by every hash that its index has: what the package does with remote data, which it checks as it copies them."""
    want = [json.loads(line) for line in pathlib.Path(expected).read_text().splitlines()]
    for part in sorted(path for path in pathlib.Path(folder).iterdir() if path.is_dir()):
        for name in json.loads((part / "index.json").read_text())["shards"][0]["hashes"] or [None]:
            clean_stale_shared_memory()
            with tempfile.TemporaryDirectory() as local:
                dataset = StreamingDataset(remote=str(part), local=local, shuffle=False, batch_size=1, validate_hash=name)
                got = [{key: plain(value) for key, value in dataset[i].items()} for i in range(len(dataset))]
                assert got == want, (part, name, next((pair for pair in zip(got, want) if pair[0] != pair[1]), (len(got), len(want))))


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
    if isinstance(value, bytes):
        return encoded(value)
    if isinstance(value, decimal.Decimal):
        return str(value)
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


{"write": write, "write_every": write_every, "read_every": read_every, "golden": golden, "names": names, "merge": merge, "read": read, "rewrite": rewrite}[sys.argv[1]](*sys.argv[2:])
