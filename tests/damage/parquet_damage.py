"""Damaged Parquet files."""
import gzip
import struct

import parquet_files
from damaged_case import ANY, BAD_ROWS, REFUSED, SOUND, Case, file_writer
from parquet_files import BINARY, I32, I64, LIST, STRUCT, File, levels, node, runs, text

INTEGERS = (-1, 0, 2**31 - 1, 2**31, 2**32 - 1, 2**62, -(2**63))


def parquet(name, outcome, content, names=(), bad_rows=None):
    return Case("parquet: " + name, "parquet", outcome, file_writer("p.parquet", content), parquet_files.SETTINGS, ("p.parquet", *names) if outcome in (REFUSED, BAD_ROWS) else (), bad_rows,
                "p.parquet")


def truncations():
    for codec, codec_name in ((parquet_files.UNCOMPRESSED, ""), (parquet_files.GZIP, "gzip, ")):
        file = File(codec=codec)
        whole = file.bytes()
        yield parquet(f"{codec_name}sound", SOUND, whole)
        for name, size in file.boundaries.items():
            yield parquet(f"{codec_name}cut after {name}", REFUSED, whole[:size])
            # A download that left a hole: the footer is there, the pages are not.
            if 4 <= size < file.footer_begin:
                yield parquet(f"{codec_name}zeros from {name} to the footer", ANY, whole[:size] + bytes(file.footer_begin - size) + whole[file.footer_begin:])
        yield parquet(f"{codec_name}one byte too many", REFUSED, whole + b"\0")


def footers(random):
    file = File()
    whole = file.bytes()
    for size in (0, 1, len(whole), len(whole) - 12, len(whole) - 11, 2**31 - 1, 2**31, 2**32 - 1):
        file.footer_size = size
        yield parquet(f"a footer of {size} bytes", ANY if size == len(whole) - 12 else REFUSED, file.bytes())
    for magic in (b"PARE", b"PAR2", b"\0\0\0\0", b"1RAP"):
        yield parquet(f"a last magic of {magic!r}", REFUSED, whole[:-4] + magic)
    yield parquet("a first magic of zeros", ANY, bytes(4) + whole[4:])
    for number in range(60):
        flipped = bytearray(whole)
        flipped[random.randrange(file.footer_begin, len(whole))] ^= 1 << random.randrange(8)
        yield parquet(f"a flipped bit in the footer, {number}", ANY, bytes(flipped))
    for number in range(60):
        flipped = bytearray(whole)
        flipped[random.randrange(4, file.footer_begin)] ^= 1 << random.randrange(8)
        yield parquet(f"a flipped bit in the pages, {number}", ANY, bytes(flipped))
    packed = File(codec=parquet_files.GZIP)
    packed_whole = packed.bytes()
    for number in range(20):
        flipped = bytearray(packed_whole)
        flipped[random.randrange(4, packed.footer_begin)] ^= 1 << random.randrange(8)
        yield parquet(f"a flipped bit in pages of gzip, {number}", ANY, bytes(flipped))
    for name, content in {"nothing": b"", "noise": random.randbytes(5000), "noise between magics": b"PAR1" + random.randbytes(500) + struct.pack("<I", 400) + b"PAR1", "CSV": b"y,d,s,m\n1,2,3,4\n",
                          "two magics": b"PAR1PAR1", "zeros": bytes(1000)}.items():
        yield parquet(name, REFUSED, content)


