"""Samples in all encodings of MDS, as tests/real/mosaic_side.py writes them: what rechost makes of them, and a reader of what it writes."""
import base64
import json
import pathlib
import struct

CARRIED = ["blob", "note", "raw_image", "photo", "icon", "raw_images", "photos", "icons", "files", "older"]
DENSE = ["half", "single", "double", "fraction", "triple", "vector"]
SPARSE = ["count", "tiny", "byte", "short", "word", "long", "number", "name", "digits"]
MULTI_HOT = ["tags", "any", "pair"]


def roles(every=False):
    """Options of the loader; `every`: with the columns that EVERY_COLUMN has besides COLUMNS."""
    chosen = {"sparse": SPARSE + ["wide"] * every, "dense": DENSE + ["money", "square"] * every, "multi_hot": MULTI_HOT + ["grid"] * every, "id": CARRIED * every}
    return [argument for key, names in chosen.items() for argument in ("--set", f"data.{key}={json.dumps(names)}")]


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def expected_after_conversion(sample):
    """float32 for numbers, groups of columns for arrays of them, 64 bits for ids."""
    result = {name: sample[name] for name in (*SPARSE, *MULTI_HOT)}
    result["label"] = float(sample["label"])
    for name in ("half", "single", "double", "fraction"):
        result[name] = single(float(sample[name]))
    for name in ("triple", "vector"):
        result.update({f"{name}_{i}": single(value) for i, value in enumerate(sample[name])})
    if "wide" in sample:
        result.update({name: sample[name] for name in ("wide", *CARRIED)})
        flat = lambda name: [value for row in sample[name] for value in row]
        result["grid"], result["money"] = flat("grid"), float(sample["money"])
        result.update({f"square_{i}": value for i, value in enumerate(flat("square"))})
        # JSON is carried as a text.
        result["note"] = base64.b64decode(sample["note"].removeprefix("base64:")).decode()
    return result


NUMBERS = {"int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q", "float32": "f", "float64": "d"}


def value_of(encoding, payload):
    if encoding == "str":
        return payload.decode()
    if encoding == "bytes":
        return "base64:" + base64.b64encode(payload).decode()
    if encoding.startswith("ndarray:"):
        width = 1 << (payload[0] & 3)
        return list(struct.unpack(f"<{int.from_bytes(payload[1:1 + width], 'little')}{NUMBERS[encoding[8:]]}", payload[1 + width:]))
    value, = struct.unpack("<" + NUMBERS[encoding], payload)
    return "nan" if value != value else value


def read(folder):
    """The samples of an uncompressed data set, with the encodings that rechost writes."""
    for shard in json.loads((pathlib.Path(folder) / "index.json").read_text())["shards"]:
        content = (pathlib.Path(folder) / shard["raw_data"]["basename"]).read_bytes()
        offsets = struct.unpack_from(f"<{shard['samples'] + 1}I", content, 4)
        for begin in offsets[:-1]:
            at = begin + 4 * shard["column_sizes"].count(None)
            sample = {}
            for name, encoding, size in zip(shard["column_names"], shard["column_encodings"], shard["column_sizes"]):
                if size is None:
                    size, = struct.unpack_from("<I", content, begin)
                    begin += 4
                sample[name] = value_of(encoding, content[at:at + size])
                at += size
            yield sample
