# label: real
# serial
"""The MLflow server itself has what a run wrote: all of it, each point once, whatever happened to either of the two."""
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

SOURCE = pathlib.Path(os.environ["RECHOST_SOURCE_DIR"])
sys.path.insert(0, str(SOURCE / "tests" / "cli"))

from mlflow_process import Mlflow  # noqa: E402
from program import BIN, SMALL, expect, folder, main, rechost  # noqa: E402

SEED = int(os.environ.get("RECHOST_TEST_SEED", str(random.SystemRandom().randrange(1 << 30))))
RUN = ["run", "--plugin", "dlrm", *SMALL, "--set", "run.log_every_steps=2", "--set", "eval.every_steps=20", "--set", "checkpoint.every_steps=10",
       "--set", "schedule.kind=constant", "--set", "tracking.mlflow.flush_seconds=300"]
for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
    del os.environ[name]
os.environ["no_proxy"] = "127.0.0.1"


def tracked(server, experiment, *settings):
    values = [f"tracking.mlflow.uri={server.uri}", f"tracking.mlflow.experiment={experiment}", *settings]
    return [argument for value in values for argument in ("--set", value)]


def only_run(root):
    run, = [path for path in pathlib.Path(root).iterdir() if path.is_dir()]
    return run


def recorded(run):
    """Of metrics.jsonl: by key in MLflow, the (step, value) of each line."""
    points = {}
    for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        for name, value in line.items():
            if name not in ("step", "epoch", "time"):
                points.setdefault(name.replace(".", "/", 1).replace("@", "_at_"), []).append((line["step"], value))
    return points


def expect_whole(server, experiment, run, status="FINISHED"):
    """The server has one run, with exactly the points of metrics.jsonl, each once. Returns it."""
    stored, = server.runs(experiment)
    run_id = stored["info"]["run_id"]
    expect(stored["info"]["status"] == status, stored["info"])
    written = recorded(run)
    known = {metric["key"] for metric in stored["data"]["metrics"]}
    expect(known == set(written) | {key for key in known if key.startswith("run/")}, f"{known ^ set(written)}")
    for key, points in written.items():
        history = server.history(run_id, key)
        expect(sorted((step, value) for step, _, value in history) == sorted(points),
               f"{key}: {len(points)} points written, {len(history)} on the server: {sorted(set(points) ^ {(s, v) for s, _, v in history})[:5]}")
    return stored


def pairs(entries):
    return {entry["key"]: entry["value"] for entry in entries}


def what_a_run_wrote_is_read_back(server):
    with folder() as place:
        done = rechost(*RUN, *tracked(server, "whole", "tracking.mlflow.tags.team=ads", "tracking.mlflow.run_name=first try"), "--out", place, "--output", "json", timeout=600)
        run = only_run(place)
        stored = expect_whole(server, "whole", run)
        expect(stored["info"]["run_name"] == "first try" and stored["info"]["end_time"] >= stored["info"]["start_time"], stored["info"])
        params = pairs(stored["data"]["params"])
        shown = rechost("config", "show", "--config", run / "config.toml").out
        section = ""
        for line in shown.splitlines():
            if line.startswith("["):
                section = line[1:-1]
            elif line and not section.startswith("tracking"):
                key, value = line.split("  # ")[0].split(" = ", 1)
                expect(params.pop(f"{section}.{key}") == value.strip('"'), line)
        expect(not params, f"params that are in no configuration: {params}")
        tags = pairs(stored["data"]["tags"])
        expect(tags["team"] == "ads" and tags["mlflow.source.type"] == "LOCAL" and tags["rechost.run_dir"] == str(run), tags)
        expect(tags["rechost.version"] == rechost("--version").out.split()[1], tags)
        for name, file in (("config.toml", "config.toml"), ("summary.json", "summary.json"), ("report.html", "report.html"),
                           ("checkpoint/manifest.json", "checkpoints/latest/manifest.json")):
            expect(server.artifact(stored, name) == (run / file).read_bytes(), name)
        expect(f"/runs/{stored['info']['run_id']}" in done.err, done)


def killed_and_restarted_mid_run_it_misses_nothing_and_doubles_nothing(server):
    with folder() as place:
        process = subprocess.Popen([BIN, *RUN, "--set", "run.epochs=300", *tracked(server, "killed"), "--out", place], stderr=subprocess.PIPE, text=True)
        dice = random.Random(SEED)
        for _ in range(2):
            # Killed at any time of a request, the first time perhaps while the run is created.
            time.sleep(dice.uniform(0.2, 4.0))
            server.stop()
            time.sleep(0.5)
            server.start()
        talk = process.stderr.read()
        expect(process.wait() == 0, talk)
        expect("MLflow does not answer" in talk and "MLflow answers again" in talk, talk)
        expect_whole(server, "killed", only_run(place))


