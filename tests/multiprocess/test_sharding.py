# label: multiprocess
"""However tables are spread over ranks, a run has the losses and weights of one process, and goes on under any other sharding."""
import json
import pathlib

from test_ranks import DATA, EXACT, MODELS, SMOOTH, losses, train

import checkpoints
from program import expect, folder, main, rechost

ADAGRAD = ["--set", "optimizer.sparse.kind=adagrad"]
TWO_ON_A_NODE = ["--set", "placement.ranks_per_node=2"]


def every_sharding_has_the_bits_of_one_process():
    with folder() as temporary:
        for model in MODELS:
            alone = train(pathlib.Path(temporary) / f"{model}-alone", model, 1, *EXACT, *ADAGRAD, "--set", "run.steps=60")[1]
            for ranks, sharding, shown in ((2, "column_wise", "; by columns: "), (3, "column_wise", "; by columns: "), (4, "row_wise_hash", "; by hashed rows: "),
                                           (2, "data_parallel", "; copied: "), (3, "row_wise", "split by rows: "), (4, "table_row_wise", "; by rows on one node: "),
                                           (4, "grid", "; by columns over nodes and rows in them: "), (3, "grid", "; by columns over nodes and rows in them: ")):
                result, run = train(pathlib.Path(temporary) / f"{model}-{sharding}-{ranks}", model, ranks, *EXACT, *ADAGRAD, "--set", f'tables."*".sharding="{sharding}"',
                                    *TWO_ON_A_NODE, "--set", "run.steps=60")
                expect(shown in result.err, f"tables are not {sharding}\n{result}")
                checkpoints.expect_same_weights(alone, run)
                expect(losses(run) == losses(alone), f"{run}: another loss curve")


def columns_are_refused_where_an_optimizer_needs_whole_rows():
    with folder() as temporary:
        refused = rechost("run", "--plugin", "dlrm", *DATA, *SMOOTH, "--nproc", 2, "--out", f"{temporary}/none", "--set", 'tables."*".sharding="column_wise"', code=78)
        expect('sharding = "column_wise": rowwise_adagrad needs all columns of a row in one place' in refused.err, refused)


def a_run_goes_on_under_any_other_sharding():
    with folder() as temporary:
        settings = [*EXACT, *ADAGRAD, "--resume", "auto"]
        alone = train(f"{temporary}/alone", "dlrm", 1, *settings, "--set", "run.steps=80")[1]
        for steps, ranks, sharding in ((10, 3, "row_wise_hash"), (20, 2, "column_wise"), (30, 4, "data_parallel"), (40, 2, "row_wise"), (50, 3, "row_wise_hash"), (60, 4, "column_wise"),
                                       (70, 4, "grid"), (80, 3, "table_row_wise")):
            _, run = train(f"{temporary}/broken", "dlrm", ranks, *settings, *TWO_ON_A_NODE, "--set", f"run.steps={steps}", "--set", f'tables."*".sharding="{sharding}"')
        rechost("checkpoint", "verify", run)
        checkpoints.expect_same_weights(alone, run)
        # Whatever holds the rows, what is said of them is the same.
        alone_tables, tables = (json.loads((of / "summary.json").read_text()).get("tables") for of in (alone, run))
        expect(alone_tables == tables, f"{alone_tables} and {tables}")


if __name__ == "__main__":
    main([every_sharding_has_the_bits_of_one_process, columns_are_refused_where_an_optimizer_needs_whole_rows, a_run_goes_on_under_any_other_sharding])
