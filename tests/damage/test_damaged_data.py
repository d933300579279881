"""Damaged data sets, made here by a fixed seed: each ends in a clear error that names the place, or in rows that are refused by name; never in
a crash, a hang or a flood of memory. Under the sanitizers (preset asan) the same inputs show what only they can see.

With arguments it runs the cases whose names contain one of them, and shows what the program says."""
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import resource
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from program import BIN, BUILD, expect, folder, main  # noqa: E402

import mds_damage  # noqa: E402
import parquet_damage  # noqa: E402
import text_damage  # noqa: E402
from damaged_case import ANY, BAD_ROWS, REFUSED, SOUND  # noqa: E402

SEED = 20240229
# The program needs 60 MB for these inputs, its threads and libraries reserve 600 MB of addresses.
ADDRESS_BYTES = 1536 << 20
FILE_BYTES = 512 << 20  # of temporary files
SECONDS = 60
SANITIZED = "RECHOST_SANITIZE:STRING=address" in (BUILD / "CMakeCache.txt").read_text()
SIGNS_OF_A_CRASH = ("terminate called", "AddressSanitizer", "runtime error:", "LeakSanitizer", "Segmentation", "core dumped", "bad_alloc", "std::", "what():")


def all_cases():
    """The same list for the same seed."""
    cases = []
    for module in (mds_damage, text_damage, parquet_damage):
        cases += module.cases(random.Random(SEED))
    counts = collections.Counter(case.name for case in cases)
    expect(max(counts.values()) == 1, f"two cases of one name: {counts.most_common(3)}")
    return cases


def limit():
    """For the processes that this one starts, which inherit it: a function between fork and exec would copy all of this one each time."""
    if not SANITIZED:  # their shadow memory alone takes terabytes of addresses
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(*arguments):
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=99:hard_rss_limit_mb=1024:allocator_may_return_null=1",
                       UBSAN_OPTIONS="print_stacktrace=1:exitcode=99")
    done = subprocess.run([BIN, *map(str, arguments)], env=environment, timeout=SECONDS, capture_output=True, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def check_sane(code, err):
    expect(code in (0, 1, 78), f"exit code {code}\n{err}")
    for sign in SIGNS_OF_A_CRASH:
        expect(sign not in err, f"«{sign}» in the message\n{err}")
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    expect(len(errors) == (0 if code == 0 else 1), f"exit code {code} with {len(errors)} lines «error: »\n{err}")
    expect(len(err) < 20_000, f"a message of {len(err)} characters: {err[:500]}")
    return errors[0] if errors else ""


def check(case):
    with folder() as place:
        place = pathlib.Path(place)
        case.write(place)
        code, out, err = run("data", "verify", *case.arguments(place), "--output", "json")
        message = check_sane(code, err)
        if code == 0:
            expect(json.loads(out)["sound"] is True, out)
        elif code == 1 and out:
            expect(json.loads(out)["sound"] is False, out)
        if case.outcome == SOUND:
            expect(code == 0, f"it is sound, and refused: {err}")
        if case.outcome == REFUSED:
            expect(code in (1, 78), f"it is damaged, and accepted: {out}")
            if out:
                splits = json.loads(out)["splits"]
                expect(any("error" in split or split["broken_chunks"] > 0 for split in splits), f"rows are refused where the file should be: {out}")
        if case.outcome == BAD_ROWS:
            expect(code == 1, f"exit code {code}: {err}")
            splits = json.loads(out)["splits"]
            expect(all("error" not in split and split["broken_chunks"] == 0 for split in splits), f"more than rows is refused: {out}")
            bad = sum(split["bad_rows"] for split in splits)
            expect(case.bad_rows in (None, bad), f"{bad} bad rows, not {case.bad_rows}: {out}")
        if case.outcome in (REFUSED, BAD_ROWS):
            for name in case.names:
                expect(name in message, f"the message lacks «{name}»: {message}")
        if case.outcome != REFUSED:
            # Rows get past the loader: then the statistics end well too, whatever they make of them.
            code, _, err = run("data", "stats", *case.arguments(place), "--output", "json")
            check_sane(code, err)
        return message


def try_case(case):
    try:
        return case, check(case), None
    except subprocess.TimeoutExpired:
        return case, "", f"still running after {SECONDS} s"
    except Exception as error:
        return case, "", f"{type(error).__name__}: {error}"


def every_damaged_input_is_refused_with_a_clear_error():
    wanted = sys.argv[1:]
    cases = [case for case in all_cases() if not wanted or any(text in case.name for text in wanted)]
    failures = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        for case, message, failure in threads.map(try_case, cases):
            if failure:
                failures.append(f"{case.name}: {failure}")
            elif wanted:
                print(f"{case.name}\n    {message}")
    print(f"{len(cases)} damaged inputs, {len(failures)} failures", flush=True)
    expect(not failures, "\n".join(failures))
    expect(wanted or len(cases) >= 200, "cases are missing")


if __name__ == "__main__":
    limit()
    main([every_damaged_input_is_refused_with_a_clear_error])
