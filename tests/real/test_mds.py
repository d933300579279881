# label: real
# serial: as in test_mosaic_order.py
# MDS shards between rechost and MosaicML's own writer and reader, in the environment that packaging/mosaic makes.
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))

import mds_samples  # noqa: E402
from criteo_runs import trained, write_criteo  # noqa: E402
from mds_samples import expected_after_conversion  # noqa: E402
from program import expect, folder, main, rechost  # noqa: E402

CACHE = pathlib.Path(os.environ.get("RECHOST_CACHE") or pathlib.Path.home() / ".cache/rechost")
PYTHON = CACHE / "venv-mosaic/bin/python"
ROLES = mds_samples.roles()


def mosaic(*arguments):
    expect(PYTHON.exists(), f"{PYTHON} is missing: run packaging/mosaic")
    done = subprocess.run([PYTHON, HERE / "mosaic_side.py", *map(str, arguments)], capture_output=True, text=True, timeout=300)
    expect(done.returncode == 0, f"mosaic {arguments}: {done.stderr[-2000:]}")
    return done.stdout


def samples(folder_path):
    return [json.loads(line) for line in mosaic("read", folder_path).splitlines()]


def what_mosaic_writes_rechost_reads():
    with folder() as place:
        place = pathlib.Path(place)
        cases = [("plain", "none", 200, 2**26, "sha1"), ("packed", "zstd:7", 300, 20000, "md5,sha256,xxh3_64,xxh64"), ("other", "zstd", 90, 9000, "xxh128,xxh32")]
        for name, compression, rows, size_limit, hashes in cases:
            mosaic("write", place / name, compression, rows, size_limit, hashes)
            rechost("data", "convert", "--plugin", "mds", "--set", f"data.path={place / name}", *ROLES, "--out", place / f"{name}-again")
            # Before the other reader unpacks shards beside the packed ones.
            got = samples(place / f"{name}-again")
            want = [expected_after_conversion(sample) for sample in samples(place / name)]
            expect(len(got) == rows and got == want, f"{name}: {next((pair for pair in zip(got, want) if pair[0] != pair[1]), len(got))}")
            # And now that it has.
            expect(f"{rows} rows" in rechost("data", "inspect", "--plugin", "mds", "--set", f"data.path={place / name}", *ROLES).out, name)
        shown = rechost("data", "inspect", "--plugin", "mds", "--set", f"data.path={place / 'plain'}", *ROLES, "--rows", "3").out
        expect("0  1000000000000  2000000000000" in shown and "plain  né 1  né 2" in shown and "0  0|1  0|2|4" in shown, shown)


def every_encoding_compression_and_hash_is_read():
    with folder() as place:
        place = pathlib.Path(place)
        written = [json.loads(line) for line in mosaic("write_every", place / "every").splitlines()]
        expect(len(written) > 450, len(written))
        rechost("data", "convert", "--plugin", "mds", "--set", f"data.path={place / 'every'}", *mds_samples.roles(every=True), "--out", place / "again")
        got = samples(place / "again")
        for sample, found in zip(written, got, strict=True):
            want = expected_after_conversion(sample)
            expect(found == want, next(((name, found.get(name), want[name]) for name in want if found.get(name) != want[name]), sorted(found.keys() - want.keys())))


