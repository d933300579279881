# The way of a plugin author: a template project, built and run outside of the source tree, against the installed SDK alone.
import os
import pathlib
import subprocess
import time

from program import BIN, BUILD, SMALL, expect, folder, main, rechost


def run(*command, cwd):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=580)
    expect(done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}")
    return done


def a_template_builds_and_trains_outside_the_tree():
    with folder() as place:
        place = pathlib.Path(place)
        run("cmake", "--install", BUILD, "--prefix", place / "installed", cwd=place)
        # The installed program, as an author would have it: its template finds the SDK beside it without being told.
        run(place / "installed" / "bin" / "rechost", "plugins", "new", "mymodel", cwd=place)
        run("cmake", "-S", "mymodel", "-B", "b", cwd=place)
        begin = time.monotonic()
        run("cmake", "--build", "b", cwd=place)
        print(f"built in {time.monotonic() - begin:.0f} s", flush=True)
        plugin = place / "b" / "mymodel.so"
        expect("mymodel" in rechost("plugins", "inspect", plugin).out, "inspect")
        data = [word for index, word in enumerate(SMALL) if not word.startswith("model.")
                and not (word == "--set" and SMALL[index + 1].startswith("model."))]
        trained = rechost("run", "--plugin", plugin, *data, "--out", place / "runs", "--output", "json").json()
        expect(trained["metrics"]["test"]["auc"] > 0.6, trained)
        expect("FAILED" not in rechost("plugins", "check", plugin).out, "check")


def a_name_that_exists_is_refused():
    with folder() as place:
        rechost("plugins", "new", "mymodel", cwd=place)
        again = rechost("plugins", "new", "mymodel", cwd=place, code=2)
        expect("exists already" in again.err, again)


main([a_template_builds_and_trains_outside_the_tree, a_name_that_exists_is_refused])
