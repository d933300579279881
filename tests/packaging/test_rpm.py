# label: packaging
# serial
"""Installed with dnf from a signed repository into a root of its own: runs, verifies, asks for nothing unusual, and leaves nothing behind."""
import json
import pathlib
import tempfile

from chroot import Chroot, expect, main, run
from repository import DnfRepository, packages
from rpm_requirements import LIBRARIES, objections

BASE_SPEC = """Name: base
Version: 1
Release: 1
Summary: what a distribution has, under the names that rpm gives to it
License: none
BuildArch: x86_64
AutoReqProv: no
{provides}
%description
Stands for the packages of a distribution with rpm, which the root of this test has from Debian.
%install
mkdir -p %{{buildroot}}/usr/share/licenses
%files
%dir /usr/share/licenses
"""


def what_is_asked_of_a_distribution_is_old_enough():
    expect(objections(["libc.so.6(GLIBC_2.35)(64bit)", "libfmt.so.9()(64bit)", "python3", "libc.so.6(GLIBC_2.34)(64bit)"]).__len__() == 3,
           "the check itself lets through what it should not")
    found = []
    for name, file in packages("rpm").items():
        found += [f"{name}: {line}" for line in objections(run("rpm", "--query", "--requires", "--package", file).stdout.splitlines())]
    expect(not found, "\n".join(found))


def private_libraries_are_offered_to_nobody():
    for name, file in packages("rpm").items():
        offered = run("rpm", "--query", "--provides", "--package", file).stdout.splitlines()
        expect(not [line for line in offered if ".so" in line], f"{name} offers {offered}")


def base_package(chroot, folder):
    """A package that provides what rpm finds in the libraries of the chroot."""
    files = [file for folder in ("lib", "usr/lib", "lib64") for name in LIBRARIES for file in (chroot.root / folder).glob(f"**/{name}*")
             if not file.is_symlink() or file.resolve().is_relative_to(chroot.root)]
    offered = set()
    for file in files:
        offered.update(run("/usr/lib/rpm/elfdeps", "--provides", file).stdout.split("\n"))
        # The links by which the loader finds it, as rpm's own script has them.
        offered.add(f"{file.name}()(64bit)")
    offered.update(["rtld(GNU_HASH)", "/bin/bash", "gcc-c++ = 12.2", "cmake = 3.25", "make = 4.3", "json-devel = 3.11"])
    spec = folder / "base.spec"
    spec.write_text(BASE_SPEC.format(provides="\n".join(f"Provides: {line}" for line in sorted(offered) if line)))
    run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {folder}/rpmbuild", spec)
    return next(folder.glob("rpmbuild/RPMS/x86_64/*.rpm"))


def dnf_installs_what_runs_and_can_be_removed():
    # None of the libraries that our packages bring along: what runs here needs no more than they ask for.
    with Chroot("libstdc++6", "zlib1g", "libzstd1", "libxxhash0", "libsqlite3-0", "libcurl4", "libibverbs1", "passwd",
                variant="essential") as chroot, \
            tempfile.TemporaryDirectory(prefix="rechost-repository-") as place, DnfRepository(place) as repository:
        repository.add(base_package(chroot, pathlib.Path(place)))
        repository.publish()
        configuration = pathlib.Path(place) / "dnf.conf"
        configuration.write_text(
            f"[main]\nreposdir=/nowhere\nvarsdir=/nowhere\npluginpath=/nowhere\ngpgcheck=1\ncachedir={place}/cache\nlogdir={place}\n"
            f"[rechost]\nname=rechost\nbaseurl=file://{repository.folder}\nrepo_gpgcheck=1\ngpgkey=file://{repository.key.public}\n")
        dnf = ["dnf", "--config", configuration, f"--installroot={chroot.root}", "--releasever=1", "--assumeyes"]
        chroot.add_user("ada")
        run(*dnf, "install", "base")
        before = chroot.files()
        run(*dnf, "install", "rechost", "rechost-models")

        trained = json.loads(chroot.run("rechost", "run", "--plugin", "dlrm", "--output", "json", user="ada").stdout.strip().splitlines()[-1])
        expect(trained["status"] == "finished" and trained["metrics"]["test"]["auc"] > 0.8, trained)
        # The module that ranks talk through brings the library that it needs.
        pair = chroot.run("rechost", "run", "--plugin", "dlrm", "--set", "data.rows=50000", "--nproc", "2", "--output", "json", user="ada")
        expect(json.loads(pair.stdout.strip().splitlines()[-1])["ranks"] == 2, pair.stdout)
        listed = chroot.run("rechost", "plugins", "list", user="ada").stdout
        expect("cannot be loaded" not in listed and listed.count("/usr/lib64/rechost/plugins/") >= 8, listed)
        names = ["rechost", "rechost-models", "rechost-libtorch"]
        verified = run("rpm", "--root", chroot.root, "--verify", *names)
        expect(verified.stdout == "", verified.stdout)

        run(*dnf, "install", "rechost-devel")
        verified = run("rpm", "--root", chroot.root, "--verify", "rechost-devel", "rechost-libtorch-devel")
        expect(verified.stdout == "", verified.stdout)
        run(*dnf, "remove", "rechost", "rechost-libtorch", "rechost-libtorch-devel")
        left = chroot.files() - before
        expect(not left, f"removing left {sorted(left)[:20]}")


main([what_is_asked_of_a_distribution_is_old_enough, private_libraries_are_offered_to_nobody, dnf_installs_what_runs_and_can_be_removed])
