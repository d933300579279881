"""The models under test: options, data and batch of each case, and one training step of it as plain data.

    python3 cases.py <plugin folder> <case> <out.json>    runs a case and writes inputs, parameters, outputs, gradients
"""
import json
import os
import random
import sys

import abi
from mini_host import Array, Model, Plugin, feature, label, make_batch

DENSE = [feature(f"number_{i}", sparse=False) for i in range(3)]
SPARSE = [feature(f"category_{i}", pooling=abi.POOLING_MEAN if i == 2 else abi.POOLING_SUM) for i in range(5)]
MANY_SPARSE = [feature(f"category_{i}", pooling=abi.POOLING_SUM) for i in range(17)]
CLICK = [label("click")]
USER = [feature("user_id", entity="user", key=True), feature("age", entity="user")]
ITEM = [feature("item_id", entity="item", key=True), feature("genre", entity="item")]
HISTORY = [feature("history", entity="user", table="item_id", pooling=abi.POOLING_MEAN, max_length=0)]
BOTH_DENSE = [feature("income", sparse=False, entity="user"), feature("price", sparse=False, entity="item")]

DLRM = dict(plugin="dlrm", features=DENSE + SPARSE, labels=CLICK)
SMALL_DLRM = dict(embedding_dim=4, bottom_mlp=[8], top_mlp=[8, 6], cross_layers=2, cross_rank=3)
DEEPFM = dict(plugin="deepfm", features=DENSE + SPARSE, labels=CLICK)
SMALL_DEEPFM = dict(embedding_dim=4, deep_mlp=[8, 6], init_scale=0.5)
TOWERS = dict(plugin="two_tower", features=USER + ITEM + BOTH_DENSE, labels=CLICK, entity_count=6)
SMALL_TOWERS = dict(embedding_dim=4, user_layers=[8, 5], item_layers=[7, 5], negatives=3)


def case(base, small, **options):
    extra = {key: options.pop(key) for key in ("features", "labels", "weights", "entity_count", "rows", "threads") if key in options}
    return dict(base, options=dict(small, **options), **extra)


CASES = {
    "dlrm dot": case(DLRM, SMALL_DLRM),
    # Several blocks of rows, padded rows of products, more threads than cores.
    "dlrm dot, many rows": case(DLRM, SMALL_DLRM, rows=1300, threads=3),
    "dlrm dot, long vectors": case(DLRM, SMALL_DLRM, features=DENSE + MANY_SPARSE, embedding_dim=20, rows=600, threads=2,
                                   activation="leaky_relu"),
    "dlrm dot, one row": case(DLRM, SMALL_DLRM, rows=1, threads=2),
    "dlrm cat": case(DLRM, SMALL_DLRM, interaction="cat", activation="gelu"),
    "dlrm dcn": case(DLRM, SMALL_DLRM, interaction="dcn", activation="silu"),
    "dlrm dot without dense": case(DLRM, SMALL_DLRM, features=SPARSE, activation="tanh"),
    "dlrm dcn without sparse": case(DLRM, SMALL_DLRM, features=DENSE, interaction="dcn", activation="tanh"),
    "dlrm batch norm": case(DLRM, SMALL_DLRM, batch_norm=True, activation="sigmoid"),
    "dlrm several heads": case(DLRM, SMALL_DLRM, heads=["click:binary", "rating:regression:0.5", "topic:multiclass"],
                               activation="leaky_relu",
                               labels=CLICK + [label("rating", abi.LABEL_REGRESSION), label("topic", abi.LABEL_MULTICLASS, 4)]),
    "deepfm": case(DEEPFM, SMALL_DEEPFM),
    "deepfm, many rows": case(DEEPFM, SMALL_DEEPFM, rows=1100, threads=2),
    "deepfm without dense": case(DEEPFM, SMALL_DEEPFM, features=SPARSE, activation="gelu"),
    "deepfm without sparse": case(DEEPFM, SMALL_DEEPFM, features=DENSE, activation="tanh"),
    "deepfm factorisation machine alone": case(DEEPFM, SMALL_DEEPFM, deep_mlp=[], labels=CLICK + [label("like")]),
    "deepfm batch norm": case(DEEPFM, SMALL_DEEPFM, batch_norm=True, activation="silu"),
    "two_tower bce": case(TOWERS, SMALL_TOWERS, activation="tanh"),
    "two_tower bce cosine": case(TOWERS, SMALL_TOWERS, similarity="cosine", temperature=0.2, activation="gelu"),
    "two_tower factorisation": case(TOWERS, SMALL_TOWERS, features=USER[:1] + ITEM[:1], user_layers=[], item_layers=[]),
    "two_tower summed with history": case(TOWERS, SMALL_TOWERS, features=USER + HISTORY + ITEM[:1], user_layers=[], item_layers=[],
                                          loss="bpr", entity_count=6),
    "two_tower batch norm": case(TOWERS, SMALL_TOWERS, batch_norm=True, activation="silu"),
    "two_tower softmax": case(TOWERS, SMALL_TOWERS, loss="softmax", temperature=0.5, activation="tanh"),
    "two_tower softmax weighted, uncorrected": case(TOWERS, SMALL_TOWERS, loss="softmax", weights=True, logq_correction=False,
                                                    similarity="cosine", temperature=0.1, activation="tanh"),
    "two_tower sampled softmax": case(TOWERS, SMALL_TOWERS, loss="sampled_softmax", negative_sampling="frequency", weights=True,
                                      activation="tanh"),
    "two_tower bpr": case(TOWERS, SMALL_TOWERS, loss="bpr", weights=True, activation="tanh", temperature=0.7),
    "two_tower ccl": case(TOWERS, SMALL_TOWERS, loss="ccl", similarity="cosine", negative_weight=2.0, margin=0.2, weights=True,
                          activation="tanh"),
}


