"""Put beside libraries of Debian's that a package brings along the copyright files that Debian has for them.

Usage: bundled_licenses.py LIBRARIES TARGET     two folders: where the libraries lie, and where their licenses go
"""

import os
import shutil
import subprocess
import sys


def owner(library):
    """The package that the library came from."""
    done = subprocess.run(["dpkg", "--search", f"*/{library}"], capture_output=True, text=True)
    packages = {line.split(":")[0] for line in done.stdout.splitlines() if not line.startswith("diversion ")}
    if len(packages) != 1:
        sys.exit(f"{library} is in {sorted(packages) or 'no package'}: whose license does it have?")
    return packages.pop()


def main(libraries, target):
    os.makedirs(target, exist_ok=True)
    for library in sorted(os.listdir(libraries)):
        path = os.path.join(libraries, library)
        # Other components' folders, and our own modules.
        if os.path.isdir(path) or library.startswith("rechost_"):
            continue
        package = owner(library)
        # Named after the source: its packages have one license.
        source = subprocess.run(["dpkg-query", "--show", "--showformat", "${source:Package}", package], capture_output=True, text=True, check=True)
        shutil.copyfile(f"/usr/share/doc/{package}/copyright", os.path.join(target, f"{source.stdout}.copyright"))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
