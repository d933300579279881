"""Training in other frameworks, for bench_train: answers each line of JSON on standard input with one on standard output, until the end.

Run with the Python of packaging/peers, or of packaging/ctr-peers for FuxiCTR and DeepCTR-Torch. Networks and batches are those of our side;
tables and optimizers are what each framework is meant to be used with. Batches lie in memory as tensors before anything is timed.
"""
import gc
import logging
import os
import sys
import tempfile
import time
import types
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from answers import serve

import numpy
import torch
from torch import nn
from torch.nn import functional

THREADS = int(os.environ["OMP_NUM_THREADS"])
torch.set_num_threads(THREADS)
torch.manual_seed(1)


def read_batches(path, batch, batches, dense, rows):
    """What our side has written: (dense, labels, ids [features, batch] int64) of each batch."""
    found, at = [], 0
    for _ in range(batches):
        parts = []
        for kind, shape in ((numpy.float32, (batch, dense)), (numpy.float32, (batch,)), (numpy.int32, (len(rows), batch))):
            values = numpy.fromfile(path, kind, int(numpy.prod(shape)), offset=at).reshape(shape)
            at += values.nbytes
            parts.append(torch.from_numpy(values.astype(numpy.int64) if kind is numpy.int32 else values))
        found.append(parts)
    assert at == os.path.getsize(path), "the file has other batches"
    return found


def dense_network(widths, last_activation):
    layers = []
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        layers.append(nn.Linear(inputs, outputs))
        if last_activation or i + 2 < len(widths):
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class TorchRec:
    """A model on an EmbeddingBagCollection, sharded by DistributedModelParallel over one process, so that FBGEMM's kernels update rows in the
    backward pass: the way that its documentation names fast."""

    def __init__(self, rows, dim, make_model, dense_optimizer):
        from torch import distributed
        from torchrec.distributed import DistributedModelParallel
        from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
        from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
        from torchrec.distributed.planner.types import ParameterConstraints
        from torchrec.distributed.types import ShardingEnv
        from torch.distributed.optim import _apply_optimizer_in_backward
        from torchrec import EmbeddingBagCollection, EmbeddingBagConfig
        from torchrec.optim import RowWiseAdagrad
        from torchrec.optim.keyed import KeyedOptimizerWrapper
        from torchrec.optim.optimizers import in_backward_optimizer_filter

        if not distributed.is_initialized():
            distributed.init_process_group("gloo", rank=0, world_size=1, init_method=f"file://{tempfile.mkdtemp()}/store")
        names = [f"f{i}" for i in range(len(rows))]
        tables = [EmbeddingBagConfig(name=f"t{i}", embedding_dim=dim, num_embeddings=count, feature_names=[names[i]]) for i, count in enumerate(rows)]
        collection = EmbeddingBagCollection(tables=tables, device=torch.device("meta"))
        _apply_optimizer_in_backward(RowWiseAdagrad, collection.parameters(), {"lr": 0.01, "eps": 1e-8})
        model = make_model(collection)
        constraints = {t.name: ParameterConstraints(sharding_types=["table_wise"], compute_kernels=["fused"]) for t in tables}
        sharders = [EmbeddingBagCollectionSharder()]
        plan = EmbeddingShardingPlanner(topology=Topology(world_size=1, compute_device="cpu"), constraints=constraints).collective_plan(
            model, sharders, distributed.group.WORLD)
        self.model = DistributedModelParallel(module=model, device=torch.device("cpu"), env=ShardingEnv.from_process_group(distributed.group.WORLD),
                                              plan=plan, sharders=sharders)
        self.optimizer = KeyedOptimizerWrapper(dict(in_backward_optimizer_filter(self.model.named_parameters())), dense_optimizer)
        self.names = names

    def prepare(self, batches):
        from torchrec import KeyedJaggedTensor

        self.batches = []
        for dense, labels, ids in batches:
            keyed = KeyedJaggedTensor(keys=self.names, values=ids.reshape(-1), lengths=torch.ones(ids.numel(), dtype=torch.int32))
            self.batches.append((dense, keyed, labels))

    def step(self, number):
        self.optimizer.zero_grad()
        loss = self.model(self.batches[number % len(self.batches)])
        loss.backward()
        self.optimizer.step()

    def train(self, steps):
        for number in range(steps):
            self.step(number)


