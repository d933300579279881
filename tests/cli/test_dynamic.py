# Tables whose rows are given to keys while training: from the configuration to checkpoint, plan, prediction and export.
import json
import pathlib
import struct

from program import SMALL, expect, folder, main, rechost

RUN = ["run", "--plugin", "dlrm", *SMALL, "--set", "run.steps=60", "--set", "run.log_every_steps=5", "--set", "data.cardinality=[20000]",
       "--set", "tables.\"*\".init=\"uniform\"", "--set", "tables.\"*\".init_scale=0.05"]


def dynamic(feature, rows, *settings):
    made = ["--set", f"features.{feature}.encoder=\"dynamic\"", "--set", f"features.{feature}.max_rows={rows}"]
    for setting in settings:
        made += ["--set", f"features.{feature}.{setting}"]
    return made


# Each in its own way: evicted by age, by frequency, admitted late, by chance.
SCARCE = [*dynamic("user_0", 2000), *dynamic("item_0", 1500, "evict=\"frequency\"", "min_count=2"),
          *dynamic("user_1", 1500, "min_count=3"), *dynamic("item_1", 1500, "admit_probability=0.3")]


# Counts that fade, keys that are forgotten.
FADING = ["--set", "features.user_0.max_age_steps=6", "--set", "features.item_0.half_life_steps=7", "--set", "features.user_1.half_life_steps=20",
          "--set", "features.item_1.max_age_steps=9", "--set", "features.item_1.evict=\"frequency\""]


def train(place, *settings, code=0):
    return rechost(*RUN, *settings, "--out", place, "--output", "json", code=code)


def losses(run):
    return [json.loads(line)["train.loss"] for line in (pathlib.Path(run) / "metrics.jsonl").read_text().splitlines() if "train.loss" in line]


def tensors(run):
    latest = (pathlib.Path(run) / "checkpoints" / "latest").resolve()
    return {str(path.relative_to(latest)): path.read_bytes() for path in sorted(latest.rglob("*.safetensors"))}


def integers(content, name):
    """An I64 tensor of a safetensors file, as anybody can read it."""
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + size])
    begin, end = header[name]["data_offsets"]
    return header, list(struct.unpack(f"<{(end - begin) // 8}q", content[8 + size + begin:8 + size + end]))


def a_table_with_room_for_all_keys_learns_what_a_static_one_does():
    with folder() as made:
        place = pathlib.Path(made)
        static = train(place).json()
        roomy = train(place, *dynamic("user_0", 60000), *dynamic("item_0", 60000)).json()
        expect(losses(static["run_dir"]) == losses(roomy["run_dir"]) and len(losses(static["run_dir"])) == 12, "training losses")
        panel = {entry["table"]: entry for entry in roomy["tables"]}
        facts = panel["user_0"]["dynamic"]
        expect(facts["evictions"] == 0 and facts["unadmitted_share"] == 0 and facts["keys"] == facts["admissions"] > 1000, facts)
        expect("dynamic" not in panel["user_1"], panel["user_1"])


def threads_and_prefetch_leave_no_trace():
    with folder() as made:
        place = pathlib.Path(made)
        one = train(place, *SCARCE, "--set", "data.prefetch=1").json()
        many = train(place, *SCARCE, "--set", "data.prefetch=9", "--set", "data.reader_threads=3").json()
        expect(losses(one["run_dir"]) == losses(many["run_dir"]), "training losses")
        expect(tensors(one["run_dir"]) == tensors(many["run_dir"]), "checkpoints")
        expect(one["metrics"] == many["metrics"], "metrics")
        panel = {entry["table"]: entry["dynamic"] for entry in one["tables"] if "dynamic" in entry}
        expect(panel["user_0"]["evictions"] > 0 and panel["user_0"]["keys"] == 2000 and panel["item_0"]["evictions"] > 0, panel)
        expect(0 < panel["item_1"]["unadmitted_share"] < 1 and panel["user_1"]["pending_keys"] > 0, panel)
        # The curve has them, too.
        last = json.loads([line for line in (pathlib.Path(one["run_dir"]) / "metrics.jsonl").read_text().splitlines() if "train.loss" in line][-1])
        expect(last["tables.user_0.evictions"] == panel["user_0"]["evictions"] and last["tables.item_1.unadmitted_share"] == panel["item_1"]["unadmitted_share"], last)


