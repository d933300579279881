"""torch.distributed over Gloo, for bench_comm: one rank. Rank 0 prints one line of JSON per case.

Usage: gloo_peer.py RANK WORLD_SIZE PORT SIZES REPEATS   (SIZES: bytes that one rank sends to all others together, with commas)
"""
import json
import os
import sys
import time

import torch
import torch.distributed as dist


def main():
    rank, world, port = (int(text) for text in sys.argv[1:4])
    sizes = [int(text) for text in sys.argv[4].split(",")]
    repeats = int(sys.argv[5])
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=world)
    for size in sizes:
        floats = max(size // 4 // world, 1) * world
        values = torch.ones(floats)
        received = torch.empty(floats)
        each = [floats // world] * world

        def all_to_all():
            dist.all_to_all_single(received, values, each, each)

        def all_reduce():
            dist.all_reduce(values)
            values.fill_(1.0)

        for name, operation in (("all_to_all", all_to_all), ("all_reduce", all_reduce)):
            times = []
            count = max(4, min(repeats, (64 << 20) // size))
            for _ in range(count):
                begin = time.perf_counter()
                operation()
                times.append(time.perf_counter() - begin)
            if rank == 0:
                print(json.dumps({"case": name, "bytes": size, "seconds": sorted(times)[len(times) // 2]}), flush=True)
    dist.destroy_process_group()


main()
