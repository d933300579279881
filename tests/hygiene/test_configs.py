"""Every shipped configuration begins with a comment that says what it shows, and resolves without an error."""

import os
import re
import subprocess

import tree


def main():
    os.chdir(tree.ROOT)
    findings = []
    if not os.path.exists(tree.PROGRAM):
        tree.finish([f"{tree.PROGRAM} was not built"], 0)
    names = tree.require(tree.files("configs", endings=(".toml",)), "configs/ has no .toml")
    for name in names:
        content = tree.text(name)
        if not content.startswith("#"):
            findings.append(f"{name}: begins without a comment that says what it shows, time, memory")
        # A path may hold ${NAME}; whether that folder is here is not the question.
        environment = dict(os.environ)
        for variable in re.findall(r"\$\{(\w+)\}", content):
            environment.setdefault(variable, "/nonexistent")
        result = subprocess.run([tree.PROGRAM, "config", "show", "--config", name], capture_output=True, text=True, timeout=60,
                                env=environment, check=False)
        if result.returncode != 0:
            findings.append(f"{name}: `rechost config show` ended with {result.returncode}: {result.stderr.strip()}")
        elif not result.stdout.strip():
            findings.append(f"{name}: `rechost config show` printed nothing")
    tree.finish(findings, len(names))


if __name__ == "__main__":
    main()
