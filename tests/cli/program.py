"""The program under test, as these tests talk about it."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

BIN = os.environ["RECHOST_BIN"]
SOURCE = pathlib.Path(os.environ["RECHOST_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["RECHOST_BUILD_DIR"])

# A DLRM that trains in about a second: what most tests here need is a run, not a good one.
SMALL = [
    "--set", "data.rows=20000", "--set", "data.valid_rows=4000", "--set", "data.test_rows=4000", "--set", "data.batch_size=500",
    "--set", "run.threads=1", "--set", "model.embedding_dim=4", "--set", "model.bottom_mlp=[8, 4]", "--set", "model.top_mlp=[8]",
]


class Result:
    def __init__(self, completed):
        self.code = completed.returncode
        self.out = completed.stdout
        self.err = completed.stderr

    def json(self):
        """The last line of standard output."""
        return json.loads(self.out.strip().splitlines()[-1])

    def __str__(self):
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def rechost(*arguments, cwd=None, env=None, timeout=120, code=0):
    """Runs the program to its end and checks the exit code (None: any)."""
    environment = dict(os.environ)
    environment.update(env or {})
    completed = subprocess.run([BIN, *map(str, arguments)], cwd=cwd, env=environment, timeout=timeout, capture_output=True, text=True,
                               stdin=subprocess.DEVNULL)
    result = Result(completed)
    if code is not None and result.code != code:
        raise AssertionError(f"rechost {' '.join(map(str, arguments))}: expected exit code {code}\n{result}")
    return result


def folder():
    """A temporary folder that goes with the process; the registry lies in it too, never in the home of whoever runs the tests."""
    made = tempfile.TemporaryDirectory(prefix="rechost-test-")
    os.environ["RECHOST_REGISTRY"] = str(pathlib.Path(made.name) / "registry")
    return made


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def main(tests):
    """Runs the functions in order; each failure is printed, any fails the script."""
    failed = 0
    for test in tests:
        try:
            test()
            print(f"ok      {test.__name__}", flush=True)
        except Exception as error:  # the next test may still say more
            failed += 1
            print(f"FAILED  {test.__name__}: {error}", flush=True)
    sys.exit(1 if failed else 0)
