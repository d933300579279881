"""Every header compiles alone: in core/ as C++20, the C ABI also as strict C99, the SDK with each compiler that is here."""

import os
import shutil

import compile
import tree

CORE = ["-std=c++20", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Werror", "-Icore", "-Isdk/include"]
SDK = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Isdk/include"]
C99 = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Isdk/include"]


def main():
    os.chdir(tree.ROOT)
    core = tree.require(tree.files("core", endings=(".h",)), "core/ has no headers")
    sdk = tree.require(tree.files("sdk/include", endings=(".h", ".hpp")), "sdk/include has no headers")
    jobs = [(name, name.removeprefix("core/"), "g++", CORE, ".cpp") for name in core]
    for c_compiler, compiler in (("gcc", "g++"), ("clang", "clang++")):
        if compiler != "g++" and not shutil.which(compiler):
            print(f"without {compiler}: the SDK was checked with g++ only")
            continue
        for name in sdk:
            path = name.removeprefix("sdk/include/")
            if os.path.basename(name).startswith("torch"):
                continue  # test_torch_headers.py: needs LibTorch and half a minute
            jobs.append((name, path, compiler, SDK, ".cpp"))
            if "/cxx/" not in name:
                jobs.append((name, path, c_compiler, C99, ".c"))
    tree.finish(compile.check(jobs), len(jobs))


if __name__ == "__main__":
    main()