def deterministic_runs_leave_no_trace_of_threads_either():
    with folder() as made:
        place = pathlib.Path(made)
        exact = ["--set", "run.deterministic=true", *SCARCE, *FADING]
        one = train(place, *exact, "--set", "data.prefetch=1").json()
        many = train(place, *exact, "--set", "data.prefetch=9", "--set", "data.reader_threads=3", "--set", "run.threads=2").json()
        expect(losses(one["run_dir"]) == losses(many["run_dir"]), "training losses")
        expect(tensors(one["run_dir"]) == tensors(many["run_dir"]), "checkpoints")
        # The same keys have the same rows when batches are not cut into slices.
        whole = train(place, *SCARCE, *FADING).json()
        keys = [{name: content for name, content in tensors(run["run_dir"]).items() if name.startswith("keys/")} for run in (one, whole)]
        expect(len(keys[0]) == 4 and keys[0] == keys[1], "keys")


def keys_not_seen_for_long_are_forgotten():
    with folder() as made:
        place = pathlib.Path(made)
        run = train(place, *dynamic("user_0", 60000, "max_age_steps=5")).json()
        content = tensors(run["run_dir"])["keys/user_0.safetensors"]
        keys = integers(content, "keys")[1]
        steps = integers(content, "last_steps")[1]
        counts = integers(content, "counts")[1]
        had = [step for step in steps if step > 0]
        # Step 60 has forgotten what steps 55 to 59 did not have.
        expect(min(had) == 55 and max(had) == 60, (min(had), max(had)))
        free = [row for row, step in enumerate(steps) if step == 0]
        expect(free and all(keys[row] == -(2**63) + 2**31 and counts[row] == 0 for row in free), len(free))
        panel = {entry["table"]: entry["dynamic"] for entry in run["tables"] if "dynamic" in entry}["user_0"]
        expect(panel["keys"] == len(had) and panel["evictions"] == panel["admissions"] - len(had) > 0, panel)


def an_interrupted_run_ends_with_the_same_bits():
    with folder() as made:
        place = pathlib.Path(made)
        whole = train(place / "whole", *SCARCE, *FADING, "--set", "schedule.kind=\"constant\"").json()
        longer = ["--set", "schedule.kind=\"constant\"", "--set", "eval.every_steps=0", "--set", "eval.every_epochs=0"]
        part = train(place / "part", *SCARCE, *FADING, *longer, "--set", "run.steps=33").json()
        rest = rechost(*RUN, *SCARCE, *FADING, *longer, "--resume", part["run_dir"], "--out", place / "part", "--output", "json").json()
        expect(tensors(whole["run_dir"]) == tensors(rest["run_dir"]), "checkpoints")
        expect(whole["metrics"]["test"] == rest["metrics"]["test"], (whole["metrics"], rest["metrics"]))


def keys_are_read_without_rechost_and_used_by_it():
    with folder() as made:
        place = pathlib.Path(made)
        run = train(place, *SCARCE).json()["run_dir"]
        content = tensors(run)["keys/item_0.safetensors"]
        header, keys = integers(content, "keys")
        expect(header["__metadata__"]["table"] == "item_0" and "item_0" in json.loads(header["__metadata__"]["rows_of"]), header["__metadata__"])
        expect(0 < len(keys) == len(set(keys)) <= 1500, len(keys))
        counts = integers(content, "counts")[1]
        steps = integers(content, "last_steps")[1]
        expect(len(counts) == len(steps) == len(keys) and min(counts) >= 2 and max(steps) == 60, (min(counts), max(steps)))
        counters = integers(content, "counters")[1]
        expect(counters[0] - counters[1] == len(keys) and 0 < counters[3] < counters[2] == 60 * 500, counters)
        # Frozen: the same predictions whatever came before, and from a copy.
        first = rechost("predict", run, "--split", "test").out
        again = rechost("predict", run, "--split", "test", "--set", "data.eval_batch_size=333").out
        # Where a batch has a row more than the widest instructions take at once, that row's products may be summed in another order.
        pairs = [(json.loads(one), json.loads(other)) for one, other in zip(first.splitlines(), again.splitlines(), strict=True)]
        expect(len(pairs) == 4000 and all(a["row"] == b["row"] and abs(a["label"] - b["label"]) < 1e-6 for a, b in pairs), "predictions")
        evaluated = rechost("eval", run, "--output", "json").json()
        expect("auc" in json.dumps(evaluated), evaluated)


def vectors_of_a_dynamic_entity_are_exported_by_key():
    with folder() as made:
        place = pathlib.Path(made)
        towers = ["run", "--plugin", "two_tower", "--set", "data.rows=6000", "--set", "data.valid_rows=500", "--set", "data.test_rows=500", "--set", "run.threads=1",
                  "--set", "data.batch_size=250", *dynamic("user_0", 2000), *dynamic("item_0", 2000), "--out", place]
        plain = rechost(*towers, "--output", "json").json()
        rechost("export", plain["run_dir"], "--what", "items", "--out", place / "items")
        ids = (place / "items" / "ids.txt").read_text().split()
        expect(len(ids) == len(set(ids)) > 100 and all(text.isdigit() for text in ids), ids[:3])


