"""A run of several ranks under somebody else's launcher, and the ranks it consists of."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(os.environ["RECHOST_SOURCE_DIR"]) / "tests" / "cli"))

from program import BIN, SOURCE, expect  # noqa: E402

RUN = [BIN, "run", "--plugin", "dlrm", "--set", "run.deterministic=true", "--set", "run.threads=1"]
# What SHORT and RUN say, for commands that are fixed.
SMALL_RUN = {"RECHOST_RUN__DETERMINISTIC": "true", "RECHOST_RUN__THREADS": "1", "RECHOST_RUN__STEPS": "60"}
SHORT = ["--set", "run.steps=60"]
ENDLESS = ["--set", "run.steps=100000000", "--set", "run.epochs=1000000", "--set", "run.log_every_steps=10"]


def run_folder(out):
    """The one run's folder in out: ranks that did not find each other would have made several."""
    found = list(pathlib.Path(out).glob("dlrm-*"))
    expect(len(found) == 1, f"{out} holds {len(found)} runs, not one")
    return found[0]


def launch(*command, env=None, timeout=120):
    """Runs a launcher to its end; returns all that it and its ranks said."""
    done = subprocess.run(list(map(str, command)), env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, text=True, timeout=timeout)
    expect(done.returncode == 0, f"{command[0]}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def documented(section):
    """The commands of that section of packaging/launch/README.md, but for those that are marked as not run."""
    text = (SOURCE / "packaging" / "launch" / "README.md").read_text()
    part, = re.findall(rf"^## {section}$(.*?)(?=^## |\Z)", text, re.S | re.M)
    blocks = [block for mark, block in re.findall(r"(<!-- not run[^\n]*-->\n)?```sh\n(.*?)```", part, re.S) if not mark]
    expect(blocks, f"no commands under {section}")
    return "\n".join(blocks).replace("/usr/share/rechost/launch", str(SOURCE / "packaging" / "launch"))


def as_documented(section, place, env=None, programs=None):
    """Runs them as printed, in a folder of their own; by variables they train what RUN and SHORT train. programs: name -> command, for names
    that mean something else on this machine. Returns what they said; their run is in place/runs."""
    names = pathlib.Path(f"{place}.bin")
    for folder in (pathlib.Path(place), names):
        folder.mkdir()
    for name, command in {"rechost": [BIN], **(programs or {})}.items():
        (names / name).write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in map(str, command)) + ' "$@"\n')
        (names / name).chmod(0o755)
    environment = {**os.environ, **SMALL_RUN, "PATH": f"{names}:{os.environ['PATH']}", **(env or {})}
    done = subprocess.run(["bash", "-ec", documented(section)], cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, text=True, timeout=300)
    expect(done.returncode == 0, f"{section}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def ranks(out):
    """pid -> environment of the processes that train into out."""
    found = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if arguments[0] == BIN.encode() and str(out).encode() in arguments:
                entries = (process / "environ").read_bytes().decode(errors="replace").split("\0")
                found[int(process.name)] = dict(entry.split("=", 1) for entry in entries if "=" in entry)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


@contextlib.contextmanager
def training(out, *command, env=None, starts_within=60):
    """Launches an endless run into out and waits until it trains, so many seconds at most; gives the launcher and its log. At the end nothing of it is left."""
    log = pathlib.Path(f"{out}.log")
    with log.open("w") as file:
        launcher = subprocess.Popen(list(map(str, command)), env={**os.environ, **(env or {})}, stdout=file, stderr=subprocess.STDOUT,
                                    stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + starts_within
        while not any(metrics.stat().st_size for metrics in pathlib.Path(out).glob("dlrm-*/metrics.jsonl")):
            expect(launcher.poll() is None and time.monotonic() < deadline, f"the run did not start\n{log.read_text()}")
            time.sleep(0.05)
        yield launcher, log
    finally:
        for pid in ranks(out):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if launcher.poll() is None:
            launcher.kill()
            launcher.wait()


def kill_rank_one(variable, out, *command):
    """Launches an endless run, kills rank 1 once it trains, and expects everything to end by itself, not with 0; returns the output."""
    with training(out, *command) as (launcher, log):
        victims = [pid for pid, env in ranks(out).items() if env.get(variable) == "1"]
        expect(len(victims) == 1, f"{len(victims)} processes have {variable}=1")
        os.kill(victims[0], signal.SIGKILL)
        code = launcher.wait(30)
        expect(code != 0, f"exit code 0 though a rank was killed\n{log.read_text()}")
        expect(not ranks(out), f"ranks {list(ranks(out))} outlived their launcher")
        return log.read_text()
