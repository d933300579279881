# label: real
# serial
"""Four hosts, which are network namespaces: ranks on them train what one process trains; a cut link is noticed on both of its sides."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import hosts_rig

hosts_rig.enter()

from launched import ENDLESS, RUN, SHORT, launch, run_folder  # noqa: E402

from checkpoints import expect_same_weights  # noqa: E402
from program import expect, folder, main, rechost  # noqa: E402

PORT = "29600"
NOTICED_WITHIN = 20  # seconds; 10 are the promise, and a loaded machine gets more before this test gives up


class Ranks:
    """One rank on each of these hosts, as their user would start them by hand; killed at the end."""

    def __init__(self, names, out, *arguments, late=()):
        self.names = names
        self.out = out
        self.logs = [place / f"{out.name}-{name}.log" for name in names]
        self.processes = [None] * len(names)
        self.arguments = [*RUN, *arguments, "--out", out]
        for rank, name in enumerate(names):
            if name not in late:
                self.start(rank)

    def start(self, rank):
        environment = {"RANK": str(rank), "WORLD_SIZE": str(len(self.names)), "MASTER_ADDR": hosts.address(self.names[0]), "MASTER_PORT": PORT}
        self.processes[rank] = hosts.start(self.names[rank], self.logs[rank], *self.arguments, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def text(self):
        return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in self.logs if log.exists())

    def codes(self, timeout=120):
        deadline = time.monotonic() + timeout
        try:
            return [process.wait(max(0.1, deadline - time.monotonic())) for process in self.processes]
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not ended after {timeout} s\n{self.text()}") from None

    def wait_for_checkpoint(self):
        deadline = time.monotonic() + 120
        while not list(self.out.glob("*/checkpoints/step-*/manifest.json")):
            expect(time.monotonic() < deadline and all(process.poll() is None for process in self.processes), f"no checkpoint came\n{self.text()}")
            time.sleep(0.05)


def the_weights_are_those_of_nproc():
    launch(*RUN, *SHORT, "--nproc", 4, "--out", place / "nproc")
    with Ranks(hosts.names, place / "four", *SHORT) as four:
        expect(four.codes() == [0] * 4, four.text())
        expect("placement: 4 ranks over TCP" in four.text(), four.text())
    expect_same_weights(run_folder(place / "nproc"), run_folder(place / "four"))
    # Two agents with two ranks each: shared memory on a host, TCP between hosts.
    out = place / "agents"
    agents = [hosts.start(name, place / f"agent-{name}.log", *RUN, *SHORT, "--nproc", 2, "--out", out,
                          env={"RECHOST_NNODES": "2", "RECHOST_NODE_RANK": str(node), "RECHOST_MASTER_ADDR": hosts.address("h1")})
              for node, name in enumerate(["h1", "h2"])]
    said = [(agent.wait(120), (place / f"agent-{name}.log").read_text()) for agent, name in zip(agents, ["h1", "h2"])]
    expect([code for code, _ in said] == [0, 0], f"{said}")
    expect_same_weights(run_folder(place / "nproc"), run_folder(out))


def a_late_host_is_awaited():
    with Ranks(hosts.names, place / "late", *SHORT, late=("h3",)) as four:
        time.sleep(6)
        expect(all(process is None or process.poll() is None for process in four.processes), four.text())
        four.start(2)
        expect(four.codes() == [0] * 4, four.text())
    expect_same_weights(run_folder(place / "nproc"), run_folder(place / "late"))


def a_cut_link_ends_both_sides_and_fewer_hosts_go_on():
    """Also that of rank 0: the others cannot hear from it who is lost."""
    for cut in ("h3", "h1"):
        out = place / f"cut-{cut}"
        # A decay to the end of the run would make its length part of the training.
        endless = [*ENDLESS, "--set", "checkpoint.every_steps=20", "--set", "schedule.kind=constant"]
        with Ranks(hosts.names, out, *endless) as four:
            four.wait_for_checkpoint()
            hosts.cut(cut)
            since = time.monotonic()
            try:
                expect(four.codes(60) == [76] * 4, four.text())
                took = time.monotonic() - since
            finally:
                hosts.mend(cut)
            expect(took < NOTICED_WITHIN, f"noticed after {took:.1f} s\n{four.text()}")
            lost = hosts.names.index(cut)
            for rank, log in enumerate(four.logs):
                said = log.read_text()
                # The side of rank 0 names the rank that was cut off; that one, which cannot know whose link it was, names rank 0.
                named = lost if rank != lost else "[0-3]" if lost == 0 else 0
                expect(re.search(rf"error: .*rank {named} on host \S+ was lost", said), f"rank {rank} does not name rank {named}\n{said}")
            print(f"link of {cut} cut: all ended after {took:.1f} s", flush=True)
        run = run_folder(out)
        rechost("checkpoint", "verify", run)
        step = max(int(path.parent.name.split("-")[1]) for path in run.glob("checkpoints/step-*/manifest.json"))
        rest = [*endless, "--set", f"run.steps={step + 30}"]
        # Three hosts go on where four were, as one process would have.
        with Ranks([name for name in hosts.names if name != cut], out, *rest, "--resume", "auto") as three:
            expect(three.codes() == [0] * 3, three.text())
            expect("resumed from" in three.text(), three.text())
        launch(*RUN, *rest, "--out", place / f"unbroken-{cut}")
        expect_same_weights(run_folder(place / f"unbroken-{cut}"), run_folder(out))
        expect(json.loads((run_folder(out) / "summary.json").read_text())["status"] == "finished", "not recorded as finished")


with folder() as made:
    place = pathlib.Path(made)
    hosts = hosts_rig.Hosts(4)
    os.environ.pop("OMP_NUM_THREADS", None)
    main([the_weights_are_those_of_nproc, a_late_host_is_awaited, a_cut_link_ends_both_sides_and_fewer_hosts_go_on])
