"""Parquet files by hand (format 1.0, data pages of version 1), so that every field of them can lie: Thrift's compact protocol, and four
columns: required integers, optional numbers, optional texts by dictionary, lists of integers."""
import gzip
import struct

MAGIC = b"PAR1"
# Types of Thrift's compact protocol.
BOOL_TRUE, I32, I64, BINARY, LIST, STRUCT = 1, 5, 6, 8, 9, 12
# Names of Parquet's own numbers.
INT64, DOUBLE, BYTE_ARRAY = 2, 5, 6
REQUIRED, OPTIONAL, REPEATED = 0, 1, 2
PLAIN, RLE, RLE_DICTIONARY = 0, 3, 8
DATA_PAGE, DICTIONARY_PAGE = 0, 2
UNCOMPRESSED, GZIP = 0, 2
SETTINGS = ("label=[\"y\"]", "dense=[\"d\"]", "sparse=[\"s\"]", "multi_hot=[\"m\"]")


def varint(value):
    out = bytearray()
    value &= 2**64 - 1
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value):
    return varint((value << 1) ^ (value >> 63) if value < 0 else value << 1)


def element(kind, value):
    if kind in (I32, I64):
        return zigzag(value)
    if kind == BINARY:
        return varint(len(value)) + value
    if kind == STRUCT:
        return struct_of(value)
    element_kind, items = value
    head = bytes([len(items) << 4 | element_kind]) if len(items) < 15 else bytes([0xF0 | element_kind]) + varint(len(items))
    return head + b"".join(element(element_kind, item) for item in items)


def struct_of(fields):
    """`fields`: {number: (kind, value)}."""
    out = b""
    last = 0
    for number in sorted(fields):
        kind, value = fields[number]
        out += bytes([number - last << 4 | kind]) + element(kind, value)
        last = number
    return out + b"\0"


def runs(values, width):
    """The hybrid of run lengths, runs only."""
    out = b""
    at = 0
    size = (width + 7) // 8
    while at < len(values):
        end = at
        while end < len(values) and values[end] == values[at]:
            end += 1
        out += varint(end - at << 1) + values[at].to_bytes(size, "little")
        at = end
    return out


def levels(values, width):
    coded = runs(values, width)
    return struct.pack("<I", len(coded)) + coded


def text(value):
    return struct.pack("<I", len(value)) + value


