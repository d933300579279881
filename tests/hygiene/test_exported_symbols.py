"""Binaries show what they should: a plugin one function and its note; the program no LibTorch, no Gloo; the CUDA module no CUDA."""

import glob
import json
import os
import re
import struct
import subprocess

import tree

ENTRY = "rechost_plugin_v1"


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def exported(path):
    return [line.split()[-1] for line in output_of("nm", "-D", "--defined-only", path).splitlines() if line.strip()]


def needed(path):
    return re.findall(r"\(NEEDED\).*\[(.*?)\]", output_of("readelf", "-d", path))


def note_of(path):
    """The descriptor of .note.rechost, read from the section's bytes as the host does; None when there is no such section."""
    match = re.search(r"\.note\.rechost\s+NOTE\s+\S+\s+([0-9a-f]+)\s+([0-9a-f]+)", output_of("readelf", "-SW", path))
    if not match:
        return None
    with open(path, "rb") as source:
        source.seek(int(match.group(1), 16))
        section = source.read(int(match.group(2), 16))
    owner_size, size, kind = struct.unpack_from("<III", section)
    owner = section[12:12 + owner_size]
    if owner != b"rechost\0" or kind != 1:
        return None
    begin = 12 + (owner_size + 3) // 4 * 4
    return json.loads(section[begin:begin + size])


def check_plugin(path, findings):
    name = os.path.basename(path)
    symbols = exported(path)
    if symbols != [ENTRY]:
        findings.append(f"{name}: exports {symbols[:10]}, should export {ENTRY} alone")
    note = note_of(path)
    if note is None:
        findings.append(f"{name}: has no note .note.rechost of type 1 and owner rechost")
        return
    if note["sdk_major"] != 1 or note["name"] + ".so" != name or not note["modules"]:
        findings.append(f"{name}: its note does not fit: {note}")
    links_torch = any(library.startswith("libtorch") for library in needed(path))
    if links_torch != ("torch" in note):
        findings.append(f"{name}: {'links' if links_torch else 'does not link'} LibTorch, but its note says otherwise: {note}")
    tags = re.findall(r"\((RPATH|RUNPATH)\).*\[(.*?)\]", output_of("readelf", "-d", path))
    for _, entries in tags:
        for entry in entries.split(":"):
            if not entry.startswith("$ORIGIN/"):
                findings.append(f"{name}: search path '{entry}' is not relative to the plugin")


def main():
    findings = []
    plugins = tree.require(sorted(glob.glob(os.path.join(tree.BUILD, "lib/rechost/plugins/*.so"))), "no plugin was built")
    for path in plugins:
        check_plugin(path, findings)
    sources = {name.split("/")[2] for name in tree.files("plugins", endings=(".cpp", ".c"))} - {"text", "layers"}
    for name in sorted(sources - {os.path.basename(path)[:-3] for path in plugins}):
        findings.append(f"plugins/*/{name} has sources, but {name}.so was not built")

    if not os.path.exists(tree.PROGRAM):
        findings.append(f"{tree.PROGRAM} was not built")
    else:
        for library in needed(tree.PROGRAM):
            if re.match(r"lib(torch|c10|gloo|nccl|cudart|python|arrow|parquet)", library):
                findings.append(f"rechost needs {library}; it must start without it")
        own = [symbol for symbol in exported(tree.PROGRAM) if "rechost" in symbol]
        if own:
            findings.append(f"rechost exports symbols of its own, which plugins could bind to: {own[:10]}")
    checked = len(plugins) + 1
    module = os.path.join(tree.BUILD, "lib/rechost/rechost_cuda.so")
    if os.path.exists(module):  # the build found a CUDA toolkit
        checked += 1
        others = [symbol for symbol in exported(module) if not symbol.startswith("rechost_cuda_")]
        if others:
            findings.append(f"rechost_cuda.so shows symbols that are not its own: {others[:10]}")
        for library in needed(module):
            if re.match(r"lib(cu|nv|nccl|torch|c10)", library):
                findings.append(f"rechost_cuda.so needs {library}; it must load on a machine without CUDA")
    tree.finish(findings, checked)


if __name__ == "__main__":
    main()
