"""Write a package's changelog.Debian.gz from CHANGELOG.md.

Usage: debian_changelog.py CHANGELOG.md PACKAGE VERSION TARGET

Each "## version" of the file becomes an entry. A package with a version of its own, such as rechost-libtorch, has one entry. The date is
SOURCE_DATE_EPOCH, so that the same sources make the same file.
"""

import email.utils
import gzip
import os
import re
import sys
import textwrap

MAINTAINER = "rechost maintainers <maintainers@rechost.invalid>"


def entries(text):
    """[(version, [change])], latest first."""
    found = []
    for line in text.splitlines():
        heading = re.match(r"^## (\d+\.\d+\.\d+)", line)
        if heading:
            found.append((heading.group(1), []))
        elif line.startswith("- ") and found:
            found[-1][1].append(line[2:])
        elif line.startswith("  ") and found and found[-1][1]:
            found[-1][1][-1] += " " + line.strip()
    return found


def main(changelog, package, version, target):
    with open(changelog) as file:
        found = entries(file.read())
    if version not in (entry[0] for entry in found):
        if not package.startswith("rechost-libtorch"):
            sys.exit(f"{changelog} says nothing of version {version}")
        found = [(version, [f"LibTorch {version}, as pinned in packaging/dependencies.lock."])]
    date = email.utils.formatdate(float(os.environ["SOURCE_DATE_EPOCH"]))
    out = ""
    for number, changes in found:
        lines = [textwrap.fill(change, 78, initial_indent="  * ", subsequent_indent="    ", break_on_hyphens=False) for change in changes]
        out += f"{package} ({number}-1) unstable; urgency=medium\n\n" + "\n".join(lines) + f"\n\n -- {MAINTAINER}  {date}\n\n"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(gzip.compress(out.rstrip("\n").encode() + b"\n", 9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
