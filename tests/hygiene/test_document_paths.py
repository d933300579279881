"""Every path that a document names is there: links, and paths of this repository in back quotes."""

import glob
import os
import re

import tree

LINK = re.compile(r"\]\(([^)\s]+)\)")
QUOTED = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^\s*```")
# Placeholders: documents may speak of files that the reader is going to make.
PLACEHOLDER = re.compile(r"[<>$…]|\.\.\.")


def braces(path):
    """Expand {a,b} as a shell does."""
    match = re.search(r"\{([^{}]*)\}", path)
    if not match:
        return [path]
    return [whole for part in match.group(1).split(",") for whole in braces(path[:match.start()] + part + path[match.end():])]


def exists(path):
    return bool(glob.glob(path) if "*" in path else os.path.exists(path))


def main():
    os.chdir(tree.ROOT)
    findings = []
    documents = tree.require(tree.files(endings=(".md",)), "no documents")
    tops = {name.split("/")[0] for name in tree.files() if "/" in name}
    checked = 0
    for document in documents:
        folder = os.path.dirname(document)
        for number, line in tree.lines(document):
            for target in LINK.findall(line):
                target = target.split("#")[0]
                if not target or re.match(r"[a-z]+:", target):
                    continue
                checked += 1
                if not exists(os.path.join(folder, target)):
                    findings.append(f"{document}:{number}: the link to {target} leads nowhere")
            for quoted in QUOTED.findall(line):
                for word in quoted.split():
                    word = word.strip(",;:()").rstrip(".").removeprefix("./")
                    if "/" not in word or word.split("/")[0] not in tops or PLACEHOLDER.search(word):
                        continue
                    for path in braces(word):
                        path = re.sub(r":\d+$", "", path)
                        checked += 1
                        if not exists(path) and not exists(os.path.join(folder, path)):
                            findings.append(f"{document}:{number}: there is no {path}")
    tree.finish(findings, checked)


if __name__ == "__main__":
    main()
