# label: real
# Parquet files of pyarrow and polars, read by rechost, and of rechost, read by them. What it read is looked at through MDS shards and MosaicML's
# reader.
# Environments: packaging/parquet-peers and packaging/mosaic.
import json
import os
import pathlib
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))

from criteo_runs import trained, write_criteo  # noqa: E402
from program import expect, folder, main, rechost  # noqa: E402

CACHE = pathlib.Path(os.environ.get("RECHOST_CACHE") or pathlib.Path.home() / ".cache/rechost")
IDS = ["flag", "tiny", "byte", "short", "word", "int", "uint", "long", "ulong"]
TEXTS = ["name", "kind"]
NUMBERS = ["single", "double", "price", "huge", "count"]
ROLES = ["--set", f"data.sparse={json.dumps(IDS + TEXTS)}", "--set", f"data.dense={json.dumps(NUMBERS + ['vector'])}",
         "--set", 'data.multi_hot=["tags", "words"]', "--set", "data.time=when", "--set", 'data.id=["day"]']
MISSING = -(2**63)


def other_side(environment, script, *arguments):
    python = CACHE / environment / "bin/python"
    expect(python.exists(), f"{python} is missing: run packaging/test --label real")
    done = subprocess.run([python, HERE / script, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    expect(done.returncode == 0, f"{script} {arguments}: {done.stderr[-2000:]}")
    return done.stdout


def peers(*arguments):
    return other_side("venv-parquet", "parquet_side.py", *arguments)


def rows_of(output):
    return [json.loads(line) for line in output.splitlines()]


def single(value):
    return "nan" if value in (None, "nan") else struct.unpack("f", struct.pack("f", value))[0]


def as_read(row):
    """What rechost makes of a row: float32 for numbers, 64 bits for ids, a row of columns for a vector; MDS has no null of its own."""
    result = {"label": float(row["label"]), "when": row["when"], "day": row["day"]}
    result.update({name: MISSING if row[name] is None else int(row[name]) for name in IDS})
    result.update({name: row[name] or "" for name in TEXTS})
    result.update({name: single(row[name]) for name in NUMBERS})
    result.update({f"vector_{i}": single(row["vector"][i] if row["vector"] else None) for i in range(3)})
    result["tags"] = row["tags"] or [MISSING]
    result["words"] = "|".join(row["words"] or [])
    return result


def check_equal(path, place, want, name):
    shards = place / f"{name}-shards"
    rechost("data", "convert", "--plugin", "parquet", "--set", f"data.path={path}", *ROLES, "--out", shards)
    got = rows_of(other_side("venv-mosaic", "mosaic_side.py", "read", shards))
    want = [as_read(row) for row in want]
    expect(len(got) == len(want) > 0 and got == want, f"{name}: {len(got)} rows; {next((pair for pair in zip(got, want) if pair[0] != pair[1]), '')}")


def what_pyarrow_writes_rechost_reads():
    with folder() as place:
        place = pathlib.Path(place)
        # Rows, codec, dictionary, version of the data pages, row groups.
        cases = [(300, "snappy", "dictionary", "1.0", 300), (300, "zstd", "plain", "2.0", 70), (200, "gzip", "dictionary", "2.0", 33),
                 (200, "none", "plain", "1.0", 1), (100, "lz4", "dictionary", "1.0", 64), (100, "brotli", "plain", "2.0", 64)]
        for number, (rows, *shape) in enumerate(cases):
            path = place / f"{number}.parquet"
            peers("write_pyarrow", path, 0, rows, *shape)
            check_equal(path, place, rows_of(peers("read", path)), f"{number}-{shape[0]}-{shape[1]}")


def what_polars_writes_rechost_reads():
    with folder() as place:
        place = pathlib.Path(place)
        for codec, row_group in (("zstd", 100), ("snappy", 300), ("uncompressed", 64), ("gzip", 50)):
            path = place / f"{codec}.parquet"
            peers("write_polars", path, 0, 250, codec, row_group)
            check_equal(path, place, rows_of(peers("read", path)), f"polars-{codec}")


def other_encodings_of_pages():
    with folder() as place:
        place = pathlib.Path(place)
        peers("write_pyarrow", place / "a.parquet", 0, 200, "none", "plain", "1.0", 200)
        peers("rewrite", place / "a.parquet", place / "b.parquet", "DELTA_BINARY_PACKED")
        check_equal(place / "b.parquet", place, rows_of(peers("read", place / "a.parquet")), "delta")


def files_of_both_are_one_data_set():
    with folder() as place:
        place = pathlib.Path(place)
        (place / "all").mkdir()
        peers("write_pyarrow", place / "all/1.parquet", 0, 120, "snappy", "dictionary", "1.0", 50)
        peers("write_polars", place / "all/2.parquet", 120, 80, "zstd", 30)
        want = rows_of(peers("read", place / "all/1.parquet")) + rows_of(peers("read", place / "all/2.parquet"))
        check_equal(place / "all", place, want, "both")
        shown = rechost("data", "inspect", "--plugin", "parquet", "--set", f"data.path={place / 'all'}", *ROLES).out
        expect("200 rows in 6 chunks" in shown, shown)


def as_written(row):
    """What rechost writes of a row that it read: missing stays missing."""
    result = {"label": float(row["label"]), "when": row["when"], "day": row["day"]}
    result.update({name: None if row[name] is None else int(row[name]) for name in IDS})
    result.update({name: row[name] or None for name in TEXTS})
    missing = lambda value: None if value == "nan" else value
    result.update({name: missing(single(row[name])) for name in NUMBERS})
    result.update({f"vector_{i}": missing(single(row["vector"][i] if row["vector"] else None)) for i in range(3)})
    result["tags"] = row["tags"] or []
    result["words"] = row["words"] or []
    return result


def what_rechost_writes_pyarrow_and_polars_read():
    with folder() as place:
        place = pathlib.Path(place)
        peers("write_pyarrow", place / "a.parquet", 0, 300, "snappy", "dictionary", "1.0", 70)
        want = [as_written(row) for row in rows_of(peers("read", place / "a.parquet"))]
        for compression, codec in (("none", "UNCOMPRESSED"), ("snappy", "SNAPPY"), ("lz4", "LZ4"), ("gz:5", "GZIP"), ("br:3", "BROTLI"), ("zstd", "ZSTD"), ("zstd:19", "ZSTD")):
            made = place / compression.replace(":", "-")
            rechost("data", "convert", "--plugin", "parquet", "--set", f"data.path={place / 'a.parquet'}", *ROLES, "--to", "parquet", "--compression", compression,
                    "--shard-bytes", 10000, "--out", made)
            shards = sorted(made.glob("shard.*.parquet"))
            expect(len(shards) > 3, shards)
            for reader, path in (("read", made), ("read_polars", made / "*.parquet")):
                (made / "data.toml").rename(place / "data.toml")  # both take every file of a folder
                got = rows_of(peers(reader, path))
                (place / "data.toml").rename(made / "data.toml")
                expect(got == want, f"{compression}, {reader}: {len(got)} rows; {next((pair for pair in zip(got, want) if pair[0] != pair[1]), '')}")
            types, packed = rows_of(peers("describe", shards[0]))
            expect(packed == {"groups": 1, "codecs": [codec]}, packed)
            expect(types["label"] == ["float", False] and types["long"] == ["int64", True] and types["name"] == ["string", True], types)
            expect(types["tags"] == ["list<element: int64 not null>", False] and types["words"] == ["list<element: string not null>", False], types)


def encoded_data_are_plain_numbers_to_pyarrow():
    with folder() as place:
        place = pathlib.Path(place)
        write_criteo(place / "clicks.txt", 2000, 5)
        (place / "clicks.toml").write_text(f'[data]\nplugin = "criteo"\npath = "{place / "clicks.txt"}"\n[features.i1]\nscale = "min_max"\n')
        rechost("data", "convert", "--config", place / "clicks.toml", "--encoded", "--to", "parquet", "--out", place / "encoded")
        shard = place / "encoded/train/shard.00000.parquet"
        types, _ = rows_of(peers("describe", shard))
        expect(types["c1"] == ["int32", False] and types["i1"] == ["float", False], types)
        got = rows_of(peers("read", shard))
        # The vocabulary beside it says which row is which value.
        values = [line.split("\t")[1] for line in (place / "encoded/vocabularies/c1.tsv").read_text().splitlines()]
        texts = [line.rstrip("\n").split("\t")[14] for line in (place / "clicks.txt").open()]
        expect([values[row["c1"]] for row in got] == texts and len(set(texts)) > 20, "c1 is not what the vocabulary says")
        expect(all(row["c1"] == 1 for row, text in zip(got, texts) if text == ""), "a missing id has row 1")
        expect(min(row["i1"] for row in got) == 0 and max(row["i1"] for row in got) == 1, "i1 was not scaled")


def a_model_learns_the_same_from_text_and_from_parquet():
    with folder() as place:
        place = pathlib.Path(place)
        write_criteo(place / "clicks.txt", 3000, 5)
        # By a configuration like the others: without one, the example of the plugin would be the base of this run alone.
        (place / "text.toml").write_text(f"[data]\nplugin = \"criteo\"\npath = \"{place / 'clicks.txt'}\"\n")
        from_text = trained(place, "text", "--config", place / "text.toml")
        expect(len(from_text) > 5, f"{len(from_text)} records")
        for writer, codec in (("pyarrow", "snappy"), ("polars", "zstd")):
            peers("criteo", place / "clicks.txt", place / f"{writer}.parquet", writer, codec)
            roles = f"dense = {json.dumps([f'i{i}' for i in range(1, 14)])}\nsparse = {json.dumps([f'c{i}' for i in range(1, 27)])}\n"
            (place / f"{writer}.toml").write_text(f"[data]\nplugin = \"parquet\"\npath = \"{place / writer}.parquet\"\n{roles}")
            expect(trained(place, writer, "--config", place / f"{writer}.toml") == from_text, writer)


main([what_pyarrow_writes_rechost_reads, what_polars_writes_rechost_reads, other_encodings_of_pages, files_of_both_are_one_data_set,
      what_rechost_writes_pyarrow_and_polars_read, encoded_data_are_plain_numbers_to_pyarrow, a_model_learns_the_same_from_text_and_from_parquet])
