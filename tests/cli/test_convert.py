# MDS shards made from other data train the same model.
import json
import pathlib

from criteo_runs import trained, write_criteo
from program import expect, folder, main, rechost


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


main([a_model_trained_on_shards_is_the_one_trained_on_the_text, every_loader_reads_back_as_it_was, mistakes_are_told])