def plugin_folder():
    return os.path.join(os.environ["RECHOST_BUILD_DIR"], "lib", "rechost", "plugins")


def declared_model(folder, chosen, **options):
    plugin = Plugin(os.path.join(folder, chosen["plugin"] + ".so"))
    return Model(plugin, chosen["plugin"], dict(chosen["options"], **options), chosen["features"], chosen["labels"],
                 threads=chosen.get("threads", 1))


def open_model(folder, chosen, **options):
    return declared_model(folder, chosen, **options).bind()


def batch_of(model, chosen, rows=None):
    rows = chosen.get("rows", 12) if rows is None else rows
    return make_batch(model, rows, weights=chosen.get("weights", False), entity_count=chosen.get("entity_count", 0))


def output_gradients(outputs, seed=3):
    generator = random.Random(seed)
    return {name: Array(output.shape, [generator.uniform(-1, 1) for _ in range(output.size)]) for name, output in outputs.items()}


def run_case(folder, name):
    """One train step with all heads wanted, as JSON-ready data."""
    chosen = CASES[name]
    model = open_model(folder, chosen)
    batch = batch_of(model, chosen)
    before = {b["name"]: b["value"].values() for b in model.buffers}
    outputs = model.forward(batch)
    gradients = output_gradients(outputs)
    blocks = model.backward(gradients)

    def array(value):
        return dict(shape=value.shape, values=value.values())

    groups = []
    for group, group_gradients in zip(batch, blocks):
        groups.append(dict(
            rows=group["rows"], entity_index=group.get("entity_index"),
            **{key: array(group[key]) if group.get(key) else None for key in ("dense", "labels", "weights", "log_probability")},
            blocks=[dict(rows=array(b["rows"]), gradient=array(g) if g else None) for b, g in zip(group["blocks"], group_gradients)]))
    return dict(
        case=name, plugin=chosen["plugin"], options=chosen["options"], features=chosen["features"], groups=groups, dense=model.dense,
        embeddings=[dict(e, table=model.tables[e["table"]]["name"], placement=p) for e, p in zip(model.embeddings, model.placements)],
        parameters={p["name"]: dict(array(p["value"]), gradient=p["gradient"].values()) for p in model.parameters},
        buffers={b["name"]: dict(shape=b["shape"], before=before[b["name"]], after=b["value"].values()) for b in model.buffers},
        outputs={n: dict(array(o), gradient=gradients[n].values()) for n, o in outputs.items()})


if __name__ == "__main__":
    with open(sys.argv[3], "w") as file:
        json.dump(run_case(sys.argv[1], sys.argv[2]), file)
