# Data as users have them: several labels, files to predict that have none, negatives listed in a file, rows that cannot be read.
import json
import math
import pathlib
import random
import subprocess

from program import BIN, expect, folder, main, rechost

CSV = ["--set", "data.plugin=csv", "--set", "data.dense=[\"d\"]", "--set", "data.sparse=[\"s\"]", "--set", "data.split.test=0.25", "--set",
       "data.batch_size=50", "--set", "run.threads=1", "--set", "model.bottom_mlp=[8]", "--set", "model.top_mlp=[8]"]


def table(rows, seed):
    """Rows of click, price, kind, d, s; kinds above 1 only where `seed` is odd."""
    draw = random.Random(seed)
    lines = []
    for _ in range(rows):
        number = draw.gauss(0, 1)
        kind = draw.randrange(2 if seed % 2 == 0 else 4)
        lines.append([int(draw.random() < 1 / (1 + math.exp(-2 * number))), round(number * 2 + kind, 3), kind, round(number, 4), "abcdé"[kind]])
    return lines


def write(path, rows, columns="click,price,kind,d,s"):
    kept = [("click", "price", "kind", "d", "s").index(name) for name in columns.split(",")]
    path.write_text(columns + "\n" + "".join(",".join(str(row[at]) for at in kept) + "\n" for row in rows))
    return path


def train(place, *settings):
    summary = rechost("run", "--plugin", "dlrm", *CSV, *settings, "--out", place / "runs", "--output", "json").json()
    return summary, summary["run_dir"]


def scores(result):
    return [json.loads(line) for line in result.out.splitlines()]


def several_labels_of_several_kinds_train_together():
    with folder() as place:
        place = pathlib.Path(place)
        data = write(place / "train.csv", table(800, 1))
        summary, run = train(place, "--set", f"data.path={data}", "--set", "data.label=[\"click\", \"price:regression\", \"kind:multiclass\"]", "--set",
                             "model.heads=[\"click:binary\", \"price:regression:0.1\", \"kind:multiclass:0.5\"]")
        metrics = summary["metrics"]["test"]
        expect(metrics["click.auc"] > 0.6 and metrics["price.rmse"] > 0 and metrics["kind.accuracy"] > 0, metrics)
        line = scores(rechost("predict", run))[0]
        expect(0 < line["click"] < 1 and isinstance(line["price"], float) and abs(sum(line["kind"]) - 1) < 1e-6 and len(line["kind"]) == 4, line)


def a_model_keeps_its_labels_on_other_data():
    with folder() as place:
        place = pathlib.Path(place)
        data = write(place / "train.csv", table(800, 1))
        _, run = train(place, "--set", f"data.path={data}", "--set", "data.label=[\"click\", \"kind:multiclass\"]")
        # Fewer classes than the model has, and all rows of the file, whatever split the training file had.
        fewer = write(place / "fewer.csv", table(100, 2))
        measured = rechost("eval", run, "--set", f"data.path={fewer}", "--output", "json").json()
        expect(measured["rows"] == 100 and measured["split"] == "all" and "kind.accuracy" in measured["metrics"], measured)
        more = write(place / "more.csv", table(100, 2) + [[1, 0.5, 9, 0.5, "a"]])
        refused = rechost("eval", run, "--set", f"data.path={more}", code=1)
        expect("label 9 is not a class number in [0, 4)" in refused.err, refused)
        # The label is not needed to predict, and changes nothing.
        labelled = scores(rechost("predict", run, "--set", f"data.path={fewer}"))
        bare = write(place / "bare.csv", table(100, 2), "d,s")
        without = rechost("predict", run, "--set", f"data.path={bare}", "--set", "data.label=[]")
        expect(len(labelled) == 100 and labelled == scores(without) and "all: 100 predictions" in without.err, without)
        expect("column \"click\" is missing" in rechost("eval", run, "--set", f"data.path={bare}", "--set", "data.label=[]", code=1).err, "eval needs it")
        expect(len(scores(rechost("predict", run, "--set", f"data.path={fewer}", "--split", "test"))) == 25, "a split that is named")
        expect(len(scores(rechost("predict", run, "--split", "all"))) == 800, "all rows of the training file")


def only_the_split_that_is_predicted_is_read():
    with folder() as place:
        place = pathlib.Path(place)
        data = write(place / "train.csv", table(400, 1))
        test = write(place / "test.csv", table(50, 3))
        _, run = train(place, "--set", f"data.path={data}", "--set", f"data.test_path={test}", "--set", "data.label=[\"click\"]")
        data.unlink()
        expect(len(scores(rechost("predict", run))) == 50, "the training file is not needed")
        expect("test" in rechost("predict", run, "--split", "valid", code=78).err, "the splits that there are")


def a_model_finds_its_data_from_anywhere():
    with folder() as place:
        place = pathlib.Path(place)
        write(place / "train.csv", table(400, 1))
        summary = rechost("run", "--plugin", "dlrm", *CSV, "--set", "data.path=train.csv", "--set", "data.label=[\"click\"]", "--output", "json",
                          cwd=place).json()
        (place / "elsewhere").mkdir()
        measured = rechost("eval", summary["run_dir"], "--output", "json", cwd=place / "elsewhere").json()
        expect(measured["metrics"] == summary["metrics"]["test"], measured)


