"""Damaged CSV, TSV, Criteo and ratings files."""
import gzip
import os
import zlib

import zstd_frames
from damaged_case import ANY, BAD_ROWS, REFUSED, SOUND, Case, file_writer

CSV_SETTINGS = ("label=[\"y\"]", "dense=[\"d\"]", "sparse=[\"s\",\"u\"]", "multi_hot=[\"m\"]", "integer=[\"u\"]")
CSV_HEAD = b"y,d,s,u,m\n"


def csv_row(number):
    return f"{number % 2},{number * 0.5},word{number % 3},{number},a|b{number % 2}\n".encode()


CSV_ROWS = [csv_row(number) for number in range(20)]
CSV = CSV_HEAD + b"".join(CSV_ROWS)


def csv(name, outcome, content, names=(), bad_rows=None, settings=()):
    return Case("csv: " + name, "csv", outcome, file_writer("c.csv", content), (*CSV_SETTINGS, *settings), ("c.csv", *names) if outcome in (REFUSED, BAD_ROWS) else (),
                bad_rows, "c.csv")


def with_row(text, at=10):
    """The good rows with one put among them: line `at` + 2 of the file."""
    return CSV_HEAD + b"".join(CSV_ROWS[:at]) + text + b"\n" + b"".join(CSV_ROWS[at:])


def csv_rows():
    bad = {
        "one field too few": (b"1,2,a,3", ("fields",)), "one field too many": (b"1,2,a,3,b,c", ("fields",)), "one field": (b"1", ("fields",)), "delimiters alone": (b",,,,,,,", ("fields",)),
        "a space": (b" ", ("fields",)), "a label of 2": (b"2,1,a,1,b", ("\"y\"",)), "a label of -1": (b"-1,1,a,1,b", ("\"y\"",)), "a label of 0.5": (b"0.5,1,a,1,b", ("\"y\"",)),
        "a label of nan": (b"nan,1,a,1,b", ("\"y\"",)), "an empty label": (b",1,a,1,b", ("\"y\"",)), "a label of inf": (b"inf,1,a,1,b", ("\"y\"",)), "a label of text": (b"yes,1,a,1,b", ("\"y\"",)),
        "a number of text": (b"1,abc,a,1,b", ("\"d\"", "abc")), "nan": (b"1,nan,a,1,b", ("\"d\"", "nan")), "NaN": (b"1,NaN,a,1,b", ("\"d\"",)), "inf": (b"1,inf,a,1,b", ("\"d\"", "inf")),
        "-inf": (b"1,-inf,a,1,b", ("\"d\"",)), "Infinity": (b"1,Infinity,a,1,b", ("\"d\"",)), "1e39, beyond a float": (b"1,1e39,a,1,b", ("\"d\"",)), "1e400, beyond a double": (b"1,1e400,a,1,b", ("\"d\"",)),
        "a hexadecimal number": (b"1,0x10,a,1,b", ("\"d\"",)), "two numbers": (b"1,1 2,a,1,b", ("\"d\"",)), "a number with a comma": (b"1,\"1,5\",a,1,b", ("\"d\"",)),
        "a number of 100000 digits": (b"1," + b"9" * 100_000 + b",a,1,b", ("\"d\"",)), "two signs": (b"1,--1,a,1,b", ("\"d\"",)), "a number and text": (b"1,1x,a,1,b", ("\"d\"",)),
        "a currency": (b"1,$5,a,1,b", ("\"d\"",)), "an id of 2^63": (b"1,1,a,9223372036854775808,b", ("\"u\"",)), "an id of -2^63 - 1": (b"1,1,a,-9223372036854775809,b", ("\"u\"",)),
        "a fraction as an id": (b"1,1,a,1.5,b", ("\"u\"",)), "text as an integer id": (b"1,1,a,x,b", ("\"u\"",)), "an empty element in a list": (b"1,1,a,1,a||b", ("\"m\"",)),
        "a list that ends in a separator": (b"1,1,a,1,a|", ("\"m\"",)), "a list that begins with a separator": (b"1,1,a,1,|a", ("\"m\"",)),
        "text after a quote": (b"1,1,\"a\"b,1,c", ("quote",)), "a quote inside a field": (b"1,1,a\"b,1,c", ("quote",)),
        "a byte that is no UTF-8": (b"1,1,a\xff,1,b", ("UTF-8",)), "a cut sequence of UTF-8": (b"1,1,a\xe2\x82,1,b", ("UTF-8",)), "Latin-1": ("1,1,é,1,b".encode("latin-1"), ("UTF-8",)),
        "a surrogate": (b"1,1,\xed\xa0\x80,1,b", ("UTF-8",)), "an overlong NUL": (b"1,1,\xc0\x80,1,b", ("UTF-8",)), "a NUL byte": (b"1,1,a\0b,1,c", ("NUL",)), "a row of NUL bytes": (bytes(20), ("NUL",)),
    }
    for name, (text, names) in bad.items():
        yield csv(name, BAD_ROWS, with_row(text), ("12", *names), 1)
        yield csv(name + ", last and without a line end", BAD_ROWS, (CSV + text), ("22", *names), 1)
    good = {
        "an empty number": b"1,,a,1,b", "empty ids": b"1,1,,,", "spaces around a number": b"1, 1.5 ,a,1,b", "an id of 2^63 - 1": b"1,1,a,9223372036854775807,b", "a negative id of a vocabulary": b"1,1,a,-5,b",
        "1e-400": b"1,0.0,a,1,b", "a quoted comma": b"1,1,\"a,b\",1,c", "a quoted line end": b"1,1,\"a\nb\",1,c", "a doubled quote": b"1,1,\"a\"\"b\",1,c", "an overlong field": b"1,1," + b"w" * 1_000_000 + b",1,b",
        "a list of 100000 elements": b"1,1,a,1," + b"|".join([b"x"] * 100_000), "emoji": "1,1,😀,1,b".encode(), "a carriage return": b"1,1,a,1,b\r", "an empty line": b"",
    }
    for name, text in good.items():
        yield csv(name, SOUND, with_row(text))


