"""zstd frames by hand (RFC 8878): raw blocks and repeated bytes, so that no compressor is needed and every field can lie."""
import struct

MAGIC = b"\x28\xb5\x2f\xfd"
LARGEST_BLOCK = 128 * 1024


def block(kind, size, content, last):
    return struct.pack("<I", size << 3 | kind << 1 | int(last))[:3] + content


def header(content_size, window_descriptor=None):
    """With a content size: one segment, as ZSTD_compress writes it. With a window: as a stream writes it."""
    if window_descriptor is not None:
        return MAGIC + bytes([0x00, window_descriptor])
    return MAGIC + bytes([0xE0]) + struct.pack("<Q", content_size)


def frame(content, content_size=None, window_descriptor=None):
    """The content in raw blocks; `content_size` may be a lie."""
    blocks = b""
    pieces = [content[at:at + LARGEST_BLOCK] for at in range(0, len(content), LARGEST_BLOCK)] or [b""]
    for number, piece in enumerate(pieces):
        blocks += block(0, len(piece), piece, number + 1 == len(pieces))
    return header(len(content) if content_size is None else content_size, window_descriptor) + blocks


def bomb(size, content_size=None, byte=b"0", window_descriptor=None):
    """`size` times one byte, four bytes for each 128 KiB."""
    count = size // LARGEST_BLOCK
    blocks = b"".join(block(1, LARGEST_BLOCK, byte, number + 1 == count) for number in range(count))
    return header(size if content_size is None else content_size, window_descriptor) + blocks
