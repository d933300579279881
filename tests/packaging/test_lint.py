# label: packaging
"""lintian and rpmlint have nothing to object, the binaries are hardened, and no file names a folder of the machine that built it."""
import os
import pathlib
import re
import tempfile

from chroot import SOURCE, expect, main, run
from repository import packages


def lintian_objects_to_nothing():
    # The information that is shown tells of overrides that nothing needs, too.
    done = run("lintian", "--allow-root", "--display-info", "--fail-on", "error,warning,info", *packages("deb").values(), check=False)
    expect(done.returncode == 0, done.stdout + done.stderr)


def every_override_has_a_reason():
    for file in sorted((SOURCE / "packaging/deb").glob("*.lintian-overrides")):
        before = ""
        for number, line in enumerate(file.read_text().splitlines(), 1):
            expect(line.startswith("#") or before, f"{file.name}:{number}: no reason above it")
            before = line


def rpmlint_objects_to_nothing():
    done = run("rpmlint", "--config", SOURCE / "packaging/rpm/rpmlint.toml", *packages("rpm").values(), check=False)
    expect(done.returncode == 0 and "0 errors, 0 warnings" in done.stdout, done.stdout + done.stderr)


def unpacked(kind, file, folder):
    folder.mkdir()
    if kind == "deb":
        run("dpkg-deb", "--extract", file, folder)
    else:
        run("sh", "-c", 'rpm2cpio "$0" | cpio --extract --make-directories --quiet', file, cwd=folder)
    return [pathlib.Path(place, name) for place, _, names in os.walk(folder) for name in names]


def check_binary(file):
    header = run("readelf", "--wide", "--dynamic", "--program-headers", file).stdout
    for path in re.findall(r"R(?:UN)?PATH\)\s+Library r(?:un)?path: \[(.*)\]", header):
        expect(all(entry.startswith("$ORIGIN") for entry in path.split(":")), f"{file}: searches {path}")
    # What comes from elsewhere, in folders of its own or as lib*.so, is as its makers linked it.
    if "/rechost/libtorch/" in str(file) or "/rechost/arrow/" in str(file) or file.name.startswith("lib"):
        return
    expect("GNU_RELRO" in header and re.search(r"BIND_NOW|FLAGS_1.*NOW", header), f"{file}: not linked with relro and now")
    expect(not re.search(r"GNU_STACK.*RWE", header), f"{file}: its stack is executable")
    expect("not stripped" not in run("file", "--brief", file).stdout, f"{file}: not stripped")


def binaries_are_hardened_and_know_no_folder_of_this_machine():
    places = [str(SOURCE).encode(), os.environ.get("RECHOST_CACHE", os.path.expanduser("~/.cache/rechost")).encode()]
    with tempfile.TemporaryDirectory(prefix="rechost-test-") as place:
        for kind in ("deb", "rpm"):
            binaries = 0
            for name, package in packages(kind).items():
                for file in unpacked(kind, package, pathlib.Path(place, f"{kind}-{name}")):
                    content = b"" if file.is_symlink() else file.read_bytes()
                    found = [entry.decode() for entry in places if entry in content]
                    expect(not found, f"{kind} {name}: {file.relative_to(place)} names {found}")
                    if content.startswith(b"\x7fELF"):
                        check_binary(file)
                        binaries += 1
            expect(binaries >= 14, f"{kind}: only {binaries} binaries in all packages")


def the_program_uses_the_guarded_functions():
    with tempfile.TemporaryDirectory(prefix="rechost-test-") as place:
        unpacked("deb", packages("deb")["rechost"], pathlib.Path(place, "deb"))
        program = pathlib.Path(place, "deb/usr/bin/rechost")
        symbols = run("readelf", "--wide", "--dyn-syms", program).stdout
        expect("__stack_chk_fail" in symbols and "_chk@" in symbols, "neither a stack protector nor fortified functions")
        expect(re.search(r"Type:\s+DYN", run("readelf", "--file-header", program).stdout), "not position independent")


def zsh_reads_the_completion():
    with tempfile.TemporaryDirectory(prefix="rechost-test-") as place:
        unpacked("deb", packages("deb")["rechost"], pathlib.Path(place, "deb"))
        folder = pathlib.Path(place, "deb/usr/share/zsh/vendor-completions")
        # As compinit does: found by its first line, and loaded whole.
        script = f"""
fpath=({folder} $fpath)
autoload -Uz compinit && compinit -D -u
[[ $_comps[rechost] == _rechost ]] || exit 3
autoload +X _rechost && print -r -- "$functions[_rechost]"
"""
        done = run("zsh", "--no-rcs", "-c", script)
        expect(done.stderr == "" and "_arguments" in done.stdout, done.stdout[:500] + done.stderr)


main([lintian_objects_to_nothing, every_override_has_a_reason, rpmlint_objects_to_nothing,
      binaries_are_hardened_and_know_no_folder_of_this_machine, the_program_uses_the_guarded_functions,
      zsh_reads_the_completion])
