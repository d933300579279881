# label: real
"""torchrun starts the ranks, its store on the port that they are given; the weights are those of one process."""
import pathlib
import socket
import subprocess

from launched import ENDLESS, RUN, SHORT, as_documented, kill_rank_one, launch, run_folder

from checkpoints import expect_same_weights
from program import SOURCE, expect, folder, main


def torchrun():
    python = subprocess.run([SOURCE / "packaging" / "peers"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    # As a module, which runs with this Python wherever the environment has been moved.
    return [python, "-m", "torch.distributed.run", "--no-python", "--nproc-per-node", 2]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def the_weights_are_those_of_one_process():
    with folder() as place:
        place = pathlib.Path(place)
        launch(*RUN, *SHORT, "--out", place / "one")
        for name, options in (("standalone", ["--standalone"]), ("master", ["--master-addr", "127.0.0.1", "--master-port", free_port()])):
            launch(*torchrun(), *options, *RUN, *SHORT, "--out", place / name)
            expect_same_weights(run_folder(place / "one"), run_folder(place / name))
        as_documented("torchrun", place / "documented", programs={"torchrun": torchrun()[:3]})
        expect_same_weights(run_folder(place / "one"), run_folder(place / "documented" / "runs"))


def agents_on_two_nodes_do_the_same():
    """The static rendezvous, whose nodes share this machine."""
    with folder() as place:
        place = pathlib.Path(place)
        launch(*RUN, *SHORT, "--out", place / "one")
        port = free_port()
        agents = []
        for node in (1, 0):
            command = [*torchrun(), "--nnodes", 2, "--node-rank", node, "--rdzv-backend", "static", "--master-addr", "127.0.0.1", "--master-port", port,
                       *RUN, *SHORT, "--out", place / "nodes"]
            with (place / f"{node}.log").open("w") as log:
                agents.append(subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT))
        codes = [agent.wait(120) for agent in agents]
        said = "\n".join((place / f"{node}.log").read_text() for node in (0, 1))
        expect(codes == [0, 0] and "placement: 4 ranks" in said, f"exit codes {codes}\n{said}")
        expect_same_weights(run_folder(place / "one"), run_folder(place / "nodes"))


def torchrun_shows_why_a_rank_failed():
    with folder() as place:
        command = [*torchrun(), "--standalone", *RUN, *SHORT, "--set", "optimizer.dense.lr=1e30", "--out", place]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=120)
        # In its summary, below everything that the ranks have said.
        summary = done.stdout.partition("Root Cause")[2]
        expect(done.returncode == 1 and "loss is not finite" in summary, f"exit code {done.returncode}\n{done.stdout}")


def a_killed_rank_ends_all():
    with folder() as place:
        out = pathlib.Path(place) / "killed"
        kill_rank_one("RANK", out, *torchrun(), "--standalone", *RUN, *ENDLESS, "--out", out)


main([the_weights_are_those_of_one_process, agents_on_two_nodes_do_the_same, torchrun_shows_why_a_rank_failed, a_killed_rank_ends_all])
