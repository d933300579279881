"""Floors look down: no include goes sideways or up, plugins know only the SDK, the SDK knows nothing of the core."""

import os
import re

import tree

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
C_HEADERS = {"stddef.h", "stdint.h", "string.h"}

# What only some floors may do, and why it is not for the others.
RESERVED = [
    (re.compile(r"\b(std::|::)?(secure_)?getenv\s*\(|\benviron\b"), {"app"}, "reads the environment; only core/app does, and hands values down"),
    (re.compile(r"(?<![\w.:>])(std::|::)?(quick_)?exit\s*\(|\bstd::(abort|terminate)\s*\("), {"app"}, "ends the process; throw an Error, core/app decides"),
    (re.compile(r"\bdlopen\s*\(|<dlfcn\.h>|<boost/dll"), {"plugin", "comm", "device", "data"}, "opens shared libraries; only core/plugin does, and comm, device and data for their own modules"),
]


def levels():
    table = re.search(r"set\(RECHOST_FLOOR_LEVELS([^)]*)\)", tree.text("packaging/cmake/RechostFloor.cmake")).group(1)
    return {name: int(level) for name, level in re.findall(r"(\w+)=(\d+)", table)}


def without_comment(line):
    return line.split("//", 1)[0]


def includes(name):
    for number, line in tree.lines(name):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def check_core(level_of, findings):
    names = tree.require(tree.files("core", endings=tree.CODE), "core/ has no sources")
    for name in names:
        floor = name.split("/")[1]
        if floor not in level_of:
            findings.append(f"{name}: core/{floor} is not in the table of floors in packaging/cmake/RechostFloor.cmake")
            continue
        for number, quoted, path in includes(name):
            place = f"{name}:{number}"
            if path.startswith("rechost/") and floor != "plugin":
                findings.append(f"{place}: includes the SDK ({path}); only core/plugin does")
            if path.startswith(("torch/", "ATen/", "c10/")):
                findings.append(f"{place}: includes LibTorch ({path}); only model plugins do")
            if not quoted or path.startswith("rechost/"):
                continue
            other = path.split("/")[0]
            if other not in level_of or not os.path.isfile(os.path.join(tree.ROOT, "core", path)):
                findings.append(f'{place}: "{path}" is not a header of core/; write it as "<floor>/<file>.h"')
            elif other != floor and level_of[other] >= level_of[floor]:
                findings.append(f"{place}: core/{floor} (level {level_of[floor]}) includes {path} (level {level_of[other]}); "
                                "a floor includes itself and lower ones only")
        for number, line in tree.lines(name):
            for pattern, allowed, why in RESERVED:
                if floor not in allowed and pattern.search(without_comment(line)):
                    findings.append(f"{name}:{number}: {why}")
    return len(names)


def check_plugins(findings):
    names = tree.require(tree.files("plugins", endings=tree.CODE), "plugins/ has no sources")
    for name in names:
        kind = "/".join(name.split("/")[:2])
        for number, quoted, path in includes(name):
            if not quoted or path.startswith("rechost/"):
                if path.startswith("rechost/") and not os.path.isfile(os.path.join(tree.ROOT, "sdk/include", path)):
                    findings.append(f"{name}:{number}: {path} is not in sdk/include")
                continue
            homes = [os.path.dirname(name), kind]
            candidates = [os.path.normpath(os.path.join(home, path)) for home in homes]
            if not any(c.startswith("plugins/") and os.path.isfile(os.path.join(tree.ROOT, c)) for c in candidates):
                findings.append(f'{name}:{number}: "{path}" is neither beside this file nor in {kind}; plugins include <rechost/...> only')
    return len(names)


def check_sdk(findings):
    names = tree.require(tree.files("sdk/include", endings=tree.CODE), "sdk/include has no headers")
    for name in names:
        is_c = "/cxx/" not in name
        may_torch = os.path.basename(name).startswith("torch")
        for number, quoted, path in includes(name):
            place = f"{name}:{number}"
            homes = ["sdk/include", os.path.dirname(name)] if quoted else ["sdk/include"]
            ours = any(os.path.isfile(os.path.join(tree.ROOT, home, path)) for home in homes)
            if (quoted or path.startswith("rechost/")) and not ours:
                findings.append(f"{place}: {path} is not in sdk/include; the SDK includes nothing of core/")
            elif is_c and not ours and path not in C_HEADERS:
                findings.append(f"{place}: the C ABI includes {path}; only {', '.join(sorted(C_HEADERS))} are allowed")
            elif path.startswith(("torch/", "ATen/", "c10/")) and not may_torch:
                findings.append(f"{place}: only cxx/torch*.hpp may include LibTorch, so that a plain plugin builds without it")
    return len(names)


def main():
    findings = []
    level_of = levels()
    checked = check_core(level_of, findings) + check_plugins(findings) + check_sdk(findings)
    tree.finish(findings, checked)


if __name__ == "__main__":
    main()