def every_compression_and_hash_that_we_write_is_read_by_mosaic():
    with folder() as place:
        place = pathlib.Path(place)
        known = json.loads(mosaic("names"))
        expect(len(known["compressions"]) == 58 and len(known["hashes"]) > 14, known)
        written = [json.loads(line) for line in mosaic("write_every", place / "every").splitlines()]
        source = ["--plugin", "mds", "--set", f"data.path={place / 'every/0000'}", *mds_samples.roles(every=True)]
        rechost("data", "convert", *source, "--hashes", "none", "--out", place / "plain")
        (place / "want.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples(place / "plain")))
        expect(len(written) > 450 and len((place / "want.jsonl").read_text().splitlines()) == 3, "three samples")
        for number, compression in enumerate(["none", *known["compressions"]]):
            # Each family with all hashes, each level with one.
            hashes = known["hashes"] if ":" not in compression else [known["hashes"][number % len(known["hashes"])]]
            rechost("data", "convert", *source, "--compression", compression, "--hashes", ",".join(hashes), "--out", place / "ours" / f"{number:02}")
        mosaic("read_every", place / "ours", place / "want.jsonl")


def a_merged_data_set_is_one():
    with folder() as place:
        place = pathlib.Path(place)
        for part, rows in (("0", 30), ("1", 50)):
            mosaic("write", place / "all" / part, "zstd", rows, 9000, "sha1")
        inspect = lambda: rechost("data", "inspect", "--plugin", "mds", "--set", f"data.path={place / 'all'}", *ROLES, "--rows", "2").out
        parts = inspect()
        mosaic("merge", place / "all")
        expect((place / "all/index.json").exists() and inspect() == parts and "80 rows" in parts, parts)


def what_rechost_writes_mosaic_reads_and_would_have_written():
    with folder() as place:
        place = pathlib.Path(place)
        write_criteo(place / "clicks.txt", 2000, 3)
        criteo = ["--plugin", "criteo", "--set", f"data.path={place / 'clicks.txt'}"]
        mosaic("write", place / "all", "none", 250, 2**26, "sha1")
        every_encoding = ["--plugin", "mds", "--set", f"data.path={place / 'all'}", *ROLES]
        for name, loader in (("criteo", criteo), ("every", every_encoding)):
            for compression in ("none", "zstd:5"):
                ours, theirs = place / f"{name}-{compression}", place / f"{name}-{compression}-mosaic"
                rechost("data", "convert", *loader, "--out", ours, "--compression", compression, "--shard-bytes", "150000")
                mosaic("rewrite", ours, theirs, compression, 150000)
                index, other = (json.loads((side / "index.json").read_text())["shards"] for side in (ours, theirs))
                expect(len(index) > 1, f"{name}: one shard only")
                # zstd differs between versions of its library; what is packed must not.
                expect([shard["raw_data"] for shard in index] == [shard["raw_data"] for shard in other], f"{name} {compression}: raw shards differ")
                if compression != "none":
                    continue
                files = sorted(path.name for path in theirs.iterdir())
                expect(files == sorted(path.name for path in ours.iterdir() if path.name != "data.toml"), f"{name}: {files}")
                for file in files:
                    expect((ours / file).read_bytes() == (theirs / file).read_bytes(), f"{name}: {file} differs")
        rows = [line.rstrip("\n").split("\t") for line in (place / "clicks.txt").open()]
        for row, sample in zip(rows, samples(place / "criteo-none"), strict=True):
            dense = ["nan" if text == "" else float(text) for text in row[1:14]]
            expect(sample["label"] == float(row[0]) and [sample[f"i{i}"] for i in range(1, 14)] == dense, sample)
            expect([sample[f"c{i}"] for i in range(1, 27)] == row[14:], sample)


def a_model_learns_the_same_from_text_from_our_shards_and_from_theirs():
    with folder() as place:
        place = pathlib.Path(place)
        write_criteo(place / "clicks.txt", 3000, 4)
        # By a configuration like the others: without one, the example of the plugin would be the base of this run alone.
        (place / "text.toml").write_text(f"[data]\nplugin = \"criteo\"\npath = \"{place / 'clicks.txt'}\"\n")
        text = ["--config", place / "text.toml"]
        rechost("data", "convert", *text, "--out", place / "ours")
        mosaic("rewrite", place / "ours", place / "theirs", "zstd:7", 2**26)
        config = (place / "ours/data.toml").read_text()
        (place / "theirs.toml").write_text(config.replace(str(place / "ours"), str(place / "theirs")))
        from_text = trained(place, "text", *text)
        expect(len(from_text) > 5, f"{len(from_text)} records")
        expect(trained(place, "a", "--config", place / "ours/data.toml") == from_text, "our shards")
        expect(trained(place, "b", "--config", place / "theirs.toml") == from_text, "their shards")


main([what_mosaic_writes_rechost_reads, every_encoding_compression_and_hash_is_read, every_compression_and_hash_that_we_write_is_read_by_mosaic, a_merged_data_set_is_one, what_rechost_writes_mosaic_reads_and_would_have_written,
      a_model_learns_the_same_from_text_from_our_shards_and_from_theirs])
