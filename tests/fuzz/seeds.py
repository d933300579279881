"""First inputs for the fuzzers, from the damaged data sets of tests/damage: python3 seeds.py FOLDER makes FOLDER/<fuzzer>/."""
import pathlib
import random
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "damage"))
import mds_damage  # noqa: E402
import parquet_damage  # noqa: E402
import text_damage  # noqa: E402

LARGEST = 16384  # bytes; longer inputs only make it slow
CONFIGS = HERE.parent.parent / "configs"
# File of a case -> fuzzer and what its input begins with.
FILES = {"c.csv": ("csv", b"\x04"), "t.tsv": ("criteo", b"\x00"), "r.csv": ("ratings", b"\x00"), "p.parquet": ("parquet", b""), "index.json": ("mds_index", b""),
         "shard.00000.mds": ("mds_shard", b"\x00"), "shard.00000.mds.zstd": ("mds_shard", b"\x01")}
# The first byte of the fuzzer "decompressors": 0 for a text file, else the compression of a shard.
PACKED = {f"shard.00000.mds.{family}": number + 1 for number, family in enumerate(("zstd", "gz", "bz2", "br", "snappy"))}
OTHERS = {
    "numbers": [b"1", b"-1.5e-3", b" +12 ", b"9223372036854775807", b"1e39", b"nan", b"0x10"],
    "slurm_hosts": [b"node1", b"node[01-03,7],gpu[1-2]", b"2(x3),1", b"a[1-2]b[3-4]"],
    "safetensors": [b"\x40\0\0\0\0\0\0\0" + b"{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}".ljust(64) + bytes(8)],
    "vocabulary": [b"{\"format\":\"rechost.vocabulary/1\",\"table\":\"t\",\"encoder\":\"vocabulary\",\"values\":\"integer\",\"rows\":3,\"unknown_row\":0,\"missing_row\":1,\"rows_file\":\"t.tsv\","
                   b"\"min_count\":1,\"max_rows\":0}\0" + b"0\t\n0\t\n5\t7\n",
                   b"{\"format\":\"rechost.vocabulary/1\",\"table\":\"t\",\"encoder\":\"hash\",\"values\":\"string\",\"rows\":3,\"missing_row\":2,\"rows_file\":\"t.tsv\",\"hash_rows\":2,"
                   b"\"salt\":\"0x0000000000000001\"}\0" + b"1\n2\n3\n"],
}


def main(target):
    def put(fuzzer, name, content):
        if len(content) <= LARGEST:
            folder = target / fuzzer
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    number = 0
    for module in (mds_damage, text_damage, parquet_damage):
        for case in module.cases(random.Random(1)):
            if "MB" in case.name or "GiB" in case.name or "MiB" in case.name or "bomb" in case.name or "pipe" in case.name:
                continue
            with tempfile.TemporaryDirectory() as folder:
                case.write(pathlib.Path(folder))
                for file, (fuzzer, head) in FILES.items():
                    path = pathlib.Path(folder) / file
                    if path.is_file() and not path.is_symlink():
                        number += 1
                        content = path.read_bytes()
                        put(fuzzer, f"{number:05}", head + content)
                        if fuzzer == "csv":
                            put("records", f"{number:05}", b"\x07" + content)
                            put("decompressors", f"{number:05}", b"\x00" + content)
                for file, head in PACKED.items():
                    if (pathlib.Path(folder) / file).is_file():
                        number += 1
                        put("decompressors", f"{number:05}", bytes([head]) + (pathlib.Path(folder) / file).read_bytes())
    for path in CONFIGS.glob("*.toml"):
        put("config", path.stem, path.read_bytes() + b"\0run.seed=3")
    for fuzzer, contents in OTHERS.items():
        for number, content in enumerate(contents):
            put(fuzzer, f"{number}", content)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
