"""Trains DLRM, DeepFM or two towers with TorchRec from the weights of a checkpoint of ours: answers each line of JSON on standard input with the losses of
all steps on standard output.

Run with the Python of packaging/peers. A request: model, checkpoint (a folder), csv (the training rows in order), batch, steps, and the optimizers "dense" and
"sparse": {"kind", "lr"}. Tables are updated by FBGEMM's kernels in the backward pass.
"""
import json
import logging
import os
import pathlib
import sys
import tempfile
import traceback
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import numpy
import torch
from torch import distributed, nn
from torch.distributed.optim import _apply_optimizer_in_backward
from torch.nn import functional
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor
from torchrec.distributed import DistributedModelParallel
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner.types import ParameterConstraints
from torchrec.distributed.types import ShardingEnv
from torchrec.models.dlrm import DLRM
from torchrec.optim import Adagrad, RowWiseAdagrad
from torchrec.optim.optimizers import in_backward_optimizer_filter

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import checkpoints

# FBGEMM's kernels take no narrower rows. First-order weights are the first column of such a row; the others get no gradient.
LEAST_DIM = 4


def tensors_of(checkpoint):
    """name -> tensor of the dense part, table name -> rows."""
    found = {}
    for name, (kind, shape, content) in checkpoints.weights(checkpoint).items():
        if kind == "F32":
            found[name] = torch.from_numpy(numpy.frombuffer(content, numpy.float32).reshape(shape).copy())
    return found


class Weights:
    def __init__(self, checkpoint):
        tensors = tensors_of(pathlib.Path(checkpoint))
        manifest = json.loads((pathlib.Path(checkpoint) / "manifest.json").read_text())
        self.tables = {table["name"]: tensors[f"table {table['name']}: rows"] for table in manifest["tables"]}
        self.dense = {name.partition(": ")[2]: tensor for name, tensor in tensors.items() if name.startswith("dense.safetensors: ")}

    def linear(self, prefix):
        """Our layers <prefix>.0, <prefix>.1, ... as (weight, bias)."""
        layers = []
        while f"{prefix}.{len(layers)}.weight" in self.dense:
            layers.append((self.dense[f"{prefix}.{len(layers)}.weight"], self.dense[f"{prefix}.{len(layers)}.bias"]))
        assert layers, f"no layers {prefix} among {sorted(self.dense)}"
        return layers


def copy_into(module, layers):
    """The linear layers of a module, in order, get these weights."""
    linears = [part for part in module.modules() if isinstance(part, nn.Linear)]
    assert len(linears) == len(layers), f"{len(linears)} layers for {len(layers)} of ours"
    with torch.no_grad():
        for linear, (weight, bias) in zip(linears, layers):
            assert linear.weight.shape == weight.shape, f"{linear.weight.shape} for {weight.shape} of ours"
            linear.weight.copy_(weight)
            linear.bias.copy_(bias)


def network(layers, last_activation=False):
    parts = []
    for i, (weight, _) in enumerate(layers):
        parts.append(nn.Linear(weight.shape[1], weight.shape[0]))
        if last_activation or i + 1 < len(layers):
            parts.append(nn.ReLU())
    made = nn.Sequential(*parts)
    copy_into(made, layers)
    return made


def collection(weights, features, suffix=""):
    """`features` with the tables of their names; a module's name has no dot, so there is a dash in it."""
    tables = [EmbeddingBagConfig(name="table_" + (feature + suffix).replace(".", "-"), embedding_dim=max(LEAST_DIM, weights.tables[feature + suffix].shape[1]),
                                 num_embeddings=weights.tables[feature + suffix].shape[0], feature_names=[feature]) for feature in features]
    return EmbeddingBagCollection(tables=tables, device=torch.device("meta"))


class Dlrm(nn.Module):
    def __init__(self, weights, features, dense):
        super().__init__()
        bottom, top = weights.linear("bottom"), weights.linear("top")
        self.model = DLRM(embedding_bag_collection=collection(weights, features), dense_in_features=dense,
                          dense_arch_layer_sizes=[len(weight) for weight, _ in bottom], over_arch_layer_sizes=[len(weight) for weight, _ in top],
                          dense_device=torch.device("cpu"))
        copy_into(self.model.dense_arch, bottom)
        copy_into(self.model.over_arch, top)

    def forward(self, dense, keyed):
        return self.model(dense, keyed).squeeze(-1)


class DeepFm(nn.Module):
    def __init__(self, weights, features, dense):
        super().__init__()
        self.features, self.dim = features, weights.tables[features[0]].shape[1]
        self.collection, self.first_order = collection(weights, features), collection(weights, features, ".linear")
        self.deep = network(weights.linear("deep"))
        for name in ("bias", "dense_weights", "dense_vectors"):
            self.register_parameter(name, nn.Parameter(weights.dense[name]))

    def forward(self, dense, keyed):
        flat, rows = self.collection(keyed).values(), len(dense)
        first = self.first_order(keyed).values().view(rows, len(self.features), LEAST_DIM)[:, :, 0].sum(1)
        vectors = torch.cat([flat.view(rows, -1, self.dim), dense.unsqueeze(2) * self.dense_vectors], 1)
        pairs = 0.5 * (vectors.sum(1).square() - vectors.square().sum(1)).sum(1)
        return self.bias + first + dense @ self.dense_weights + pairs + self.deep(torch.cat([flat, dense], 1)).squeeze(1)


