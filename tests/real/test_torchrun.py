# label: real
"""torchrun starts the ranks, its store on the port that they are given; the weights are those of one process."""
import pathlib
import socket
import subprocess

from launched import ENDLESS, RUN, SHORT, kill_rank_one, launch, run_folder

from checkpoints import expect_same_weights
from program import SOURCE, folder, main


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


def a_killed_rank_ends_all():
    with folder() as place:
        out = pathlib.Path(place) / "killed"
        kill_rank_one("RANK", out, *torchrun(), "--standalone", *RUN, *ENDLESS, "--out", out)


main([the_weights_are_those_of_one_process, a_killed_rank_ends_all])