def csv_files(random):
    yield csv("sound", SOUND, CSV)
    yield csv("no line end at the end", SOUND, CSV[:-1])
    yield csv("CRLF", SOUND, CSV.replace(b"\n", b"\r\n"))
    yield csv("some lines with CRLF", SOUND, CSV.replace(b"5\n", b"5\r\n"))
    yield csv("CR alone", REFUSED, CSV.replace(b"\n", b"\r"))
    yield csv("a byte order mark", SOUND, b"\xef\xbb\xbf" + CSV)
    yield csv("a byte order mark alone", REFUSED, b"\xef\xbb\xbf")
    yield csv("UTF-16", REFUSED, CSV.decode().encode("utf-16"))
    yield csv("UTF-16 without a mark", REFUSED, CSV.decode().encode("utf-16-be"))
    yield csv("UTF-32", REFUSED, CSV.decode().encode("utf-32"))
    yield csv("nothing", REFUSED, b"")
    yield csv("one line end", REFUSED, b"\n")
    yield csv("line ends alone", REFUSED, b"\n" * 1000)
    yield csv("a header alone", REFUSED, CSV_HEAD, ("no rows",))
    yield csv("a header without its line end", REFUSED, CSV_HEAD[:-1])
    yield csv("no header", REFUSED, b"".join(CSV_ROWS), ("no column",))
    yield csv("a header with a quote that is not closed", REFUSED, b"y,d,s,u,\"m\n" + b"".join(CSV_ROWS))
    yield csv("a header of other columns", REFUSED, b"a,b,c,d,e\n" + b"".join(CSV_ROWS), ("no column 'y'",))
    yield csv("a header with a column twice", REFUSED, b"y,d,s,u,m,d\n" + b"".join(row[:-1] + b",1\n" for row in CSV_ROWS), ("'d'",))
    yield csv("a header that is no UTF-8", REFUSED, b"y,d,s,u,m,\xff\n" + b"".join(row[:-1] + b",1\n" for row in CSV_ROWS), ("UTF-8",))
    yield csv("a header of a million fields", ANY, b",".join(b"f%d" % number for number in range(100_000)) + b"\n" + b"".join(CSV_ROWS))
    yield csv("semicolons", REFUSED, CSV.replace(b",", b";"))
    # A quote that is not closed would otherwise take all rows that follow along, as one.
    yield csv("a quote that is not closed", REFUSED, with_row(b"1,1,\"a,1,b"), ("line 12", "quote"))
    yield csv("a quote that is not closed in the last line", BAD_ROWS, CSV + b"1,1,\"a,1,b", ("22", "quote"), 1)
    yield csv("a quote that is closed 5000 lines later", REFUSED, with_row(b"1,1,\"a,1,b") + b"".join(CSV_ROWS) * 250 + b"1,1,a\",1,b\n", ("line 12", "quote"))
    yield csv("a line of 32 MB", REFUSED, lambda: CSV + b"1,1," + b"w" * (32 << 20) + b",1,b\n", ("line 22", "MiB"))
    yield csv("32 MB of NUL bytes", REFUSED, lambda: CSV + bytes(32 << 20), ("line 22",))
    yield csv("noise", REFUSED, random.randbytes(100_000))
    yield csv("rows, then noise", BAD_ROWS, CSV + bytes(byte for byte in random.randbytes(20_000) if byte not in b"\"") + b"\n")
    for number in range(30):
        flipped = bytearray(CSV)
        flipped[random.randrange(len(CSV))] ^= 1 << random.randrange(8)
        yield csv(f"a flipped bit, {number}", ANY, bytes(flipped))


