"""No name that says nothing: not in file and folder names, not in the names of types and namespaces."""

import os
import re

import tree

BANNED = {"util", "utils", "utility", "utilities", "helper", "helpers", "common", "misc", "manager", "managers", "v2", "new", "old"}
DECLARATION = re.compile(r"^\s*(?:template\s*<[^;{]*>\s*)?(?:class|struct|enum(?:\s+class)?|namespace)\s+(?:\[\[\w+\]\]\s*)?([A-Za-z_][\w:]*)")


def words(name):
    """`BatchManager`, `batch_manager` and `batch-manager.h` all have the word `manager`."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word]


def main():
    findings = []
    names = tree.require(tree.files(), "no files")
    for name in names:
        for part in name.split("/"):
            for word in BANNED.intersection(words(part)):
                findings.append(f"{name}: '{word}' in a file name; say what is inside")
        if not name.endswith(tree.CODE):
            continue
        # A template's @NAME@ becomes the name that its user gives.
        if not re.fullmatch(r"(@NAME@|[a-z0-9_]+)(\.[a-z0-9_]+)*", os.path.basename(name)):
            findings.append(f"{name}: file names are snake_case")
        for number, line in tree.lines(name):
            match = DECLARATION.match(line)
            if match:
                for word in BANNED.intersection(words(match.group(1))):
                    findings.append(f"{name}:{number}: '{word}' in {match.group(1)}; say what it does")
    tree.finish(findings, len(names))


if __name__ == "__main__":
    main()
