# label: multiprocess
"""What sentinels see does not depend on how many ranks hold the rows."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from program import SMALL, expect, folder, main, rechost  # noqa: E402

# One table is split by rows, the others lie whole on a rank; run.deterministic gives them the same bits.
RUN = ["run", "--plugin", "dlrm", *SMALL, "--set", "run.deterministic=true", "--set", "data.sparse=5", "--set", "data.cardinality=[20000, 40, 50, 60, 70]"]


def ran(place, ranks, *more):
    result = rechost(*RUN, *more, "--nproc", ranks, "--out", place / str(ranks), "--output", "json", timeout=300)
    run = pathlib.Path(result.json()["run_dir"])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return result.json(), [line["train.gradient_norm"] for line in lines if "train.gradient_norm" in line]


def the_panel_is_the_same_for_any_number_of_ranks():
    with folder() as made:
        place = pathlib.Path(made)
        one, norms = ran(place, 1)
        for ranks in (2, 3):
            several, norms_of_several = ran(place, ranks)
            expect(several["tables"] == one["tables"] and len(one["tables"]) == 5, f"{several['tables']}\n{one['tables']}")
            expect(norms_of_several == norms and norms, (norms_of_several, norms))
            expect(several["sentinels"] == [] == one["sentinels"], several["sentinels"])


def all_ranks_find_the_same():
    with folder() as made:
        place = pathlib.Path(made)
        dead = ["--set", "tables.\"*\".init=constant", "--set", "optimizer.sparse.lr=0.0"]
        one, _ = ran(place, 1, *dead)
        two, _ = ran(place, 2, *dead)
        expect(one["sentinels"] == two["sentinels"] and any(each["sentinel"] == "dead_rows" for each in one["sentinels"]), (one["sentinels"], two["sentinels"]))
        failed = rechost(*RUN, *dead, "--set", "sentinels.action=fail", "--nproc", 2, "--out", place / "failed", code=1, timeout=300)
        expect("sentinels.action = \"fail\"" in failed.err, failed)


def a_row_that_another_rank_holds_is_named():
    with folder() as made:
        failed = rechost(*RUN, "--set", "tables.\"*\".lr=1e39", "--nproc", 2, "--out", made, code=1, timeout=300)
        expect("first tensor that is not: row " in failed.err, failed)


main([the_panel_is_the_same_for_any_number_of_ranks, all_ranks_find_the_same, a_row_that_another_rank_holds_is_named])
