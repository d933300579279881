# label: real
"""Open MPI's mpirun and MPICH's mpiexec.hydra start the ranks; the weights are those of one process."""
import pathlib

from launched import ENDLESS, RUN, SHORT, as_documented, kill_rank_one, launch, run_folder

from checkpoints import expect_same_weights
from program import expect, folder, main

OPEN_MPI = ["mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "-n"]
HYDRA = ["mpiexec.hydra", "-n"]


def the_weights_are_those_of_one_process():
    with folder() as place:
        place = pathlib.Path(place)
        launch(*RUN, *SHORT, "--out", place / "one")
        for name, launcher in (("open-2", [*OPEN_MPI, 2]), ("open-3", [*OPEN_MPI, 3]), ("hydra-2", [*HYDRA, 2])):
            launch(*launcher, *RUN, *SHORT, "--out", place / name)
            expect_same_weights(run_folder(place / "one"), run_folder(place / name))


def the_documented_lines_do_the_same():
    # As root, and with more ranks than cores, Open MPI wants to be told.
    environment = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    with folder() as place:
        place = pathlib.Path(place)
        launch(*RUN, *SHORT, "--out", place / "one")
        for name, section, programs in (("open", "Open MPI", {"mpirun": ["mpirun.openmpi"]}), ("mpich", "MPICH", {"mpiexec": ["mpiexec.hydra"]})):
            said = as_documented(section, place / name, environment, programs)
            expect("placement: 2 ranks" in said, said)
            expect_same_weights(run_folder(place / "one"), run_folder(place / name / "runs"))
        for section, count in (("One machine", 2), ("Machines without a launcher", 4)):
            said = as_documented(section, place / section)
            expect(f"placement: {count} ranks" in said, said)
            expect_same_weights(run_folder(place / "one"), run_folder(place / section / "runs"))


def a_killed_rank_ends_all():
    with folder() as place:
        for name, launcher, variable in (("open", OPEN_MPI, "OMPI_COMM_WORLD_RANK"), ("hydra", HYDRA, "PMI_RANK")):
            out = pathlib.Path(place) / name
            kill_rank_one(variable, out, *launcher, 2, *RUN, *ENDLESS, "--out", out)


main([the_weights_are_those_of_one_process, the_documented_lines_do_the_same, a_killed_rank_ends_all])
