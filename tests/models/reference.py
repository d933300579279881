"""The models once more, in plain PyTorch and float64, written from the papers' formulas and not from the plugins' code.

    python reference.py <step.json>...     (the files that cases.py writes)

Recomputes each step and compares outputs, gradients and batch-norm statistics. Prints the largest difference of each case; exit 1
if one is above the tolerance. A difference is measured against the largest magnitude of its tensor, or 1 where that is smaller.
"""
import json
import sys

import torch
import torch.nn.functional as F

TOLERANCE = 1e-5
SAMPLES, NEGATIVES = 0, 1


def tensor(entry, grad=False):
    return torch.tensor(entry["values"], dtype=torch.float64).reshape(entry["shape"]).requires_grad_(grad)


class Step:
    def __init__(self, data):
        self.data = data
        self.options = data["options"]
        self.parameters = {name: tensor(entry, True) for name, entry in data["parameters"].items()}
        self.buffers = {name: torch.tensor(b["before"], dtype=torch.float64) for name, b in data["buffers"].items()}
        self.blocks = [[tensor(block["rows"], True) for block in group["blocks"]] for group in data["groups"]]
        self.dense_names = {int(group): names for group, names in data["dense"].items()}

    def option(self, name, default):
        return self.options.get(name, default)

    def column(self, name, group=SAMPLES):
        entry = self.data["groups"][group][name]
        return None if entry is None else tensor(entry)

    def index(self, group=SAMPLES):
        return torch.tensor(self.data["groups"][group]["entity_index"])

    def embedding(self, feature, table=None, group=SAMPLES):
        for entry in self.data["embeddings"]:
            if entry["feature"] == feature and entry["group"] == group and table in (None, entry["table"]):
                _, block, slot = entry["placement"]
                return self.blocks[group][block][:, slot, :]
        raise KeyError(feature)

    def dense(self, names, group=SAMPLES):
        columns = self.dense_names[group]
        return self.column("dense", group)[:, [columns.index(name) for name in names]]

    def names(self, sparse, entity=None):
        return [f["name"] for f in self.data["features"] if f["sparse"] == sparse and entity in (None, f["entity"])]

    def mlp(self, prefix, x, output):
        layers = [name for name in self.parameters if name.startswith(prefix + ".") and name.split(".")[-2].isdigit()
                  and name.endswith(".weight")]
        activation = {"relu": torch.relu, "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
                      "leaky_relu": lambda v: torch.where(v > 0, v, 0.01 * v)}[self.option("activation", "relu")]
        for layer in range(len(layers)):
            x = x @ self.parameters[f"{prefix}.{layer}.weight"].T + self.parameters[f"{prefix}.{layer}.bias"]
            if output and layer == len(layers) - 1:
                break
            if self.option("batch_norm", False):
                x = self.batch_norm(f"{prefix}.norm_{layer}", x)
            x = activation(x)
        return x

    def batch_norm(self, name, x):
        mean, variance = x.mean(0), x.var(0, unbiased=False)
        with torch.no_grad():
            self.buffers[name + ".running_mean"] = 0.9 * self.buffers[name + ".running_mean"] + 0.1 * mean
            self.buffers[name + ".running_var"] = 0.9 * self.buffers[name + ".running_var"] + 0.1 * x.var(0, unbiased=True)
        return (x - mean) / torch.sqrt(variance + 1e-5) * self.parameters[name + ".weight"] + self.parameters[name + ".bias"]

    def split_heads(self, logits):
        sizes = {name: entry["shape"][1] for name, entry in self.data["outputs"].items()}
        return dict(zip(sizes, torch.split(logits, list(sizes.values()), dim=1)))


def dlrm(step):
    vectors = [step.embedding(name) for name in step.names(sparse=True)]
    dense = step.mlp("bottom", step.dense(step.names(sparse=False)), output=False) if step.names(sparse=False) else None
    everything = ([dense] if dense is not None else []) + vectors
    interaction = step.option("interaction", "dot")
    if interaction == "dot":
        pairs = [(everything[i] * everything[j]).sum(1, keepdim=True)
                 for i in range(len(everything)) for j in range(i + 1, len(everything))]
        x = torch.cat(([dense] if dense is not None else []) + pairs, dim=1)
    else:
        x = torch.cat(everything, dim=1)
    if interaction == "dcn":
        first = x
        for layer in range(step.option("cross_layers", 3)):
            low = x @ step.parameters[f"cross.down_{layer}.weight"].T
            x = first * (low @ step.parameters[f"cross.up_{layer}.weight"].T + step.parameters[f"cross.up_{layer}.bias"]) + x
    return step.split_heads(step.mlp("top", x, output=True))


