"""What must hold of runs on a GPU, a real one (label gpu) or the one that the CPU plays (everywhere)."""
import json
import pathlib

from program import BUILD, SMALL, expect, folder, rechost

EMULATED = {"RECHOST_CUDA_MODULE": str(BUILD / "lib/rechost/rechost_cuda_emulated.so")}
SMALL_DATA = ["--set", "data.rows=20000", "--set", "data.valid_rows=4000", "--set", "data.test_rows=4000", "--set", "data.batch_size=500",
              "--set", "run.threads=1"]
# Name: plugin and what to set. Together: lists of ids, shared negatives, a loss of the plugin's own, Adam's two states, clipping.
MODELS = {
    "dlrm": ("dlrm", [*SMALL, "--set", "data.multi_hot=2"]),
    "deepfm": ("deepfm", [*SMALL_DATA, "--set", "optimizer.sparse.kind=adam", "--set", "optimizer.sparse.lr=0.01"]),
    "two_tower": ("two_tower", [*SMALL_DATA, "--set", "regularization.clip_norm=1.0"]),
    "two_tower bpr": ("two_tower", [*SMALL_DATA, "--set", "model.loss=bpr"]),
}


class Runs:
    """Runs in one folder; `module`: variables that name the module of the GPU."""

    def __init__(self, module, place):
        self.module = module
        self.place = pathlib.Path(place)
        self.count = 0

    def train(self, model, device, *more, resume=None):
        """Returns the directory of the run."""
        self.count += 1
        out = ["--resume", resume] if resume else ["--out", self.place / str(self.count)]
        plugin, settings = MODELS[model]
        done = rechost("run", "--plugin", plugin, *settings, "--set", f"run.device={device}", "--set", "run.log_every_steps=5",
                       "--set", "schedule.kind=constant", *out, *more,
                       "--output", "json", env=self.module, timeout=600)
        said = "running on GPU 0" in done.err
        expect(said == (device == "cuda"), f"device {device}: what it says of the GPU\n{done}")
        summary = done.json()
        expect((summary["device"] != "cpu") == (device == "cuda"), summary["device"])
        return pathlib.Path(summary["run_dir"])

    def metrics(self, run, device, *more):
        return rechost("eval", run, "--set", f"run.device={device}", *more, "--output", "json", env=self.module, timeout=300).json()


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["train.loss"] for line in lines if "train.loss" in line]


def weights(run):
    latest = (run / "checkpoints" / "latest").resolve()
    return {str(path.relative_to(latest)): path.read_bytes() for path in sorted(latest.rglob("*.safetensors"))}


def expect_close(ours, expected, what, tolerance=1e-3):
    expect(len(ours) == len(expected) and expected, f"{what}: {len(ours)} and {len(expected)} values")
    for step, (a, b) in enumerate(zip(ours, expected)):
        expect(abs(a - b) <= tolerance * (abs(b) + 1e-3), f"{what}: value {step} is {a}, expected {b}")


def losses_equal_those_of_the_cpu(module):
    with folder() as place:
        runs = Runs(module, place)
        for model in MODELS:
            cpu, gpu = runs.train(model, "cpu"), runs.train(model, "cuda")
            expect_close(losses(gpu), losses(cpu), model)
            if model == "two_tower bpr":
                continue  # its loss is the plugin's own: there is no label to measure by
            here, there = (runs.metrics(gpu, device)["metrics"] for device in ("cpu", "cuda"))
            expect(here.keys() == there.keys() and here, f"{model}: {here} and {there}")
            expect_close([there[name] for name in here], list(here.values()), f"{model}, the GPU's weights on CPU and GPU")


def a_run_goes_on_from_its_checkpoint(module, exact):
    with folder() as place:
        runs = Runs(module, place)
        unbroken = runs.train("dlrm", "cuda")
        broken = runs.train("dlrm", "cuda", "--set", "run.steps=20")
        whole = runs.train("dlrm", "cuda", resume=broken)
        expect_close(losses(whole), losses(unbroken), "resumed", 0.0 if exact else 1e-3)
        if exact:
            expect(weights(whole) == weights(unbroken), "weights of the resumed run are other bits")


def checkpoints_pass_between_cpu_and_gpu(module):
    with folder() as place:
        runs = Runs(module, place)
        # Adam has state for tables and dense parameters, so a state that got lost on the way shows.
        adam = ["--set", "optimizer.sparse.kind=adam", "--set", "optimizer.sparse.lr=0.01"]
        unbroken = losses(runs.train("dlrm", "cpu", *adam))
        for first, then in (("cpu", "cuda"), ("cuda", "cpu")):
            broken = runs.train("dlrm", first, *adam, "--set", "run.steps=20")
            expect_close(losses(runs.train("dlrm", then, *adam, resume=broken)), unbroken, f"first {first}, then {then}")


def use_of_a_model(module):
    with folder() as place:
        runs = Runs(module, place)
        run = runs.train("two_tower", "cuda")
        for arguments in (["predict", run], ["export", run, "--what", "items", "--out", runs.place / "items"]):
            rechost(*arguments, "--set", "run.device=cuda", env=module)


def every_optimizer_and_regularization(module):
    with folder() as place:
        runs = Runs(module, place)
        for kind in ("sgd", "momentum", "adagrad", "rowwise_adagrad", "adam", "adamw"):
            chosen = ["--set", f"optimizer.sparse.kind={kind}", "--set", f"optimizer.dense.kind={kind}", "--set", "optimizer.sparse.lr=0.01",
                      "--set", "optimizer.dense.lr=0.01", "--set", "regularization.clip_norm=0.5", "--set", "regularization.clip_value=0.1",
                      "--set", "regularization.l2_sparse=0.001", "--set", "regularization.l2_dense=0.001",
                      "--set", "regularization.l2_scope=table"]
            expect_close(losses(runs.train("dlrm", "cuda", *chosen)), losses(runs.train("dlrm", "cpu", *chosen)), kind)


def a_loss_that_is_not_finite_names_its_place(module):
    with folder() as place:
        plugin, settings = MODELS["dlrm"]
        errors = []
        for device in ("cpu", "cuda"):
            result = rechost("run", "--plugin", plugin, *settings, "--set", f"run.device={device}", "--set", "optimizer.dense.kind=sgd",
                             "--set", "optimizer.dense.lr=1e30", "--out", place, env=module, code=1)
            errors += [line for line in result.err.splitlines() if line.startswith("error: ")]
        expect(len(errors) == 2 and errors[0] == errors[1] and "not finite at step" in errors[0], errors)
