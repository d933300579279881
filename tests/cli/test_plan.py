# What `plan` says before a run, held against the run.
import json
import pathlib

from program import SMALL, expect, folder, main, rechost

PLAN = ["plan", "--plugin", "dlrm", *SMALL, "--output", "json"]


def memory_is_what_the_run_takes():
    with folder() as made:
        cases = [
            # Tables make up most of the memory of one, rows of data that of the other.
            ["--set", "tables.\"*\".rows=500000", "--set", "model.embedding_dim=16", "--set", "model.bottom_mlp=[8, 16]", "--set", "optimizer.sparse.kind=adam"],
            ["--set", "data.rows=6000000"],
        ]
        for case in cases:
            arguments = ["--plugin", "dlrm", *SMALL, *case, "--set", "checkpoint.final=false", "--set", "run.steps=12", "--set", "eval.final_test=false", "--output", "json"]
            plan = rechost("plan", "--no-time", *arguments).json()["memory_bytes"]
            taken = rechost("run", *arguments, "--out", made).json()["peak_memory_bytes"]
            expect(abs(plan["total"] / taken - 1) < 0.1, f"{case}: planned {plan}, taken {taken}: {plan['total'] / taken:.3f}")


def tables_larger_than_any_machine_are_planned():
    plan = rechost(*PLAN, "--no-time", "--set", "tables.user_0.rows=2000000000", "--set", "model.embedding_dim=64", "--set", "model.bottom_mlp=[64]").json()
    expect(plan["memory_bytes"]["tables"] > 2e9 * 65 * 4 and "step" not in plan, plan)
    refused = rechost(*PLAN, "--no-time", "--set", "tables.user_0.rows=3000000000", code=78)
    expect("user_0" in refused.err and "hash its ids" in refused.err, refused)


def the_expected_time_has_parts_and_a_bound():
    with folder() as made:
        home = {"XDG_CACHE_HOME": made}
        kept = pathlib.Path(made) / "rechost/machine-speed.json"
        first = rechost(*PLAN, env=home)
        step, parts = first.json()["step"], first.json()["step"]["time"]
        expect(json.loads(kept.read_text())["rows"], "the speed of rows was not kept")
        compute = sum(parts[name] for name in ("lookup", "model", "update", "other"))
        expect(all(value > 0 for value in parts.values()), parts)
        expect(step["seconds"] >= max(compute, parts["data"]) * 0.999 and step["bound_by"] in parts, step)
        expect(abs(step["samples_per_second"] * step["seconds"] - 500) < 1e-6 * 500, step)
        # 500 samples read one row of each table; of a table of 20 rows no more than 20 are distinct.
        tables = {entry["table"]: entry for entry in step["tables"]}
        expect(len(tables) == 8 and all(entry["ids"] == 500 and 0 < entry["distinct_rows"] <= 500 for entry in tables.values()), tables)
        # What is known is not measured again, what is no longer readable is.
        again = rechost(*PLAN, env=home)
        known = json.loads(kept.read_text())
        expect(again.json()["step"]["tables"][0]["lookup"] == step["tables"][0]["lookup"], again)
        unreadable = {**known, "rows": {key: {} for key in known["rows"]}}
        strange = {**known, "machine": {**known["machine"], "processor": "another"}, "rows": {}}
        for damage in ("{", "[]", json.dumps(strange), json.dumps(unreadable)):
            kept.write_text(damage)
            rechost(*PLAN, env=home)
            healed = json.loads(kept.read_text())
            expect(healed["machine"] == known["machine"] and healed["rows"].keys() == known["rows"].keys() and all(healed["rows"].values()), f"after {damage}: {healed}")
        text = rechost("plan", "--plugin", "dlrm", *SMALL, "--explain", env=home).out
        expect("a step expected" in text and "bound by" in text and "distinct rows" in text, text)


def ranks_share_a_batch():
    with folder() as made:
        one = rechost(*PLAN, env={"XDG_CACHE_HOME": made}).json()
        two = rechost(*PLAN, "--nproc", 2, env={"XDG_CACHE_HOME": made}).json()
        expect(len(two["table_bytes_by_rank"]) == 2 and sum(two["table_bytes_by_rank"]) == sum(one["table_bytes_by_rank"]), two)
        expect(all(entry["ids"] == 250 for entry in two["step"]["tables"]), two["step"]["tables"])