class TwoTower(nn.Module):
    def __init__(self, weights, features, dense):
        super().__init__()
        self.collection, self.features = collection(weights, features), features
        self.user, self.item = network(weights.linear("user.mlp")), network(weights.linear("item.mlp"))

    def forward(self, dense, keyed):
        found = self.collection(keyed)
        users, items = (torch.cat([found[name] for name in self.features if name.startswith(entity)], 1) for entity in ("user", "item"))
        return (self.user(torch.cat([users, dense], 1)) * self.item(items)).sum(1)


MODELS = {"dlrm": Dlrm, "deepfm": DeepFm, "two_tower": TwoTower}


def sharded(model, weights, sparse):
    """The model with its tables in FBGEMM's kernels, their rows set."""
    kinds = {"sgd": (torch.optim.SGD, {}), "rowwise_adagrad": (RowWiseAdagrad, {"eps": 1e-8})}
    for name, parameter in model.named_parameters():
        if "embedding_bags" not in name:
            continue
        # The mean over a row of one element is that element's square: row-wise Adagrad is Adagrad there. Padding would change the mean.
        linear = name.endswith("-linear.weight")
        kind, more = (Adagrad, {"eps": 1e-8}) if linear and sparse["kind"] == "rowwise_adagrad" else kinds[sparse["kind"]]
        _apply_optimizer_in_backward(kind, [parameter], {"lr": sparse["lr"], **more})
    names = {name.rpartition(".embedding_bags.")[2].removesuffix(".weight") for name, _ in model.named_parameters() if "embedding_bags" in name}
    constraints = {name: ParameterConstraints(sharding_types=["table_wise"], compute_kernels=["fused"]) for name in names}
    sharders = [EmbeddingBagCollectionSharder()]
    plan = EmbeddingShardingPlanner(topology=Topology(world_size=1, compute_device="cpu"), constraints=constraints).collective_plan(
        model, sharders, distributed.group.WORLD)
    made = DistributedModelParallel(module=model, device=torch.device("cpu"), env=ShardingEnv.from_process_group(distributed.group.WORLD), plan=plan,
                                    sharders=sharders)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "embedding_bags" not in name:
                continue
            rows = weights.tables[name.rpartition(".table_")[2].removesuffix(".weight").replace("-", ".")]
            local = parameter.local_tensor() if hasattr(parameter, "local_tensor") else parameter.data
            local.zero_()
            local[:, :rows.shape[1]].copy_(rows)
    return made


def read_csv(path):
    """Columns: label, dense_*, then the ids."""
    with open(path, encoding="ascii") as file:
        names = file.readline().strip().split(",")
        values = numpy.loadtxt(file, delimiter=",", dtype=numpy.float64)
    columns = dict(zip(names, values.T))
    features = [name for name in names if name.startswith(("user_", "item_"))]
    dense = [name for name in names if name.startswith("dense_")]
    return (torch.from_numpy(columns["label"].astype(numpy.float32)), torch.from_numpy(numpy.stack([columns[name] for name in dense], 1).astype(numpy.float32)),
            features, torch.from_numpy(numpy.stack([columns[name] for name in features]).astype(numpy.int64)))


def losses_of(request):
    weights = Weights(request["checkpoint"])
    labels, dense, features, ids = read_csv(request["csv"])
    model = sharded(MODELS[request["model"]](weights, features, dense.shape[1]), weights, request["sparse"])
    parameters = list(dict(in_backward_optimizer_filter(model.named_parameters())).values())
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[request["dense"]["kind"]]
    optimizer = kind(parameters, lr=request["dense"]["lr"])
    losses, batch = [], request["batch"]
    for step in range(request["steps"]):
        rows = slice(step * batch, (step + 1) * batch)
        keyed = KeyedJaggedTensor(keys=features, values=ids[:, rows].reshape(-1), lengths=torch.ones(len(features) * batch, dtype=torch.int32))
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(model(dense[rows], keyed), labels[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


torch.set_num_threads(1)
# What libraries print must not get between the answers.
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
with tempfile.TemporaryDirectory() as folder:
    distributed.init_process_group("gloo", rank=0, world_size=1, init_method=f"file://{folder}/store")
    for line in sys.stdin:
        try:
            reply = losses_of(json.loads(line))
        except Exception as error:
            traceback.print_exc()
            reply = repr(error)
        print(json.dumps(reply), file=answers, flush=True)
    distributed.destroy_process_group()