def away_the_whole_time_it_is_told_by_sync(server):
    server.stop()
    with folder() as place:
        done = rechost(*RUN, *tracked(server, "away"), "--set", "tracking.mlflow.flush_seconds=0", "--out", place)
        run = only_run(place)
        expect(f"rechost runs sync {run}" in done.err, done)
        server.start()
        expect(rechost("runs", "sync", run, "--output", "json", timeout=600).json()["sent"] > 30, "records")
        stored = expect_whole(server, "away", run)
        expect(stored["info"]["end_time"] < time.time() * 1000 - 1000, "the run ended before the server was there")
        expect(rechost("runs", "sync", run, "--output", "json").json()["sent"] == 0, "sent again")


def a_run_killed_and_resumed_is_one_run_with_each_point_once(server):
    dice = random.Random(SEED)
    with folder() as place:
        command = [BIN, *RUN, "--set", "run.epochs=200", *tracked(server, "resumed"), "--out", place, "--resume", "auto"]
        for _ in range(4):
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            begin, life = time.monotonic(), dice.uniform(0.5, 3.0)
            while time.monotonic() - begin < life or not list(pathlib.Path(place).glob("*/checkpoints/latest")):
                expect(process.poll() is None, "it ended before it could be killed")
                time.sleep(0.02)
            process.kill()
            process.wait()
        run = only_run(place)
        expect(server.runs("resumed")[0]["info"]["status"] == "RUNNING", "nobody has told of its end")
        rechost("runs", "sync", run, timeout=600)
        expect_whole(server, "resumed", run, "KILLED")
        rechost(*command[1:], timeout=600)
        expect_whole(server, "resumed", run)


def a_signal_is_killed_and_going_on_is_running_again(server):
    with folder() as place:
        command = [*RUN, "--set", "run.epochs=300", *tracked(server, "stopped"), "--out", place]
        process = subprocess.Popen([BIN, *command], stderr=subprocess.DEVNULL)
        while not list(pathlib.Path(place).glob("*/spool/mlflow.json")):
            expect(process.poll() is None, "it ended")
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        expect(process.wait() == 75, f"exit code {process.returncode}")
        expect_whole(server, "stopped", only_run(place), "KILLED")
        rechost(*command, "--resume", "auto", timeout=600)
        expect_whole(server, "stopped", only_run(place))


def the_readme_is_right(server):
    block, = re.findall(r"## Track.*?```sh\n(.*?)```", (SOURCE / "README.md").read_text(), re.S)
    with folder() as place:
        environment = dict(os.environ, PATH=f"{pathlib.Path(BIN).parent}:{os.environ['PATH']}")
        done = subprocess.run(["bash", "-ec", block.replace("http://127.0.0.1:5000", server.uri)], cwd=place, env=environment, capture_output=True, text=True, timeout=600)
        expect(done.returncode == 0 and "MLflow has all of" in done.stdout, f"{done.stdout}\n{done.stderr}")
        expect_whole(server, "clicks", only_run(pathlib.Path(place) / "runs"))


def an_account_is_needed_where_the_server_wants_one():
    with folder() as place, Mlflow(pathlib.Path(place) / "server", ("ann", "a password of ann's")) as server:
        runs = pathlib.Path(place) / "runs"
        done = rechost(*RUN, *tracked(server, "guarded"), "--out", runs)
        expect("HTTP 401" in done.err and "MLFLOW_TRACKING_USERNAME" in done.err, done)
        account = {"MLFLOW_TRACKING_USERNAME": server.account[0], "MLFLOW_TRACKING_PASSWORD": server.account[1]}
        rechost("runs", "sync", only_run(runs), env=account, timeout=600)
        expect_whole(server, "guarded", only_run(runs))
        for path in runs.rglob("*"):
            expect(not path.is_file() or server.account[1].encode() not in path.read_bytes(), f"{path} holds the password")


def one_server(tests):
    """They share a server, each with an experiment of its own: it takes half a minute to start."""
    place = folder()
    server = Mlflow(pathlib.Path(place.name) / "server")

    def bound(test):
        def run():
            test(server)
        run.__name__ = test.__name__
        return run

    return place, server, [bound(test) for test in tests]


print(f"seed {SEED} (RECHOST_TEST_SEED)", flush=True)
place, server, tests = one_server([what_a_run_wrote_is_read_back, killed_and_restarted_mid_run_it_misses_nothing_and_doubles_nothing,
                                   away_the_whole_time_it_is_told_by_sync, a_run_killed_and_resumed_is_one_run_with_each_point_once,
                                   a_signal_is_killed_and_going_on_is_running_again, the_readme_is_right])
with place, server:
    main([*tests, an_account_is_needed_where_the_server_wants_one])
