# Data that differ from those a model was trained on: what the model can work with is said and measured, what it cannot is refused by name.
import json
import pathlib
import random

from program import expect, folder, main, rechost

CSV = ["--set", "data.plugin=csv", "--set", "data.dense=[\"d\"]", "--set", "data.sparse=[\"s\"]", "--set", "data.label=[\"click\"]", "--set", "data.split.test=0.25",
       "--set", "data.batch_size=50", "--set", "run.threads=1", "--set", "model.bottom_mlp=[8]", "--set", "model.top_mlp=[8]"]


def write(path, words, rows=400, columns="click,d,s"):
    """Rows whose s are drawn from `words`; a fourth column is a number."""
    draw = random.Random(7)
    lines = [columns]
    for _ in range(rows):
        row = [draw.randrange(2), round(draw.gauss(0, 1), 4), draw.choice(words), draw.randrange(9)]
        lines.append(",".join(map(str, row[:columns.count(",") + 1])))
    path.write_text("\n".join(lines) + "\n")
    return path


def train(place, *more):
    data = write(place / "train.csv", "abcdefgh")
    return rechost("run", "--plugin", "dlrm", *CSV, "--set", f"data.path={data}", *more, "--out", place / "runs", "--output", "json").json()["run_dir"]


def the_data_of_training_are_no_drift():
    with folder() as made:
        place = pathlib.Path(made)
        run = train(place)
        for split in ("train", "test"):
            measured = rechost("eval", run, "--split", split, "--set", "data.drift.action=fail", "--output", "json")
            expect("drift" not in measured.json() and "not like those in training" not in measured.err, measured)


def a_registered_model_says_what_is_new_and_works_on():
    with folder() as made:
        place = pathlib.Path(made)
        run = train(place)
        rechost("models", "register", "clicks", run)
        model = "models:/clicks/1"
        same = rechost("eval", model, "--set", f"data.path={place / 'train.csv'}", "--output", "json").json()
        wider = write(place / "wider.csv", "abcdefgh", columns="click,d,s,more")
        measured = rechost("eval", model, "--set", f"data.path={wider}", "--set", "data.dense=[\"d\", \"more\"]", "--output", "json")
        expect(measured.json()["metrics"].keys() == same["metrics"].keys(), measured)
        changes = measured.json()["drift"]["changes"]
        expect(len(changes) == 1 and "column \"more\" (float32) is new" in changes[0] and changes[0] in measured.err, measured)
        # A column that the loader is not told of is nobody's.
        expect("drift" not in rechost("eval", model, "--set", f"data.path={wider}", "--output", "json").json(), "a column that is not read")

        strange = write(place / "strange.csv", "ghxyz")
        measured = rechost("eval", model, "--set", f"data.path={strange}", "--output", "json")
        share = measured.json()["drift"]["unseen_share"]["s"]
        rows = [line.rsplit(",", 1)[1] for line in strange.read_text().splitlines()[1:]]
        expect(abs(share - sum(word in "xyz" for word in rows) / len(rows)) < 1e-12, (share, measured))
        expect("of the values of feature \"s\" were not seen in training" in measured.err, measured)
        predicted = rechost("predict", model, "--set", f"data.path={strange}")
        expect(len(predicted.out.splitlines()) == 400 and "feature \"s\" were not seen" in predicted.err, predicted)
        expect("drift" not in rechost("eval", model, "--set", f"data.path={strange}", "--set", "data.drift.unseen_share=0.9", "--output", "json").json(), "a larger share")
        refused = rechost("predict", model, "--set", f"data.path={strange}", "--set", "data.drift.action=fail", code=1)
        expect("data.drift.action = \"fail\"" in refused.err and refused.out == "", refused)


def what_the_model_cannot_work_with_is_refused():
    with folder() as made:
        place = pathlib.Path(made)
        run = train(place)
        narrow = write(place / "narrow.csv", "ab", columns="click,d")
        refused = rechost("eval", run, "--set", f"data.path={narrow}", "--set", "data.sparse=[]", code=1)
        expect("column \"s\" is missing in this data" in refused.err, refused)
        numbers = write(place / "numbers.csv", "123")
        refused = rechost("predict", run, "--set", f"data.path={numbers}", "--set", "data.integer=[\"s\"]", code=1)
        expect("column \"s\" holds int64, but string in the data that the model was trained on" in refused.err, refused)
        lists = rechost("predict", run, "--set", f"data.path={numbers}", "--set", "data.sparse=[]", "--set", "data.multi_hot=[\"s\"]", code=1)
        expect("column \"s\" holds lists of string, but string" in lists.err, lists)


def a_resumed_run_says_and_records_it():
    with folder() as made:
        place = pathlib.Path(made)
        run = pathlib.Path(train(place, "--set", "run.epochs=4", "--set", "checkpoint.every_steps=5", "--set", "checkpoint.keep=9",
                                 "--set", "run.log_every_steps=5"))
        write(place / "train.csv", "abxyz")  # as many rows, another world
        resumed = rechost("run", "--plugin", "dlrm", *CSV, "--set", f"data.path={place / 'train.csv'}", "--set", "run.epochs=4", "--set", "checkpoint.every_steps=5",
                          "--set", "run.log_every_steps=5", "--resume", run / "checkpoints/step-0000000010", "--output", "json")
        expect("feature \"s\" were not seen in training" in resumed.err and "the data" in resumed.err, resumed)
        share = resumed.json()["drift"]["unseen_share"]["s"]
        expect(share > 0.5, resumed)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        told = [line["data.drift.unseen_share"] for line in lines if "data.drift.unseen_share" in line]
        expect(told and all(each == share for each in told), told)
        # The checkpoints of the continuation still speak of what the vocabulary was learnt from.
        measured = rechost("eval", run, "--output", "json").json()
        expect(measured["drift"]["unseen_share"]["s"] > 0.5, measured)


main([the_data_of_training_are_no_drift, a_registered_model_says_what_is_new_and_works_on, what_the_model_cannot_work_with_is_refused, a_resumed_run_says_and_records_it])