def every_rank_is_explained():
    command = ["plan", "--plugin", "dlrm", *SMALL, "--nproc", 3, "--no-time"]
    plan = rechost(*command, "--output", "json").json()
    ranks, other = plan["placement"]["ranks"], plan["placement"]["next_best"]
    expect([entry["bytes"] for entry in ranks] == plan["table_bytes_by_rank"], plan)
    longest = max(entry["table_seconds"] for entry in ranks)
    # Nothing that is one change away is better by more than what a change everywhere has to bring.
    expect(other["table_seconds"] >= 0.95 * longest and other["table"] in {entry["table"] for entry in plan["tables"]}, plan)
    text = rechost(*command, "--explain").out
    expect(all(f"rank {rank}: " in text for rank in range(3)) and "next best: " in text, text)
    # What a table says of itself is kept, and shown for each rank.
    for sharding, shown in (("row_wise_hash", "hashed rows"), ("data_parallel", "a copy"), ("row_wise", "rows 0 to ")):
        text = rechost(*command, "--explain", "--set", f'tables.user_0.sharding="{sharding}"').out
        held = [line for line in text.splitlines() if line.startswith("    user_0 ")]
        expect(len(held) == 3 and any(shown in line for line in held), f"{sharding}\n{text}")
    pinned = rechost(*command, "--output", "json", "--set", 'tables."*".rank=1').json()["placement"]
    expect("next_best" not in pinned and not pinned["ranks"][0]["tables"] and len(pinned["ranks"][1]["tables"]) == 8, pinned)
    refused = rechost(*command, "--set", "placement.memory_gib=0.000001", code=78)
    expect("placement.memory_gib = " in refused.err and "the tables do not fit; one of 3 ranks would need" in refused.err, refused)
    timed = rechost("plan", "--plugin", "dlrm", *SMALL, "--nproc", 2, "--explain", "--output", "json").json()
    expect(all(0 < entry["step_share"] < 1 for entry in timed["placement"]["ranks"]), timed["placement"])


def steps_on_other_machines_are_simulated():
    command = ["plan", "--plugin", "dlrm", *SMALL, "--simulate"]
    steps = rechost(*command, "nodes=6,ranks=4", "--output", "json").json()["simulation"]
    expect([(step["nodes"], step["ranks"]) for step in steps] == [(1, 4), (2, 8), (4, 16), (6, 24)], steps)
    expect(all(step["seconds"] >= step["compute_seconds"] > 0 and 0 < step["efficiency"] < 1 for step in steps), steps)
    expect(all(step["counted_bytes"] == 8 * 4 * (step["ranks"] - 1) for step in steps), steps)
    # Dearer messages and slower links make longer steps.
    slow = rechost(*command, "nodes=6,ranks=4,between_us=10000", "--output", "json").json()["simulation"][-1]
    narrow = rechost(*command, "nodes=6,ranks=4,between_gb=0.0001", "--output", "json").json()["simulation"][-1]
    expect(slow["message_seconds"] > 4 * 20 * 0.01 * 0.9 and narrow["byte_seconds"] > 10 * steps[-1]["byte_seconds"], f"{slow} and {narrow}")
    expect("efficiency" in rechost(*command, "nodes=2").out, "text")
    expect("at most 4096 ranks" in rechost("plan", "--plugin", "dlrm", "--no-time", "--nproc", 5000, code=2).err, "5,000 ranks")
    for wrong in ("nodes=0", "nodes=1.5", "nodes", "machines=2", "ranks=x", "nodes=4096,ranks=2", "speed=-1"):
        expect("--simulate: " in rechost(*command, wrong, code=2).err, wrong)
    # A pin that the cluster asked for has, and one that it has not; what contradicts; what run would refuse.
    pinned = rechost(*command, "nodes=2,ranks=2", "--set", "tables.user_0.rank=3", "--output", "json")
    expect([step["nodes"] for step in pinned.json()["simulation"]] == [2] and "left out, as 1 nodes are too few" in pinned.err, pinned)
    for more, cluster, said in ((["--set", "tables.user_0.rank=4"], "nodes=2,ranks=2", "there are 4 ranks"), (["--set", "placement.ranks_per_node=3"], "nodes=2,ranks=2", "ranks=3"),
                                (["--set", "run.deterministic=true"], "nodes=16,ranks=2", "at most 16 ranks")):
        expect(said in rechost(*command, cluster, *more, code=78).err, more)
    expect("\"nodes\" is there twice" in rechost(*command, "nodes=2,nodes=3", code=2).err, "twice")


main([memory_is_what_the_run_takes, tables_larger_than_any_machine_are_planned, the_expected_time_has_parts_and_a_bound, ranks_share_a_batch, every_rank_is_explained, steps_on_other_machines_are_simulated])
