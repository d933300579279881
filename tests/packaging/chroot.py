"""A bare system in a folder, made from the mirror that this machine itself uses, and what one does in it."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(os.environ["RECHOST_SOURCE_DIR"])
sys.path.insert(0, str(SOURCE / "tests" / "cli"))

from program import expect, main  # noqa: E402, F401

# What tells apt and its like how to reach the network; a test in the chroot must not depend on anything else of this session.
PASSED_ON = re.compile(r"^(https?|ftp|no)_proxy$", re.IGNORECASE)
# What package managers write down for themselves, besides what the system mounts.
BOOKKEEPING = re.compile(
    r"^/(proc|sys|dev|tmp|run)(/|$)|^/var/(cache|log|lib/(apt|dpkg|dnf|rpm))(/|$)|^/usr/lib/sysimage(/|$)|^/etc/(ld\.so\.cache|.*-)$"
    r"|^/srv(/|$)|^/home(/|$)|^/root(/|$)")


def run(*command, check=True, timeout=900, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done


def release():
    """The code name of the Debian that this machine runs."""
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.split("=", 1)[1].strip('"')
    raise AssertionError("/etc/os-release has no VERSION_CODENAME: is this Debian?")


def own_sources(suite):
    """Of this machine's lists of sources, those that serve its own release, as text."""
    lists = [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]
    one_line = re.compile(r"^deb(\s+\[[^\]]*\])?\s+\S+\s+" + suite + r"(-updates|-security)?\s", re.MULTILINE)
    stanza = re.compile(r"^Suites:(.*\s)?" + suite + r"(-updates|-security)?(\s|$)", re.MULTILINE)
    found = []
    for file in lists:
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        if (stanza if file.suffix == ".sources" else one_line).search(file.read_text()):
            found.append(file)
    expect(found, f"no list of sources in /etc/apt is for {suite}")
    return found


class Chroot:
    """Removed with all that is mounted in it at the end of the `with` block."""

    def __init__(self, *include, variant="apt"):
        self._place = tempfile.TemporaryDirectory(prefix="rechost-chroot-")
        self.root = pathlib.Path(self._place.name) / "root"
        self._mounted = []
        self._environment = {name: value for name, value in os.environ.items() if PASSED_ON.match(name)}
        self._environment |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
        suite = release()
        # How this machine's apt reaches its mirror: proxies, certificates, what it accepts.
        acquire = pathlib.Path(self._place.name) / "acquire.conf"
        acquire.write_text("".join(line + "\n" for line in run("apt-config", "dump").stdout.splitlines() if line.startswith("Acquire::")))
        included = [f"--include={','.join(include)}"] if include else []
        run("mmdebstrap", f"--variant={variant}", "--mode=root", f"--aptopt={acquire}", *included, suite, self.root, *own_sources(suite))
        for name in ("resolv.conf", "hosts"):
            (self.root / "etc" / name).write_text(pathlib.Path("/etc", name).read_text())
        certificates = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
        if certificates.is_file():
            target = self.root / certificates.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(certificates.read_bytes())

    def __enter__(self):
        try:
            for kind, name in (("proc", "proc"), ("sysfs", "sys"), ("devtmpfs", "dev")):
                self._mount("-t", kind, kind, self.root / name)
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for place in reversed(self._mounted):
            run("umount", "--lazy", place)
        self._mounted.clear()
        self._place.cleanup()

    def _mount(self, *arguments):
        run("mount", *arguments)
        self._mounted.append(arguments[-1])

    def bind(self, source, target):
        """A folder of this machine, readable at `target` in there."""
        inside = self.root / target.lstrip("/")
        inside.mkdir(parents=True, exist_ok=True)
        self._mount("--bind", source, inside)

    def run(self, *command, user=None, cwd="/", check=True, timeout=900):
        """In the chroot, as root or as `user`, with an environment of its own."""
        environment = dict(self._environment)
        prefix = ["chroot"]
        if user is not None:
            prefix.append(f"--userspec={user}:{user}")
            environment |= {"HOME": f"/home/{user}", "USER": user}
            cwd = cwd if cwd != "/" else f"/home/{user}"
        return run(*prefix, self.root, "/bin/sh", "-c", 'cd "$0" && exec "$@"', cwd, *command, env=environment, check=check, timeout=timeout)

    def add_user(self, name):
        self.run("useradd", "--create-home", name)

    def files(self):
        """Every path in there, except what package managers keep for themselves and what users own."""
        found = set()
        for folder, folders, names in os.walk(self.root):
            inside = "/" + os.path.relpath(folder, self.root)
            inside = "/" if inside == "/." else inside
            if BOOKKEEPING.match(inside):
                folders.clear()
                continue
            found.update(path for name in names + folders if not BOOKKEEPING.match(path := os.path.join(inside, name)))
        return found