def lies():
    def changed(change):
        file = File()
        change(file)
        return file.bytes()

    for value in INTEGERS:
        yield parquet(f"{value} rows in the file", ANY, changed(lambda file: file.footer_lies.update({3: (I64, value)})))
        yield parquet(f"{value} rows in a group", ANY if value == 0 else REFUSED, changed(lambda file: file.group_lies.update({3: (I64, value)})))
    for column, name in enumerate("ydsm"):
        for value in INTEGERS:
            for field, what in {5: "values", 9: "as the place of its page", 7: "compressed bytes", 6: "bytes"}.items():
                yield parquet(f"column {name}: {value} {what}", ANY, changed(lambda file: file.groups[0][column].metadata_lies.update({field: (I64, value)})))
        for value in (-1, 0, 2**31 - 1, -(2**31)):
            for field, what in {2: "bytes", 3: "compressed bytes", 1: "as its type"}.items():
                yield parquet(f"column {name}: a page of {value} {what}", ANY, changed(lambda file: file.groups[0][column].page_lies.update({field: (I32, value)})))
            for field, what in {1: "values", 2: "as its encoding", 3: "as the encoding of its levels"}.items():
                yield parquet(f"column {name}: a page with {value} {what}", ANY, changed(lambda file: file.groups[0][column].page_header_lies.update({field: (I32, value)})))
    for codec in (-1, 3, 5, 99):
        yield parquet(f"codec {codec}", REFUSED, changed(lambda file: file.groups[0][1].metadata_lies.update({4: (I32, codec)})))
    for kind in (-1, 0, 1, 3, 4, 5, 7, 8):
        yield parquet(f"type {kind} of a column of texts", ANY, changed(lambda file: file.groups[0][2].metadata_lies.update({1: (I32, kind)})))
    for value in (-1, 0, 2**31 - 1):
        yield parquet(f"a dictionary of {value} words", ANY, changed(lambda file: file.groups[0][2].dictionary_lies.update({1: (I32, value)})))
    for value in INTEGERS:
        yield parquet(f"a dictionary at byte {value}", ANY, changed(lambda file: file.groups[0][2].metadata_lies.update({11: (I64, value)})))

    def schema(parts):
        return changed(lambda file: setattr(file, "schema", parts))

    good = File().schema
    yield parquet("a schema of nothing", REFUSED, schema([]))
    yield parquet("a schema without its last column", REFUSED, schema(good[:-1]))
    for children in (-1, 0, 3, 5, 2**31 - 1):
        yield parquet(f"a schema of {children} columns", REFUSED, schema([node(b"schema", children=children), *good[1:]]))
    yield parquet("a schema 50000 levels deep", REFUSED, schema([node(b"schema", children=1), *[node(b"x", 1, children=1)] * 50_000, node(b"y", 0, 2)]))
    yield parquet("a column of integers that the schema calls texts", ANY, schema([good[0], node(b"y", 0, parquet_files.BYTE_ARRAY, converted=0), *good[2:]]))
    yield parquet("a column without a name", REFUSED, schema([good[0], node(b"", 0, 2), *good[2:]]))
    yield parquet("a name that is no UTF-8", REFUSED, schema([good[0], node(b"\xff", 0, 2), *good[2:]]))
    yield parquet("a column that is there twice", REFUSED, schema([good[0], good[1], node(b"y", 1, 5), *good[3:]]))
    for chunks in ([], [{}], [{2: (I64, 4)}]):
        yield parquet(f"a group with {chunks} as its columns", REFUSED, changed(lambda file: file.group_lies.update({1: (LIST, (STRUCT, chunks))})))
    yield parquet("no group", REFUSED, changed(lambda file: file.footer_lies.update({3: (I64, 0), 4: (LIST, (STRUCT, []))})))
    yield parquet("a group without rows", ANY, changed(lambda file: file.group_lies.update({3: (I64, 0)})))
    yield parquet("a path that leads elsewhere", ANY, changed(lambda file: file.groups[0][0].metadata_lies.update({3: (LIST, (BINARY, [b"z"]))})))


