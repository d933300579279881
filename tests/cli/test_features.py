# Encoders from the configuration to the prediction: the example of configs/features.md, one raw row, vocabularies that checkpoints share.
import json
import pathlib
import random
import re
import shutil

from program import SOURCE, expect, folder, main, rechost

SMALL = ["--set", "data.batch_size=50", "--set", "run.threads=1", "--set", "model.embedding_dim=4", "--set", "model.bottom_mlp=[8, 4]", "--set",
         "model.top_mlp=[8]", "--set", "data.split.valid=0.25"]
HEADER = "click,price,user,tags,tag_scores,when,day"


def example(place):
    """The configuration in the documentation, beside data for it."""
    draw = random.Random(3)
    lines = []
    for _ in range(600):
        when = 1704067200 + draw.randrange(300 * 86400)
        day = f"2024-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}T{draw.randrange(24):02}:30:00Z"
        price = "" if draw.random() < 0.1 else round(draw.expovariate(0.01), 2)
        tags = "|".join(draw.choice("abcdefgh") for _ in range(draw.randrange(7)))
        scores_of_tags = "|".join(str(draw.randrange(-4, 9) / 4) for _ in tags.split("|") if tags)
        lines.append(f"{draw.randrange(2)},{price},u{draw.randrange(80)},{tags},{scores_of_tags},{when},{day}")
    (place / "clicks.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    text = (SOURCE / "configs" / "features.md").read_text()
    config = place / "features.toml"
    config.write_text(re.search(r"```toml\n(.*?)```", text, re.S)[1])
    return config, lines


def train(place, config, *settings):
    return rechost("run", "--plugin", "dlrm", "--config", config, *SMALL, *settings, "--out", place / "runs", "--output", "json", cwd=place).json()


def scores(result):
    return [json.loads(line)["click"] for line in result.out.splitlines()]


def one_raw_row_is_predicted_as_among_all_others():
    with folder() as made:
        place = pathlib.Path(made)
        config, lines = example(place)
        run = train(place, config)["run_dir"]
        everything = scores(rechost("predict", run, "--split", "all", cwd=place))
        expect(len(everything) == 600 and len(set(everything)) > 500, len(set(everything)))
        for row in (0, 17, 599):
            (place / "one.csv").write_text(f"{HEADER}\n{lines[row]}\n")
            alone = scores(rechost("predict", run, "--set", f"data.path={place / 'one.csv'}", cwd=place))
            expect(len(alone) == 1 and abs(alone[0] - everything[row]) < 1e-7, (row, alone, everything[row]))  # a batch of one adds up otherwise
        # From a copy of the checkpoint alone, elsewhere: it has all that it needs.
        shutil.copytree(pathlib.Path(run) / "checkpoints" / "latest", place / "copy")
        shutil.rmtree(run)
        copied = scores(rechost("predict", place / "copy", "--set", f"data.path={place / 'clicks.csv'}", "--split", "all", cwd=place))
        expect(copied == everything, "predictions of a copied checkpoint")


def a_vocabulary_on_disk_trains_the_same_model():
    with folder() as made:
        place = pathlib.Path(made)
        config, _ = example(place)
        in_memory = scores(rechost("predict", train(place, config)["run_dir"], "--split", "all", cwd=place))
        (place / "spill").mkdir()
        on_disk = train(place, config, "--set", "data.vocabulary_memory_gib=0.001", "--set", f"data.temporary_path={place / 'spill'}")
        expect(scores(rechost("predict", on_disk["run_dir"], "--split", "all", cwd=place)) == in_memory, "predictions")
        expect(not list((place / "spill").iterdir()), "nothing stays behind")


def checkpoints_share_the_files_of_vocabularies():
    with folder() as made:
        place = pathlib.Path(made)
        config, _ = example(place)
        run = pathlib.Path(train(place, config, "--set", "run.epochs=2", "--set", "checkpoint.every_steps=5", "--set", "checkpoint.keep=3")["run_dir"])
        found = sorted((run / "checkpoints").glob("step-*"))
        expect(len(found) == 4, found)
        names = sorted(path.name for path in (found[0] / "vocabulary").iterdir())
        expect("dense.scaling" in names and "tags.tsv" in names, names)
        for name in names:
            files = {(checkpoint / "vocabulary" / name).stat().st_ino for checkpoint in found}
            expect(len(files) == 1, f"{name}: {len(files)} files")
        weights = {(checkpoint / "dense.safetensors").stat().st_ino for checkpoint in found}
        expect(len(weights) == 4, "weights differ from checkpoint to checkpoint")
        for checkpoint in found:
            rechost("checkpoint", "verify", checkpoint)
        # A damaged file does not spread: the next checkpoint has its own.
        newest = found[-1] / "vocabulary" / "tags.tsv"
        newest.write_bytes(newest.read_bytes().replace(b"a", b"b", 1))
        rechost("checkpoint", "verify", found[-1], code=None)
        shutil.rmtree(found[-1])
        damaged = rechost("checkpoint", "verify", found[0], code=None)
        expect(damaged.code != 0 and "tags.tsv" in damaged.err + damaged.out, damaged)


def weights_are_the_same_after_conversion():
    with folder() as made:
        place = pathlib.Path(made)
        config, _ = example(place)
        run = train(place, config)
        unweighted = train(place, config, "--set", "features.tags.weights=\"\"")
        expect(unweighted["metrics"] != run["metrics"], "weights have no part in training")
        # Encoded, lists come last, so the model has its features in another order.
        encoded = []
        for to in ("mds", "parquet"):
            rechost("data", "convert", "--config", config, "--set", "data.split.valid=0.25", "--to", to, "--encoded", "--out", place / to, cwd=place)
            text = (place / to / "data.toml").read_text()
            expect("id_weights = [\"tags_weights\"]" in text and "weights = \"tags_weights\"" in text, text)
            encoded.append(train(place, place / to / "data.toml")["metrics"])
        expect(encoded[0] == encoded[1], encoded)
        expect(train(place, place / "mds" / "data.toml", "--set", "features.tags.weights=\"\"")["metrics"] != encoded[0], "encoded weights have no part in training")
        # Of the columns as they are: what the features are made of comes from the configuration.
        rechost("data", "convert", "--config", config, "--to", "mds", "--out", place / "raw", cwd=place)
        rechost("data", "convert", "--config", place / "raw" / "data.toml", "--to", "parquet", "--out", place / "again", cwd=place)
        for raw in ("raw", "again"):
            expect("id_weights = [\"tag_scores\"]" in (place / raw / "data.toml").read_text(), raw)
            features = place / f"{raw}.toml"
            features.write_text((place / raw / "data.toml").read_text() + re.search(r"\[features\..*", config.read_text(), re.S)[0])
            from_raw = train(place, features)
            expect(from_raw["metrics"] == run["metrics"], (raw, from_raw["metrics"], run["metrics"]))


def keys_of_dynamic_features_have_weights_and_are_encoded():
    with folder() as made:
        place = pathlib.Path(made)
        config, _ = example(place)
        keyed = ["--set", "features.user.encoder=\"dynamic\"", "--set", "features.user.hash_rows=0", "--set", "features.user.hashes=1", "--set", "features.user.max_rows=60",
                 "--set", "features.tags.encoder=\"dynamic\"", "--set", "features.tags.max_rows=9"]
        run = train(place, config, *keyed)
        expect(train(place, config, *keyed, "--set", "features.tags.weights=\"\"")["metrics"] != run["metrics"], "weights have no part in training")
        # A key has the weights that a row of a vocabulary has.
        ones = "\n".join([HEADER] + [",".join([*line.split(",")[:4], "|".join("1" for tag in line.split(",")[3].split("|") if tag), *line.split(",")[5:]])
                                     for line in (place / "clicks.csv").read_text().splitlines()[1:]])
        (place / "ones.csv").write_text(ones + "\n")
        same = [train(place, config, *keyed, "--set", f"data.path={place / 'ones.csv'}", "--set", "features.tags.padding=\"none\"", *unweighted)["metrics"]
                for unweighted in ([], ["--set", "features.tags.weights=\"\"", "--set", "features.tags.pooling=\"sum\""])]
        expect(same[0] == same[1], same)
        encoded = []
        for to in ("mds", "parquet"):
            rechost("data", "convert", "--config", config, *keyed, "--set", "data.split.valid=0.25", "--to", to, "--encoded", "--out", place / to, cwd=place)
            text = (place / to / "data.toml").read_text()
            expect(text.count("encoder = \"dynamic\"") == 2 and "padding = \"back\"" in text and "max_rows = 60" in text, text)
            encoded.append(train(place, place / to / "data.toml")["metrics"])
        expect(encoded[0] == encoded[1], encoded)
        expect(train(place, place / "mds" / "data.toml", "--set", "features.tags.weights=\"\"")["metrics"] != encoded[0], "encoded weights have no part in training")


def a_trained_model_is_used_in_int8():
    with folder() as made:
        place = pathlib.Path(made)
        config, _ = example(place)
        run = train(place, config, "--set", "optimizer.sparse.kind=\"adam\"")["run_dir"]
        exact = scores(rechost("predict", run, "--split", "all", cwd=place))
        small = scores(rechost("predict", run, "--split", "all", "--set", "tables.\"*\".precision=\"int8\"", cwd=place))
        largest = max(abs(a - b) for a, b in zip(exact, small))
        expect(len(small) == 600 and 0 < largest < 0.02, largest)
        refused = rechost("run", "--plugin", "dlrm", "--config", config, *SMALL, "--set", "tables.\"*\".precision=\"int8\"", "--out", place / "runs", cwd=place, code=78)
        expect("int8" in refused.err and "train with fp32" in refused.err, refused.err)


def misuse_is_one_error():
    with folder() as made:
        place = pathlib.Path(made)
        config, _ = example(place)
        def refused(*settings):
            return rechost("run", "--plugin", "dlrm", "--config", config, *SMALL, *settings, "--out", place / "runs", cwd=place, code=78).err
        expect("features.price.clip" in refused("--set", "features.price.clip=[5]"), "clip")
        expect("expected a list of numbers" in refused("--set", "features.price.clip=[\"a\", 1]"), "clip of texts")
        expect("features.age.since" in refused("--set", "features.age.since=\"now\""), "since")
        expect("names no feature" in refused("--set", "features.\"x*\".source=\"price\""), "a pattern with a source")
        expect("no such column" in refused("--set", "features.new.source=\"prise\""), "source")
        expect("did you mean \"tag_scores\"" in refused("--set", "features.tags.weights=\"tag_score\""), "weights")


main([one_raw_row_is_predicted_as_among_all_others, a_vocabulary_on_disk_trains_the_same_model, checkpoints_share_the_files_of_vocabularies,
      weights_are_the_same_after_conversion, keys_of_dynamic_features_have_weights_and_are_encoded, a_trained_model_is_used_in_int8,
      misuse_is_one_error])
