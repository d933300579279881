# What data convert has in memory does not grow with the data: peak of the resident set, for data of one size and of eight times that.
import os
import pathlib
import subprocess

from program import BIN, expect, folder, main

SMALL_ROWS = 150_000
ROW_BYTES = 20 * 8 + 10 * 4
# Chunks and shards that are small against the data.
SHAPE = ["--plugin", "synthetic", "--set", "data.valid_rows=0", "--set", "data.test_rows=0", "--set", "data.chunk_rows=4096", "--set", "data.sparse=20", "--set", "data.dense=10",
         "--set", "data.rank=2", "--shard-bytes", "1000000", "--threads", "3"]


def peak_bytes(*arguments):
    process = subprocess.Popen([BIN, "data", "convert", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    expect(process.returncode == 0, said)
    return usage.ru_maxrss * 1024, said


def memory_does_not_grow_with_the_data():
    with folder() as place:
        place = pathlib.Path(place)
        for name, options in {"mds": [], "mds-zstd": ["--compression", "zstd:1"], "parquet": ["--to", "parquet"], "mds-encoded": ["--encoded"],
                              "parquet-encoded": ["--to", "parquet", "--encoded", "--set", 'features."*_1".encoder="hash"', "--set", 'features."*_1".hash_rows=1000']}.items():
            peaks = []
            for times in (1, 8):
                peak, said = peak_bytes(*SHAPE, "--set", f"data.rows={times * SMALL_ROWS}", *options, "--out", place / f"{name}-{times}")
                expect(f"{times * SMALL_ROWS:,} rows" in said, said)
                peaks.append(peak)
            grown, data_grown = peaks[1] - peaks[0], 7 * SMALL_ROWS * ROW_BYTES
            print(f"{name}: {peaks[0] / 2**20:.0f} MiB, with {data_grown / 2**20:.0f} MiB more of data {peaks[1] / 2**20:.0f} MiB", flush=True)
            # How many chunks threads happen to hold at once makes a difference of some 20 MiB; whoever kept the data would have all of them.
            expect(grown < data_grown / 5, f"{name}: memory grows by {grown / 2**20:.0f} MiB")



main([memory_does_not_grow_with_the_data])
