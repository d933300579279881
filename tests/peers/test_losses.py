# label: peers
"""DLRM, DeepFM and two towers, trained by `rechost run`, lose what TorchRec's lose: the same weights to begin with, the same batches, the same rules."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import checkpoints
from program import SOURCE, rechost

STEPS, BATCH = 200, 64
TOLERANCE = 1e-4  # of the loss, at every step
MODELS = {
    "dlrm": ["model.embedding_dim=16", "model.bottom_mlp=[64, 32, 16]", "model.top_mlp=[64, 32]"],
    "deepfm": ["model.embedding_dim=16", "model.deep_mlp=[64, 64]", "model.init_scale=0.1"],
    "two_tower": ["model.embedding_dim=32", "model.user_layers=[64, 16]", "model.item_layers=[64, 16]", "model.loss=\"bce\"", "eval.retrieval.enabled=false"],
}
RULES = {
    "Adam and row-wise Adagrad": ({"kind": "adam", "lr": 0.003}, {"kind": "rowwise_adagrad", "lr": 0.03}),
    "SGD": ({"kind": "sgd", "lr": 0.1}, {"kind": "sgd", "lr": 0.3}),
}
DATA = [f"data.rows={STEPS * BATCH}", "data.valid_rows=0", "data.test_rows=0", "data.dense=5", "data.sparse=8", "data.cardinality=[300]"]


def settings(*lists):
    return [word for text in sum(lists, []) for word in ("--set", text)]


class AgainstTorchRec(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        python = subprocess.run([SOURCE / "packaging" / "peers"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        cls.peer = subprocess.Popen([python, pathlib.Path(__file__).with_name("torchrec_losses.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.place = tempfile.TemporaryDirectory(prefix="rechost-test-")
        cls.folder = pathlib.Path(cls.place.name)
        rechost("data", "synth", cls.folder / "rows", *settings(DATA))

    @classmethod
    def tearDownClass(cls):
        cls.peer.communicate()
        cls.place.cleanup()

    def run_ours(self, model, name, dense, sparse, steps):
        out = self.folder / name
        rules = [f"optimizer.dense.kind=\"{dense['kind']}\"", f"optimizer.dense.lr={dense['lr']}", f"optimizer.sparse.kind=\"{sparse['kind']}\"",
                 f"optimizer.sparse.lr={sparse['lr']}"]
        rest = ["data.plugin=\"synthetic\"", "data.shuffle=\"none\"", f"data.batch_size={BATCH}", f"run.steps={steps}", "run.log_every_steps=1", "run.threads=1",
                f"model.plugin=\"{model}\"", "schedule.kind=\"constant\""]
        done = rechost("run", "--config", self.empty_config(), "--out", out, "--output", "json", *settings(DATA, rest, rules, MODELS[model]))
        return pathlib.Path(done.json()["run_dir"])

    def empty_config(self):
        path = self.folder / "empty.toml"
        path.write_text("")
        return path

    def peer_losses(self, model, start, dense, sparse):
        request = {"model": model, "checkpoint": str(start), "csv": str(self.folder / "rows" / "train.csv"), "batch": BATCH, "steps": STEPS, "dense": dense,
                   "sparse": sparse}
        self.peer.stdin.write(json.dumps(request) + "\n")
        self.peer.stdin.flush()
        losses = json.loads(self.peer.stdout.readline() or "null")
        self.assertIsInstance(losses, list, "TorchRec's side has failed; what it said is above")
        return losses

    def largest_difference(self, model, ours, theirs):
        self.assertEqual(len(ours), STEPS)
        self.assertEqual(len(theirs), STEPS)
        return max((abs(a - b) / abs(b), step) for step, (a, b) in enumerate(zip(ours, theirs), 1))

    def check(self, model):
        for rule, (dense, sparse) in RULES.items():
            with self.subTest(rule):
                # The checkpoint of a step with rates of 0 holds the weights to begin with.
                start = self.run_ours(model, f"start-{model}-{dense['kind']}", dict(dense, lr=0), dict(sparse, lr=0), 1)
                run = self.run_ours(model, f"run-{model}-{dense['kind']}", dense, sparse, STEPS)
                ours = [line["train.loss"] for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if "train.loss" in line]
                theirs = self.peer_losses(model, checkpoints.latest(start), dense, sparse)
                difference, step = self.largest_difference(model, ours, theirs)
                print(f"{model:<10} {rule:<26} largest difference {difference:.1e} of the loss, at step {step}; loss {ours[0]:.4f} to {ours[-1]:.4f}")
                self.assertLessEqual(difference, TOLERANCE)
                self.assertLess(sum(ours[-20:]), sum(ours[:20]), "nothing was learnt: the comparison would say little")
        # It would be seen if the rules differed a little.
        other = self.peer_losses(model, checkpoints.latest(start), dict(dense, lr=1.02 * dense["lr"]), sparse)
        self.assertGreater(self.largest_difference(model, ours, other)[0], TOLERANCE)

    def test_dlrm(self):
        self.check("dlrm")

    def test_deepfm(self):
        self.check("deepfm")

    def test_two_tower(self):
        self.check("two_tower")


if __name__ == "__main__":
    unittest.main()