def output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run([BIN, "plugins", "list"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    expect(done.returncode == 1 and "standard output" in done.stderr, done)


def rows_that_cannot_be_read_are_mentioned_by_predict():
    with folder() as place:
        place = pathlib.Path(place)
        data = write(place / "train.csv", table(400, 1))
        _, run = train(place, "--set", f"data.path={data}", "--set", "data.label=[\"click\"]", "--set", "data.bad_rows=quarantine")
        bad = write(place / "bad.csv", table(20, 1) + [[1, 0, 0, "x", "a"]])
        predicted = rechost("predict", run, "--set", f"data.path={bad}")
        expect(len(scores(predicted)) == 20 and "1 rows could not be used" in predicted.err, predicted)


def listed_negatives_rank_the_positive_of_each_row():
    with folder() as place:
        place = pathlib.Path(place)
        draw = random.Random(5)
        train_rows, test_rows, negatives = [], [], []
        for user in range(60):
            seen = draw.sample(range(user % 3, 90, 3), 12)  # a user likes items of its own third
            train_rows += [f"{user}\t{item}\n" for item in seen[:-1]]
            test_rows.append(f"{user}\t{seen[-1]}\n")
            others = [item for item in range(90) if item not in seen]
            negatives.append(f"({user},{seen[-1]})\t" + "\t".join(map(str, draw.sample(others, 30))) + "\n")
        for name, lines in (("train", train_rows), ("test", test_rows), ("negatives", negatives)):
            (place / name).write_text("".join(lines))
        given = ["--set", "data.plugin=ratings", "--set", f"data.train_path={place / 'train'}", "--set", f"data.test_path={place / 'test'}", "--set",
                 "data.columns=[\"user\", \"item\"]", "--set", "model.loss=softmax", "--set", "model.user_layers=[]", "--set", "model.item_layers=[]",
                 "--set", "model.embedding_dim=8", "--set", "optimizer.sparse.kind=adam", "--set", "optimizer.sparse.lr=0.05", "--set", "run.epochs=20",
                 "--set", "data.batch_size=64", "--set", "run.threads=1", "--set", "eval.retrieval.enabled=true", "--set",
                 "eval.retrieval.protocol=given", "--set", "eval.retrieval.k=[10]", "--out", place / "runs"]
        trained = rechost("run", "--plugin", "two_tower", *given, "--set", f"data.negatives_path={place / 'negatives'}", "--output", "json").json()
        metrics = trained["metrics"]["test"]
        # Among 30 drawn from all thirds, 10 are of the positive's own: it is nearly always among the first 10 or so; by chance it were 1 in 3.
        expect(0.6 < metrics["hr@10"] <= 1.0, metrics)
        expect(rechost("eval", trained["run_dir"], "--output", "json").json()["metrics"] == metrics, "the same again")
        refused = rechost("run", "--plugin", "two_tower", *given, code=78)
        expect("split \"test\" has none" in refused.err and "step " not in refused.err, f"refused before training\n{refused}")


def only_liked_rows_are_ranked_among_listed_negatives():
    with folder() as place:
        place = pathlib.Path(place)
        draw = random.Random(6)
        train_rows, liked, disliked, negatives = [], [], [], []
        for user in range(40):
            items = draw.sample(range(50), 22)
            train_rows += [f"{user}\t{item}\t{draw.choice((1, 5))}\n" for item in items[:10]]
            liked.append(f"{user}\t{items[10]}\t5\n")
            disliked.append(f"{user}\t{items[11]}\t1\n")
            negatives += [f"({user},{item})\t" + "\t".join(map(str, items[12:])) + "\n" for item in items[10:12]]
        for name, lines in (("train", train_rows), ("test", liked + disliked), ("liked", liked), ("negatives", negatives)):
            (place / name).write_text("".join(lines))
        trained = rechost("run", "--plugin", "two_tower", "--set", "data.plugin=ratings", "--set", f"data.train_path={place / 'train'}", "--set",
                          f"data.test_path={place / 'test'}", "--set", f"data.negatives_path={place / 'negatives'}", "--set",
                          "data.columns=[\"user\", \"item\", \"rating\"]", "--set", "data.label=binary", "--set", "data.min_rating=3", "--set",
                          "run.threads=1", "--set", "eval.retrieval.enabled=true", "--set", "eval.retrieval.protocol=given", "--out",
                          place / "runs", "--output", "json").json()
        alone = rechost("eval", trained["run_dir"], "--set", f"data.test_path={place / 'liked'}", "--output", "json").json()
        for name in ("hr@20", "ndcg@20", "mean_rank"):
            expect(alone["metrics"][name] == trained["metrics"]["test"][name], (name, alone, trained))


main([a_model_finds_its_data_from_anywhere, output_that_cannot_be_written_is_an_error, several_labels_of_several_kinds_train_together, a_model_keeps_its_labels_on_other_data, only_the_split_that_is_predicted_is_read,
      rows_that_cannot_be_read_are_mentioned_by_predict, listed_negatives_rank_the_positive_of_each_row,
      only_liked_rows_are_ranked_among_listed_negatives])
