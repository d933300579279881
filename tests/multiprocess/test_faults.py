# label: multiprocess
"""What goes wrong around the ranks: ports, addresses, connections, disks, memory, processes that die or stop at any time. The others end and say
which rank it was; what is on the disk is whole, and another number of ranks ends where an unbroken run does. How long it took is printed.
RECHOST_TEST_KILLS: how many ranks die or stop at random times (10; 100 in the long suite), RECHOST_TEST_SEED: their seed."""
import contextlib
import json
import os
import pathlib
import random
import re
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import checkpoints  # noqa: E402
from program import BIN, SMALL, expect, folder, main, rechost  # noqa: E402

# Constant: a decay to the end of the run would make its length part of the training.
RUN = ["run", "--plugin", "dlrm", *SMALL, "--set", "run.deterministic=true", "--set", "schedule.kind=constant", "--set", "run.epochs=1000000",
       "--set", "checkpoint.every_steps=20"]
ENDLESS = ["--set", "run.steps=100000000"]
SHORT = ["--set", "run.steps=40"]
PORTS_TRIED = 16  # by rank 0
PROMISED = 10  # seconds until all others have ended ...
GIVEN_UP_AFTER = 25  # ... and a loaded machine gets more before this test gives up


def only_run(out):
    found = list(pathlib.Path(out).glob("dlrm-*"))
    expect(len(found) == 1, f"{out} holds {len(found)} runs, not one")
    return found[0]


def newest_step(out):
    return max((int(path.parent.name.split("-")[1]) for path in pathlib.Path(out).glob("*/checkpoints/step-*/manifest.json")), default=0)


def goes_on(out, count, *more):
    """The last checkpoint is whole, and so many ranks go on from it as if nothing had been."""
    rechost("checkpoint", "verify", only_run(out))
    more = [*more, "--set", f"run.steps={newest_step(out) + 30}"]
    result = rechost(*RUN, *more, "--nproc", count, "--resume", "auto", "--out", out, timeout=300)
    expect("resumed from" in result.err, f"{result}")
    rechost(*RUN, *more, "--out", f"{out}-unbroken", timeout=300)
    checkpoints.expect_same_weights(only_run(f"{out}-unbroken"), only_run(out))


