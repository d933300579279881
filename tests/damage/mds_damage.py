"""Damaged MDS data sets."""
import copy
import json
import os
import struct

import mds_shards
import packed_shards
import zstd_frames
from damaged_case import ANY, BAD_ROWS, REFUSED, SOUND, Case
from mds_shards import ENCODINGS, NAMES, SETTINGS, SIZES, Shard, array, index, row, sample, shard_entry

SHARD = "shard.00000.mds"
HUGE = (2**31, 2**32 - 1)


def case(name, outcome, document, content=None, names=(), bad_rows=None, settings=(), packed=None, more=None):
    """`document`: index.json; `content`: the shard, None for none; `more(folder)` does what else is to be done."""

    def write(folder):
        mds_shards.write(folder, document)
        if content is not None:
            (folder / SHARD).write_bytes(content)
        if packed is not None:
            (folder / (SHARD + ".zstd")).write_bytes(packed)
        if more is not None:
            more(folder)

    return Case("mds: " + name, "mds", outcome, write, (*SETTINGS, *settings), names, bad_rows)


def truncations():
    shard = Shard()
    whole = shard.bytes()
    for name, size in shard.boundaries().items():
        cut = whole[:size]
        yield case(f"cut after {name}", REFUSED, index(shard_entry(whole)), cut, (SHARD, f"{size} bytes"))
        # The index of a shard that was cut by a careless repair agrees with its size.
        yield case(f"cut after {name}, and the index with it", REFUSED, index(shard_entry(cut)), cut, ("shard 0",))
    yield case("one byte too many", REFUSED, index(shard_entry(whole)), whole + b"\0", (SHARD, "bytes"))
    yield case("one byte too many, and the index with it", REFUSED, index(shard_entry(whole + b"\0")), whole + b"\0", (SHARD, "last sample"))


# Keys of a shard's entry that nobody needs here, and values that are as good as what stands there.
IGNORED = {("size_limit",), ("hashes",), ("zip_data",)}
WRONG_VALUES = (None, True, -1, 1.5, 2**31, 2**32, 2**64, 1e300, "", "nonsense", [], {}, [[]], {"a": None})


def member(entry, path):
    for key in path[:-1]:
        entry = entry[key]
    return entry, path[-1]


def index_changes():
    whole = Shard().bytes()
    entry = shard_entry(whole, hashes=["sha1"])
    good = index(entry)
    yield case("sound", SOUND, good, whole)
    for key in ("shards", "version"):
        missing = {name: value for name, value in good.items() if name != key}
        yield case(f"index without {key}", REFUSED, missing, whole, ("index.json", key))
        for value in WRONG_VALUES:
            yield case(f"index with {key} {json.dumps(value)}", REFUSED, {**good, key: value}, whole, ("index.json", ""))
    paths = [(key,) for key in entry] + [("raw_data", key) for key in entry["raw_data"]]
    for path in paths:
        where = ".".join(path)
        changed = copy.deepcopy(good)
        holder, key = member(changed["shards"][0], path)
        del holder[key]
        yield case(f"shard without {where}", SOUND if path in IGNORED else REFUSED, changed, whole,
                   () if path in IGNORED else ("index.json", "shard 0", key))
        for value in WRONG_VALUES:
            changed = copy.deepcopy(good)
            holder, key = member(changed["shards"][0], path)
            if holder[key] == value:
                continue
            holder[key] = value
            # Without hashes there is nothing to compare; that is allowed.
            sound = path in IGNORED or (path == ("raw_data", "hashes") and value == {})
            yield case(f"shard with {where} {json.dumps(value)}", SOUND if sound else REFUSED, changed, whole, () if sound else ("shard 0",))
    for samples in (0, 5, 7, 2**28, 2**30 - 1, *HUGE):
        changed = index(shard_entry(whole, samples=samples))
        yield case(f"{samples} samples", REFUSED, changed, whole, ("index.json",) if samples in (0, *HUGE) else ("shard 0",))


