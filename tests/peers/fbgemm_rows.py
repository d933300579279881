"""FBGEMM's table-batched embeddings on the CPU, one step at a time: answers each line of JSON on standard input with one on standard output.

Run with the Python of packaging/peers. {"kind": "open", "optimizer", "rows" and "dim" of each table, "tables" (of each feature), "mean", "path" (starting rows of
all tables)}; {"kind": "step", "path", "batch"}: the file holds how many ids each bag has [features, batch], the ids, and the gradients
[batch, features * dim]; the answer's file "<path>.after" holds the pooled rows of before, then all rows and all states of after the update.
"""
import logging
import os
import sys
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench", "peers"))
from answers import serve

import numpy
import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import BoundsCheckMode, PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, EmbeddingLocation, SplitTableBatchedEmbeddingBagsCodegen

torch.set_num_threads(1)
OPTIMIZERS = {"sgd": EmbOptimType.EXACT_SGD, "adagrad": EmbOptimType.EXACT_ADAGRAD, "rowwise_adagrad": EmbOptimType.EXACT_ROWWISE_ADAGRAD}


class Tables:
    def __init__(self, optimizer, rows, dim, tables, mean, weighted, path):
        self.features, self.dim, self.weighted = len(tables), dim, weighted
        # Without weight decay: FBGEMM 1.6.0 ignores it on the CPU for fp32 tables that only one feature reads, and honours it for others.
        self.module = SplitTableBatchedEmbeddingBagsCodegen(
            [(count, dim, EmbeddingLocation.HOST, ComputeDevice.CPU) for count in rows], feature_table_map=tables, optimizer=OPTIMIZERS[optimizer],
            learning_rate=0.05, eps=1e-8, pooling_mode=PoolingMode.MEAN if mean else PoolingMode.SUM, bounds_check_mode=BoundsCheckMode.FATAL)
        values = numpy.fromfile(path, numpy.float32)
        assert values.size == sum(rows) * dim
        with torch.no_grad():
            for weights, start in zip(self.module.split_embedding_weights(), numpy.cumsum([0, *rows])):
                weights.copy_(torch.from_numpy(values[start * dim:start * dim + weights.numel()].reshape(weights.shape)))

    def step(self, path, batch):
        bags = self.features * batch
        lengths = numpy.fromfile(path, numpy.int64, bags)
        ids = numpy.fromfile(path, numpy.int64, int(lengths.sum()), offset=lengths.nbytes)
        weights = numpy.fromfile(path, numpy.float32, ids.size if self.weighted else 0, offset=lengths.nbytes + ids.nbytes)
        gradients = numpy.fromfile(path, numpy.float32, offset=lengths.nbytes + ids.nbytes + weights.nbytes).reshape(batch, self.features * self.dim)
        output = self.module(torch.from_numpy(ids), torch.from_numpy(numpy.concatenate([[0], numpy.cumsum(lengths)])),
                             torch.from_numpy(weights) if self.weighted else None)
        output.backward(torch.from_numpy(gradients))
        with open(path + ".after", "wb") as file:
            file.write(output.detach().numpy().tobytes())
            for weights in self.module.split_embedding_weights():
                file.write(weights.detach().numpy().tobytes())
            for states in self.module.split_optimizer_states():
                for state in states:
                    file.write(state.detach().numpy().tobytes())
        return {}


tables = None


def answer(request):
    global tables
    if request.pop("kind") == "step":
        return tables.step(**request)
    tables = Tables(**request)
    return {}


serve(answer)
