"""The packages of this checkout, and repositories of them as users have them."""
import functools
import pathlib
import shutil
import subprocess

from chroot import SOURCE, expect, run
from signing import Key


@functools.lru_cache
def packages(kind):
    """Makes them if need be; the files, by name of package."""
    made = subprocess.run([SOURCE / "packaging" / "package", kind], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    expect(made, "packaging/package names no packages")
    query = ["dpkg-deb", "--field"] if kind == "deb" else ["rpm", "--query", "--queryformat", "%{NAME}", "--package"]
    return {run(*query, file, *(["Package"] if kind == "deb" else [])).stdout.strip(): pathlib.Path(file) for file in made}


class AptRepository:
    """A signed repository at `folder`, with the components that the packages name."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / "apt"
        (self.folder / "conf").mkdir(parents=True)
        self.key = Key(self.folder)
        (self.folder / "conf" / "distributions").write_text(
            f"Codename: stable\nArchitectures: amd64\nComponents: main contrib non-free\nSignWith: {self.key.fingerprint}\n")
        for file in packages("deb").values():
            run("reprepro", "--silent", "--basedir", self.folder, "includedeb", "stable", file, env=self.key.environment)

    def add_to(self, chroot):
        """As an administrator does it: the key, and one line."""
        chroot.bind(self.folder, "/srv/packages")
        keys = chroot.root / "etc/apt/keyrings"
        keys.mkdir(exist_ok=True)
        shutil.copy(self.key.public, keys)
        (chroot.root / "etc/apt/sources.list.d/rechost.list").write_text(
            f"deb [signed-by=/etc/apt/keyrings/{self.key.public.name}] file:/srv/packages stable main contrib non-free\n")
        chroot.run("apt-get", "update")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.key.close()


class DnfRepository:
    """Signed packages with signed metadata at `folder`."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / "dnf"
        self.folder.mkdir()
        self.key = Key(self.folder)
        for file in packages("rpm").values():
            self.add(file)

    def add(self, file):
        """A copy of a package, signed."""
        copy = self.folder / file.name
        shutil.copy(file, copy)
        run("rpmsign", "--define", f"__gpg {shutil.which('gpg')}", "--define", f"_gpg_name {self.key.fingerprint}", "--addsign", copy,
            env=self.key.environment)

    def publish(self):
        run("createrepo_c", "--quiet", self.folder)
        self.key.sign_detached(self.folder / "repodata" / "repomd.xml")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.key.close()