def dlrm(rows, dim):
    from torchrec.models.dlrm import DLRM

    class Task(nn.Module):
        def __init__(self, collection):
            super().__init__()
            self.model = DLRM(embedding_bag_collection=collection, dense_in_features=13, dense_arch_layer_sizes=[512, 256, 64, dim],
                              over_arch_layer_sizes=[512, 256, 1], dense_device=torch.device("cpu"))

        def forward(self, batch):
            dense, keyed, labels = batch
            return functional.binary_cross_entropy_with_logits(self.model(dense, keyed).squeeze(-1), labels)

    return TorchRec(rows, dim, Task, lambda parameters: torch.optim.Adagrad(parameters, lr=0.001))


def two_tower(rows, dim):
    from torchrec.modules.mlp import MLP

    class Task(nn.Module):
        def __init__(self, collection):
            super().__init__()
            self.collection = collection
            self.user, self.item = MLP(dim, [128, 64]), MLP(dim, [128, 64])

        def forward(self, batch):
            _, keyed, labels = batch
            found = self.collection(keyed)
            return functional.binary_cross_entropy_with_logits((self.user(found["f0"]) * self.item(found["f1"])).sum(1), labels)

    return TorchRec(rows, dim, Task, lambda parameters: torch.optim.Adam(parameters, lr=0.001))


def deepfm(rows, dim):
    class Task(nn.Module):
        """Our layers; without the first-order term, for which the fused kernel has no tables."""

        def __init__(self, collection):
            super().__init__()
            self.collection = collection
            self.deep = dense_network([len(rows) * dim, 400, 400, 400, 1], False)

        def forward(self, batch):
            _, keyed, labels = batch
            flat = self.collection(keyed).values()
            vectors = flat.view(-1, len(rows), dim)
            pairs = 0.5 * (vectors.sum(1).square() - vectors.square().sum(1)).sum(1)
            return functional.binary_cross_entropy_with_logits(pairs + self.deep(flat).squeeze(1), labels)

    return TorchRec(rows, dim, Task, lambda parameters: torch.optim.Adam(parameters, lr=0.001))


def simple_deepfm(rows, dim):
    from torchrec.models.deepfm import SimpleDeepFMNN

    class Task(nn.Module):
        def __init__(self, collection):
            super().__init__()
            self.model = SimpleDeepFMNN(num_dense_features=1, embedding_bag_collection=collection, hidden_layer_size=400, deep_fm_dimension=400)

        def forward(self, batch):
            _, keyed, labels = batch
            return functional.binary_cross_entropy(self.model(dense_features=self.no_dense(labels), sparse_features=keyed).squeeze(1), labels)

        def no_dense(self, labels):
            if getattr(self, "ones", None) is None or len(self.ones) != len(labels):
                self.ones = torch.ones(len(labels), 1)
            return self.ones

    return TorchRec(rows, dim, Task, lambda parameters: torch.optim.Adam(parameters, lr=0.001))


class FuxiDeepFM:
    """FuxiCTR's layers as its DeepFM wires them, trained as its BaseModel does: Adam on every row, gradients clipped to a norm of 10."""

    def __init__(self, rows, dim):
        from fuxictr.features import FeatureMap
        from fuxictr.pytorch.layers import FactorizationMachine, FeatureEmbedding, MLP_Block

        fields = FeatureMap("bench", ".")
        fields.num_fields, fields.labels = len(rows), ["label"]
        for i, count in enumerate(rows):
            fields.features[f"f{i}"] = {"source": "", "type": "categorical", "vocab_size": count, "padding_idx": None}

        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding, self.pairs = FeatureEmbedding(fields, dim), FactorizationMachine(fields)
                self.deep = MLP_Block(input_dim=len(rows) * dim, output_dim=1, hidden_units=[400, 400, 400], hidden_activations="ReLU",
                                      output_activation=None, dropout_rates=0, batch_norm=False)

            def forward(self, inputs):
                vectors = self.embedding(inputs)
                return torch.sigmoid(self.pairs(inputs, vectors) + self.deep(vectors.flatten(start_dim=1)))

        self.model = Network()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def prepare(self, batches):
        self.batches = [({f"f{i}": column.clone() for i, column in enumerate(ids)}, labels) for _, labels, ids in batches]

    def train(self, steps):
        for number in range(steps):
            inputs, labels = self.batches[number % len(self.batches)]
            self.optimizer.zero_grad()
            functional.binary_cross_entropy(self.model(inputs).squeeze(1), labels).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
            self.optimizer.step()


