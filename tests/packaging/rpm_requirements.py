"""What our rpm packages may ask of a distribution, and the oldest that has it."""
import re

# Libraries that RHEL 10, Fedora 37, openSUSE Leap 16 and what follows them have under these names.
LIBRARIES = {
    "ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libgcc_s.so.1",
    "libstdc++.so.6", "libz.so.1", "libzstd.so.1", "libbrotlidec.so.1", "libbrotlienc.so.1", "libxxhash.so.0", "libsqlite3.so.0", "libcurl.so.4", "libcrypto.so.3", "libibverbs.so.1",
}
# Newest versions of symbols that may be needed: those of glibc 2.34 and of GCC 12, and the first of libibverbs, OpenSSL 3 and zlib 1.2.
CEILINGS = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13), "GCC": (12, 0, 0), "IBVERBS": (1, 1), "OPENSSL": (3, 0, 0), "ZLIB": (1, 2, 0)}
SYMBOL = re.compile(r"^(?P<library>[^()]+\.so[^()]*)\((?:(?P<set>[A-Z_]+)_(?P<version>[\d.]+))?\)\(64bit\)$")
# Not libraries: what rpm itself can do, our own packages, the shell of the script for Slurm, and what the SDK works with.
OTHERS = re.compile(r"^(/bin/bash$|rpmlib\(|rtld\(|rechost|(gcc-c\+\+|cmake|make|json-devel)( |$))")


def objections(requirements):
    """What a list of `rpm --query --requires` asks for that it may not."""
    found = []
    for line in requirements:
        match = SYMBOL.match(line)
        if match is None:
            if not OTHERS.match(line):
                found.append(f"{line}: not known to be in every distribution")
            continue
        if match["library"] not in LIBRARIES:
            found.append(f"{line}: not known to be in every distribution; bundle it (RECHOST_BUNDLED_LIBRARIES) or list it here")
        if match["set"]:
            version = tuple(map(int, match["version"].split(".")))
            if version > CEILINGS.get(match["set"], ()):
                found.append(f"{line}: newer than the oldest distribution that we serve")
    return found
