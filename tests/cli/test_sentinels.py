# A run that looks broken says so, once and in one line; a sound one says nothing. The panel of tables is what the checkpoint holds.
import json
import math
import pathlib
import random
import struct

import checkpoints
from program import SMALL, expect, folder, main, rechost

RUN = ["run", "--plugin", "dlrm", *SMALL]
CSV = ["run", "--plugin", "dlrm", "--set", "data.plugin=csv", "--set", "data.dense=[\"d\"]", "--set", "data.sparse=[\"s\"]", "--set", "data.label=[\"click\"]",
       "--set", "data.split.valid=0.25", "--set", "data.split.test=0.25", "--set", "data.batch_size=50", "--set", "run.threads=1", "--set", "model.embedding_dim=4",
       "--set", "model.bottom_mlp=[8, 4]", "--set", "model.top_mlp=[8]", "--set", "run.log_every_steps=1"]


def write(place, row, rows=800):
    """A file whose lines are what `row(draw, i)` says: click, d, s."""
    draw = random.Random(11)
    path = place / "rows.csv"
    path.write_text("click,d,s\n" + "".join(",".join(map(str, row(draw, i))) + "\n" for i in range(rows)))
    return ["--set", f"data.path={path}"]


def learnable(draw, i):
    s = draw.randrange(40)
    return int(draw.random() < (0.9 if s % 2 else 0.1)), round(draw.gauss(0, 1), 3), f"v{s}"


def train(place, *arguments, code=0):
    """The result, and what sentinels found by (name, subject)."""
    result = rechost(*arguments, "--out", place / "runs", "--output", "json", code=code)
    run = pathlib.Path(result.json()["run_dir"])
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    found = {(event["sentinel"], event["subject"]): event for event in events if event["event"] == "sentinel"}
    for event in found.values():
        expect(result.err.count(event["text"]) == (2 if code else 1), f"said once, and once more as the error: {event['text']}\n{result}")
    if code == 0:
        told = {(entry["sentinel"], entry["subject"]): entry["text"] for entry in result.json()["sentinels"]}
        expect(told == {key: event["text"] for key, event in found.items()}, f"summary and events differ: {told} {found}")
    return result, run, found


def floats(tensor):
    kind, _, content = tensor
    expect(kind == "F32", kind)
    return struct.unpack(f"<{len(content) // 4}f", content)


def a_sound_run_finds_nothing_and_its_panel_is_what_the_checkpoint_holds():
    with folder() as made:
        place = pathlib.Path(made)
        adagrad = ["--set", "optimizer.sparse.kind=rowwise_adagrad"]
        # The last two leave no trace of a small gradient in the state.
        for settings in (adagrad, ["--set", "optimizer.sparse.kind=adam"], ["--set", "optimizer.sparse.kind=sgd"], [*adagrad, "--set", "optimizer.sparse.initial_accumulator=0.1"]):
            result, run, found = train(place, *RUN, *settings, "--set", "optimizer.sparse.lr=0.02", "--set", "run.log_every_steps=10")
            expect(found == {}, found)
            lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            norms = [line["train.gradient_norm"] for line in lines if "train.loss" in line]
            expect(len(norms) == 4 and all(norm > 0 for norm in norms), lines)
            checkpoint = checkpoints.latest(run)
            manifest = json.loads((checkpoint / "manifest.json").read_text())
            panel = {entry["table"]: entry for entry in result.json()["tables"]}
            expect(panel.keys() == {table["name"] for table in manifest["tables"]}, panel.keys())
            for table in manifest["tables"]:
                check_panel(panel[table["name"]], table, checkpoints.joined(checkpoint, table))
            known_by = {entry["touched_known_by"] for entry in panel.values()}
            expect(known_by == {"optimizer state" if settings in (adagrad, ["--set", "optimizer.sparse.kind=adam"]) else "training data"}, (settings, known_by))
            page = (run / "report.html").read_text()
            expect("<h2>Tables</h2>" in page and "Norm of the dense gradients" in page and "class=\"warning\"" not in page, "the page lacks the panel")