class DeepCtrDeepFM:
    """DeepCTR-Torch's DeepFM by its fit(), which has its own loop and data loader; its L2 terms are left as they are."""

    def __init__(self, rows, dim):
        # On import it would ask a package registry for a newer version of itself.
        requests, sys.modules["requests"] = sys.modules.get("requests"), types.ModuleType("requests")
        from deepctr_torch.inputs import SparseFeat
        from deepctr_torch.models import DeepFM

        del sys.modules["requests"]
        if requests is not None:
            sys.modules["requests"] = requests
        columns = [SparseFeat(f"f{i}", count, embedding_dim=dim) for i, count in enumerate(rows)]
        self.model = DeepFM(columns, columns, dnn_hidden_units=(400, 400, 400), task="binary", device="cpu")
        self.model.compile("adam", "binary_crossentropy")

    def prepare(self, batches):
        self.batch, self.count = len(batches[0][1]), len(batches)
        ids = torch.cat([ids for _, _, ids in batches], 1).numpy()
        self.columns = {f"f{i}": column for i, column in enumerate(ids)}
        self.labels = torch.cat([labels for _, labels, _ in batches]).numpy()

    def train(self, steps):
        while steps > 0:
            some = min(steps, self.count) * self.batch
            self.model.fit({name: column[:some] for name, column in self.columns.items()}, self.labels[:some], batch_size=self.batch, epochs=1, verbose=0)
            steps -= some // self.batch


MODELS = {"dlrm": dlrm, "two_tower": two_tower, "deepfm": deepfm, "simple_deepfm": simple_deepfm, "fuxictr_deepfm": FuxiDeepFM,
          "deepctr_deepfm": DeepCtrDeepFM}


class Products:
    """The matrix products of dense layers in a step: output, gradient of the weights, and of the input where that is wanted."""

    def __init__(self, batch, layers):
        self.calls = []
        for inputs, outputs, input_gradient in layers:
            x, w, y = torch.rand(batch, inputs), torch.rand(outputs, inputs), torch.rand(batch, outputs)
            bias = torch.rand(outputs)
            self.calls.append((torch.addmm, (bias, x, w.t()), torch.empty(batch, outputs)))
            self.calls.append((torch.mm, (y.t(), x), torch.empty(outputs, inputs)))
            if input_gradient:
                self.calls.append((torch.mm, (y, w), torch.empty(batch, inputs)))

    def train(self, steps):
        for _ in range(steps):
            for function, arguments, result in self.calls:
                function(*arguments, out=result)


def timed(side, steps):
    processor, wall = time.process_time(), time.perf_counter()
    side.train(steps)
    return {"processor_seconds": time.process_time() - processor, "wall_seconds": time.perf_counter() - wall}


SIDES = {}


def answer(request):
    kind, name = request["kind"], request["name"]
    if kind == "open":
        SIDES[name] = MODELS[request["model"]](request["rows"], request["dim"])
        SIDES[name].prepare(read_batches(request["path"], request["batch"], request["batches"], request["dense"], request["rows"]))
        return {}
    if kind == "products":
        SIDES[name] = Products(request["batch"], request["layers"])
        return {}
    if kind == "close":
        SIDES.pop(name, None)
        gc.collect()
        return {}
    if isinstance(SIDES[name], Products):
        with torch.no_grad():
            return timed(SIDES[name], request["steps"])
    return timed(SIDES[name], request["steps"])


serve(answer)