def index_texts(random):
    whole = Shard().bytes()
    good = json.dumps(index(shard_entry(whole, hashes=["sha1"]))).encode()
    for number in range(40):
        flipped = bytearray(good)
        flipped[random.randrange(len(good))] ^= 1 << random.randrange(8)
        yield case(f"index with a flipped bit, {number}", ANY, bytes(flipped), whole)
    for number in range(12):
        yield case(f"index cut short, {number}", REFUSED, good[:len(good) * number // 12], whole, ("index.json",))
    yield case("index that nests lists", REFUSED, b"[" * 200_000, whole, ("index.json",))
    yield case("index that nests objects", REFUSED, b"{\"shards\":" * 100_000, whole, ("index.json",))
    yield case("index whose lists close", REFUSED, b"[" * 100_000 + b"]" * 100_000, whole, ("index.json",))
    yield case("index with nested hashes", REFUSED, good.replace(b"\"hashes\": {", b"\"hashes\": {\"a\": " + b"[" * 50_000 + b"]" * 50_000 + b","), whole,
               ("index.json",))
    yield case("index in UTF-16", REFUSED, good.decode().encode("utf-16"), whole, ("index.json",))
    yield case("index of NUL bytes", REFUSED, bytes(1000), whole, ("index.json",))
    yield case("index with a byte order mark", ANY, b"\xef\xbb\xbf" + good, whole)


def paths():
    whole = Shard().bytes()
    for basename in ("../shard.00000.mds", "a/../../shard.00000.mds", "/etc/passwd", "..", "", "//etc/passwd", "sub/../../x", "./../x"):
        yield case(f"file {basename!r} outside", REFUSED, index(shard_entry(whole, basename)), whole, ("shard 0", "outside"))
    for basename in (".", "folder", "nothing.mds", "shard.00000.mds\0.txt", "x" * 5000, "index.json", "shard.00000.mds/x"):
        yield case(f"file {basename[:30]!r}", REFUSED, index(shard_entry(whole, basename)), whole, ("shard 0",), more=lambda folder: (folder / "folder").mkdir())
    yield case("a pipe instead of a shard", REFUSED, index(shard_entry(whole, "pipe")), None, ("pipe",), more=lambda folder: os.mkfifo(folder / "pipe"))
    yield case("a missing shard", REFUSED, index(shard_entry(whole)), None, (SHARD,))
    second = shard_entry(whole, "shard.00001.mds")
    yield case("a missing second shard", REFUSED, index(shard_entry(whole), second), whole, ("shard.00001.mds",))
    yield case("a shard that is there twice", SOUND, index(shard_entry(whole), shard_entry(whole)), whole)


def empty_shards():
    whole = Shard().bytes()
    empty = Shard(rows=0).bytes()
    entry = shard_entry(empty, "shard.00001.mds", samples=0)
    write_empty = lambda folder: (folder / "shard.00001.mds").write_bytes(empty)
    yield case("an empty shard after one with rows", SOUND, index(shard_entry(whole), entry), whole, more=write_empty)
    yield case("an empty shard before one with rows", SOUND, index(entry, shard_entry(whole)), whole, more=write_empty)
    yield case("an empty shard alone", REFUSED, index(entry), None, ("no sample",), more=write_empty)
    yield case("no shard", REFUSED, index(), None, ("no sample",))


def offset_tables():
    shard = Shard()
    offsets = shard.offsets()
    last = len(offsets) - 1
    changes = {
        "first offset inside the table": {0: 8}, "first offset 0": {0: 0}, "first offset past its sample": {0: offsets[1] + 1},
        "an offset that goes back": {3: offsets[2] - 1}, "two offsets exchanged": {2: offsets[3], 3: offsets[2]}, "last offset too small": {last: offsets[last] - 1},
        "last offset too large": {last: offsets[last] + 1},
        **{f"offset {place} of {value}": {place: value} for place in (0, 1, 3, last) for value in HUGE},
    }
    for name, changed in changes.items():
        damaged = Shard()
        damaged.offset_changes = changed
        content = damaged.bytes()
        yield case(name, REFUSED, index(shard_entry(content)), content, (SHARD,))
    for count in (0, 5, 7, 2**31, 2**32 - 1):
        damaged = Shard()
        damaged.count = count
        content = damaged.bytes()
        yield case(f"a shard that counts {count}", REFUSED, index(shard_entry(content)), content, (SHARD, "samples"))


def column_headers():
    for name, header in {"no column header": b"", "a column header of noise": b"\x00\xff" * 40, "a column header cut short": mds_shards.column_header()[:-9],
                         "a column header of other columns": mds_shards.column_header(names=["a", "b", "c", "d", "e"]),
                         "a column header of other encodings": mds_shards.column_header(encodings=["float64", *ENCODINGS[1:]]),
                         "a column header of nested lists": b"[" * 100_000 + b"]" * 100_000, "a column header with a list of numbers": b"{\"column_names\": 7}"}.items():
        damaged = Shard()
        damaged.header = header
        content = damaged.bytes()
        yield case(name, REFUSED, index(shard_entry(content)), content, (SHARD, "columns"))


def samples():
    values = row(1)
    lengths = [len(values[1]), len(values[2])]
    for name, written in {"2^31": [2**31, lengths[1]], "2^32 - 1": [2**32 - 1, lengths[1]], "one too many": [lengths[0] + 1, lengths[1]], "one too few": [lengths[0], lengths[1] - 1],
                          "two that wrap around": [2**32 - 1, lengths[0] + lengths[1] + 1], "nothing": [0, 0]}.items():
        damaged = Shard()
        damaged.samples[2] = sample(values, lengths=written)
        content = damaged.bytes()
        yield case(f"a value with a length of {name}", REFUSED, index(shard_entry(content)), content, (SHARD, "sample 2"))
    for name, piece in {"without any byte": b"", "of three bytes": b"abc", "of its lengths alone": sample(values)[:8]}.items():
        damaged = Shard()
        damaged.samples[2] = piece
        content = damaged.bytes()
        yield case(f"a sample {name}", REFUSED, index(shard_entry(content)), content, (SHARD, "sample 2"))


def bad_values():
    def with_row(column, value, names, bad_rows=1):
        damaged = Shard()
        values = row(2)
        values[NAMES.index(column)] = value
        damaged.samples[2] = sample(values)
        content = damaged.bytes()
        return index(shard_entry(content)), content, names, bad_rows

    for name, head in {"without a byte": b"", "of no dimension": b"\x00", "of two dimensions, one of them 0": bytes([2 << 2, 0, 1]), "of 2^32 times 2^32 values": bytes([2 << 2 | 3]) + struct.pack("<QQ", 2**32, 2**32), "of 63 dimensions": bytes([0xFC]) + bytes(63),
                       "longer than its bytes": bytes([4, 3]) + bytes(4), "shorter than its bytes": bytes([4, 1]) + bytes(8), "of 2^63 values": bytes([7]) + struct.pack("<Q", 2**63),
                       "of 2^62 values": bytes([7]) + struct.pack("<Q", 2**62), "of 2^32 - 1 values": bytes([6]) + struct.pack("<I", 2**32 - 1) + bytes(4),
                       "with its length cut": bytes([7, 1, 0, 0]), "of half a value": bytes([4, 1]) + bytes(3)}.items():
        document, content, names, bad = with_row("m", head, ("sample 2", "\"m\"", "array"))
        yield case(f"an array {name}", BAD_ROWS, document, content, names, bad)
    for name, value in {"NaN in a label": None, "label 2": 2, "label -1": -1, "label 2^62": 2**62}.items():
        if value is None:
            continue
        document, content, names, bad = with_row("y", struct.pack("<q", value), ("\"y\"", "label"))
        yield case(name, BAD_ROWS, document, content, names, bad)
    for name, value in {"infinity": float("inf"), "minus infinity": float("-inf")}.items():
        document, content, names, bad = with_row("d", struct.pack("<f", value), ("\"d\"",))
        yield case(f"{name} in a dense column", BAD_ROWS, document, content, names, bad)
    document, content, names, bad = with_row("d", struct.pack("<f", float("nan")), ())
    yield case("NaN in a dense column is a missing value", SOUND, document, content)
    for name, text in {"a byte alone": b"ab\xff", "a cut sequence": b"ab\xe2\x82", "an overlong slash": b"\xc0\xaf", "a surrogate": b"\xed\xa0\x80", "past the last code point": b"\xf4\x90\x80\x80"}.items():
        document, content, names, bad = with_row("s", text, ("sample 2", "\"s\"", "UTF-8"))
        yield case(f"invalid UTF-8, {name}", BAD_ROWS, document, content, names, bad)


def hashes():
    whole = Shard().bytes()
    damaged = bytearray(whole)
    damaged[-3] ^= 1
    for name in ("md5", "sha1", "sha256"):
        yield case(f"a byte that {name} finds", REFUSED, index(shard_entry(whole, hashes=[name])), bytes(damaged), (SHARD, name))
        entry = shard_entry(whole)
        entry["raw_data"]["hashes"] = {name: ""}
        yield case(f"an empty {name}", REFUSED, index(entry), whole, (SHARD, name))
    entry = shard_entry(whole)
    entry["raw_data"]["hashes"] = {"crc0": "00"}
    yield case("an unknown hash alone", REFUSED, index(entry), whole, (SHARD, "crc0"))
    for value in (None, 5, [], {}):
        entry["raw_data"]["hashes"] = {"sha1": value}
        yield case(f"sha1 {json.dumps(value)}", REFUSED, index(entry), whole, ("shard 0", "sha1"))


def compressed():
    whole = Shard().bytes()
    packed = zstd_frames.frame(whole)
    good = shard_entry(whole, packed=packed, hashes=["sha1"])
    yield case("a sound zstd shard", SOUND, index(good), packed=packed)
    unhashed = shard_entry(whole, packed=packed)
    for size in (0, 3, 4, 5, 12, 15, len(packed) // 2, len(packed) - 1):
        cut = packed[:size]
        yield case(f"zstd cut after {size} bytes", REFUSED, index(unhashed), packed=cut, names=(SHARD + ".zstd", "bytes"))
        yield case(f"zstd cut after {size} bytes, and the index with it", REFUSED, index(shard_entry(whole, packed=cut)), packed=cut, names=(SHARD + ".zstd",))
    ten_gigabytes = 10 * 2**30
    for name, lie in {
            "a frame that says it is larger": zstd_frames.frame(whole, content_size=len(whole) + 1), "a frame that says it is smaller": zstd_frames.frame(whole, content_size=len(whole) - 1),
            "a frame that says it has 10 GB": zstd_frames.frame(whole, content_size=ten_gigabytes), "a frame of another size": zstd_frames.frame(whole + b"x"),
            "a bomb of 1 GiB": zstd_frames.bomb(2**30), "a bomb that does not say its size": zstd_frames.bomb(2**30, window_descriptor=0x58),
            "a bomb that says the size in the index": zstd_frames.bomb(2**30, content_size=len(whole)), "a window of 2^41 bytes": zstd_frames.frame(whole, window_descriptor=0xF8),
            "noise": bytes(range(256)), "a reserved block": zstd_frames.header(len(whole)) + zstd_frames.block(3, 5, b"", True),
            "a block larger than allowed": zstd_frames.header(len(whole)) + zstd_frames.block(1, 2**21 - 1, b"0", True), "zero bytes": bytes(64),
            "gzip": b"\x1f\x8b\x08\x00" + bytes(60)}.items():
        outcome = SOUND if name == "a window of 2^41 bytes" else REFUSED
        yield case(f"zstd: {name}", ANY if outcome == SOUND else outcome, index(shard_entry(whole, packed=lie)), packed=lie, names=() if outcome == SOUND else (SHARD + ".zstd",))
    bomb = zstd_frames.bomb(2**31)
    entry = shard_entry(whole, packed=bomb)
    entry["raw_data"]["bytes"] = 2**31
    yield case("zstd: a bomb of 2 GiB that the index announces", REFUSED, index(entry), packed=bomb, names=(SHARD + ".zstd",))
    for value in (None, [], "x", {"basename": "../x", "bytes": 1, "hashes": {}}, {"basename": SHARD, "bytes": 2**32, "hashes": {}}):
        entry = copy.deepcopy(good)
        entry["zip_data"] = value
        yield case(f"zip_data {json.dumps(value)[:30]}", REFUSED, index(entry), packed=packed, names=("shard 0",))
    for value in ("gz", "br", "bz2", "snappy", "snappy:3", "zstdx", "", ":", "zstd:", "zstd:-3", "lz4", "zstd:99"):
        entry = copy.deepcopy(good)
        entry["compression"] = value
        yield case(f"compression {value!r}", SOUND if value == "zstd:99" else REFUSED, index(entry), packed=packed, names=() if value == "zstd:99" else ("shard 0",))


def other_compressions(random):
    whole = Shard().bytes()

    def packed_case(name, outcome, family, packed, level="", raw_bytes=None, names=None, hashes=()):
        entry = shard_entry(whole, packed=packed, compression=family + level, hashes=hashes)
        if raw_bytes is not None:
            entry["raw_data"]["bytes"] = raw_bytes
        more = lambda folder: (folder / f"{SHARD}.{family}").write_bytes(packed)
        return case(f"{family}: {name}", outcome, index(entry), names=(names or (f"{SHARD}.{family}", "shard 0")) if outcome == REFUSED else (), more=more)

    for family in packed_shards.FAMILIES:
        packed = packed_shards.pack(family, whole)
        yield packed_case("a sound shard", SOUND, family, packed, level="" if family == "snappy" else ":3", hashes=("sha1",))
        for size in (0, 1, 2, 3, 5, 9, 11, 18, len(packed) // 2, len(packed) - 9, len(packed) - 1):
            yield packed_case(f"cut after {size} bytes", REFUSED, family, packed[:size])
        for number in range(6):
            flipped = bytearray(packed)
            flipped[random.randrange(len(packed))] ^= 1 << random.randrange(8)
            yield packed_case(f"a flipped bit, {number}", ANY, family, bytes(flipped))
        for raw_bytes in (len(whole) - 1, len(whole) + 1, 2**20):
            yield packed_case(f"{raw_bytes} bytes by the index", REFUSED, family, packed, raw_bytes=raw_bytes)
        yield packed_case("twice over", REFUSED, family, packed * 2)
        yield packed_case("a byte after its end", REFUSED, family, packed + b"x")
        yield packed_case("noise", REFUSED, family, bytes(range(256)))
        yield packed_case("NUL bytes", REFUSED, family, bytes(64))
        yield packed_case("a shard that is not packed", REFUSED, family, whole)
        yield packed_case("a bomb of 64 MiB", REFUSED, family, packed_shards.bomb(family))
        bomb = packed_shards.bomb(family)
        if len(bomb) < 2**16:
            yield packed_case("a bomb that the index announces", REFUSED, family, bomb, raw_bytes=2**32 - 1)
    for family, name, packed in packed_shards.lies(whole):
        yield packed_case(name, REFUSED, family, packed)


def columns():
    whole = Shard().bytes()
    for name in ("pkl", "gif", "JSON", "list[str]", "int128", "ndarray:", "ndarray:float128", "ndarray:int32:0", "ndarray:int32:-1", "ndarray:int32:2,", "ndarray:int32:4294967296",
                 "ndarray:int32:65536,65536,65536", "", "INT", "int32\0"):
        entry = shard_entry(whole)
        entry["column_encodings"][1] = name
        yield case(f"encoding {name!r}", REFUSED, index(entry), whole, ("index.json",))
    entry = shard_entry(whole)
    entry["column_names"][1] = "d"
    yield case("a column that is there twice", REFUSED, index(entry), whole, ("shard 0", "twice"))
    entry = shard_entry(whole)
    entry["column_sizes"][0] = 8
    yield case("a column with another size", REFUSED, index(entry), whole, ("shard 0", "size"))
    other = shard_entry(whole, "shard.00001.mds")
    other["column_names"] = ["a", *NAMES[1:]]
    yield case("a second shard with other columns", REFUSED, index(shard_entry(whole), other), whole, ("shard 1", "columns"))


def cases(random):
    for group in (truncations(), index_changes(), index_texts(random), paths(), empty_shards(), offset_tables(), column_headers(), samples(), bad_values(), hashes(), compressed(),
                  other_compressions(random), columns()):
        yield from group
