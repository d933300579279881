"""The weights of a checkpoint, read with the standard library alone, to compare runs that cut the same tables differently."""
import json
import pathlib


def latest(run):
    """The checkpoint of the highest step in a run's folder."""
    found = sorted((pathlib.Path(run) / "checkpoints").glob("step-*"))
    if not found:
        raise AssertionError(f"{run} holds no checkpoint")
    return found[-1]


def safetensors(path):
    """name -> (type, shape, bytes) of every tensor in the file."""
    content = pathlib.Path(path).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    return {name: (entry["dtype"], entry["shape"], content[start + entry["data_offsets"][0]:start + entry["data_offsets"][1]])
            for name, entry in header.items() if name != "__metadata__"}


def joined(checkpoint, table):
    """name -> (type, shape, bytes) of one table of the manifest, its parts one after another in the order of first_row."""
    whole, row = {}, 0
    for part in sorted(table["parts"], key=lambda part: part["first_row"]):
        if part["first_row"] != row:
            raise AssertionError(f"{checkpoint}: table {table['name']}: {part['file']} starts at row {part['first_row']}, not {row}")
        row += part["rows"]
        tensors = safetensors(checkpoint / part["file"])
        if part["first_row"] and tensors.keys() != whole.keys():
            raise AssertionError(f"{checkpoint}: table {table['name']}: {part['file']} holds {sorted(tensors)}, not {sorted(whole)}")
        for name, (kind, shape, content) in tensors.items():
            if shape[0] != part["rows"]:
                raise AssertionError(f"{checkpoint}: {part['file']}: {name} has {shape[0]} rows, not {part['rows']}")
            before = whole.get(name, (kind, [0, *shape[1:]], b""))
            whole[name] = (kind, [before[1][0] + shape[0], *shape[1:]], before[2] + content)
    if row != table["rows"]:
        raise AssertionError(f"{checkpoint}: table {table['name']}: its parts hold {row} rows, not {table['rows']}")
    return whole


def weights(checkpoint):
    """name -> (type, shape, bytes): every table with its optimizer's state, and the dense part."""
    checkpoint = pathlib.Path(checkpoint)
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    everything = {}
    for table in manifest["tables"]:
        everything.update({f"table {table['name']}: {name}": value for name, value in joined(checkpoint, table).items()})
    tables = {part["file"] for table in manifest["tables"] for part in table["parts"]}
    for path in sorted(checkpoint.rglob("*.safetensors")):
        name = str(path.relative_to(checkpoint))
        if name not in tables:
            everything.update({f"{name}: {tensor}": value for tensor, value in safetensors(path).items()})
    if not manifest["tables"] or all(name.startswith("table ") for name in everything):
        raise AssertionError(f"{checkpoint} has no tables or no dense part: nothing to compare")
    return everything


def expect_same_weights(one, other):
    """Fails unless the last checkpoints of two runs are of one step and bit-equal; names the tensors that differ."""
    one, other = latest(one), latest(other)
    if one.name != other.name:
        raise AssertionError(f"{one} and {other} are of different steps")
    first, second = weights(one), weights(other)
    differing = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    if differing:
        raise AssertionError(f"{one} and {other} differ in {len(differing)} of {len(first)} tensors: {', '.join(differing[:5])}")
