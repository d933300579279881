# label: packaging
# serial
"""Installed with apt from a signed repository on a bare Debian: runs for everybody, verifies, and leaves nothing behind when purged."""
import json
import tempfile

from chroot import Chroot, expect, main
from repository import AptRepository


def summary(done):
    return json.loads(done.stdout.strip().splitlines()[-1])


def installs_runs_and_leaves(chroot, repository):
    before = chroot.files()
    repository.add_to(chroot)
    chroot.run("apt-get", "install", "--yes", "--no-install-recommends", "rechost", "rechost-models")
    chroot.add_user("ada")
    before |= {path for path in chroot.files() if path.startswith(("/etc/apt/", "/var/mail", "/var/spool/mail", "/etc/sub"))}

    trained = summary(chroot.run("rechost", "run", "--plugin", "dlrm", "--output", "json", cwd="/root"))
    expect(trained["status"] == "finished" and trained["metrics"]["test"]["auc"] > 0.8, trained)
    mine = summary(chroot.run("rechost", "run", "--plugin", "two_tower", "--set", "data.rows=50000", "--output", "json", user="ada"))
    expect(mine["status"] == "finished", mine)
    expect((chroot.root / mine["run_dir"].lstrip("/") / "summary.json").stat().st_uid != 0, "the run belongs to root")

    # The module that ranks talk through, and the library that it needs, came with the packages.
    together = summary(chroot.run("rechost", "run", "--plugin", "dlrm", "--set", "data.rows=50000", "--nproc", "2", "--output", "json", user="ada"))
    expect(together["status"] == "finished" and together["ranks"] == 2, f"two ranks: {together}")
    listed = chroot.run("rechost", "plugins", "list", user="ada").stdout
    expect("cannot be loaded" not in listed, listed)
    for plugin in ("dlrm", "deepfm", "two_tower", "synthetic", "criteo", "csv", "mds", "ratings", "parquet"):
        expect(f"/usr/lib/x86_64-linux-gnu/rechost/plugins/{plugin}.so" in listed, f"no {plugin} in\n{listed}")

    launch = chroot.root / "usr/share/rechost/launch"
    expect({"README.md", "rechost.sbatch", "rechost_spark.py", "jobset.yaml"} <= {path.name for path in launch.glob("*")}, f"{list(launch.glob('*'))}")

    verified = chroot.run("dpkg", "--verify", "rechost", "rechost-models", "rechost-libtorch")
    expect(verified.stdout == "", verified.stdout)
    chroot.run("apt-get", "purge", "--yes", "--auto-remove", "rechost", "rechost-models", "rechost-libtorch")
    left = chroot.files() - before
    expect(not left, f"purging left {sorted(left)[:20]}")


def an_altered_package_is_refused(chroot, repository):
    archive = next(repository.folder.glob("pool/main/r/rechost/rechost_*.deb"))
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done = chroot.run("apt-get", "install", "--yes", "--no-install-recommends", "rechost", check=False)
    expect(done.returncode != 0 and "Hash Sum mismatch" in done.stderr, done.stdout + done.stderr)
    archive.write_bytes(whole)


def apt_installs_what_runs_and_can_be_purged():
    with tempfile.TemporaryDirectory(prefix="rechost-repository-") as place, AptRepository(place) as repository, Chroot() as chroot:
        installs_runs_and_leaves(chroot, repository)
        an_altered_package_is_refused(chroot, repository)


main([apt_installs_what_runs_and_can_be_purged])
