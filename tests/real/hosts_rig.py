"""Hosts that are network namespaces of this machine: each with a name and an address of its own, joined by a switch whose links can be cut.
All of it lies in namespaces of the process that runs the test, so nothing is left of it when that ends. Root is not needed where the kernel lets
everybody have namespaces."""
import os
import pathlib
import subprocess
import sys

from launched import expect

INSIDE = "RECHOST_TEST_INSIDE_NAMESPACES"


def enter():
    """Starts this test again in namespaces of its own. Call before anything else."""
    if INSIDE in os.environ:
        return
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", *user, "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, *sys.argv])


def ip(*arguments):
    # Debian keeps it where the path of a user who is not root does not lead.
    done = subprocess.run(["ip", *map(str, arguments)], env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}, capture_output=True, text=True)
    expect(done.returncode == 0, f"ip {' '.join(map(str, arguments))}: {done.stderr}")


class Hosts:
    def __init__(self, count):
        self.names = [f"h{number}" for number in range(1, count + 1)]
        subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
        ip("link", "set", "lo", "up")
        ip("link", "add", "switch", "type", "bridge")
        ip("link", "set", "switch", "up")
        for number, name in enumerate(self.names, start=1):
            ip("netns", "add", name)
            ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"to-{name}", "master", "switch", "up")
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")

    def address(self, name):
        return f"10.77.0.{self.names.index(name) + 1}"

    def command(self, name, *command):
        """What runs it on that host."""
        return ["nsenter", f"--net=/run/netns/{name}", "unshare", "--uts", "--", "sh", "-c", f'hostname {name} && exec "$@"', "sh", *map(str, command)]

    def start(self, name, log, *command, env=None):
        with pathlib.Path(log).open("w") as file:
            return subprocess.Popen(self.command(name, *command), env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=file,
                                    stderr=subprocess.STDOUT)

    def cut(self, name):
        """Its cable is pulled: nothing comes, and nothing says so."""
        ip("link", "set", f"to-{name}", "down")

    def mend(self, name):
        ip("link", "set", f"to-{name}", "up")
