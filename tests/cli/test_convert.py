# MDS shards made from other data train the same model.
import fcntl
import json
import pathlib
import subprocess
import time

from criteo_runs import trained, write_criteo
from program import BIN, expect, folder, main, rechost


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
        for compression in ("none", "zstd"):
            shards = place / compression
            said = rechost("data", "convert", "--plugin", "criteo", *text, "--to", "mds", "--out", shards, "--compression", compression).out
            expect("3,000 rows in 1 shards" in said and "500 rows in 1 shards" in said, said)
            from_shards = trained(place, f"from-{compression}", "--config", shards / "data.toml")
            expect(from_shards == from_text, f"{compression}: {from_shards[-1]} is not {from_text[-1]}")


def every_loader_reads_back_as_it_was():
    with folder() as place:
        place = pathlib.Path(place)
        made = place / "clicks"
        rechost("data", "synth", made, "--rows", "700", "--set", "data.valid_rows=0", "--set", "data.test_rows=100")
        rechost("data", "convert", "--config", made / "data.toml", "--out", place / "shards", "--shard-bytes", "20000")
        expect(len(list((place / "shards/train").glob("shard.*.mds"))) > 2, "one shard only")
        columns = lambda config: [json.loads(line) for line in rechost("data", "stats", "--config", config, "--output", "json").out.splitlines()]
        expect(columns(place / "shards/data.toml") == columns(made / "data.toml"), "the statistics differ")

        (place / "list.csv").write_text("label,tags,user\n1,a|b,7\n0,,8\n1,c,\n")
        rechost("data", "convert", "--plugin", "csv", "--set", f"data.path={place / 'list.csv'}", "--set", 'data.multi_hot=["tags"]', "--set",
                'data.sparse=["user"]', "--set", 'data.integer=["user"]', "--set", "data.user_key=user", "--out", place / "list")
        shown = rechost("data", "inspect", "--config", place / "list/data.toml").out
        expect("a|b  -  c" in shown and "7  8  -" in shown and "user" in shown, shown)


def mistakes_are_told():
    with folder() as place:
        place = pathlib.Path(place)
        small = ["--plugin", "synthetic", "--set", "data.rows=100", "--set", "data.valid_rows=0", "--set", "data.test_rows=0"]
        expect("--out" in rechost("data", "convert", *small, code=2).err, "no folder")
        expect("parquet" in rechost("data", "convert", *small, "--to", "parquet", "--out", place / "x", code=2).err, "format")
        expect("'gz:10'" in rechost("data", "convert", *small, "--compression", "gz:10", "--out", place / "x", code=78).err, "compression")
        expect("4 GiB" in rechost("data", "convert", *small, "--shard-bytes", 2**32, "--out", place / "x", code=2).err, "size")
        expect("larger shards" in rechost("data", "convert", *small, "--shard-bytes", 500, "--out", place / "y", code=78).err, "sample")
        rechost("data", "convert", *small, "--out", place / "x")
        expect("index.json already" in rechost("data", "convert", *small, "--out", place / "x", code=78).err, "twice")
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
        made = []
        for threads in (1, 2, 3, 8):
            rechost("data", "convert", *source, "--out", place / f"{threads}", "--threads", threads)
            made.append(files_of(place / f"{threads}"))
        expect(len(made[0]) > 15 and all(each == made[0] for each in made), [sorted(each) for each in made])


def a_conversion_that_is_killed_goes_on():
    with folder() as place:
        place = pathlib.Path(place)
        write_criteo(place / "train.txt", 20000, 1)
        write_criteo(place / "test.txt", 4000, 2)
        source = ["data", "convert", "--plugin", "criteo", "--set", f"data.path={place / 'train.txt'}", "--set", f"data.test_path={place / 'test.txt'}",
                  "--compression", "zstd:19", "--shard-bytes", "300000", "--threads", "2"]
        rechost(*source, "--out", place / "whole")
        whole = files_of(place / "whole")
        shards = sum(name.endswith(".zstd") for name in whole)
        expect(shards > 15 and not any("convert" in name for name in whole), sorted(whole))
        kept = 0
        # Killed when so many shards are there, the last time among those of the second split.
        for wanted in (0, 1, shards // 2, shards - 6):
            target = place / f"killed-{wanted}"
            said = ""
            for attempt in range(2):
                running = subprocess.Popen([BIN, *map(str, source), "--out", str(target)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                deadline = time.monotonic() + 100
                before = len(list(target.rglob("shard.*"))) if target.exists() else 0
                while running.poll() is None and time.monotonic() < deadline and (len(list(target.rglob("shard.*"))) < wanted if attempt == 0 else len(list(target.rglob("shard.*"))) <= before):
                    time.sleep(0.002)
                running.kill()
                running.wait()
                expect(not (target / "data.toml").exists(), f"it was done before it was killed: {wanted}")
            # What a power cut can leave: half a file of the writer's, half a line of the journal.
            (target / "train/.shard.00003.mds.zstd.123-4").write_bytes(b"half")
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


main([the_files_do_not_depend_on_the_threads, a_conversion_that_is_killed_goes_on, an_unfinished_conversion_is_not_taken_for_another, a_model_trained_on_shards_is_the_one_trained_on_the_text, every_loader_reads_back_as_it_was, mistakes_are_told])