class Column:
    """One column of one row group; `lies` change what its header, its metadata or the schema say of it."""

    def __init__(self, name, kind, path, schema, values, content, dictionary=None, encoding=PLAIN, codec=UNCOMPRESSED):
        self.name, self.kind, self.path, self.schema = name, kind, path, schema
        self.values, self.content, self.dictionary, self.encoding, self.codec = values, content, dictionary, encoding, codec
        self.dictionary_values = 0
        self.page_lies = {}  # of the data page's header: field -> (kind, value)
        self.page_header_lies = {}  # of the struct in it
        self.dictionary_lies = {}
        self.metadata_lies = {}
        self.boundaries = {}

    def page(self, content, header_fields, number, inner, lies):
        packed = gzip.compress(content, mtime=0) if self.codec == GZIP else content
        fields = {1: (I32, number), 2: (I32, len(content)), 3: (I32, len(packed)), inner: (STRUCT, header_fields)}
        fields.update(lies)
        return struct_of(fields), packed

    def write(self, at):
        """The bytes of the column chunk, which begins at byte `at`, and its metadata."""
        out = b""
        metadata = {1: (I32, self.kind), 2: (LIST, (I32, [PLAIN, RLE, self.encoding])), 3: (LIST, (BINARY, self.path)), 4: (I32, self.codec), 5: (I64, self.values)}
        if self.dictionary is not None:
            metadata[11] = (I64, at)
            header, packed = self.page(self.dictionary, {1: (I32, self.dictionary_values), 2: (I32, PLAIN), **self.dictionary_lies}, DICTIONARY_PAGE, 7, {})
            out += header + packed
        metadata[9] = (I64, at + len(out))
        header_fields = {1: (I32, self.values), 2: (I32, self.encoding), 3: (I32, RLE), 4: (I32, RLE), **self.page_header_lies}
        header, packed = self.page(self.content, header_fields, DATA_PAGE, 5, self.page_lies)
        self.boundaries = {f"the page header of {self.name}": at + len(out) + len(header), f"half a page of {self.name}": at + len(out) + len(header) + len(packed) // 2}
        out += header + packed
        self.boundaries[f"column {self.name}"] = at + len(out)
        metadata[6] = metadata[7] = (I64, len(out))
        metadata.update(self.metadata_lies)
        return out, metadata


def node(name, repetition=None, kind=None, children=None, converted=None):
    fields = {4: (BINARY, name)}
    for number, value in {1: kind, 3: repetition, 5: children, 6: converted}.items():
        if value is not None:
            fields[number] = (I32, value)
    return fields


UTF8, LIST_TYPE = 0, 3
WORDS = [b"red", b"green", b"blue"]


def columns(rows=8, codec=UNCOMPRESSED):
    labels = [row % 2 for row in range(rows)]
    made = [Column("y", INT64, [b"y"], [node(b"y", REQUIRED, INT64)], rows, struct.pack(f"<{rows}q", *labels), codec=codec)]
    present = [row % 4 != 3 for row in range(rows)]
    numbers = [row * 0.5 for row in range(rows) if present[row]]
    made.append(Column("d", DOUBLE, [b"d"], [node(b"d", OPTIONAL, DOUBLE)], rows, levels([int(here) for here in present], 1) + struct.pack(f"<{len(numbers)}d", *numbers), codec=codec))
    words = Column("s", BYTE_ARRAY, [b"s"], [node(b"s", OPTIONAL, BYTE_ARRAY, converted=UTF8)], rows,
                   levels([1] * rows, 1) + b"\x02" + runs([row % 3 for row in range(rows)], 2), b"".join(map(text, WORDS)), RLE_DICTIONARY, codec)
    words.dictionary_values = len(WORDS)
    made.append(words)
    # Row r has r % 3 elements; level 1: the list is there, 3: so is the element.
    repetitions, definitions, elements = [], [], []
    for row in range(rows):
        for place in range(max(row % 3, 1)):
            repetitions.append(int(place > 0))
            definitions.append(3 if row % 3 else 1)
            if row % 3:
                elements.append(row + place)
    schema = [node(b"m", OPTIONAL, children=1, converted=LIST_TYPE), node(b"list", REPEATED, children=1), node(b"element", OPTIONAL, INT64)]
    made.append(Column("m", INT64, [b"m", b"list", b"element"], schema, len(repetitions),
                       levels(repetitions, 1) + levels(definitions, 2) + struct.pack(f"<{len(elements)}q", *elements), codec=codec))
    return made


class File:
    """The parts of one file; change one before asking for the bytes."""

    def __init__(self, rows=8, groups=2, codec=UNCOMPRESSED):
        self.groups = [columns(rows, codec) for _ in range(groups)]
        self.rows = rows
        self.schema = [node(b"schema", children=4)] + [part for column in self.groups[0] for part in column.schema]
        self.group_lies = {}  # of the first row group
        self.footer_lies = {}
        self.footer_size = None
        self.boundaries = {}

    def bytes(self):
        out = MAGIC
        groups = []
        self.boundaries = {"nothing": 0, "half the magic": 2, "the magic": 4}
        for number, group in enumerate(self.groups):
            chunks = []
            begin = len(out)
            for column in group:
                content, metadata = column.write(len(out))
                chunks.append({2: (I64, len(out)), 3: (STRUCT, metadata)})
                out += content
                self.boundaries.update({f"{name} in group {number}": place for name, place in column.boundaries.items()})
            fields = {1: (LIST, (STRUCT, chunks)), 2: (I64, len(out) - begin), 3: (I64, self.rows)}
            if number == 0:
                fields.update(self.group_lies)
            groups.append(fields)
        footer = {1: (I32, 1), 2: (LIST, (STRUCT, self.schema)), 3: (I64, self.rows * len(self.groups)), 4: (LIST, (STRUCT, groups)), 6: (BINARY, b"rechost's tests")}
        footer.update(self.footer_lies)
        coded = struct_of(footer)
        self.footer_begin = len(out)
        self.boundaries.update({"half the footer": len(out) + len(coded) // 2, "the footer": len(out) + len(coded), "the footer's length": len(out) + len(coded) + 4,
                                "half the last magic": len(out) + len(coded) + 6})
        return out + coded + struct.pack("<I", len(coded) if self.footer_size is None else self.footer_size) + MAGIC
