# The life of a model, from the command line alone.
import json
import pathlib

from program import SMALL, SOURCE, expect, folder, main, rechost


def only_run(root):
    return next(path for path in pathlib.Path(root).iterdir() if (path / "summary.json").exists())


def train_use_register_and_use_again():
    with folder() as place:
        place = pathlib.Path(place)
        trained = rechost("run", "--plugin", "dlrm", *SMALL, "--out", place / "runs", "--output", "json").json()
        for key in ("run_dir", "status", "steps", "samples", "samples_per_second", "data_wait_share", "peak_memory_bytes", "metrics", "time"):
            expect(key in trained, f"summary lacks {key}: {trained}")
        expect(trained["status"] == "finished" and trained["steps"] == 40 and trained["samples"] == 20000, trained)
        expect(0.5 < trained["metrics"]["test"]["auc"] < trained["reference"]["best_auc"] + 0.02, trained)
        expect(abs(sum(trained["time"].values()) - 1.0) < 0.05, trained["time"])
        run = only_run(place / "runs")
        expect(json.loads((run / "summary.json").read_text()) == trained, "summary.json is not what was printed")
        for name in ("config.toml", "events.jsonl", "metrics.jsonl", "tensorboard", "logs/rank-00000.log", "checkpoints/latest/manifest.json"):
            expect((run / name).exists(), f"{name} is missing")

        measured = rechost("eval", run, "--output", "json").json()
        expect(measured["metrics"] == trained["metrics"]["test"], f"eval differs: {measured}")
        lines = rechost("predict", run).out.splitlines()
        expect(len(lines) == 4000, f"{len(lines)} predictions")
        expect(all(0.0 < next(value for key, value in json.loads(line).items() if key != "row") < 1.0 for line in lines), lines[0])
        expect("complete" in rechost("checkpoint", "verify", run).out, "verify")
        expect("table" in rechost("checkpoint", "show", run).out, "show")

        expect(rechost("models", "register", "clicks", run).out == "models:/clicks/1\n", "register")
        rechost("models", "alias", "models:/clicks/1", "champion")
        again = rechost("eval", "models:/clicks@champion", "--output", "json").json()
        expect(again["metrics"] == measured["metrics"], again)
        expect("clicks" in rechost("models", "list").out and "@champion" in rechost("models", "show", "clicks").out, "list")
        expect("sound" in rechost("models", "verify", "models:/clicks@champion").out, "verify")
        rechost("models", "register", "clicks", run)
        rechost("models", "promote", "models:/clicks/2", "champion")
        rechost("models", "rollback", "clicks", "champion")
        expect(json.loads(rechost("models", "show", "models:/clicks@champion", "--output", "json").out)["version"] == 1, "rollback")
        rechost("models", "remove", "models:/clicks/2")

        expect("finished" in rechost("runs", "list", "--root", place / "runs").out, "runs list")
        expect("samples_per_second" in rechost("runs", "show", run).out, "runs show")


def the_resolved_configuration_loads_again():
    with folder() as place:
        place = pathlib.Path(place)
        shown = rechost("config", "show", "--plugin", "deepfm", "--set", "run.seed=7").out
        (place / "shown.toml").write_text(shown)
        again = rechost("config", "show", "--config", place / "shown.toml").out
        values = lambda text: [line.split("  #")[0].split(" # ")[0].strip() for line in text.splitlines()]
        expect(values(shown) == values(again), "config show does not load back to itself")
        expect("seed = 7" in shown and "--set" in shown, shown)
        schema = json.loads(rechost("config", "schema").out)
        expect("optimizer" in schema["properties"], "schema")


def every_shipped_configuration_begins_with_a_comment_and_validates():
    for path in sorted((SOURCE / "configs").glob("*.toml")):
        expect(path.read_text().startswith("# "), f"{path.name} does not begin with a comment")
        rechost("config", "show", "--config", path, env={"RECHOST_DATA_DIR": "/nonexistent"})


def plan_tells_memory_before_training():
    plan = rechost("plan", "--plugin", "dlrm", *SMALL, "--output", "json").json()
    expect(len(plan["tables"]) == 8 and plan["memory_bytes"]["total"] > 0 and plan["steps_per_epoch"] == 40, plan)
    expect("placement" in rechost("plan", "--plugin", "dlrm", *SMALL).out, "text")


def synthetic_data_written_as_csv_train_the_same_model():
    with folder() as place:
        place = pathlib.Path(place)
        made = rechost("data", "synth", place / "clicks", "--rows", "5000", "--set", "data.valid_rows=0", "--set", "data.test_rows=2000")
        expect("best reachable auc" in made.out, made)
        config = place / "clicks" / "data.toml"
        stats = rechost("data", "stats", "--config", config, "--output", "json").out.splitlines()
        columns = {json.loads(line)["column"] for line in stats}
        expect("label" in columns, columns)
        expect("user_0" in rechost("data", "inspect", "--config", config).out, "inspect")
        trained = rechost("run", "--plugin", "dlrm", "--config", config, "--set", "data.batch_size=250", "--set", "run.threads=1", "--out",
                          place / "runs", "--output", "json").json()
        expect(trained["metrics"]["test"]["auc"] > 0.6, trained)


def a_regression_and_a_retrieval_model_train():
    with folder() as place:
        rated = rechost("run", "--plugin", "dlrm", *SMALL, "--set", "data.label_kind=\"regression\"", "--out", place, "--output", "json").json()
        expect(rated["metrics"]["test"]["rmse"] < 2.0 and "auc" not in rated["metrics"]["test"], rated)
        small = [word for index, word in enumerate(SMALL) if "mlp" not in word and not (word == "--set" and "mlp" in SMALL[index + 1])]
        for loss in ("softmax", "sampled_softmax", "bpr", "ccl"):
            retrieved = rechost("run", "--plugin", "two_tower", *small, "--set", f"model.loss=\"{loss}\"", "--set", "model.similarity=\"cosine\"",
                                "--set", "model.temperature=0.1", "--set", "model.negatives=4", "--set", "eval.retrieval.enabled=true",
                                "--set", "data.side_features=\"of_key\"", "--out", place, "--output", "json").json()
            expect(0.0 < retrieved["metrics"]["test"]["recall@20"] <= 1.0, retrieved)


def early_stop_and_best_weights():
    with folder() as place:
        stopped = rechost("run", "--plugin", "dlrm", *SMALL, "--set", "run.epochs=30", "--set", "eval.early_stop=2", "--set",
                          "eval.restore_best=true", "--set", "optimizer.sparse.lr=1.0", "--out", place, "--output", "json")
        summary = stopped.json()
        expect(summary["steps"] < 30 * 40, summary)
        expect("back to the weights of the best evaluation" in stopped.err, stopped)
        again = rechost("eval", summary["run_dir"], "--split", "valid", "--output", "json").json()
        expect(again["metrics"]["auc"] == summary["metrics"]["valid"]["auc"], (again, summary))


main([train_use_register_and_use_again, the_resolved_configuration_loads_again,
      every_shipped_configuration_begins_with_a_comment_and_validates, plan_tells_memory_before_training,
      synthetic_data_written_as_csv_train_the_same_model, a_regression_and_a_retrieval_model_train, early_stop_and_best_weights])