def deepfm(step):
    rows = step.data["groups"][SAMPLES]["rows"]
    sparse, dense = step.names(sparse=True), step.names(sparse=False)
    vectors = [step.embedding(name, table=name) for name in sparse]
    logit = step.parameters["bias"].expand(rows, 1)
    for name in sparse:
        logit = logit + step.embedding(name, table=name + ".linear")
    terms = list(vectors)
    if dense:
        values = step.dense(dense)
        logit = logit + (values * step.parameters["dense_weights"]).sum(1, keepdim=True)
        terms += [values[:, [i]] * step.parameters["dense_vectors"][i] for i in range(len(dense))]
    for i in range(len(terms)):
        for j in range(i + 1, len(terms)):
            logit = logit + (terms[i] * terms[j]).sum(1, keepdim=True)
    if step.option("deep_mlp", None) == []:
        return {name: logit for name in step.data["outputs"]}
    deep = step.mlp("deep", torch.cat(vectors + ([step.dense(dense)] if dense else []), dim=1), output=True)
    return step.split_heads(logit + deep)


def tower(step, entity, group=SAMPLES):
    vectors = [step.embedding(name, group=group) for name in step.names(True, entity)]
    dense = step.names(False, entity)
    if step.options[entity + "_layers"]:
        x = step.mlp(entity + ".mlp", torch.cat(vectors + ([step.dense(dense, group)] if dense else []), dim=1), output=True)
    else:
        x = sum(vectors)
    return F.normalize(x, dim=1) if step.option("similarity", "dot") == "cosine" else x


def two_tower(step):
    users, items = tower(step, "user"), tower(step, "item")
    temperature = step.option("temperature", 1.0)
    outputs = {"user": users, "item": items, "score": (users * items).sum(1, keepdim=True) / temperature}
    kind = step.option("loss", "bce")
    if kind == "bce":
        return outputs
    rows, corrected = users.shape[0], step.option("logq_correction", True)
    own = step.index()
    own_log = step.column("log_probability")
    losses = []
    if kind != "softmax":
        count = step.options["negatives"]
        drawn = tower(step, "item", NEGATIVES).reshape(rows, count, -1)
        drawn_index = step.index(NEGATIVES).reshape(rows, count)
        drawn_log = step.column("log_probability", NEGATIVES).reshape(rows, count)
    for i in range(rows):
        if kind == "softmax":
            others = [j for j in range(rows) if j == i or own[j] != own[i]]
            logits = torch.stack([users[i] @ items[j] / temperature - (own_log[j] if corrected else 0) for j in others])
            losses.append(torch.logsumexp(logits, 0) - logits[others.index(i)])
            continue
        positive = users[i] @ items[i]
        kept = [j for j in range(count) if drawn_index[i, j] != own[i]]
        negative = [users[i] @ drawn[i, j] for j in kept]
        if kind == "sampled_softmax":
            logits = [positive / temperature - (own_log[i] if corrected else 0)]
            logits += [n / temperature - (drawn_log[i, j] if corrected else 0) for n, j in zip(negative, kept)]
            losses.append(torch.logsumexp(torch.stack(logits), 0) - logits[0])
        elif kind == "bpr":
            losses.append(sum((-F.logsigmoid((positive - n) / temperature) for n in negative), torch.zeros(())) / count)
        else:
            hinge = sum((torch.clamp(n - step.options["margin"], min=0) for n in negative), torch.zeros(()))
            losses.append(1 - positive + step.options["negative_weight"] * hinge / count)
    losses = torch.stack(losses)
    weights = step.column("weights")
    weights = torch.ones(rows) if weights is None else weights
    outputs["loss"] = ((losses * weights).sum() / weights.sum()).reshape(1)
    return outputs


def difference(got, expected):
    expected = expected.detach().flatten()
    got = torch.tensor(got, dtype=torch.float64)
    return ((got - expected).abs().max() / max(1.0, expected.abs().max().item())).item() if expected.numel() else 0.0


def compare(data):
    step = Step(data)
    outputs = {"dlrm": dlrm, "deepfm": deepfm, "two_tower": two_tower}[data["plugin"]](step)
    assert set(outputs) == set(data["outputs"]), (list(outputs), list(data["outputs"]))
    found = {}
    total = 0
    for name, entry in data["outputs"].items():
        found[f"output {name}"] = difference(entry["values"], outputs[name])
        total = total + (outputs[name] * torch.tensor(entry["gradient"], dtype=torch.float64).reshape(entry["shape"])).sum()
    total.backward()
    for name, parameter in step.parameters.items():
        gradient = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
        found[f"gradient of {name}"] = difference(data["parameters"][name]["gradient"], gradient)
    for number, group in enumerate(step.blocks):
        for index, block in enumerate(group):
            got = data["groups"][number]["blocks"][index]["gradient"]
            expected = block.grad if block.grad is not None else torch.zeros_like(block)
            found[f"gradient of block {number}.{index}"] = difference(got["values"] if got else [0.0] * block.numel(), expected)
    for name, buffer in step.buffers.items():
        if "num_batches" not in name:
            found[f"buffer {name}"] = difference(data["buffers"][name]["after"], buffer)
    return found


def main(paths):
    failed = False
    for path in paths:
        with open(path) as file:
            data = json.load(file)
        found = compare(data)
        worst = max(found, key=found.get)
        bad = {name: value for name, value in found.items() if not value <= TOLERANCE}
        print(f"{data['case']:<46} {len(found):>3} tensors, largest difference {found[worst]:.1e} ({worst})")
        for name, value in bad.items():
            print(f"    above {TOLERANCE}: {name} differs by {value:.3e}")
        failed = failed or bool(bad)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
