"""What the hygiene tests share: the files of the project, and how a finding is reported."""

import os
import subprocess
import sys

ROOT = os.environ.get("RECHOST_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# ctest sets these; by hand the ci build is meant.
BUILD = os.environ.get("RECHOST_BUILD_DIR") or os.path.join(ROOT, "build/ci")
PROGRAM = os.environ.get("RECHOST_BIN") or os.path.join(BUILD, "bin/rechost")
CODE = (".h", ".hpp", ".c", ".cpp", ".cu", ".cuh")


def files(*folders, endings=None):
    """Paths relative to the root, sorted: everything git would commit, or all files where there is no git (a source archive)."""
    listing = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             capture_output=True, check=False)
    if listing.returncode == 0:
        names = listing.stdout.decode().split("\0")
    else:
        names = []
        for folder, inner, leaves in os.walk(ROOT):
            inner[:] = [name for name in inner if name not in ("build", "runs", ".git")]
            names += [os.path.relpath(os.path.join(folder, leaf), ROOT) for leaf in leaves]
    found = set()
    for name in names:
        inside = not folders or any(name.startswith(folder + "/") for folder in folders)
        if name and inside and (endings is None or name.endswith(endings)) and os.path.isfile(os.path.join(ROOT, name)):
            found.add(name)
    return sorted(found)


def text(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as source:
        return source.read()


def lines(name):
    """(number from 1, line) pairs."""
    return enumerate(text(name).splitlines(), start=1)


def require(names, what):
    """A check that looked at nothing has checked nothing."""
    if not names:
        finish([f"nothing to check: {what}"], 0)
    return names


def finish(findings, checked):
    for finding in findings:
        print(finding)
    print(f"{checked} checked, {len(findings)} wrong")
    sys.exit(1 if findings else 0)
