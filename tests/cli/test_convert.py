# MDS shards and Parquet files made from other data train the same model.
import fcntl
import json
import pathlib
import subprocess
import time

from criteo_runs import trained, write_criteo
from program import BIN, expect, folder, main, rechost


FORMATS = (("mds", "none"), ("mds", "zstd"), ("parquet", "snappy"), ("parquet", "zstd:1"))


def a_model_trained_on_shards_is_the_one_trained_on_the_text():
    with folder() as place:
        place = pathlib.Path(place)
        write_criteo(place / "train.txt", 3000, 1)
        write_criteo(place / "test.txt", 500, 2)
        text = ["--set", f"data.path={place / 'train.txt'}", "--set", f"data.test_path={place / 'test.txt'}"]
        # Both by a configuration: without one, the example of the plugin would be the base of the first run alone.
        (place / "text.toml").write_text('[data]\nplugin = "criteo"\n')
        from_text = trained(place, "text", "--config", place / "text.toml", *text)
        expect(len(from_text) > 5, f"{len(from_text)} records")
        for to, compression in FORMATS:
            shards = place / f"{to}-{compression}"
            said = rechost("data", "convert", "--plugin", "criteo", *text, "--to", to, "--out", shards, "--compression", compression).out
            expect("3,000 rows in 1 shards" in said and "500 rows in 1 shards" in said, said)
            from_shards = trained(place, f"from-{to}-{compression}", "--config", shards / "data.toml")
            expect(from_shards == from_text, f"{to} {compression}: {from_shards[-1]} is not {from_text[-1]}")


# Of every encoder something. Several hashes make lists, which loaders of files put last: c26 is there already.
FEATURES = """
[features.c1]
encoder = "hash"
hash_rows = 40
[features.c26]
encoder = "hash"
hash_rows = 60
hashes = 2
[features.c3]
min_count = 3
[features.c4]
table = "shared"
[features.c5]
table = "shared"
[features.c6]
encoder = "dynamic"
max_rows = 40
min_count = 2
evict = "frequency"
half_life_steps = 5
[features.c7]
encoder = "dynamic"
max_rows = 40
admit_probability = 0.5
max_age_steps = 4
[features.i1]
encoder = "bucket"
buckets = 7
[features.i2]
transform = "log1p"
scale = "standardise"
default = 0.25
[features.i3]
clip = [0, 100]
scale = "min_max"
"""


def a_model_trained_on_encoded_data_is_the_one_trained_on_the_text():
    with folder() as place:
        place = pathlib.Path(place)
        write_criteo(place / "train.txt", 3000, 1)
        write_criteo(place / "test.txt", 500, 2)
        (place / "text.toml").write_text(f'[data]\nplugin = "criteo"\npath = "{place / "train.txt"}"\ntest_path = "{place / "test.txt"}"\n{FEATURES}')
        from_text = trained(place, "text", "--config", place / "text.toml")
        for to in ("mds", "parquet"):
            said = rechost("data", "convert", "--config", place / "text.toml", "--to", to, "--encoded", "--out", place / to, "--shard-bytes", 100000).out
            expect("3,000 rows" in said and "500 rows" in said, said)
            from_encoded = trained(place, f"from-{to}", "--config", place / to / "data.toml")
            expect(from_encoded == from_text, f"{to}: {from_encoded[-1]} is not {from_text[-1]}")
            header = json.loads((place / to / "vocabularies/c3.json").read_text())
            lines = (place / to / "vocabularies/c3.tsv").read_text().splitlines()
            expect(header["encoder"] == "vocabulary" and f"cardinality = {len(lines)}\n" in (place / to / "data.toml").read_text(), header)

        # Rows that are no use are left out and counted, or end it.
        bad = place / "bad.txt"
        bad.write_text((place / "train.txt").read_text() + "7" + "\t1" * 39 + "\n")
        said = rechost("data", "convert", "--plugin", "criteo", "--set", f"data.path={bad}", "--set", "data.bad_rows=quarantine", "--to", "parquet", "--encoded", "--out", place / "good").out
        expect("1 rows could not be used" in said and "3,000 rows" in said and any((place / "good/quarantine").iterdir()), said)
        expect("bad.txt:3001" in rechost("data", "convert", "--plugin", "criteo", "--set", f"data.path={bad}", "--encoded", "--out", place / "none", code=1).err, "a bad row")