def gzip_bomb(size):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = b"0" * (1 << 20)
    return packer.compress(CSV) + b"".join(packer.compress(zeros) for _ in range(size >> 20)) + packer.flush()


def compressed_texts(random):
    packed = gzip.compress(CSV, mtime=0)
    yield csv("gzip", SOUND, packed)
    yield csv("two members of gzip", SOUND, gzip.compress(CSV[:100], mtime=0) + gzip.compress(CSV[100:], mtime=0))
    for size in (2, 3, 9, 10, 11, 18, len(packed) // 2, len(packed) - 9, len(packed) - 8, len(packed) - 4, len(packed) - 1):
        yield csv(f"gzip cut after {size} bytes", REFUSED, packed[:size])
    for number in range(12):
        flipped = bytearray(packed)
        flipped[10 + random.randrange(len(packed) - 10)] ^= 1 << random.randrange(8)
        yield csv(f"gzip with a flipped bit, {number}", REFUSED, bytes(flipped))
    yield csv("gzip with noise after it", REFUSED, packed + b"noise", ("damaged",))
    yield csv("gzip with a wrong checksum", REFUSED, packed[:-8] + b"\0\0\0\0" + packed[-4:], ("damaged",))
    yield csv("gzip with a wrong length", REFUSED, packed[:-4] + b"\0\0\0\x7f", ("damaged",))
    yield csv("gzip with a reserved flag", REFUSED, packed[:3] + b"\xe0" + packed[4:], ("damaged",))
    yield csv("gzip with a name that does not end", REFUSED, b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 1000)
    yield csv("a bomb of gzip", REFUSED, lambda: gzip_bomb(400 << 20), ("times",))
    yield csv("a bomb of zstd", REFUSED, zstd_frames.bomb(2**31), ("times",))
    yield csv("a bomb of zstd in a stream", REFUSED, zstd_frames.bomb(2**31, window_descriptor=0x58), ("times",))
    yield csv("a bomb of line ends", REFUSED, zstd_frames.bomb(2**31, byte=b"\n"), ("times",))
    framed = zstd_frames.frame(CSV)
    yield csv("zstd", SOUND, framed)
    yield csv("two frames of zstd", SOUND, zstd_frames.frame(CSV[:100]) + zstd_frames.frame(CSV[100:]))
    for size in (5, 6, 12, 13, 15, 16, len(framed) // 2, len(framed) - 1):
        yield csv(f"zstd cut after {size} bytes", REFUSED, framed[:size], ("cut short",))
    for name, content in {"with noise after it": framed + b"noise", "that says it is smaller": zstd_frames.frame(CSV, content_size=10), "that says it is larger": zstd_frames.frame(CSV, content_size=2**40),
                          "with a reserved block": zstd_frames.header(10) + zstd_frames.block(3, 5, b"", True), "with a window of 2^41 bytes": zstd_frames.frame(CSV, window_descriptor=0xF8)}.items():
        yield csv(f"zstd {name}", REFUSED, content, ("damaged",))
    yield csv("a window of 2 GiB", ANY, zstd_frames.frame(CSV, window_descriptor=0xA8))


def odd_files():
    def case(name, write, path="c.csv", names=("c.csv",)):
        return Case("csv: " + name, "csv", REFUSED, write, CSV_SETTINGS, names, path=path)

    yield case("a folder instead of a file", lambda folder: (folder / "c.csv").mkdir())
    yield case("a pipe instead of a file", lambda folder: os.mkfifo(folder / "c.csv"))
    yield case("a link to nowhere", lambda folder: (folder / "c.csv").symlink_to(folder / "nowhere"))
    yield case("a link to itself", lambda folder: (folder / "c.csv").symlink_to(folder / "c.csv"))
    yield case("a device", lambda folder: (folder / "c.csv").symlink_to("/dev/zero"))

    def two(folder, second):
        (folder / "a.csv").write_bytes(CSV)
        (folder / "b.csv").write_bytes(second)

    yield case("a second file with another header", lambda folder: two(folder, CSV.replace(b"y,d", b"d,y", 1)), ".", ("b.csv", "header"))
    yield case("a second file that is cut short", lambda folder: two(folder, gzip.compress(CSV, mtime=0)[:-20]), ".", ("b.csv",))


def criteo_row(number):
    return "\t".join([str(number % 2), *(str(number * k) if k % 4 else "" for k in range(13)), *(f"{number * 31 + k:08x}" if k % 5 else "" for k in range(26))]).encode() + b"\n"


CRITEO_ROWS = [criteo_row(number) for number in range(20)]


def criteo(name, outcome, line=None, names=(), bad_rows=None, settings=(), content=None):
    text = b"".join(CRITEO_ROWS[:5]) + (b"" if line is None else line + b"\n") + b"".join(CRITEO_ROWS[5:]) if content is None else content
    return Case("criteo: " + name, "criteo", outcome, file_writer("t.tsv", text), settings, ("t.tsv", *names) if outcome in (REFUSED, BAD_ROWS) else (), bad_rows, "t.tsv")


def changed(position, value):
    fields = CRITEO_ROWS[3][:-1].split(b"\t")
    fields[position] = value
    return b"\t".join(fields)


def criteo_files(random):
    yield criteo("sound", SOUND)
    yield criteo("CRLF", SOUND, content=b"".join(CRITEO_ROWS).replace(b"\n", b"\r\n"))
    row = CRITEO_ROWS[3][:-1]
    for name, line in {"one field too few": row.rsplit(b"\t", 1)[0], "one field too many": row + b"\t", "two rows in one line": row + b"\t" + row, "half a row": row[:60], "commas": row.replace(b"\t", b","),
                       "a label alone": b"1"}.items():
        yield criteo(name, BAD_ROWS, line, ("6", "fields"), 1)
    for value in (b"", b"2", b"-1", b"1.0", b"x", b"01", b" 1", b"\xff"):
        yield criteo(f"a label of {value!r}", BAD_ROWS, changed(0, value), ("6",), 1)
    for value in (b"x", b"nan", b"inf", b"1e39", b"--1", b"1,5", b"0x1", b"9" * 400, b"1\0"):
        yield criteo(f"a count of {value[:10]!r}", BAD_ROWS, changed(4, value), ("6",), 1)
    yield criteo("a negative count", SOUND, changed(4, b"-3"))
    for value in (b"\xff\xfe", b"\xc3", b"a\0"):
        yield criteo(f"a category of {value!r}", BAD_ROWS, changed(20, value), ("6",), 1)
    for value in (b"xyz", b"-1", b"0x1f", b"1" * 16, b"1.5", b" 1", b"+1"):
        yield criteo(f"a hexadecimal category of {value!r}", BAD_ROWS, changed(20, value), ("6", "c7"), 1, ("categorical=hexadecimal",))
    yield criteo("hexadecimal categories as integers", BAD_ROWS, None, ("integer",), None, ("categorical=integer",))
    yield criteo("a header", BAD_ROWS, content=b"label\t" + b"\t".join(b"f%d" % k for k in range(39)) + b"\n" + b"".join(CRITEO_ROWS), names=(":1",), bad_rows=1)
    yield criteo("nothing", REFUSED, content=b"")
    yield criteo("noise", BAD_ROWS, content=random.randbytes(30_000))
    yield criteo("a line of 32 MB", REFUSED, content=lambda: b"".join(CRITEO_ROWS[:5]) + b"1\t" + b"2" * (32 << 20), names=("line 6", "MiB"))
    yield criteo("files without labels", BAD_ROWS, content=b"".join(line.split(b"\t", 1)[1] for line in CRITEO_ROWS), names=("39 fields",), bad_rows=20)
    for number in range(12):
        flipped = bytearray(b"".join(CRITEO_ROWS))
        flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
        yield criteo(f"a flipped bit, {number}", ANY, content=bytes(flipped))


RATINGS = b"user,item,rating,time\n" + b"".join(b"%d,%d,%d,%d\n" % (number % 5, number % 7, number % 5 + 1, 1000 + number) for number in range(40))


def ratings(name, outcome, content, names=(), bad_rows=None, settings=()):
    return Case("ratings: " + name, "ratings", outcome, file_writer("r.csv", content), settings, ("r.csv", *names) if outcome in (REFUSED, BAD_ROWS) else (), bad_rows, "r.csv")


def ratings_files(random):
    yield ratings("sound", SOUND, RATINGS)
    for name, line in {"one field too few": b"1,2,3", "one field too many": b"1,2,3,4,5", "an empty user": b",2,3,4", "an empty item": b"1,,3,4", "a rating of text": b"1,2,good,4", "a rating of nan": b"1,2,nan,4",
                       "a rating of inf": b"1,2,inf,4", "a rating of 1e39": b"1,2,1e39,4", "a time of text": b"1,2,3,now", "a time of 2^63": b"1,2,3,9223372036854775808", "a time with a fraction": b"1,2,3,1.5",
                       "an empty rating": b"1,2,,4", "a quote inside a field": b"1,2\"3,3,4", "no UTF-8": b"1,\xff,3,4", "a NUL byte": b"1,2\0,3,4"}.items():
        yield ratings(name, BAD_ROWS, RATINGS + line + b"\n" + RATINGS.split(b"\n", 1)[1], ("42",), 1)
    yield ratings("text ids where integers are asked for", BAD_ROWS, RATINGS + b"anna,2,3,4\n", ("42", "user"), 1, ("ids=integer",))
    yield ratings("no item column", REFUSED, RATINGS.replace(b"item", b"thing", 1), ("item",))
    yield ratings("nothing", REFUSED, b"")
    yield ratings("a header alone", REFUSED, b"user,item,rating,time\n")
    yield ratings("noise", REFUSED, random.randbytes(20_000))
    yield ratings("a quote that is not closed", REFUSED, RATINGS + b"\"1,2,3,4\n" + RATINGS.split(b"\n", 1)[1], ("line 42", "quote"))
    yield ratings("a line of 32 MB", REFUSED, lambda: RATINGS + b"1" * (32 << 20), ("line 42", "MiB"))
    yield ratings("gzip cut short", REFUSED, gzip.compress(RATINGS, mtime=0)[:-15])
    lists = b"".join(b"%d %s\n" % (user, b" ".join(b"%d" % ((user * 3 + k) % 11) for k in range(4))) for user in range(9))
    yield ratings("sound lists", SOUND, lists, settings=("format=lists",))
    for name, line in {"two spaces": b"1 2  3", "no UTF-8": b"1 \xff 3", "a NUL byte": b"1 2\0 3"}.items():
        yield ratings(f"lists with {name}", BAD_ROWS, lists + line + b"\n" + lists, ("10",), 1, ("format=lists",))
    for number in range(12):
        flipped = bytearray(RATINGS)
        flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
        yield ratings(f"a flipped bit, {number}", ANY, bytes(flipped))


def negatives():
    train = RATINGS
    for name, content in {"that are no pairs": b"1\t2\t3\n", "cut short": b"(1,2", "without items": b"(1,2)\n", "with an empty item": b"(1,2)\t3\t\t4\n", "that are no UTF-8": b"(1,2)\t\xff\n", "empty": b"",
                          "of NUL bytes": bytes(50), "with a line of 32 MB": lambda: b"(1,2)\t" + b"3" * (32 << 20)}.items():

        def write(folder, content=content):
            (folder / "r.csv").write_bytes(train)
            file_writer("n.tsv", content)(folder)

        yield Case(f"ratings: negatives {name}", "ratings", REFUSED, write, ("holdout=leave_one_out", "/negatives_path=n.tsv"), ("n.tsv",), path="r.csv")


def cases(random):
    for group in (csv_rows(), csv_files(random), compressed_texts(random), odd_files(), criteo_files(random), ratings_files(random), negatives()):
        yield from group
