"""The headers that use LibTorch compile alone; apart from the others, because each takes half a minute the first time."""

import os
import re

import compile
import tree


def main():
    os.chdir(tree.ROOT)
    cache = open(os.path.join(tree.BUILD, "CMakeCache.txt"), encoding="utf-8").read()
    root = re.search(r"^RECHOST_LIBTORCH_ROOT:PATH=(.+)$", cache, re.MULTILINE)
    if not root:
        tree.finish(["this build was configured without LibTorch"], 0)
    include = os.path.join(root.group(1), "torch/include")
    flags = ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-Isdk/include", "-Iplugins/models",
             "-isystem", include, "-isystem", os.path.join(include, "torch/csrc/api/include")]
    sdk = [name for name in tree.files("sdk/include", endings=(".hpp",)) if os.path.basename(name).startswith("torch")]
    layers = tree.files("plugins/models/layers", endings=(".h", ".hpp"))
    jobs = [(name, name.removeprefix("sdk/include/").removeprefix("plugins/models/"), "g++", flags, ".cpp")
            for name in tree.require(sdk, "no torch header in sdk/include/rechost/cxx") + layers]
    tree.finish(compile.check(jobs), len(jobs))


if __name__ == "__main__":
    main()