class Processes:
    """One process for each of these environments, or a supervisor with its ranks. At the end nothing of them is left."""

    def __init__(self, out, environments, *arguments, prefix=()):
        self.out = pathlib.Path(out)
        self.prefix = list(prefix)
        self.arguments = [str(argument) for argument in arguments]
        self.environments = environments
        self.logs = [pathlib.Path(f"{out}-{number}.log") for number in range(len(environments))]
        self.processes = [None] * len(environments)
        self.seen = set()

    def start(self, *numbers):
        for number in numbers or range(len(self.environments)):
            with self.logs[number].open("w") as log:
                self.processes[number] = subprocess.Popen([*self.prefix, BIN, *self.arguments, "--out", str(self.out)], stdin=subprocess.DEVNULL,
                                                          env={**os.environ, **self.environments[number]}, stdout=subprocess.DEVNULL, stderr=log)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in [*self.seen, *(process.pid for process in self.processes if process)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.processes:
            if process:
                process.wait()

    def text(self):
        return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in self.logs if log.exists())

    def ranks(self):
        """rank -> pid of those that these processes have started, or are."""
        found = {}
        own = {process.pid for process in self.processes if process}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError, KeyError):
                if int(entry.name) in own or int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) in own:
                    environment = dict(item.split("=", 1) for item in (entry / "environ").read_text().split("\0") if "=" in item)
                    found[int(environment["RECHOST_RANK"])] = int(entry.name)
        self.seen |= set(found.values())
        return found

    def wait_for_checkpoint(self, count):
        deadline = time.monotonic() + 120
        while newest_step(self.out) == 0 or len(self.ranks()) != count:
            expect(time.monotonic() < deadline and all(process.poll() is None for process in self.processes), f"no checkpoint came\n{self.text()}")
            time.sleep(0.05)
        return self.ranks()

    def wait_until_met(self, count):
        """Until so many others have come to rank 0, which is the first process, and waits for more."""
        deadline = time.monotonic() + 60
        pid = self.processes[0].pid
        while not sockets([pid], "0A") or len(sockets([pid], "01")) < count:
            expect(time.monotonic() < deadline and self.processes[0].poll() is None, f"they do not come\n{self.text()}")
            time.sleep(0.05)
        time.sleep(1)  # and are let in

    def ends(self, codes, since, what, limit=GIVEN_UP_AFTER):
        """All end, with these exit codes (of all, or of each), and leave no rank. Prints how long after `since` that was."""
        deadline = since + limit
        found = []
        for process in self.processes:
            try:
                found.append(process.wait(max(0.1, deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{what}: not all have ended within {limit} s\n{self.text()}") from None
        took = time.monotonic() - since
        expect(found == codes if isinstance(codes, list) else set(found) <= {codes}, f"{what}: exit codes {found}\n{self.text()}")
        left = [pid for pid in self.seen if pathlib.Path(f"/proc/{pid}").exists()]
        expect(not left, f"{what}: processes {left} are left\n{self.text()}")
        print(f"        {what}: all ended after {took:.1f} s{'' if took <= PROMISED else ', which is more than promised'}", flush=True)
        return took


def nproc(out, count, *arguments):
    return Processes(out, [{}], *RUN, *arguments, "--nproc", count).start()


def by_hand(count, port, ports=()):
    """What the user of each of so many ranks sets; ports: rank -> another one than its neighbours'."""
    return [{"RECHOST_RANK": str(rank), "RECHOST_WORLD_SIZE": str(count), "RECHOST_MASTER_ADDR": "127.0.0.1", "RECHOST_JOB_TOKEN": f"faults {port}",
             "RECHOST_MASTER_PORT": str(dict(ports).get(rank, port))} for rank in range(count)]


def taken_ports(count, stack):
    """The first of so many ports in a row that are all taken, by listeners that accept everybody and say nothing."""
    for first in range(21000 + os.getpid() % 1000, 29000, count + 1):
        with contextlib.ExitStack() as listeners:
            try:
                for port in range(first, first + count):
                    listeners.enter_context(socket.create_server(("127.0.0.1", port), backlog=64))
            except OSError:
                continue
            stack.enter_context(listeners.pop_all())
            return first
    raise AssertionError("no ports")


def sockets(pids, state):
    """The local TCP ports of these processes' sockets in that state, once for each socket: "0A" listens, "01" is connected."""
    own = set()
    for pid in pids:
        for entry in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                own.add(os.readlink(entry))
    ports = []
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == state and f"socket:[{words[9]}]" in own:
                ports.append(int(words[1].rpartition(":")[2], 16))
    return ports


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Line:
    """Between a rank and rank 0: what either says goes to the other, until one direction is cut without a word."""

    def __init__(self, to):
        self.to = to
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.dead = set()
        self.said = {"up": b"", "down": b""}
        self.over = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.server.close()

    def _serve(self):
        selector = selectors.DefaultSelector()
        selector.register(self.server, selectors.EVENT_READ)
        open_ones = []
        while not self.over:
            for key, _ in selector.select(0.1):
                if key.fileobj is self.server:
                    guest, _ = self.server.accept()
                    try:
                        host = socket.create_connection(("127.0.0.1", self.to), 5)
                    except OSError:
                        guest.close()
                        continue
                    for one, other, way in ((guest, host, "up"), (host, guest, "down")):
                        open_ones.append(one)
                        selector.register(one, selectors.EVENT_READ, (other, way))
                    continue
                other, way = key.data
                with contextlib.suppress(OSError):
                    piece = key.fileobj.recv(65536)
                    self.said[way] += piece
                    if way not in self.dead:
                        other.sendall(piece)
                    if piece:
                        continue
                selector.unregister(key.fileobj)
                if way not in self.dead:
                    with contextlib.suppress(OSError):
                        other.shutdown(socket.SHUT_WR)
        for one in open_ones:
            one.close()


# ---- before the ranks have met ----

def a_taken_port_is_passed_over_and_its_owner_is_no_rank():
    with folder() as place, contextlib.ExitStack() as stack:
        first = taken_ports(2, stack)
        with Processes(f"{place}/runs", by_hand(3, first), *RUN, *SHORT).start() as three:
            three.ends(0, time.monotonic(), "two ports are taken, training", 120)
            expect("placement: 3 ranks" in three.text(), three.text())


def no_free_port_is_an_error_with_the_remedy():
    with folder() as place, contextlib.ExitStack() as stack:
        first = taken_ports(PORTS_TRIED, stack)
        result = rechost(*RUN, "--out", place, env=by_hand(2, first)[0], code=76)
        expect(f"the ports {first}, {first + 1}" in result.err and "MASTER_PORT" in result.err, f"{result}")


def a_wrong_address_is_named_with_the_remedy():
    with folder() as place:
        port = free_port()
        for address, why in (("127.0.0.1", "Connection refused"), ("no-such-host.invalid", "no-such-host.invalid cannot be looked up")):
            lost = {**by_hand(2, port)[1], "RECHOST_MASTER_ADDR": address}
            since = time.monotonic()
            result = rechost(*RUN, "--set", "comm.join_seconds=3", "--out", place, env=lost, code=76)
            for text in (f"rank 1 cannot reach rank 0 within 3 s at {address}:{port} and 15 more ports", why, "Set MASTER_ADDR", "comm.join_seconds"):
                expect(text in result.err, f"{text}\n{result}")
            print(f"        {address} instead of rank 0's address: ended {time.monotonic() - since - 3:.1f} s after comm.join_seconds", flush=True)
        # Of documentation (RFC 5737), so of no machine.
        elsewhere = {**by_hand(2, port)[0], "RECHOST_MASTER_ADDR": "192.0.2.7"}
        since = time.monotonic()
        result = rechost(*RUN, "--out", place, env=elsewhere, code=76)
        took = time.monotonic() - since
        for text in ("rank 0 is not where the others look for it: 192.0.2.7 is no address of host", "no rank has come within 8 s", "Set MASTER_ADDR"):
            expect(text in result.err, f"{text}\n{result}")
        print(f"        rank 0 with another machine's address ended after {took:.1f} s", flush=True)
        expect(took < GIVEN_UP_AFTER, f"{took} s")
        expect("join_seconds" in rechost(*RUN, "--set", "comm.join_seconds=0", "--out", place, code=78).err, "a time of nothing")


def a_late_host_is_awaited_and_one_that_does_not_come_is_named():
    with folder() as place:
        with Processes(f"{place}/late", by_hand(3, free_port()), *RUN, *SHORT).start(0, 1) as three:
            three.wait_until_met(1)
            time.sleep(8)  # more than a rank may be silent for
            expect(three.processes[0].poll() is None and three.processes[1].poll() is None, three.text())
            since = time.monotonic()
            three.start(2)
            three.ends(0, since, "a host came after 8 s, training", 120)
        with Processes(f"{place}/never", by_hand(3, free_port()), *RUN, *SHORT, "--set", "comm.join_seconds=3") as three:
            since = time.monotonic()
            three.start(0, 1)
            three.processes.pop()
            three.ends(76, since + 3, "a host never came, after comm.join_seconds")
            for log in three.logs[:2]:
                expect("of 3 ranks these had not come within 3 s: 2." in log.read_text(), three.text())


def one_that_is_lost_while_others_are_awaited_ends_all_who_wait():
    for number, what in ((signal.SIGKILL, "its connection has ended"), (signal.SIGSTOP, "nothing heard of it for 6 s")):
        for victim in (1, 0):
            with folder() as place, Processes(f"{place}/runs", by_hand(4, free_port()), *RUN, *SHORT).start(0, 1, 2) as waiting:
                waiting.wait_until_met(2)
                since = time.monotonic()
                waiting.processes[victim].send_signal(number)
                waiting.processes = [process for rank, process in enumerate(waiting.processes[:3]) if rank != victim] + [waiting.processes[victim]]
                gone = waiting.processes.pop()
                try:
                    waiting.ends(76, since, f"rank {victim} had {number.name} before all had come")
                finally:
                    gone.kill()
                    gone.wait()
                for rank in {0, 1, 2} - {victim}:
                    name = "rank 0 on host" if victim == 0 else "rank 1 on host"
                    expect(re.search(rf"error: {name} \S+ was lost: {what}", waiting.logs[rank].read_text()), waiting.text())


def asked_to_stop_they_do_while_others_are_awaited():
    with folder() as place, Processes(f"{place}/runs", by_hand(3, free_port()), *RUN, *SHORT).start(0, 1) as waiting:
        waiting.wait_until_met(1)
        since = time.monotonic()
        waiting.processes[0].send_signal(signal.SIGTERM)
        waiting.processes.pop()
        waiting.ends(76, since, "rank 0 was asked to stop while it waited")
        for log in waiting.logs[:2]:
            expect("of 3 ranks these had not come when rank 0 was asked to stop: 2." in log.read_text(), waiting.text())


class Strangers:
    """A scanner, garbage, other protocols, and what a rank has said before, at every port of these processes for as long as they live."""

    def __init__(self, processes, heard):
        self.processes = processes
        self.said = [b"", os.urandom(4000), b"GET / HTTP/1.1\r\n\r\n", bytes.fromhex("16030100c8010000c40303") + os.urandom(200), heard, None]
        self.tries = {}
        self.over = False
        self.thread = threading.Thread(target=self._knock, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()

    def _knock(self):
        silent = []
        while not self.over:
            pids = [process.pid for process in self.processes.processes if process and process.poll() is None]
            for port in sockets(pids, "0A"):
                for text in self.said:
                    with contextlib.suppress(OSError):
                        stranger = socket.create_connection(("127.0.0.1", port), 1)
                        self.tries[port] = self.tries.get(port, 0) + 1
                        if text is None:
                            silent.append(stranger)  # says nothing and stays
                            continue
                        stranger.sendall(text)
                        stranger.close()
            time.sleep(0.001)
        for stranger in silent:
            stranger.close()


def strangers_at_every_port_are_sent_away_and_change_nothing():
    with folder() as place:
        port = free_port()
        rechost(*RUN, *SHORT, "--out", f"{place}/alone")
        with Line(port) as line, Processes(f"{place}/heard", by_hand(2, port, {1: line.port}), *RUN, *SHORT).start() as two:
            two.ends(0, time.monotonic(), "a handshake was listened to, training", 120)
            heard = line.said["up"]
        expect(b"world_size" in heard, "no handshake was heard")
        # Of the same job, at the same port.
        with Processes(f"{place}/runs", by_hand(3, port), *RUN, *SHORT, "--set", "comm.transport=tcp") as three, Strangers(three, heard) as strangers:
            three.start(0, 1)
            three.wait_until_met(1)
            deadline = time.monotonic() + 30
            while strangers.tries.get(port, 0) < 100:
                expect(time.monotonic() < deadline and three.processes[0].poll() is None, f"{strangers.tries}\n{three.text()}")
                time.sleep(0.1)
            since = time.monotonic()
            three.start(2)
            open_ports = {port}
            while three.processes[2].poll() is None and not list(three.out.glob("*/checkpoints/step-*")):
                open_ports = set(sockets([process.pid for process in three.processes], "0A"))
                time.sleep(0.01)
            expect(not open_ports, f"they train, and still listen at {open_ports}\n{three.text()}")
            three.ends(0, since, "strangers at every port, training", 120)
            # Those for data are open for moments; tests/core/comm/connections.cpp holds them open.
            print(f"        {strangers.tries[port]} connections of strangers to rank 0, {sum(strangers.tries.values()) - strangers.tries[port]} to others", flush=True)
            expect("rank 0: a connection from 127.0.0.1 is no rank of this job: it " in three.text(), three.text())
            for why in ("has gone before it said who it is", "does not speak as ranks of rechost do", "cannot prove that it is"):
                expect(why in three.text(), f"{why}\n{three.text()}")
        checkpoints.expect_same_weights(only_run(f"{place}/alone"), only_run(f"{place}/runs"))


# ---- while they train ----

def a_killed_rank_is_named():
    with folder() as place:
        for victim, rest in ((1, 2), (0, 4)):
            out = pathlib.Path(place) / f"killed-{victim}"
            with nproc(out, 3, *ENDLESS) as three:
                ranks = three.wait_for_checkpoint(3)
                since = time.monotonic()
                os.kill(ranks[victim], signal.SIGKILL)
                three.ends(76, since, f"rank {victim} was killed")
                expect(re.search(rf"error: .*rank {victim} on host \S+ was lost", three.text()), three.text())
            goes_on(out, rest)


def a_stopped_rank_is_named():
    with folder() as place:
        for victim, rest in ((2, 1), (0, 2)):
            out = pathlib.Path(place) / f"stopped-{victim}"
            with nproc(out, 3, *ENDLESS) as three:
                ranks = three.wait_for_checkpoint(3)
                since = time.monotonic()
                os.kill(ranks[victim], signal.SIGSTOP)
                three.ends(76, since, f"rank {victim} was stopped")
                expect(re.search(rf"error: .*rank {victim} on host \S+ was lost: nothing heard of it", three.text()), three.text())
            goes_on(out, rest)


def one_that_is_stopped_when_all_is_done_does_not_keep_the_others():
    with folder() as place:
        for attempt in range(8):
            out = pathlib.Path(place) / f"last-{attempt}"
            with nproc(out, 2, "--set", "run.steps=20") as two:
                ranks = {}
                while two.processes[0].poll() is None and not list(out.glob("*/summary.json")):
                    ranks = two.ranks() or ranks
                since = time.monotonic()
                with contextlib.suppress(ProcessLookupError, KeyError):
                    os.kill(ranks[0], signal.SIGSTOP)
                code = two.processes[0].wait(GIVEN_UP_AFTER)
                if code == 0:
                    continue  # it was gone already
                expect(code == 76 and time.monotonic() - since < 10 and "rank 0 (process " in two.text(), two.text())
            rechost("checkpoint", "verify", only_run(out))
            return
        expect(False, "rank 0 was never stopped in time")


def ranks_whose_supervisor_is_killed_end_with_a_checkpoint():
    with folder() as place:
        out = pathlib.Path(place) / "orphans"
        with nproc(out, 3, *ENDLESS) as three:
            ranks = three.wait_for_checkpoint(3)
            since = time.monotonic()
            three.processes[0].kill()
            while any(pathlib.Path(f"/proc/{pid}").exists() for pid in ranks.values()):
                expect(time.monotonic() - since < GIVEN_UP_AFTER, f"ranks outlive their supervisor\n{three.text()}")
                time.sleep(0.05)
            print(f"        the supervisor was killed: all ended after {time.monotonic() - since:.1f} s", flush=True)
        expect(json.loads((only_run(out) / "summary.json").read_text())["status"] == "stopped", "not recorded as stopped")
        goes_on(out, 2)


def a_connection_that_is_open_on_one_side_only_is_noticed():
    for way in ("up", "down"):
        with folder() as place:
            out = pathlib.Path(place) / "half"
            port = free_port()
            with Line(port) as line, Processes(out, by_hand(3, port, {2: line.port}), *RUN, *ENDLESS).start() as three:
                three.wait_for_checkpoint(3)
                since = time.monotonic()
                line.dead.add(way)
                three.ends(76, since, f"the connection of rank 2 to rank 0 was cut {'to' if way == 'up' else 'from'} rank 0")
                # Who hears nothing names the other end. From rank 0 it came to rank 2 while it could.
                named = "2" if way == "up" else "[02]"
                for log in three.logs:
                    expect(re.search(rf"error: .*rank {named} on host \S+ was lost", log.read_text()), three.text())
            goes_on(out, 2)


def a_full_disk_ends_all():
    # A file system of its own, which everybody may make who may have namespaces. Once there is a checkpoint in it, it gets so full that rank 1,
    # which has all tables, finds no room for them.
    script = """
        mount -t tmpfs -o size=16m none "$2" || exit 99
        program=$1; out=$2; shift 2
        "$program" "$@" &
        until ls -d "$out"/dlrm-*/checkpoints/step-*/manifest.json >/dev/null 2>&1; do sleep 0.05; kill -0 $! || exit 98; done
        cp -r "$out" "$out-before"
        dd if=/dev/zero of="$out"/other bs=1k count=$(($(df --output=avail -k "$out" | tail -1) - 200)) 2>/dev/null
        date +%s.%N >"$out-full"
        wait $!
        code=$?
        date +%s.%N >"$out-ended"
        rm "$out"/other
        cp -r "$out" "$out-kept"
        exit $code
    """
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    with folder() as place:
        out = pathlib.Path(place) / "runs"
        out.mkdir()
        large = ["--set", 'tables."*".rank=1', "--set", "data.cardinality=[40000, 200, 200, 200, 200, 200, 200, 200]"]
        command = ["unshare", *user, "--mount", "sh", "-c", script, "sh", BIN, out, *RUN, *ENDLESS, *large, "--nproc", 3, "--out", out]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
        said = done.stdout + done.stderr
        expect(done.returncode == 1, f"exit code {done.returncode}\n{said}")
        own = r"the checkpoint was not written, older ones are unharmed: cannot write \S+: No space left on device"
        expect(re.search(rf"^\[[01]\] error: {own}", said, re.M), said)
        for rank in range(3):
            # What is left for rank 0, rank 1 may have taken before it.
            expect(re.search(rf"^\[{rank}\] error: (rank [01] on host \S+ failed: )?{own}", said, re.M), f"rank {rank}\n{said}")
        expect(re.search(r"^\[2\] error: rank [01] on host", said, re.M), said)
        took = float(pathlib.Path(f"{out}-ended").read_text()) - float(pathlib.Path(f"{out}-full").read_text())
        print(f"        the disk was full: all ended after {took:.1f} s", flush=True)
        expect(took < GIVEN_UP_AFTER, said)
        expect(newest_step(f"{out}-kept") >= newest_step(f"{out}-before") > 0, f"the last checkpoint is gone\n{said}")
        goes_on(f"{out}-kept", 2, *large[2:])


def a_rank_without_memory_ends_all():
    with folder() as place:
        out = pathlib.Path(place) / "memory"
        with nproc(out, 3, *ENDLESS) as three:
            ranks = three.wait_for_checkpoint(3)
            size = int(re.search(r"VmSize:\s+(\d+) kB", pathlib.Path(f"/proc/{ranks[1]}/status").read_text()).group(1)) * 1024
            since = time.monotonic()
            resource.prlimit(ranks[1], resource.RLIMIT_AS, (size // 2, size // 2))
            three.ends(1, since, "rank 1 had no more memory")
            expect(re.search(r"^\[1\] error: out of memory", three.text(), re.M), three.text())
            for other in ("0", "2"):
                expect(re.search(rf"^\[{other}\] error: rank 1 on host \S+ failed: .*memory", three.text(), re.M), three.text())
        goes_on(out, 4)


# ---- at any time ----

def killed_at_any_time_a_run_ends_as_if_it_had_not_been():
    kills = int(os.environ.get("RECHOST_TEST_KILLS", "10"))
    seed = int(os.environ.get("RECHOST_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    print(f"        seed {seed}, {kills} kills", flush=True)
    chance = random.Random(seed)
    steps = ["--set", f"run.steps={300 * kills}"]
    longest = {}
    with folder() as place:
        place = pathlib.Path(place)
        out = place / "killed"
        out.mkdir()
        for kill in range(kills):
            number = chance.choice([signal.SIGKILL] * 4 + [signal.SIGSTOP])
            name = f"kill {kill} of seed {seed} ({number.name})"
            with Processes(out, [{}], *RUN, *steps, "--resume", "auto", "--nproc", chance.choice((2, 3))).start() as run:
                time.sleep(chance.uniform(0.0, 4.0))
                victims = list(run.ranks().values())
                since = time.monotonic()
                if victims and run.processes[0].poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(chance.choice(victims), number)
                else:
                    run.processes[0].kill()
                code = run.processes[0].wait(GIVEN_UP_AFTER)
                took = time.monotonic() - since
                # 0: it was done before the signal came.
                expect(code in (0, 76, -9), f"{name}: exit code {code}\n{run.text()}")
                expect(code != 76 or re.search(r"rank \d (on host \S+ was lost|\(process \d+\) )", run.text()), f"{name}: no rank is named\n{run.text()}")
                run.ranks()
                while any(pathlib.Path(f"/proc/{pid}").exists() for pid in run.seen):
                    expect(time.monotonic() - since < GIVEN_UP_AFTER, f"{name}: ranks are left\n{run.text()}")
                    time.sleep(0.05)
                if code == 76:
                    longest[number.name] = max(took, longest.get(number.name, 0.0))
            for manifest in out.glob("*/checkpoints/step-*/manifest.json"):
                rechost("checkpoint", "verify", manifest.parent)
        print(f"        all ended at the latest after {', '.join(f'{took:.1f} s ({name})' for name, took in sorted(longest.items()))}", flush=True)
        rechost(*RUN, *steps, "--resume", "auto", "--nproc", 4, "--out", out, timeout=300 + 60 * kills)
        finished = [run for run in out.glob("dlrm-*") if json.loads((run / "summary.json").read_text())["status"] == "finished"]
        expect(finished, f"nothing is finished in {list(out.glob('*'))}")
        rechost(*RUN, *steps, "--out", place / "unbroken", timeout=300 + 60 * kills)
        for run in finished:
            checkpoints.expect_same_weights(only_run(place / "unbroken"), run)


if __name__ == "__main__":
    tests = [a_taken_port_is_passed_over_and_its_owner_is_no_rank, no_free_port_is_an_error_with_the_remedy, a_wrong_address_is_named_with_the_remedy,
             a_late_host_is_awaited_and_one_that_does_not_come_is_named, one_that_is_lost_while_others_are_awaited_ends_all_who_wait,
             asked_to_stop_they_do_while_others_are_awaited, strangers_at_every_port_are_sent_away_and_change_nothing,
             a_killed_rank_is_named, a_stopped_rank_is_named, one_that_is_stopped_when_all_is_done_does_not_keep_the_others, ranks_whose_supervisor_is_killed_end_with_a_checkpoint,
             a_connection_that_is_open_on_one_side_only_is_noticed, a_full_disk_ends_all, a_rank_without_memory_ends_all,
             killed_at_any_time_a_run_ends_as_if_it_had_not_been]
    main([test for test in tests if not sys.argv[1:] or test.__name__ in sys.argv[1:]])
