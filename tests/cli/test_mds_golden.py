# Shards in all encodings and in each family of compressions, as the real MDSWriter wrote them once: mds_golden.jsonl, which
# tests/real/mosaic_side.py makes (command golden).
import base64
import json
import pathlib

import mds_samples
from program import expect, folder, main, rechost

GOLDEN = pathlib.Path(__file__).resolve().parent / "mds_golden.jsonl"


def write(case, target):
    target.mkdir()
    for name, content in case["files"].items():
        (target / name).write_bytes(base64.b64decode(content))


def shards_of_the_real_writer_are_read():
    cases = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    expect({case["compression"].split(":")[0] for case in cases} == {"none", "zstd", "gz", "bz2", "br", "snappy"}, "a family is missing")
    expect(len({name for case in cases for name in case["hashes"]}) == 17, "a hash is missing")
    with folder() as place:
        place = pathlib.Path(place)
        for number, case in enumerate(cases):
            write(case, place / f"{number}")
            source = ["--plugin", "mds", "--set", f"data.path={place / str(number)}", *mds_samples.roles(every=True)]
            rechost("data", "convert", *source, "--out", place / f"{number}-again")
            want = [mds_samples.expected_after_conversion(sample) for sample in case["samples"]]
            expect(list(mds_samples.read(place / f"{number}-again")) == want, case["compression"])


def each_hash_finds_a_flipped_bit():
    with folder() as place:
        place = pathlib.Path(place)
        for number, case in enumerate(json.loads(line) for line in GOLDEN.read_text().splitlines()):
            target = place / f"{number}"
            write(case, target)
            shard, = target.glob("shard.*")
            content = bytearray(shard.read_bytes())
            content[len(content) // 2] ^= 1
            shard.write_bytes(content)
            for name in case["hashes"]:
                index = json.loads(base64.b64decode(case["files"]["index.json"]))
                for file in ("raw_data", "zip_data"):
                    if index["shards"][0][file] is not None:
                        index["shards"][0][file]["hashes"] = {name: index["shards"][0][file]["hashes"][name]}
                (target / "index.json").write_text(json.dumps(index))
                said = rechost("data", "convert", "--plugin", "mds", "--set", f"data.path={target}", *mds_samples.roles(every=True), "--out", place / "never", code=1).err
                expect(name in said and shard.name in said, said)


main([shards_of_the_real_writer_are_read, each_hash_finds_a_flipped_bit])
