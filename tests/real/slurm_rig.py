"""A Slurm on this machine: a controller and a slurmd for each node, all of one user, on free ports of the loopback interface."""
import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(os.environ["RECHOST_SOURCE_DIR"]) / "tests" / "cli"))

from program import expect  # noqa: E402

# Debian keeps the daemons where the path of a user who is not root does not lead.
DAEMONS = os.environ["PATH"] + os.pathsep + "/usr/sbin"

CONFIG = """
ClusterName=rechost
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={place}/state
SlurmctldPidFile={place}/slurmctld.pid
SlurmdSpoolDir={place}/spool/%n
SlurmdPidFile={place}/slurmd.%n.pid
TmpFS={place}/tmp/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in servers]
    finally:
        for server in servers:
            server.close()


class Slurm:
    """Runs while it is entered; then nothing of it is left, whatever happened in between. Its files lie in place."""

    def __init__(self, place, nodes=("n1", "n2")):
        self.place = pathlib.Path(place)
        self.nodes = nodes
        self.daemons = []
        # The nodes' names mean nothing to this machine's resolver, so the first one's address is given, as Slurm's users do there.
        self.env = {"SLURM_CONF": str(self.place / "slurm.conf"), "MASTER_ADDR": "127.0.0.1"}

    def __enter__(self):
        self._configure()
        try:
            self._start("slurmctld", "-D", "-c", "-f", self.env["SLURM_CONF"])
            for node in self.nodes:
                self._start("slurmd", "-D", "-N", node, "-f", self.env["SLURM_CONF"])
            deadline = time.monotonic() + 60
            while self.command("sinfo", "-h", "-N", "-o", "%N %T").stdout.split() != [word for node in self.nodes for word in (node, "idle")]:
                expect(all(daemon.poll() is None for daemon in self.daemons) and time.monotonic() < deadline, f"Slurm did not start\n{self.logs()}")
                time.sleep(0.1)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_):
        self._stop()

    def command(self, *arguments, check=False):
        """Runs one of Slurm's programs to its end; check: it has to be a good one."""
        return subprocess.run(list(map(str, arguments)), env={**os.environ, **self.env}, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=30, check=check)

    def logs(self):
        return "\n".join(f"{path.name}: {line}" for path in sorted(self.place.glob("*.log")) for line in path.read_text().splitlines()[-10:])

    def _configure(self):
        controller_port, *ports = free_ports(1 + len(self.nodes))
        host = socket.gethostname().split(".")[0]
        text = CONFIG.format(host=host, controller_port=controller_port, user=pwd.getpwuid(os.geteuid()).pw_name, place=self.place)
        for node, port in zip(self.nodes, ports):
            (self.place / "spool" / node).mkdir(parents=True)
            (self.place / "tmp" / node).mkdir(parents=True)
            # More cores than the machine may have: the ranks share them.
            text += f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=1000 State=UNKNOWN\n"
        (self.place / "state").mkdir()
        (self.place / "slurm.conf").write_text(text)
        # Nothing here is confined by cgroups, but slurmd looks for them, and ends where systemd did not set up the second version.
        (self.place / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")

    def _start(self, program, *arguments):
        found = shutil.which(program, path=DAEMONS)
        expect(found, f"{program} is missing: install the package slurm-wlm")
        with (self.place / f"{program}-{len(self.daemons)}.log").open("w") as log:
            self.daemons.append(subprocess.Popen([found, *arguments], env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, stdout=log,
                                                 stderr=subprocess.STDOUT))

    def _stop(self):
        for daemon in self.daemons:
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        # A slurmd that ends leaves its steps to themselves; after a failure there may be some.
        while left := self._processes():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def _processes(self):
        """The processes that live with this Slurm's configuration: daemons, srun, steps and their tasks."""
        mark = f"SLURM_CONF={self.env['SLURM_CONF']}".encode()
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if int(process.name) != os.getpid() and mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
            except OSError:  # gone, or somebody else's
                pass
        return found
