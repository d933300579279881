"""One rank of TorchRec on Gloo, for bench_traffic: counts the bytes that its exchange of embeddings sends to other ranks.

Usage: torchrec_rank.py RANK WORLD_SIZE PORT FILE   (FILE: JSON with rows, dim, batch, batches, sharding, precision and ids [batches, ranks, tables, batch])
Rank 0 prints one line of JSON: bytes sent by all ranks together in a step, by the collective that sent them. Tables lie as on our side: table t whole
on rank t modulo world size, or all in ranges of rows.
"""
import collections
import json
import logging
import os
import sys
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import numpy
import torch
from torch import distributed as dist

sent = collections.Counter()


def size_of(tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def count(module, name, bytes_to_others):
    """Replaces module.name by one that counts first."""
    original = getattr(module, name, None)
    if original is None:
        return

    def counted(*arguments, **named):
        sent[name] += bytes_to_others(*arguments, **named)
        return original(*arguments, **named)

    setattr(module, name, counted)


def count_collectives(rank, world):
    """What leaves this rank at least: of an all-to-all all parts but its own, of a reduce-scatter the terms of all others' parts, of a gather its own
    part to each other, of an all-reduce both of the last two."""
    def all_to_all_single(output, input, output_split_sizes=None, input_split_sizes=None, **_):
        if not input_split_sizes:
            return size_of([input]) * (world - 1) // world
        each = input.element_size() * (input.numel() // max(input.shape[0], 1) if input.dim() > 0 else 1)
        return each * sum(part for other, part in enumerate(input_split_sizes) if other != rank)

    def part(whole):
        return size_of([whole]) * (world - 1) // world

    count(dist, "all_to_all_single", all_to_all_single)
    count(dist, "all_to_all", lambda output, input, **_: size_of(tensor for other, tensor in enumerate(input) if other != rank))
    count(dist, "reduce_scatter_tensor", lambda output, input, **_: part(input))
    count(dist, "reduce_scatter", lambda output, input_list, **_: size_of(tensor for other, tensor in enumerate(input_list) if other != rank))
    count(dist, "all_gather_into_tensor", lambda output, input, **_: size_of([input]) * (world - 1))
    count(dist, "all_gather", lambda outputs, input, **_: size_of([input]) * (world - 1))
    count(dist, "all_reduce", lambda tensor, *_, **__: 2 * part(tensor))
    count(dist, "broadcast", lambda tensor, src=0, *_, **__: size_of([tensor]) * (world - 1) if src == rank else 0)


def sharded_collection(work, world):
    from torch.distributed.optim import _apply_optimizer_in_backward
    from torchrec import EmbeddingBagCollection, EmbeddingBagConfig
    from torchrec.distributed import DistributedModelParallel
    from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
    from torchrec.distributed.fbgemm_qcomm_codec import CommType, QCommsConfig, get_qcomm_codecs_registry
    from torchrec.distributed.sharding_plan import construct_module_sharding_plan, row_wise, table_wise
    from torchrec.distributed.types import ShardingEnv, ShardingPlan
    from torchrec.optim import RowWiseAdagrad

    names = [f"f{i}" for i in range(len(work["rows"]))]
    tables = [EmbeddingBagConfig(name=f"t{i}", embedding_dim=work["dim"], num_embeddings=rows, feature_names=[names[i]]) for i, rows in enumerate(work["rows"])]
    collection = EmbeddingBagCollection(tables=tables, device=torch.device("meta"))
    _apply_optimizer_in_backward(RowWiseAdagrad, collection.parameters(), {"lr": 0.01, "eps": 1e-8})
    registry = None
    if work["precision"] != "fp32":
        kind = {"fp16": CommType.FP16, "bf16": CommType.BF16}[work["precision"]]
        registry = get_qcomm_codecs_registry(QCommsConfig(forward_precision=kind, backward_precision=kind))
    sharder = EmbeddingBagCollectionSharder(qcomm_codecs_registry=registry)
    shardings = {t.name: row_wise() if work["sharding"] == "row_wise" else table_wise(rank=i % world) for i, t in enumerate(tables)}
    plan = construct_module_sharding_plan(collection, shardings, sharder, world, world, "cpu")
    model = DistributedModelParallel(module=collection, device=torch.device("cpu"), env=ShardingEnv.from_process_group(dist.group.WORLD),
                                     plan=ShardingPlan({"": plan}), sharders=[sharder])
    return model, names


def main():
    rank, world = int(sys.argv[1]), int(sys.argv[2])
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[3], GLOO_SOCKET_IFNAME="lo", RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank),
                      LOCAL_WORLD_SIZE=str(world))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    count_collectives(rank, world)
    from torchrec import KeyedJaggedTensor

    work = json.load(open(sys.argv[4]))
    model, names = sharded_collection(work, world)
    ids = numpy.fromfile(work["ids"], numpy.int32).reshape(work["batches"], world, len(names), work["batch"])

    def step(number):
        values = torch.from_numpy(ids[number, rank].astype(numpy.int64)).reshape(-1)
        keyed = KeyedJaggedTensor(keys=names, values=values, lengths=torch.ones(values.numel(), dtype=torch.int32))
        pooled = model(keyed)
        pooled.values().square().mean().backward()

    sent.clear()  # what it took to set up
    for number in range(work["batches"]):
        step(number)
    everybody = [None] * world
    counts = dict(sent)
    dist.all_gather_object(everybody, counts)
    if rank == 0:
        together = collections.Counter()
        for one in everybody:
            together.update(one)
        print(json.dumps({name: bytes / work["batches"] for name, bytes in together.items()}), flush=True)
    dist.destroy_process_group()


main()