def a_plan_counts_the_keys():
    plan = rechost("plan", "--plugin", "dlrm", *SMALL, *SCARCE, "--output", "json").json()
    tables = {entry["table"]: entry for entry in plan["tables"]}
    expect(tables["user_0"]["max_keys"] == 2000 and tables["user_0"]["rows"] == 2002, tables["user_0"])
    expect("max_keys" not in tables["user_2"] and plan["memory_bytes"]["keys"] > 6500 * 50, plan["memory_bytes"])
    text = rechost("plan", "--plugin", "dlrm", *SMALL, *SCARCE, "--no-time")
    expect("keys of \"user_0\": rows for 2,000 at one time" in text.out, text)
    two = rechost("plan", "--plugin", "dlrm", *SMALL, *SCARCE, "--nproc", "2", "--output", "json").json()
    # Every rank has all keys.
    expect(two["memory_bytes"]["keys"] == plan["memory_bytes"]["keys"] and len(two["table_bytes_by_rank"]) == 2, two)


def a_budget_of_bytes_becomes_rows():
    def planned(*settings):
        plan = rechost("plan", "--plugin", "dlrm", *SMALL, *settings, "--no-time", "--output", "json").json()
        return plan, {entry["table"]: entry for entry in plan["tables"]}["user_0"]["max_keys"]

    budget = ["--set", "features.user_0.encoder=\"dynamic\"", "--set"]
    plan, keys = planned(*budget, "features.user_0.memory_gib=0.001")
    # Four numbers and their state, the key twice, its place: at least 120 bytes a key.
    expect(1000 < keys < 0.001 * 2**30 / 120, keys)
    expect(abs(planned(*budget, "features.user_0.memory_gib=0.002")[1] - 2 * keys) <= 2, "twice the bytes are twice the keys")
    expect(planned(*dynamic("user_0", keys))[0] == plan, "the same as max_rows would have been")
    # Counts that wait and ages that are kept beside frequencies take bytes, too.
    expect(planned(*budget, "features.user_0.memory_gib=0.001", "--set", "features.user_0.min_count=2")[1] < keys, "pending keys")
    with folder() as made:
        place = pathlib.Path(made)
        scarce = [*budget, "features.user_0.memory_gib=0.0003"]
        keys = planned(*scarce)[1]
        run = train(place, *scarce, "--set", "schedule.kind=\"constant\"").json()
        panel = {entry["table"]: entry["dynamic"] for entry in run["tables"] if "dynamic" in entry}
        expect(panel["user_0"]["max_rows"] == keys and panel["user_0"]["evictions"] > 0, panel)
        longer = rechost(*RUN, *scarce, "--set", "schedule.kind=\"constant\"", "--set", "run.steps=70", "--resume", run["run_dir"], "--out", place, "--output", "json").json()
        expect(longer["steps"] == 70, longer)
        expect(len(rechost("predict", run["run_dir"], "--split", "test").out.splitlines()) == 4000, "predictions")


def what_cannot_be_is_refused_with_a_remedy():
    with folder() as made:
        place = pathlib.Path(made)
        for settings, message in (
            (["--set", "features.user_0.encoder=\"dynamic\""], "needs max_rows"),
            (["--set", "features.user_0.evict=\"age\""], "features.user_0.evict has no effect"),
            (dynamic("user_0", 100, "evict=\"random\""), "evict"),
            (dynamic("user_0", 100, "memory_gib=1.0"), "leave one of them out"),
            (["--set", "features.user_0.encoder=\"dynamic\"", "--set", "features.user_0.memory_gib=0.0000001"], "too few for one key"),
            (dynamic("user_0", 100, "half_life_steps=5"), "half_life_steps = 5 has no effect"),
            (["--set", "features.user_0.max_age_steps=5"], "features.user_0.max_age_steps has no effect"),
        ):
            refused = train(place, *settings, code=78)
            expect(message in refused.err, refused)
        # A batch reads more keys than there are rows.
        few = train(place, *dynamic("user_0", 50), code=None)
        expect(few.code != 0 and "more keys with a row in table \"user_0\" than the 50 that fit it: raise max_rows" in few.err, few)


main([a_table_with_room_for_all_keys_learns_what_a_static_one_does, threads_and_prefetch_leave_no_trace, deterministic_runs_leave_no_trace_of_threads_either,
      keys_not_seen_for_long_are_forgotten, a_budget_of_bytes_becomes_rows, an_interrupted_run_ends_with_the_same_bits,
      keys_are_read_without_rechost_and_used_by_it, vectors_of_a_dynamic_entity_are_exported_by_key, a_plan_counts_the_keys,
      what_cannot_be_is_refused_with_a_remedy])
