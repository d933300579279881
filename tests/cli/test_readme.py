# Every command of README.md runs as printed, in one shell, in an empty folder, except blocks marked "not run".
import os
import pathlib
import re
import subprocess

from program import BIN, SOURCE, expect, folder, main


def commands():
    text = (SOURCE / "README.md").read_text()
    for mark, block in re.findall(r"(<!-- not run[^\n]*-->\n)?```sh\n(.*?)```", text, re.S):
        if not mark:
            yield from (line for line in block.splitlines() if line.strip())


def all_commands_run():
    lines = list(commands())
    expect(len(lines) > 20, f"only {len(lines)} commands found in README.md")
    with folder() as place:
        script = "set -e\n" + "\n".join(f"echo '$ {line}' >&2\n{line}" for line in lines) + "\n"
        environment = dict(os.environ, PATH=f"{pathlib.Path(BIN).parent}:{os.environ['PATH']}")
        done = subprocess.run(["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True, timeout=900)
        expect(done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


main([all_commands_run])
