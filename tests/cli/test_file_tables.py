# Tables whose rows lie in a file: the same model bit for bit, a plan that says what they cost, and what is refused.
import pathlib
import shutil

from checkpoints import expect_same_weights
from program import SMALL, expect, folder, main, rechost

RUN = ["run", "--plugin", "dlrm", *SMALL, "--set", "run.steps=60", "--set", "data.cardinality=[20000]", "--set", "optimizer.sparse.kind=\"adam\"", "--set", "schedule.kind=\"constant\""]


def in_file(made, *settings):
    """All tables in files, of whose rows far fewer are cached than there are, but for one table."""
    return ["--set", f"data.temporary_path=\"{made}\"", "--set", "tables.\"*\".placement=\"file\"", "--set", "tables.\"*\".cached_rows=700", "--set", "tables.item_1.placement=\"memory\"", *settings]


def the_model_is_the_same():
    with folder() as made:
        files = pathlib.Path(made) / "files"
        files.mkdir()
        memory = rechost(*RUN, "--out", f"{made}/memory", "--output", "json").json()
        filed = rechost(*RUN, *in_file(files), "--out", f"{made}/filed", "--output", "json").json()
        expect_same_weights(memory["run_dir"], filed["run_dir"])
        expect(memory["metrics"] == filed["metrics"], (memory["metrics"], filed["metrics"]))
        expect(not list(files.iterdir()), f"left behind: {list(files.iterdir())}")
        panel = {entry["table"]: entry for entry in filed["tables"]}
        cache = panel["user_0"]["file_cache"]
        expect(cache["hits"] > 1000 and cache["misses"] > 700 and "file_cache" not in panel["item_1"], panel)
        # A run whose tables lay in files goes on with them in memory, or again in files.
        for place, settings in (("more_memory", []), ("more_filed", in_file(files))):
            shutil.copytree(filed["run_dir"], f"{made}/{place}", symlinks=True)
            rechost("run", *settings, "--set", "run.steps=80", "--resume", f"{made}/{place}")
        expect_same_weights(f"{made}/more_memory", f"{made}/more_filed")
        scores = [rechost("predict", memory["run_dir"], *settings, "--out", f"{made}/scores{len(settings)}.jsonl") and pathlib.Path(f"{made}/scores{len(settings)}.jsonl").read_text()
                  for settings in ([], in_file(files))]
        expect(scores[0] == scores[1] and len(scores[0]) > 4000, "predictions")


def ranks_have_their_rows_in_files():
    with folder() as made:
        settings = ["--nproc", 2, "--set", "run.deterministic=true", "--set", "run.steps=30", "--set", "tables.user_0.sharding=\"row_wise\""]
        memory = rechost(*RUN, *settings, "--out", f"{made}/memory", "--output", "json").json()
        filed = rechost(*RUN, *settings, *in_file(made), "--out", f"{made}/filed", "--output", "json").json()
        expect_same_weights(memory["run_dir"], filed["run_dir"])


def the_plan_says_what_they_cost():
    with folder() as made:
        wide = ["--plugin", "dlrm", *SMALL, "--set", "data.cardinality=[200000]", "--set", "model.embedding_dim=16", "--set", "model.bottom_mlp=[8, 16]"]
        home = {"XDG_CACHE_HOME": made}
        plan = rechost("plan", *wide, *in_file(made), "--output", "json", env=home).json()
        tables = {entry["table"]: entry for entry in plan["tables"]}
        file = tables["user_0"]["file"]
        expect(file["cached_rows"] == 700 and file["bytes"] >= tables["user_0"]["bytes"] > 10 * file["memory_bytes"] and file["directory"] == made, file)
        expect("file" not in tables["item_1"], tables["item_1"])
        steps = {entry["table"]: entry for entry in plan["step"]["tables"]}
        cost = steps["user_0"]["file"]
        speed = cost["nanoseconds_per_row"]
        expect(0 < speed["cached"] < speed["in_pages"] and speed["cached"] < speed["on_disk"], speed)
        expect(0 < cost["missing_rows"] < steps["user_0"]["distinct_rows"] and 0 < cost["seconds"] < steps["user_0"]["lookup"], steps["user_0"])
        text = rechost("plan", *wide, *in_file(made), env=home).out
        expect("\"user_0\" lies in a file" in text and "expected not to be cached" in text, text)
        # The run takes what the plan says: the cache and the numbers of its rows, not the files.
        arguments = [*wide, *in_file(made, "--set", "tables.item_1.placement=\"file\""), "--set", "tables.\"*\".rows=1500000", "--set", "checkpoint.final=false", "--set", "run.steps=12",
                     "--set", "eval.final_test=false"]
        planned = rechost("plan", "--no-time", *arguments, "--output", "json").json()
        taken = rechost("run", *arguments, "--out", f"{made}/run", "--output", "json").json()["peak_memory_bytes"]
        files = sum(table["file"]["bytes"] for table in planned["tables"])
        expect(abs(planned["memory_bytes"]["total"] - taken) < 1.5e8 and files > 2e9, f"planned {planned['memory_bytes']}, taken {taken}, files {files}")


def what_cannot_be_is_refused():
    with folder() as made:
        cases = [
            (in_file("/nowhere"), "/nowhere"),
            (in_file(made, "--set", "tables.user_0.rows=2000000000", "--set", "model.embedding_dim=1024", "--set", "model.bottom_mlp=[1024]"), "bytes are free"),
            (in_file(made, "--set", "regularization.l2_sparse=0.1", "--set", "regularization.l2_scope=\"table\""), "regularization.l2_scope"),
            (["--set", "tables.user_0.placement=\"disk\""], "placement"),
        ]
        for settings, words in cases:
            result = rechost(*RUN, *settings, "--out", f"{made}/refused", code=None)
            expect(result.code in (1, 78) and words in result.err, f"{settings}: {result.code} {result.err}")


main([the_model_is_the_same, ranks_have_their_rows_in_files, the_plan_says_what_they_cost, what_cannot_be_is_refused])
