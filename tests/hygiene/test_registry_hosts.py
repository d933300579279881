"""No file names the host of a package registry: clients know theirs, and a mirror must stay the user's choice."""

import re

import tree

# In parts, so that this file passes its own check.
HOSTS = [
    ("pypi", "org"), ("pythonhosted", "org"), ("download.pytorch", "org"), ("anaconda", "org"), ("anaconda", "com"),
    ("debian", "org"), ("archive.ubuntu", "com"), ("docker", "io"), ("docker", "com"), ("ghcr", "io"), ("quay", "io"),
    ("gcr", "io"), ("nvcr", "io"), ("crates", "io"), ("npmjs", "org"), ("npmjs", "com"), ("golang", "org"),
    ("maven", "org"), ("rubygems", "org"), ("conan", "io"), ("developer.download.nvidia", "com"),
]
PATTERN = re.compile(r"(?<![\w-])(" + "|".join(re.escape(".".join(host)) for host in HOSTS) + r")(?![\w-])", re.IGNORECASE)


def main():
    findings = []
    names = tree.require([name for name in tree.files() if name != "LICENSE"], "no files")
    for name in names:
        for number, line in tree.lines(name):
            match = PATTERN.search(line)
            if match:
                findings.append(f"{name}:{number}: names the registry host {match.group(1)}")
    tree.finish(findings, len(names))


if __name__ == "__main__":
    main()
