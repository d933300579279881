"""Parquet files of pyarrow and polars. Run with the Python of packaging/parquet-peers: parquet_side.py <command> <arguments>."""
import datetime
import decimal
import json
import sys

import polars
import pyarrow
import pyarrow.parquet

TYPES = {
    "label": pyarrow.int8(), "flag": pyarrow.bool_(), "tiny": pyarrow.int8(), "byte": pyarrow.uint8(), "short": pyarrow.int16(), "word": pyarrow.uint16(),
    "int": pyarrow.int32(), "uint": pyarrow.uint32(), "long": pyarrow.int64(), "ulong": pyarrow.uint64(), "name": pyarrow.string(),
    "kind": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), "single": pyarrow.float32(), "double": pyarrow.float64(),
    "price": pyarrow.decimal128(12, 3), "huge": pyarrow.decimal128(30, 2), "count": pyarrow.int32(), "vector": pyarrow.list_(pyarrow.float32()),
    "tags": pyarrow.list_(pyarrow.int32()), "words": pyarrow.list_(pyarrow.string()), "when": pyarrow.timestamp("us"), "day": pyarrow.date32(),
}


def sample(i):
    values = {
        "flag": i % 3 == 0, "tiny": i % 200 - 100, "byte": i % 256, "short": -i, "word": 65535 - i, "int": -(2**31) + i, "uint": 2**32 - 1 - i,
        "long": 2**62 + i, "ulong": 2**63 - 1 - i, "name": f"né {i % 17}" if i % 5 else "", "kind": f"kind {i % 3}", "single": i / 3,
        "double": float("nan") if i % 7 == 0 else i / 7, "price": decimal.Decimal(i * 1001 - 5000).scaleb(-3),
        "huge": decimal.Decimal(10**20 * (i - 50) + 5).scaleb(-2), "count": i * 100, "vector": [i, i + 0.5, -i],
        "tags": list(range(i % 5)), "words": [f"w{k}" for k in range(i % 4)],
    }
    # Every column is missing in some rows, and those rows differ from column to column.
    values = {name: None if (i + k) % 11 == 0 else value for k, (name, value) in enumerate(values.items())}
    when = datetime.datetime(2024, 1, 1) + datetime.timedelta(seconds=i * 977, microseconds=i)
    return {"label": i % 2, **values, "when": when, "day": when.date()}


def table(first, rows):
    columns = [sample(i) for i in range(int(first), int(first) + int(rows))]
    return pyarrow.table({name: pyarrow.array([row[name] for row in columns], kind) for name, kind in TYPES.items()})


def write_pyarrow(path, first, rows, codec, dictionary, page_version, row_group_size):
    pyarrow.parquet.write_table(table(first, rows), path, compression=codec, use_dictionary=dictionary == "dictionary", data_page_version=page_version,
                                row_group_size=int(row_group_size), data_page_size=2000, write_page_checksum=True)


def write_polars(path, first, rows, codec, row_group_size):
    polars.from_arrow(table(first, rows)).write_parquet(path, compression=codec, row_group_size=int(row_group_size), data_page_size=2000)


def rewrite(path, target, encoding):
    """Other encodings of pages than the writers' own choice."""
    whole = pyarrow.parquet.read_table(path)
    numbers = [name for name in ("int", "long", "count", "label") if name in whole.column_names]
    encodings = {name: encoding for name in numbers} | {"name": "DELTA_LENGTH_BYTE_ARRAY", "single": "BYTE_STREAM_SPLIT"}
    pyarrow.parquet.write_table(whole, target, use_dictionary=False, column_encoding=encodings, write_page_index=True)


def plain(value):
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime):
        return (value - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date):
        return (value - datetime.date(1970, 1, 1)).days
    # NaN is no JSON, and unequal to itself.
    return "nan" if value != value else value


def read(path):
    """Each row as a line of JSON. Of a folder, its files in the order of their names; checksums of pages are looked at."""
    for row in pyarrow.parquet.read_table(path, page_checksum_verification=True).to_pylist():
        print(json.dumps({name: plain(value) for name, value in row.items()}))


def read_polars(pattern):
    for row in polars.read_parquet(pattern).to_dicts():
        print(json.dumps({name: plain(value) for name, value in row.items()}))


def describe(path):
    """Types of the columns, then how each column of the first row group is packed."""
    file = pyarrow.parquet.ParquetFile(path)
    print(json.dumps({field.name: [str(field.type), field.nullable] for field in file.schema_arrow}))
    group = file.metadata.row_group(0)
    print(json.dumps({"groups": file.num_row_groups, "codecs": sorted({group.column(i).compression for i in range(group.num_columns)})}))


def criteo(source, target, writer, codec):
    """A table of Criteo's form from its text."""
    rows = [line.rstrip("\n").split("\t") for line in open(source, encoding="utf-8")]
    columns = {"label": pyarrow.array([int(row[0]) for row in rows], pyarrow.int8())}
    for i in range(1, 14):
        columns[f"i{i}"] = pyarrow.array([int(row[i]) if row[i] else None for row in rows], pyarrow.int32())
    for i in range(1, 27):
        columns[f"c{i}"] = pyarrow.array([row[13 + i] or None for row in rows], pyarrow.string())
    made = pyarrow.table(columns)
    if writer == "polars":
        polars.from_arrow(made).write_parquet(target, compression=codec, row_group_size=700)
    else:
        pyarrow.parquet.write_table(made, target, compression=codec, row_group_size=700)


commands = {"write_pyarrow": write_pyarrow, "write_polars": write_polars, "rewrite": rewrite, "read": read, "read_polars": read_polars, "describe": describe, "criteo": criteo}
commands[sys.argv[1]](*sys.argv[2:])
