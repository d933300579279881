# label: multiprocess
"""Rows and gradients of 16 bits between ranks: half the bytes, losses near those of 32 bits, the same bits on any number of ranks. What was measured is
printed."""
import json
import pathlib

from test_ranks import EXACT, losses, train

import checkpoints
from program import SMALL, expect, folder, main, rechost

# Large gradients and many steps: what rounding adds up to.
TRAINING = ["--set", "optimizer.dense.kind=sgd", "--set", "optimizer.dense.lr=0.05", "--set", "optimizer.sparse.kind=rowwise_adagrad", "--set", "optimizer.sparse.lr=0.05"]
WORST_LOSS = {"fp16": 2e-3, "bf16": 1e-2}  # of any batch, beside the loss with fp32


def wire(precision):
    return ["--set", f"comm.wire_precision={precision}", "--set", 'tables."*".sharding="row_wise"']


def sent_bytes(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    counted = [line["comm.sent_bytes"] for line in lines if "comm.sent_bytes" in line]
    return sum(counted) / len(counted)


def losses_stay_near_and_bytes_are_fewer():
    with folder() as temporary:
        root = pathlib.Path(temporary)
        runs = {precision: train(root / precision, "dlrm", 2, *TRAINING, *wire(precision))[1] for precision in ("fp32", "fp16", "bf16")}
        exact, bytes_exact = losses(runs["fp32"]), sent_bytes(runs["fp32"])
        auc = json.loads((runs["fp32"] / "summary.json").read_text())["metrics"]["test"]["auc"]
        for precision, bound in WORST_LOSS.items():
            worst = max(abs(a - b) for a, b in zip(exact, losses(runs[precision])))
            other = json.loads((runs[precision] / "summary.json").read_text())["metrics"]["test"]["auc"]
            share = sent_bytes(runs[precision]) / bytes_exact
            print(f"{precision}: {share:.3f} of the bytes a step ({bytes_exact:.0f}), losses within {worst:.2g}, test AUC {other:.5f} instead of {auc:.5f}")
            expect(0 < worst <= bound, f"{precision}: losses differ by {worst}")
            expect(abs(other - auc) <= 1e-3, f"{precision}: test AUC {other} instead of {auc}")
            # Ids go as before, and notes of 64 bits.
            expect(share < 0.6, f"{precision}: {share} of the bytes")


def the_bits_do_not_depend_on_the_number_of_ranks():
    with folder() as temporary:
        root = pathlib.Path(temporary)
        for precision in ("fp16", "bf16"):
            runs = [train(root / f"{precision}-{ranks}", "deepfm", ranks, *EXACT, *TRAINING, "--set", f"comm.wire_precision={precision}", "--set", "run.steps=40")[1]
                    for ranks in (1, 2, 3)]
            for run in runs[1:]:
                checkpoints.expect_same_weights(runs[0], run)


def what_does_not_fit_is_named():
    with folder() as temporary:
        large = ["--set", 'tables."*".init="constant"', "--set", 'tables."*".init_scale=100000.0', "--set", "comm.wire_precision=fp16"]
        refused = rechost("run", "--plugin", "dlrm", *SMALL, *large, "--nproc", 2, "--out", temporary, code=1)
        expect("a row of table" in refused.err and 'comm.wire_precision = "fp16" carries numbers up to 65504: set it to "bf16"' in refused.err, refused)


def another_precision_is_another_training():
    with folder() as temporary:
        more = [*SMALL, "--set", "run.steps=20", "--nproc", 2, "--out", temporary]
        rechost("run", "--plugin", "dlrm", *more)
        (run,) = pathlib.Path(temporary).glob("dlrm-*")
        refused = rechost("run", "--plugin", "dlrm", *more, "--set", "comm.wire_precision=bf16", "--resume", run, code=None)
        expect(refused.code != 0 and "wire_precision" in refused.err, refused)


if __name__ == "__main__":
    main([losses_stay_near_and_bytes_are_fewer, the_bits_do_not_depend_on_the_number_of_ranks, what_does_not_fit_is_named, another_precision_is_another_training])
