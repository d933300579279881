"""FBGEMM's table-batched embeddings on the CPU, for bench_embedding: answers each line of JSON on standard input with one on standard output.

Run with the Python of packaging/peers. {"kind": "open", "optimizer", "precision", "tables", "features", "rows", "dim"} makes the tables; {"kind": "steps", "path", "batch",
"ids_per_sample", "steps"} looks up and updates by the ids in the file, [steps, features, batch, ids_per_sample] int32, and answers with
milliseconds of each step: of the forward pass and of the backward pass, whose kernel updates the rows. At one thread those are processor times.
"""
import gc
import logging
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from answers import serve

import numpy
import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType, SparseType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import BoundsCheckMode, PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, EmbeddingLocation, SplitTableBatchedEmbeddingBagsCodegen

THREADS = int(os.environ["OMP_NUM_THREADS"])
torch.set_num_threads(THREADS)
OPTIMIZERS = {"sgd": EmbOptimType.EXACT_SGD, "adagrad": EmbOptimType.EXACT_ADAGRAD, "rowwise_adagrad": EmbOptimType.EXACT_ROWWISE_ADAGRAD}
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}
clock = time.process_time if THREADS == 1 else time.perf_counter


class Tables:
    def __init__(self, optimizer, precision, tables, features, rows, dim):
        self.features, self.dim = features, dim
        self.module = SplitTableBatchedEmbeddingBagsCodegen(
            [(rows, dim, EmbeddingLocation.HOST, ComputeDevice.CPU)] * tables, feature_table_map=[feature * tables // features for feature in range(features)],
            weights_precision=SparseType.from_dtype(PRECISIONS[precision]), optimizer=OPTIMIZERS[optimizer], learning_rate=0.01, eps=1e-8, pooling_mode=PoolingMode.SUM, bounds_check_mode=BoundsCheckMode.NONE)
        with torch.no_grad():
            for weights in self.module.split_embedding_weights():
                weights.fill_(0.01)

    def steps(self, path, batch, ids_per_sample, steps):
        ids = numpy.fromfile(path, numpy.int32).reshape(steps, -1).astype(numpy.int64)
        offsets = torch.arange(0, self.features * batch * ids_per_sample + 1, ids_per_sample)
        gradient = torch.full((batch, self.features * self.dim), 1e-3)
        forward, backward = [], []
        for step in range(steps):
            values = torch.from_numpy(ids[step])
            begin = clock()
            output = self.module(values, offsets)
            middle = clock()
            output.backward(gradient)
            end = clock()
            forward.append(1e3 * (middle - begin))
            backward.append(1e3 * (end - middle))
        return {"forward": forward, "backward": backward}


tables = None


def answer(request):
    global tables
    kind = request.pop("kind")
    if kind == "steps":
        return tables.steps(**request)
    tables = None
    gc.collect()
    if kind == "open":
        tables = Tables(**request)
    return {}


serve(answer)