def check_panel(entry, table, tensors):
    rows, dim = table["rows"], table["dim"]
    values, state = floats(tensors["rows"]), floats(tensors["state"]) if "state" in tensors else ()
    norms = [math.sqrt(sum(value * value for value in values[row * dim:(row + 1) * dim])) for row in range(rows)]
    expect(entry["rows"] == rows and entry["dim"] == dim, entry)
    width = len(state) // rows
    if entry["touched_known_by"] == "optimizer state":
        touched = [row for row in range(rows) if any(value != 0 for value in state[row * width:(row + 1) * width])]
        expect(state and entry["touched_rows"] == len(touched), (entry, len(touched)))
    else:
        expect(entry["touched_known_by"] == "training data" and 0 < entry["touched_rows"] <= rows, entry)
        return
    expect(abs(entry["never_touched_share"] - (1 - len(touched) / rows)) < 1e-9, entry)
    seen = sorted(norms[row] for row in touched)
    expect(math.isclose(entry["norm"]["min"], seen[0], rel_tol=1e-5) and math.isclose(entry["norm"]["max"], seen[-1], rel_tol=1e-5), (entry, seen[0], seen[-1]))
    expect(math.isclose(entry["norm"]["median"], seen[(len(seen) - 1) // 2], rel_tol=0.02), (entry, seen[(len(seen) - 1) // 2]))
    expect(math.isclose(norms[entry["largest_row"]["row"]], seen[-1], rel_tol=1e-6), entry)


def encoders_tell_what_they_do_not_know_and_what_collides():
    with folder() as made:
        place = pathlib.Path(made)
        words = 300
        data = write(place, lambda draw, i: (draw.randrange(2), 0.5, f"w{min(int(draw.expovariate(0.02)), words)}"), rows=4000)
        arguments = [*CSV, *data, "--set", "data.split.valid=0.0", "--set", "data.split.test=0.0"]
        distinct = {line.rsplit(",", 1)[1] for line in (place / "rows.csv").read_text().splitlines()[1:]}
        entry = train(place, *arguments, "--set", "features.s.encoder=hash", "--set", "features.s.hash_rows=500")[0].json()["tables"][0]
        expect(entry["encoder"] == "hash" and entry["hash"]["occupied_rows"] <= len(distinct), entry)
        expect(abs(entry["hash"]["distinct_values_estimate"] - len(distinct)) < 0.15 * len(distinct), (entry, len(distinct)))
        expect(0.2 < entry["hash"]["colliding_share_estimate"] < 0.6, entry)
        entry = train(place, *arguments, "--set", "features.s.min_count=20")[0].json()["tables"][0]
        words = [line.rsplit(",", 1)[1] for line in (place / "rows.csv").read_text().splitlines()[1:]]
        rare = sum(words.count(word) for word in distinct if words.count(word) < 20)
        expect(abs(entry["out_of_vocabulary_share"] - rare / len(words)) < 1e-9 and "hash" not in entry, (entry, rare))


def labels_of_one_class_are_found():
    with folder() as made:
        place = pathlib.Path(made)
        data = write(place, lambda draw, i: (0, *learnable(draw, i)[1:]))
        _, _, found = train(place, *CSV, *data)
        expect({("one_class_labels", "train click"), ("one_class_labels", "valid"), ("one_class_labels", "test")} <= found.keys(), found)
        expect("label click is 0 in all 400 training samples" in found["one_class_labels", "train click"]["text"], found)
        # Rare positives are no fault: a single one is enough.
        data = write(place, lambda draw, i: (int(i == 3), *learnable(draw, i)[1:]))
        _, _, found = train(place, *CSV, *data, "--set", "data.split.valid=0.0", "--set", "data.split.test=0.0")
        expect(("one_class_labels", "train click") not in found, found)
        data = write(place, learnable)
        _, _, found = train(place, *CSV, *data)
        expect(found == {}, found)


def action_decides_between_a_warning_an_error_and_silence():
    with folder() as made:
        place = pathlib.Path(made)
        data = write(place, lambda draw, i: (0, *learnable(draw, i)[1:]))
        result, run, found = train(place, *CSV, *data, "--set", "sentinels.action=fail", code=1)
        expect(len(found) == 1 and "sentinels.action = \"fail\"" in result.err and "in all" in result.json()["error"], result)
        expect("class=\"warning\"" in (run / "report.html").read_text(), "the page does not warn")
        result, _, found = train(place, *CSV, *data, "--set", "sentinels.action=off")
        expect(found == {} and "tables" not in result.json(), result)


def constant_predictions_and_an_auc_of_chance_are_found():
    with folder() as made:
        place = pathlib.Path(made)
        # The model sees nothing that differs.
        data = write(place, lambda draw, i: (draw.randrange(2), 1.0, "a"))
        _, _, found = train(place, *CSV, *data, "--set", "run.epochs=4")
        expect({("constant_predictions", "valid"), ("constant_predictions", "test"), ("auc_stuck", "auc")} <= found.keys(), found)
        expect("from step 8 to step 24, 3 evaluations" in found["auc_stuck", "auc"]["text"], found)
        expect(found["constant_predictions", "valid"]["since_step"] == 8, found)
        # Predictions differ, but labels are a coin's.
        data = write(place, lambda draw, i: (draw.randrange(2), *learnable(draw, i)[1:]), rows=4000)
        _, _, found = train(place, *CSV, *data, "--set", "sentinels.auc_margin=0.08")
        expect(found.keys() == {("auc_stuck", "auc")}, found)
        # A run has too few evaluations to say "stuck": all that it had are counted.
        expect("2 evaluations" in found["auc_stuck", "auc"]["text"], found)


def an_exploding_gradient_is_found():
    with folder() as made:
        place = pathlib.Path(made)
        def row(draw, i):
            click, d, s = learnable(draw, i)
            return click, d * (1e6 if 350 <= i < 400 else 1), s
        arguments = [*CSV, "--set", "data.shuffle=none", "--set", "optimizer.dense.kind=sgd", "--set", "optimizer.dense.lr=0.0001", "--set", "sentinels.exploding_norm=1e30"]
        _, run, found = train(place, *arguments, *write(place, row))
        expect(("exploding_gradient", "dense") in found and found["exploding_gradient", "dense"]["step"] == 8, found)
        norms = [json.loads(line).get("train.gradient_norm") for line in (run / "metrics.jsonl").read_text().splitlines()]
        norms = [norm for norm in norms if norm is not None]
        expect(len(norms) == 8 and norms[7] > 1000 * norms[6], norms)
        _, _, found = train(place, *arguments, *write(place, learnable))
        expect(not any(name == "exploding_gradient" for name, _ in found), found)


def a_vanished_gradient_is_found():
    with folder() as made:
        place = pathlib.Path(made)
        # Labels of one class and a rate that saturates the output: from then on there is nothing to correct.
        data = write(place, lambda draw, i: (0, *learnable(draw, i)[1:]))
        _, _, found = train(place, *CSV, *data, "--set", "optimizer.dense.kind=sgd", "--set", "optimizer.dense.lr=5000", "--set", "sentinels.exploding_norm=1e30")
        expect(("vanished_gradient", "dense") in found and found["vanished_gradient", "dense"]["since_step"] < found["vanished_gradient", "dense"]["step"], found)


def dead_and_exploding_rows_are_found():
    with folder() as made:
        place = pathlib.Path(made)
        data = write(place, learnable)
        _, _, found = train(place, *CSV, *data, "--set", "tables.s.init=constant", "--set", "optimizer.sparse.lr=0.0")
        expect(found.keys() == {("dead_rows", "s")}, found)
        expect("of 40 rows that training reads 40 are dead" in found["dead_rows", "s"]["text"], found)
        result, run, found = train(place, *CSV, *data, "--set", "tables.s.lr=100000.0", "--set", "run.steps=2")
        expect(("exploding_rows", "s") in found, found)
        largest = result.json()["tables"][0]["largest_row"]
        expect(largest["norm"] > 1000 and largest["value"].startswith("v") and f"row {largest['row']}" in found["exploding_rows", "s"]["text"], (largest, found))


def what_is_not_finite_is_named():
    with folder() as made:
        place = pathlib.Path(made)
        data = write(place, learnable)
        failed = rechost(*CSV, *data, "--set", "optimizer.dense.kind=sgd", "--set", "optimizer.dense.lr=1e38", "--out", place, code=1)
        expect("not finite at step" in failed.err and "(training samples " in failed.err and "lower optimizer.dense.lr" in failed.err.lower(), failed)
        failed = rechost(*CSV, *data, "--set", "tables.s.lr=1e39", "--out", place, code=1)
        expect("first tensor that is not: row " in failed.err and "of table s (feature s = \"v" in failed.err and ", read by sample " in failed.err, failed)


def a_resumed_run_does_not_warn_again():
    with folder() as made:
        place = pathlib.Path(made)
        data = write(place, lambda draw, i: (draw.randrange(2), 1.0, "a"))
        arguments = [*CSV, *data, "--set", "checkpoint.every_steps=20", "--set", "checkpoint.keep=9", "--set", "run.epochs=4"]
        _, run, found = train(place, *arguments)
        expect(found["constant_predictions", "valid"]["step"] == 8, found)
        resumed = rechost(*arguments, "--resume", run / "checkpoints/step-0000000020", "--output", "json")
        expect(found["constant_predictions", "valid"]["text"] not in resumed.err, resumed)
        # Evaluations before the break count.
        expect("from step 8 to step 24, 3 evaluations" in resumed.err, resumed)
        expect({entry["sentinel"] for entry in resumed.json()["sentinels"]} == {"constant_predictions", "auc_stuck"}, resumed)


main([a_sound_run_finds_nothing_and_its_panel_is_what_the_checkpoint_holds, encoders_tell_what_they_do_not_know_and_what_collides, labels_of_one_class_are_found,
      action_decides_between_a_warning_an_error_and_silence, constant_predictions_and_an_auc_of_chance_are_found, an_exploding_gradient_is_found, a_vanished_gradient_is_found,
      dead_and_exploding_rows_are_found, what_is_not_finite_is_named, a_resumed_run_does_not_warn_again])