def an_encoded_conversion_that_was_interrupted_goes_on():
    with folder() as place:
        place = pathlib.Path(place)
        write_criteo(place / "train.txt", 4000, 1)
        rechost("data", "convert", "--plugin", "criteo", "--set", f"data.path={place / 'train.txt'}", "--shard-bytes", "100000", "--out", place / "source")
        (place / "source.toml").write_text((place / "source/data.toml").read_text() + "[features.c1]\nencoder = \"hash\"\nhash_rows = 100\n")
        convert = ["data", "convert", "--config", place / "source.toml", "--threads", "2", "--shard-bytes", "50000", "--encoded", "--to", "parquet", "--set", "data.split.valid=0.2"]
        rechost(*convert, "--out", place / "whole")
        whole = files_of(place / "whole")
        expect({name.split("/")[0] for name in whole} == {"train", "valid", "vocabularies"}, sorted(whole))
        # Killed when its first shard is written and known to be.
        journal = place / "killed/.convert.jsonl"
        running = subprocess.Popen([BIN, *map(str, convert), "--out", str(place / "killed"), "--compression", "zstd:22"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 100
        while running.poll() is None and time.monotonic() < deadline and not (journal.exists() and '"number":0,' in journal.read_text()):
            time.sleep(0.002)
        running.kill()
        running.wait()
        expect(not (place / "killed/data.toml").exists(), "it was done before it was killed")
        for other, member in (([], "compression"), (["--compression", "zstd:22", "--set", "features.c1.hash_rows=101"], "encoded")):
            failed = rechost(*convert, *other, "--out", place / "killed", code=78)
            expect(f"its {member} is" in failed.err, failed)
        said = rechost(*convert, "--compression", "zstd:22", "--out", place / "killed").out
        rechost(*convert, "--compression", "zstd:22", "--out", place / "packed")
        expect("were there already" in said and files_of(place / "killed") == files_of(place / "packed"), said)


def every_loader_reads_back_as_it_was():
    with folder() as place:
        place = pathlib.Path(place)
        made = place / "clicks"
        rechost("data", "synth", made, "--rows", "700", "--set", "data.valid_rows=0", "--set", "data.test_rows=100")
        (place / "list.csv").write_text("label,tags,user\n1,a|b,7\n0,,8\n1,c,\n")
        columns = lambda config: [json.loads(line) for line in rechost("data", "stats", "--config", config, "--output", "json").out.splitlines()]
        for to in ("mds", "parquet"):
            rechost("data", "convert", "--config", made / "data.toml", "--to", to, "--out", place / to, "--shard-bytes", "20000")
            expect(len(list((place / to / "train").glob(f"shard.*.{to}"))) > 2, "one shard only")
            expect(columns(place / to / "data.toml") == columns(made / "data.toml"), "the statistics differ")

            # A name that would be a pattern.
            target = place / f"list [{to}] *"
            rechost("data", "convert", "--plugin", "csv", "--set", f"data.path={place / 'list.csv'}", "--set", 'data.multi_hot=["tags"]', "--set",
                    'data.sparse=["user"]', "--set", 'data.integer=["user"]', "--set", "data.user_key=user", "--to", to, "--out", target)
            shown = rechost("data", "inspect", "--config", target / "data.toml").out
            expect("a|b  -  c" in shown and "7  8  -" in shown and "user" in shown and "list string" in shown, shown)


def mistakes_are_told():
    with folder() as place:
        place = pathlib.Path(place)
        small = ["--plugin", "synthetic", "--set", "data.rows=100", "--set", "data.valid_rows=0", "--set", "data.test_rows=0"]
        expect("--out" in rechost("data", "convert", *small, code=2).err, "no folder")
        expect("mds and parquet" in rechost("data", "convert", *small, "--to", "csv", "--out", place / "x", code=2).err, "format")
        expect("--hashes belongs to mds" in rechost("data", "convert", *small, "--to", "parquet", "--hashes", "sha1", "--out", place / "x", code=2).err, "hashes")
        expect("'bz2'" in rechost("data", "convert", *small, "--to", "parquet", "--compression", "bz2", "--out", place / "x", code=78).err, "compression")
        expect("'gz:10'" in rechost("data", "convert", *small, "--compression", "gz:10", "--out", place / "x", code=78).err, "compression")
        expect("4 GiB" in rechost("data", "convert", *small, "--shard-bytes", 2**32, "--out", place / "x", code=2).err, "size")
        expect("larger shards" in rechost("data", "convert", *small, "--shard-bytes", 500, "--out", place / "y", code=78).err, "sample")
        rechost("data", "convert", *small, "--out", place / "x")
        expect("index.json already" in rechost("data", "convert", *small, "--out", place / "x", code=78).err, "twice")
        expect("shard.00000.mds already" in rechost("data", "convert", *small, "--to", "parquet", "--out", place / "x", code=78).err, "another format's shards")
        rechost("data", "convert", *small, "--to", "parquet", "--out", place / "p")
        expect("_SUCCESS already" in rechost("data", "convert", *small, "--to", "parquet", "--out", place / "p", code=78).err, "twice")
        (place / "bad.txt").write_text("7" + "\t1" * 39 + "\n")
        failed = rechost("data", "convert", "--plugin", "criteo", "--set", f"data.path={place / 'bad.txt'}", "--out", place / "z", code=1)
        expect("bad.txt:1" in failed.err and not (place / "z/index.json").exists(), failed)


def files_of(target):
    return {str(path.relative_to(target)): path.read_bytes() for path in sorted(target.rglob("*")) if path.is_file() and path.name != "data.toml"}


def the_files_do_not_depend_on_the_threads():
    with folder() as place:
        place = pathlib.Path(place)
        write_criteo(place / "train.txt", 30000, 1)
        source = ["--plugin", "criteo", "--set", f"data.path={place / 'train.txt'}", "--compression", "zstd:1", "--shard-bytes", "300000"]
        for to in ("mds", "parquet"):
            made = []
            for threads in (1, 2, 3, 8):
                rechost("data", "convert", *source, "--to", to, "--out", place / f"{to}{threads}", "--threads", threads)
                made.append(files_of(place / f"{to}{threads}"))
            expect(len(made[0]) > 15 and all(each == made[0] for each in made), [sorted(each) for each in made])


def a_conversion_that_is_killed_goes_on():
    with folder() as place:
        place = pathlib.Path(place)
        write_criteo(place / "train.txt", 20000, 1)
        write_criteo(place / "test.txt", 4000, 2)
        for to, compression, suffix in (("mds", "zstd:19", ".mds.zstd"), ("parquet", "zstd:22", ".parquet")):
            goes_on_wherever_it_is_killed(place, to, compression, suffix)


def goes_on_wherever_it_is_killed(place, to, compression, suffix):
    source = ["data", "convert", "--plugin", "criteo", "--set", f"data.path={place / 'train.txt'}", "--set", f"data.test_path={place / 'test.txt'}",
              "--to", to, "--compression", compression, "--shard-bytes", "300000", "--threads", "2"]
    rechost(*source, "--out", place / to)
    whole = files_of(place / to)
    shards = sum(name.endswith(suffix) for name in whole)
    expect(shards > 15 and not any("convert" in name for name in whole), sorted(whole))
    kept = 0
    # Killed when so many shards are there, the last time among those of the second split.
    for wanted in (0, 1, shards // 2, shards - 4):
        target = place / f"{to}-killed-{wanted}"
        count = lambda: len(list(target.rglob("shard.*"))) if target.exists() else 0
        for attempt in range(2):
            running = subprocess.Popen([BIN, *map(str, source), "--out", str(target)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 100
            before = count()
            while running.poll() is None and time.monotonic() < deadline and (count() < wanted if attempt == 0 else count() <= before):
                time.sleep(0.002)
            running.kill()
            running.wait()
            expect(not (target / "data.toml").exists(), f"it was done before it was killed: {wanted}")
        # What a power cut can leave: half a file of the writer's, half a line of the journal.
        if (target / "train").exists():
            (target / f"train/.shard.00003{suffix}.123-4").write_bytes(b"half")
        if (target / ".convert.jsonl").exists():
            with (target / ".convert.jsonl").open("ab") as journal:
                journal.write(b'{"split":"tr')
        said = rechost(*source, "--out", target).out
        kept += "were there already" in said
        expect(files_of(target) == whole, f"killed after {wanted} shards: {sorted(files_of(target))}")
    expect(kept >= 2, "nothing was kept")


def an_unfinished_conversion_is_not_taken_for_another():
    with folder() as place:
        place = pathlib.Path(place)
        write_criteo(place / "train.txt", 9000, 1)
        rechost("data", "convert", "--plugin", "criteo", "--set", f"data.path={place / 'train.txt'}", "--shard-bytes", "100000", "--out", place / "source")
        convert = ["data", "convert", "--config", place / "source/data.toml", "--threads", "1", "--shard-bytes", "150000"]
        rechost(*convert, "--out", place / "whole")
        whole = files_of(place / "whole")
        last = sorted((place / "source").glob("shard.*"))[-1]
        sound = last.read_bytes()

        def begun(name):
            # Its last shard is damaged, which ends the conversion after some shards.
            last.write_bytes(sound[:-1] + b"?")
            failed = rechost(*convert, "--out", place / name, code=1)
            expect(last.name in failed.err, failed)
            expect((place / name / ".convert.jsonl").exists() and not (place / name / "index.json").exists(), "nothing was kept")
            last.write_bytes(sound)

        begun("a")
        for other, member in ((["--compression", "gz"], "compression"), (["--hashes", "sha1"], "hashes"), (["--set", 'data.id=["c1"]', "--set", 'data.sparse=["c2"]'], "split all")):
            failed = rechost(*convert, *other, "--out", place / "a", code=78)
            expect(f"its {member} is" in failed.err, failed)
        expect("were there already" in rechost(*convert, "--out", place / "a").out and files_of(place / "a") == whole, "it was not finished")
        expect("index.json already" in rechost(*convert, "--out", place / "a", code=78).err, "a finished one was begun again")

        # A shard that was spoilt since, or is missing, is made anew, with those after it.
        for number, spoil in ((1, lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?")), (0, pathlib.Path.unlink)):
            begun(f"b{number}")
            shards = sorted((place / f"b{number}").glob("shard.*"))
            expect(len(shards) > 2, shards)
            spoil(shards[number])
            said = rechost(*convert, "--out", place / f"b{number}").out
            expect(("; 1 shards were" in said) == (number == 1) and files_of(place / f"b{number}") == whole, said)

        # Two at once: the second is refused while the first lives.
        (place / "busy").mkdir()
        with (place / "busy/.convert.lock").open("w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            expect(".convert.lock" in rechost(*convert, "--out", place / "busy", code=1).err, "two conversions into one folder")


main([the_files_do_not_depend_on_the_threads, a_conversion_that_is_killed_goes_on, an_unfinished_conversion_is_not_taken_for_another,
      a_model_trained_on_shards_is_the_one_trained_on_the_text,
      a_model_trained_on_encoded_data_is_the_one_trained_on_the_text, an_encoded_conversion_that_was_interrupted_goes_on, every_loader_reads_back_as_it_was, mistakes_are_told])
