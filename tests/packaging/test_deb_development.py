# label: packaging
# serial
"""rechost-dev on a bare Debian: what a plugin author does works with packages of the distribution alone, in C++ with LibTorch and in plain C."""
import json
import shutil
import tempfile

from chroot import SOURCE, Chroot, expect, main
from repository import AptRepository

C_PROJECT = """cmake_minimum_required(VERSION 3.25)
project(plain_c_plugin VERSION 1.0.0 LANGUAGES C)
find_package(rechost REQUIRED)
rechost_add_plugin(plain_c_plugin SOURCES plain_c_plugin.c MODULES model:plain_c dataset:plain_c LIBRARIES m)
"""


def the_template(chroot):
    chroot.run("rechost", "plugins", "new", "mymodel", user="ada")
    chroot.run("cmake", "-S", "mymodel", "-B", "mymodel/build", user="ada")
    chroot.run("cmake", "--build", "mymodel/build", user="ada")
    checked = chroot.run("rechost", "plugins", "check", "mymodel/build/mymodel.so", user="ada").stdout
    expect("FAILED" not in checked and "ok" in checked, checked)
    trained = chroot.run("rechost", "run", "--config", "mymodel.toml", "--output", "json", user="ada", cwd="/home/ada/mymodel")
    trained = json.loads(trained.stdout.strip().splitlines()[-1])
    expect(trained["status"] == "finished" and trained["metrics"]["test"]["auc"] > 0.6, trained)


def plain_c(chroot):
    project = chroot.root / "home/ada/plain"
    project.mkdir()
    for name in ("plain_c_plugin.c", "minimal.h"):
        shutil.copy(SOURCE / "tests/abi/plugins" / name, project)
    (project / "CMakeLists.txt").write_text(C_PROJECT)
    chroot.run("chown", "-R", "ada:ada", "/home/ada/plain")
    chroot.run("cmake", "-S", "plain", "-B", "plain/build", user="ada")
    chroot.run("cmake", "--build", "plain/build", user="ada")
    inspected = chroot.run("rechost", "plugins", "inspect", "plain/build/plain_c_plugin.so", user="ada").stdout
    expect("plain_c_plugin 1.0.0" in inspected, inspected)
    trained = chroot.run("rechost", "run", "--plugin", "plain/build/plain_c_plugin.so", "--set", "data.rows=20000", "--output", "json", user="ada")
    expect(json.loads(trained.stdout.strip().splitlines()[-1])["status"] == "finished", trained.stdout)


def an_author_needs_packages_only():
    with tempfile.TemporaryDirectory(prefix="rechost-repository-") as place, AptRepository(place) as repository, Chroot() as chroot:
        repository.add_to(chroot)
        chroot.run("apt-get", "install", "--yes", "--no-install-recommends", "rechost-dev", "rechost-models", timeout=1200)
        chroot.add_user("ada")
        the_template(chroot)
        plain_c(chroot)
        verified = chroot.run("dpkg", "--verify", "rechost-dev", "rechost-libtorch-dev")
        expect(verified.stdout == "", verified.stdout)


main([an_author_needs_packages_only])
