# run.precision: what products in bfloat16 do to a model, where they are refused, and that everything else stays float32.
import json
import pathlib
import re

from checkpoints import expect_same_weights, latest, weights
from program import BUILD, SMALL, expect, folder, main, rechost

DATA = SMALL[:10]  # without the options of a DLRM
STEPS = ["--set", "run.steps=60", "--set", "run.log_every_steps=1", "--output", "json"]
RUN = ["run", *SMALL, *STEPS]
BFLOAT16 = ["--set", "run.precision=\"bf16_emulated\""]
PROCESSOR_HAS_IT = re.search(r"^flags\s*:.*\bavx512_bf16\b", pathlib.Path("/proc/cpuinfo").read_text(), re.M) is not None


def losses(run):
    entries = map(json.loads, (pathlib.Path(run) / "metrics.jsonl").read_text().splitlines())
    return [entry["train.loss"] for entry in entries if "train.loss" in entry]


def models_learn_the_same_within_its_digits():
    # Seven bits of fraction: 1/256 at most in each factor, less in sums of many.
    towers = ["--set", "model.embedding_dim=4", "--set", "model.user_layers=[8, 4]", "--set", "model.item_layers=[8, 4]"]
    models = [["dlrm", *SMALL], ["dlrm", *SMALL, "--set", "model.interaction=\"dcn\"", "--set", "model.batch_norm=true"],
              ["deepfm", *DATA, "--set", "model.embedding_dim=4", "--set", "model.deep_mlp=[8, 8]"], ["two_tower", *DATA, *towers]]
    for settings in models:
        with folder() as made:
            exact = rechost("run", "--plugin", *settings, *STEPS, "--out", f"{made}/exact").json()
            rounded = rechost("run", "--plugin", *settings, *STEPS, *BFLOAT16, "--out", f"{made}/rounded").json()
            one, other = losses(exact["run_dir"]), losses(rounded["run_dir"])
            expect(len(one) == len(other) >= 60, (len(one), len(other)))
            expect(one != other, f"{settings}: nothing was rounded")
            worst = max(abs(a - b) / abs(a) for a, b in zip(one, other))
            expect(worst < 0.02, f"{settings}: losses differ by {worst}")
            first, second = weights(latest(exact["run_dir"])), weights(latest(rounded["run_dir"]))
            expect(first.keys() == second.keys() and all(first[name][:2] == second[name][:2] for name in first), "types or shapes in the checkpoint")
            # All digits are kept, so that a small step is not lost: values of 16 bits would end in two bytes of zeros.
            dense = [value for name, (kind, _, value) in second.items() if not name.startswith("table ") and kind == "F32"]
            ends = [value[at:at + 2] != b"\0\0" for value in dense for at in range(0, len(value), 4)]
            expect(sum(ends) > len(ends) / 4, "parameters are rounded")


def a_run_goes_on_as_if_it_had_not_stopped():
    with folder() as made:
        command = [*RUN, "--plugin", "dlrm", *BFLOAT16, "--set", "run.deterministic=true", "--set", "checkpoint.every_steps=30", "--set", "schedule.kind=\"constant\""]
        whole = rechost(*command, "--out", f"{made}/whole").json()
        ranks = rechost(*command, "--nproc", 2, "--out", f"{made}/ranks").json()
        expect_same_weights(whole["run_dir"], ranks["run_dir"])
        half = rechost(*command, "--set", "run.steps=30", "--out", f"{made}/half").json()
        rechost("run", "--set", "run.steps=60", "--resume", half["run_dir"])
        expect_same_weights(whole["run_dir"], half["run_dir"])
        # A model in use computes as it was trained, unless told otherwise.
        scores = {}
        for name, settings in (("as_trained", []), ("exact", ["--set", "run.precision=\"fp32\""])):
            rechost("predict", whole["run_dir"], *settings, "--out", f"{made}/{name}.jsonl")
            scores[name] = pathlib.Path(f"{made}/{name}.jsonl").read_text()
        expect(scores["as_trained"] != scores["exact"], "scores")


def it_is_refused_where_it_would_be_slow():
    with folder() as made:
        for command in (["run", *SMALL, "--plugin", "dlrm", "--set", "run.steps=5", "--out", made], ["plan", *SMALL, "--plugin", "dlrm"]):
            for device in ("cpu", "auto"):
                result = rechost(*command, "--set", "run.precision=\"bf16\"", "--set", f"run.device=\"{device}\"", code=0 if PROCESSOR_HAS_IT else 78)
                if not PROCESSOR_HAS_IT:
                    expect("run.precision = \"bf16\": this processor has no instructions for it (AVX512_BF16); set run.precision = \"fp32\"" in result.err, result)
                    expect(not list(pathlib.Path(made).iterdir()), "a run directory was made")
        # Who plans for another machine asks for no time of this one.
        rechost("plan", *SMALL, "--plugin", "dlrm", "--set", "run.precision=\"bf16\"", "--no-time")


def a_model_must_know_of_it():
    result = rechost("run", "--plugin", BUILD / "lib/rechost/test-plugins/plain_c_plugin.so", *DATA, *BFLOAT16, code=None)
    expect(result.code == 78 and "computes in fp32 only; leave run.precision out" in result.err, result)


main([models_learn_the_same_within_its_digits, a_run_goes_on_as_if_it_had_not_stopped, it_is_refused_where_it_would_be_slow, a_model_must_know_of_it])
