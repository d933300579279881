"""Compiles headers alone. Objects go through the compiler cache, so that only a changed header costs time."""

import concurrent.futures
import hashlib
import os
import shutil
import subprocess

import tree

CACHE = [shutil.which("ccache")] if shutil.which("ccache") else []
WORK = os.path.join(tree.BUILD, "header-checks")


def alone(header, compiler, flags, ending):
    """Compile a file that includes `header` (twice: it must guard itself) and nothing else. Returns what the compiler said, or None."""
    os.makedirs(WORK, exist_ok=True)
    key = hashlib.sha256(repr((header, compiler, flags)).encode()).hexdigest()[:16]
    stub = os.path.join(WORK, key + ending)
    content = f'#include "{header}"\n#include "{header}"\n'
    if not os.path.exists(stub):
        with open(stub, "w", encoding="utf-8") as sink:
            sink.write(content)
    result = subprocess.run([*CACHE, compiler, *flags, "-c", stub, "-o", stub + ".o"], capture_output=True, text=True, check=False)
    return None if result.returncode == 0 else result.stderr.strip()


def check(jobs):
    """jobs: (header name for messages, include path, compiler, flags, ending). Returns findings."""
    findings = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = [(job, pool.submit(alone, *job[1:])) for job in jobs]
        for (name, _, compiler, flags, _), result in results:
            said = result.result()
            if said is not None:
                first = "\n    ".join(said.splitlines()[:12])
                findings.append(f"{name}: does not compile alone with {compiler} {' '.join(flags)}\n    {first}")
    return findings
