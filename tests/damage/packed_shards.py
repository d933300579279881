"""The other compressions of MDS shards, and what lies in them: gzip and bzip2 from Python, Brotli and Snappy by hand."""
import bz2
import gzip
import struct

FAMILIES = ("gz", "bz2", "br", "snappy")
BROTLI_BOMB = "cbffff3ff82560e2b14020f7fe8fffff7ff04b00c4611180eefd1fffffffe0970088c30200ddfb3ffeffffc12f0110870500baf77ffcffff835f02200e0b0074effff8ffff07bf04401c1600e8defff1ffff0f7e0980382c00d0bdffe3ffff1ffc1200715800a07bff37"


def varint(number):
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def snappy_literal(content):
    return b"" if not content else bytes([61 << 2]) + struct.pack("<H", len(content) - 1) + content


def snappy_copy(offset, length):
    return bytes([2 | (length - 1) << 2]) + struct.pack("<H", offset)


def snappy(content, length=None):
    """The length may be a lie."""
    return varint(len(content) if length is None else length) + b"".join(snappy_literal(content[at:at + 60000]) for at in range(0, len(content), 60000))


def snappy_bomb(size, length=None):
    return varint(size if length is None else length) + snappy_literal(b"0" * 64) + snappy_copy(64, 64) * (size // 64 - 1)


def brotli(content):
    """RFC 7932: a window of 2^16, blocks that are not compressed, an empty last one."""
    stream = b""
    for at in range(0, len(content), 1 << 16):
        piece = content[at:at + (1 << 16)]
        # 1 bit of the window at the beginning alone; then: not the last, four digits of the length less one, uncompressed.
        shift = 1 if at == 0 else 0
        stream += (((len(piece) - 1) << 3 | 1 << 19) << shift).to_bytes(3, "little") + piece
    return stream + b"\x03"


def brotli_bomb():
    """64 MiB of one byte, by the brotli program."""
    return bytes.fromhex(BROTLI_BOMB)


def pack(family, content):
    return {"gz": lambda: gzip.compress(content, 6, mtime=0), "bz2": lambda: bz2.compress(content), "br": lambda: brotli(content), "snappy": lambda: snappy(content)}[family]()


def bomb(family):
    """Unpacks to 64 MiB or more."""
    return {"gz": lambda: gzip.compress(b"0" * 2**26, 9, mtime=0), "bz2": lambda: bz2.compress(b"0" * 2**26), "br": brotli_bomb, "snappy": lambda: snappy_bomb(2**26)}[family]()


def lies(content):
    """(family, what is wrong, bytes) of files that say something that is not so."""
    whole = gzip.compress(content, 6, mtime=0)
    yield "gz", "another checksum", whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    yield "gz", "another length in its trailer", whole[:-4] + struct.pack("<I", len(content) + 1)
    yield "gz", "an unknown method", whole[:2] + b"\x07" + whole[3:]
    yield "gz", "a name that does not end", whole[:3] + b"\x08" + whole[4:10] + b"x" * 300
    yield "gz", "a reserved block", whole[:10] + b"\x07" + whole[11:]
    yield "gz", "no trailer", whole[:-8]
    packed = bz2.compress(content)
    yield "bz2", "another checksum", packed[:10] + bytes([packed[10] ^ 1]) + packed[11:]
    yield "bz2", "a block of no size", packed[:3] + b"0" + packed[4:]
    yield "bz2", "a first place past the block", packed[:14] + b"\xff\xff\xff" + packed[17:]
    yield "br", "a block of noise", b"\x02\x00\x00\x10" + content
    yield "br", "a window that is reserved", b"\x11" + brotli(content)
    yield "br", "a block longer than the file", (0xffff << 4 | 1 << 20).to_bytes(3, "little") + content
    yield "br", "no last block", brotli(content)[:-1]
    yield "snappy", "a copy from before the beginning", varint(len(content)) + snappy_copy(1, 64) + content
    yield "snappy", "a copy of no distance", varint(len(content)) + snappy_literal(content[:100]) + snappy_copy(0, 64) * 30
    yield "snappy", "a length of 2^32 - 1", snappy(content, 2**32 - 1)
    yield "snappy", "a length that does not end", b"\xff" * 12
    yield "snappy", "one byte too few", snappy(content, len(content) + 1)
    yield "snappy", "one byte too many", snappy(content + b"x", len(content))
    yield "snappy", "a literal of 4 GiB", varint(len(content)) + bytes([63 << 2]) + b"\xff" * 4 + content
    yield "snappy", "a copy past the end", varint(len(content)) + snappy_literal(content[:-1]) + snappy_copy(1, 2)