def pages():
    def with_content(column, content, values=None, dictionary=None):
        file = File(groups=1)
        target = file.groups[0]["ydsm".index(column)]
        target.content = content
        if values is not None:
            target.values = values
        if dictionary is not None:
            target.dictionary = dictionary
        return file.bytes()

    for name, content in {"too few": struct.pack("<7q", *[0] * 7), "none": b"", "half of one": struct.pack("<7q", *[0] * 7) + b"\0\0\0"}.items():
        yield parquet(f"a page with {name} of its labels", REFUSED, with_content("y", content))
    yield parquet("levels longer than the page", REFUSED, with_content("d", struct.pack("<I", 2**31) + bytes(30)))
    yield parquet("levels of 2^32 - 1 bytes", REFUSED, with_content("d", struct.pack("<I", 2**32 - 1) + bytes(30)))
    yield parquet("levels that end early", REFUSED, with_content("d", levels([1, 1, 1], 1) + struct.pack("<3d", 1, 2, 3)))
    yield parquet("a level beyond the deepest", ANY, with_content("d", levels([7] * 8, 3) + struct.pack("<8d", *range(8))))
    yield parquet("a run of 2^40 levels", ANY, with_content("d", struct.pack("<I", 7) + parquet_files.varint(2**40 << 1) + b"\1" + struct.pack("<8d", *range(8))))
    yield parquet("a word that the dictionary lacks", REFUSED, with_content("s", levels([1] * 8, 1) + b"\x02" + runs([3] * 8, 2)))
    yield parquet("dictionary indices of 200 bits", REFUSED, with_content("s", levels([1] * 8, 1) + b"\xc8" + runs([0] * 8, 2)))
    yield parquet("dictionary indices of 32 bits", REFUSED, with_content("s", levels([1] * 8, 1) + b"\x20" + runs([2**32 - 1] * 8, 32)))
    for length in (2**31 - 1, 2**31, 2**32 - 1, 100):
        yield parquet(f"a word of {length} bytes", REFUSED, with_content("s", levels([1] * 8, 1) + b"\x02" + runs([0] * 8, 2), dictionary=struct.pack("<I", length) + b"red" + text(b"green") + text(b"blue")))
    yield parquet("a list that begins in the middle of a row", ANY, with_content("m", levels([1] * 8, 1) + levels([3] * 8, 2) + struct.pack("<8q", *range(8)), 8))
    yield parquet("more lists than rows", REFUSED, with_content("m", levels([0] * 9, 1) + levels([3] * 9, 2) + struct.pack("<9q", *range(9)), 9))
    yield parquet("fewer lists than rows", REFUSED, with_content("m", levels([0] * 7, 1) + levels([3] * 7, 2) + struct.pack("<7q", *range(7)), 7))
    yield parquet("a list of 2^31 - 1 elements", REFUSED, with_content("m", levels([0] * 7, 1) + levels([3] * 7, 2) + struct.pack("<7q", *range(7)), 2**31 - 1))
    bomb = File(groups=1, codec=parquet_files.GZIP)
    bomb.groups[0][0].page_lies = {2: (I32, 2**31 - 1)}
    yield parquet("a page of gzip that says it has 2 GiB", REFUSED, bomb.bytes())
    bomb = File(groups=1, codec=parquet_files.GZIP)
    bomb.groups[0][0].content = bytes(64 << 20)
    bomb.groups[0][0].page_lies = {2: (I32, 64)}
    yield parquet("a page of gzip with 64 MiB that says it has 64 bytes", ANY, bomb.bytes())

    def with_value(column, content, names):
        return parquet(f"column {column}: {names[-1]}", BAD_ROWS, with_content(column, content), (f"\"{column}\"",), 1)

    yield with_value("y", struct.pack("<8q", 0, 1, 2, 0, 1, 0, 1, 0), ("label 2",))
    yield with_value("y", struct.pack("<8q", 0, 1, -1, 0, 1, 0, 1, 0), ("label -1",))
    yield with_value("y", struct.pack("<8q", 0, 1, 2**63 - 1, 0, 1, 0, 1, 0), ("label 2^63 - 1",))
    for name, number in {"infinity": float("inf"), "minus infinity": float("-inf"), "1e300": 1e300}.items():
        yield with_value("d", levels([1] * 8, 1) + struct.pack("<8d", 0, 1, number, 3, 4, 5, 6, 7), (name,))
    yield parquet("NaN in a dense column is a missing value", SOUND, with_content("d", levels([1] * 8, 1) + struct.pack("<8d", 0, 1, float("nan"), 3, 4, 5, 6, 7)))
    for name, word in {"no UTF-8": b"\xff", "a cut sequence": b"\xe2\x82", "a surrogate": b"\xed\xa0\x80"}.items():
        yield parquet(f"a word that is {name}", BAD_ROWS, with_content("s", levels([1] * 8, 1) + b"\x02" + runs([0, 1, 2, 0, 1, 0, 1, 0], 2), dictionary=text(b"red") + text(b"green") + text(word)),
                      ("\"s\"", "UTF-8"), 1)
    repetitions, definitions = [0] * 8, [3] * 8
    definitions[2] = 2
    yield parquet("a missing element of a list", BAD_ROWS, with_content("m", levels(repetitions, 1) + levels(definitions, 2) + struct.pack("<7q", *range(7)), 8), ("\"m\"", "element"), 1)


def several_files():
    def case(name, second, names):
        def write(folder):
            (folder / "a.parquet").write_bytes(File().bytes())
            (folder / "b.parquet").write_bytes(second)

        return Case("parquet: a second file " + name, "parquet", REFUSED, write, parquet_files.SETTINGS, ("b.parquet", *names))

    other = File()
    other.schema[1] = node(b"z", 0, 2)
    for group in other.groups:
        group[0].path = [b"z"]
    yield case("without a column", other.bytes(), ("no column 'y'",))
    yield case("cut short", File().bytes()[:-20], ())
    yield case("that is CSV", b"y,d,s,m\n", ())
    yield case("that is gzip", gzip.compress(File().bytes(), mtime=0), ())


def cases(random):
    for group in (truncations(), footers(random), lies(), pages(), several_files()):
        yield from group
