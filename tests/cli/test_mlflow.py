# What MLflow gets of a run: all of it, each thing once, however the server and the run are treated; and training never waits for it.
import json
import os
import pathlib
import random
import signal
import subprocess
import time

from mlflow_server import MlflowServer
from program import BIN, SMALL, expect, folder, main, rechost

SEED = int(os.environ.get("RECHOST_TEST_SEED", str(random.SystemRandom().randrange(1 << 30))))
RUN = ["run", "--plugin", "dlrm", *SMALL, "--set", "run.log_every_steps=2", "--set", "eval.every_steps=10", "--set", "checkpoint.every_steps=5",
       "--set", "schedule.kind=constant"]
for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
    del os.environ[name]
os.environ["no_proxy"] = "127.0.0.1"


def tracked(server, *settings):
    values = [f"tracking.mlflow.uri={server.uri}", "tracking.mlflow.experiment=clicks", "tracking.mlflow.flush_seconds=60", *settings]
    return [argument for value in values for argument in ("--set", value)]


def only_run(root):
    runs = [path for path in pathlib.Path(root).iterdir() if path.is_dir()]
    expect(len(runs) == 1, f"one run directory expected, there are {runs}")
    return runs[0]


def key_of(name):
    return name.replace(".", "/", 1).replace("@", "_at_")


def recorded(run):
    """Points of metrics.jsonl as MLflow is to have them."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return sorted((key_of(name), line["step"], value) for line in lines for name, value in line.items() if name not in ("step", "epoch", "time"))


def points(stored):
    """Points on the server without those of the run as a whole."""
    return sorted((key, step, value) for key, step, timestamp, value in stored["metrics"] if not key.startswith("run/"))


def expect_whole(server, run, status="FINISHED"):
    stored, = server.runs.values()
    missing, more = list(recorded(run)), []
    for point in points(stored):
        missing.remove(point) if point in missing else more.append(point)
    expect(not missing and not more, f"missing {missing[:5]}, too many {more[:5]}")
    expect(len(set(map(repr, stored["metrics"]))) == len(stored["metrics"]), "a point is there twice")
    expect(stored["info"]["status"] == status, f"{stored['statuses']}")
    return stored


def all_of_a_run_arrives():
    with folder() as place, MlflowServer() as server:
        done = rechost(*RUN, *tracked(server, "tracking.mlflow.tags.team=ads", "tracking.mlflow.tags.\"a b?\"=1e3"), "--out", place, "--output", "json")
        run = only_run(place)
        stored = expect_whole(server, run)
        expect(f"{server.uri}/#/experiments/1/runs/{stored['info']['run_id']}" in done.err, done)
        expect(stored["info"]["run_name"] == run.name and server.experiments["clicks"]["experiment_id"] == "1", stored["info"])
        params = stored["params"]
        expect(params["data.batch_size"] == "500" and params["model.top_mlp"] == "[8]" and params["optimizer.dense.kind"] == "adam", params)
        expect(not any(key.startswith("tracking") for key in params), params)
        tags = stored["tags"]
        expect(tags["team"] == "ads" and tags["a b_"] == "1e3" and tags["rechost.model"].startswith("dlrm ") and tags["mlflow.user"], tags)
        expect(tags["rechost.rows.train"] == "20000" and len(tags["rechost.data_fingerprint"]) == 16, tags)
        root = f"1/{stored['info']['run_id']}/artifacts/"
        for name, file in (("config.toml", "config.toml"), ("summary.json", "summary.json"), ("report.html", "report.html"),
                           ("checkpoint/manifest.json", "checkpoints/latest/manifest.json")):
            expect(server.artifacts[root + name] == (run / file).read_bytes(), name)
        last = max(step for _, step, _ in recorded(run))
        whole = {key: value for key, step, _, value in stored["metrics"] if key.startswith("run/") and step == last}
        expect(whole["run/samples_per_second"] == done.json()["samples_per_second"], whole)
        expect("0 records sent" in rechost("runs", "sync", run).out, "nothing is left")


def lost_answers_and_a_busy_server_change_nothing():
    dice = random.Random(SEED)
    print(f"seed {SEED} (RECHOST_TEST_SEED)", flush=True)
    faults = ["drop before", "drop after", ("status", 500), ("status", 503), ("status", 504), ("status", 429, b"", {"Retry-After": "0"})]
    with folder() as place, MlflowServer() as server:
        # Each of these is done, and the answer is lost.
        calls = ("get-by-name", "experiments/create", "runs/create", "runs/search", "log-batch", "log-batch", "get-history", "artifacts/", "runs/update")
        for call in calls:
            server.fail(call, "drop after")
        rechost(*RUN, *tracked(server), "--out", place)
        expect(not any(left for _, _, left in server.faults), server.faults)
        expect_whole(server, only_run(place))
    with folder() as place, MlflowServer() as server:
        for _ in range(5):
            server.fail(dice.choice(["", "log-batch", "create"]), dice.choice(faults))
        done = rechost(*RUN, *tracked(server), "--out", place)
        expect_whole(server, only_run(place))
        expect(done.err.count("MLflow does not answer") >= 1 and done.err.count("MLflow answers again") >= 1, done)


def a_server_that_is_away_is_told_later():
    with folder() as place, MlflowServer() as server:
        server.stop()
        done = rechost(*RUN, *tracked(server, "tracking.mlflow.flush_seconds=0"), "--out", place)
        run = only_run(place)
        expect(done.err.count("warning:") == 2 and "MLflow does not answer" in done.err, done)
        expect(f"send them with: rechost runs sync {run}" in done.err, done)
        expect(json.loads((run / "summary.json").read_text())["status"] == "finished", "the run itself")
        server.start()
        server.fail("log-batch", "drop after")
        sent = rechost("runs", "sync", run, "--output", "json").json()
        expect(sent["sent"] > 20 and sent["run_id"] in server.runs, sent)
        expect_whole(server, run)
        expect(rechost("runs", "sync", run, "--output", "json").json()["sent"] == 0, "sent twice")
        server.stop()
        expect("0 records sent" in rechost("runs", "sync", run).out, "there is nothing to ask the server for")


def a_server_that_comes_and_goes_is_told_all():
    with folder() as place, MlflowServer() as server:
        process = subprocess.Popen([BIN, *RUN, "--set", "run.epochs=30", *tracked(server), "--out", place], stderr=subprocess.DEVNULL)
        while process.poll() is None:
            server.stop()
            server.start()
            time.sleep(0.3)
        expect(process.returncode == 0, f"exit code {process.returncode}")
        expect_whole(server, only_run(place))


def a_server_that_hangs_holds_nothing_up():
    with folder() as place, MlflowServer() as server:
        server.fail("log-batch", "hang", 1000)
        done = rechost(*RUN, *tracked(server, "tracking.mlflow.flush_seconds=0.5", "tracking.mlflow.timeout_seconds=1000"), "--out", place)
        expect("have not reached MLflow" in done.err, done)
        server.faults.clear()
        server.released.set()
        rechost("runs", "sync", only_run(place))
        expect_whole(server, only_run(place))


def killed_and_resumed_it_is_the_same_run_and_each_point_once():
    dice = random.Random(SEED)
    with folder() as place, MlflowServer() as server:
        command = [BIN, *RUN, "--set", "run.epochs=20", *tracked(server), "--out", place, "--resume", "auto"]
        kills = 0
        while True:
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            if kills < 4:
                server.fail("log-batch", dice.choice(["drop after", "drop before"]))
                # The first one lives until it has something to resume from.
                begin = time.monotonic()
                while process.poll() is None and (time.monotonic() - begin < dice.uniform(0.1, 1.5) or not list(pathlib.Path(place).glob("*/checkpoints/latest"))):
                    time.sleep(0.02)
                if process.poll() is None:
                    process.kill()
                    process.wait()
                    kills += 1
                    continue
            expect(process.wait() == 0, f"exit code {process.returncode}")
            break
        expect(kills > 0, "it ended before it could be killed")
        stored = expect_whole(server, only_run(place))
        expect("RUNNING" in stored["statuses"], stored["statuses"])


def a_killed_run_is_told_of_by_sync_and_resumed_again():
    with folder() as place, MlflowServer() as server:
        process = subprocess.Popen([BIN, *RUN, "--set", "run.epochs=100000", *tracked(server), "--out", place], stderr=subprocess.DEVNULL)
        while not (list(pathlib.Path(place).glob("*/checkpoints/latest")) and server.runs):
            expect(process.poll() is None, "it ended")
            time.sleep(0.02)
        expect("still going on" in rechost("runs", "sync", only_run(place), code=1).err, "sync of a living run")
        process.kill()
        process.wait()
        run = only_run(place)
        rechost("runs", "sync", run)
        stored = expect_whole(server, run, "KILLED")
        last = max(step for _, step, _ in recorded(run))
        rechost("run", "--resume", run, "--set", f"run.steps={last + 10}", "--set", "data.prefetch=2")
        stored = expect_whole(server, run)
        expect(stored["statuses"] == ["KILLED", "RUNNING", "FINISHED"], stored["statuses"])
        # A param stays as it was; what it is now stands in a tag.
        expect(stored["params"]["data.prefetch"] == "4" and stored["tags"]["resumed.data.prefetch"] == "2", stored["params"])


def a_stop_is_killed_and_a_failure_is_failed():
    with folder() as place, MlflowServer() as server:
        process = subprocess.Popen([BIN, *RUN, "--set", "run.epochs=100000", *tracked(server), "--out", place], stderr=subprocess.DEVNULL)
        while not server.count("log-batch"):
            expect(process.poll() is None, "it ended")
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        expect(process.wait() == 75, f"exit code {process.returncode}")
        expect_whole(server, only_run(place), "KILLED")
    with folder() as place, MlflowServer() as server:
        failed = rechost(*RUN, "--set", "optimizer.dense.kind=sgd", "--set", "optimizer.dense.lr=1e30", *tracked(server), "--out", place, code=1)
        stored = expect_whole(server, only_run(place), "FAILED")
        expect("not finite" in stored["tags"]["rechost.error"] and "not finite" in failed.err, failed)


def a_refusal_is_one_warning_and_no_more_requests():
    with folder() as place, MlflowServer() as server:
        server.basic("ann", "s3cret")
        done = rechost(*RUN, *tracked(server), "--out", place)
        run = only_run(place)
        expect(done.err.count("MLflow gets nothing more") == 1 and "HTTP 401" in done.err and "MLFLOW_TRACKING_USERNAME" in done.err, done)
        expect(f"rechost runs sync {run}" in done.err and len(server.requests) == 1, server.requests)
        expect("401" in rechost("runs", "sync", run, code=1).err and not server.runs, "sync without an account")
        account = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "s3cret"}
        rechost("runs", "sync", run, env=account)
        expect_whole(server, run)
    with folder() as place, MlflowServer() as server:
        server.account = "Bearer t0ken"
        rechost(*RUN, *tracked(server), "--out", place, env={"MLFLOW_TRACKING_TOKEN": "t0ken"})
        expect_whole(server, only_run(place))
        for path in pathlib.Path(place).rglob("*"):
            expect(not path.is_file() or b"t0ken" not in path.read_bytes(), f"{path} holds the token")
    with folder() as place, MlflowServer() as server:
        server.experiments["clicks"] = {"experiment_id": "1", "name": "clicks", "lifecycle_stage": "deleted"}
        done = rechost(*RUN, *tracked(server), "--out", place)
        expect("\"clicks\" was deleted: restore it" in done.err, done)
    with folder() as place, MlflowServer() as server:
        server.fail("", ("status", 302, b"", {"Location": "https://elsewhere"}), 1000)
        done = rechost(*RUN, *tracked(server), "--out", place)
        expect("HTTP 302 to https://elsewhere" in done.err and "Is tracking.mlflow.uri the address of an MLflow server?" in done.err, done)
    with folder() as place, MlflowServer() as server:
        server.fail("artifacts/", ("status", 413, b"too large"), 1000)
        done = rechost(*RUN, *tracked(server), "--out", place)
        expect(done.err.count("does not take artifacts") == 1 and "HTTP 413: too large" in done.err and server.count("artifacts/") == 1, done)
        expect_whole(server, only_run(place))
    with folder() as place, MlflowServer() as server:
        server.artifact_root = "s3://bucket/"
        done = rechost(*RUN, *tracked(server), "--out", place)
        expect(done.err.count("s3://bucket/") == 1 and server.count("artifacts/") == 0, done)
        expect_whole(server, only_run(place))


def the_environment_names_server_and_experiment():
    with folder() as place, MlflowServer() as server:
        env = {"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_EXPERIMENT_NAME": "by environment"}
        rechost(*RUN, "--out", place, env=env)
        run = only_run(place)
        stored = expect_whole(server, run)
        expect(server.experiments["by environment"]["experiment_id"] == stored["info"]["experiment_id"], server.experiments)
        expect(f"uri = \"{server.uri}\"  # MLFLOW_TRACKING_URI" in rechost("config", "show", "--plugin", "dlrm", env=env).out, "config show")
    with folder() as place, MlflowServer() as server:
        rechost(*RUN, "--out", place, "--set", "tracking.mlflow.uri=none", env={"MLFLOW_TRACKING_URI": server.uri})
        expect(not server.requests and not (only_run(place) / "spool").exists(), "tracked")
    with folder() as place:
        done = rechost(*RUN, "--out", place, env={"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"})
        expect(done.err.count("not tracked by MLflow") == 1, done)


def tls_is_checked():
    with folder() as place, MlflowServer(certificate=pathlib.Path(place)) as server:
        runs = pathlib.Path(place) / "runs"
        done = rechost(*RUN, *tracked(server, "tracking.mlflow.flush_seconds=0"), "--out", runs)
        expect("MLFLOW_TRACKING_SERVER_CERT_PATH" in done.err and not server.requests, done)
        rechost("runs", "sync", only_run(runs), env={"MLFLOW_TRACKING_SERVER_CERT_PATH": f"{place}/certificate.pem"})
        expect_whole(server, only_run(runs))
        found = rechost("doctor", env={"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_TRACKING_INSECURE_TLS": "true"}, code=None)
        expect(f"{server.uri} (version 3.17.2)" in found.out, found)


def doctor_asks_the_server():
    with MlflowServer() as server:
        env = {"MLFLOW_TRACKING_URI": server.uri}
        expect(f"{server.uri} (version 3.17.2)" in rechost("doctor", env=env, code=None).out, "a server")
        server.fail("version", ("status", 200, b"<html>"))
        expect("! GET" in (found := rechost("doctor", env=env, code=1)).out and "the address of an MLflow server?" in found.out, found)
        server.stop()
        expect("Runs go on without it" in (found := rechost("doctor", env=env, code=1)).out, found)
        expect("no address in MLFLOW_TRACKING_URI" in (found := rechost("doctor", code=None)).out, found)
        found = rechost("doctor", env={"MLFLOW_TRACKING_URI": "http://ann:s3cret@127.0.0.1:9"}, code=1)
        expect("MLFLOW_TRACKING_PASSWORD" in found.out and "s3cret" not in found.out, found)


def a_run_that_was_not_tracked_is_sent_as_a_whole():
    with folder() as place, MlflowServer() as server:
        rechost(*RUN, "--out", place)
        run = only_run(place)
        expect("--uri" in rechost("runs", "sync", run, code=2).err, "where to?")
        rechost("runs", "sync", f"{run}/", "--uri", server.uri, "--experiment", "afterwards")
        expect("afterwards" in server.experiments, server.experiments)
        expect("has its experiment" in rechost("runs", "sync", run, "--uri", server.uri, "--experiment", "x", code=2).err, "another experiment")
        stored = expect_whole(server, run)
        started = json.loads((run / "events.jsonl").read_text().splitlines()[0])["time"]
        expect(stored["info"]["run_name"] == run.name and stored["params"]["data.batch_size"] == "500", stored["info"])
        begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(stored["info"]["start_time"]) / 1000))
        expect(started.startswith(begin), f"{started}, {begin}")


def a_damaged_spool_and_a_foreign_server_are_told_of():
    with folder() as place, MlflowServer() as server:
        rechost(*RUN, *tracked(server), "--out", place)
        run = only_run(place)
        server.runs.clear()
        last = max(step for _, step, _ in recorded(run))
        done = rechost("run", "--resume", run, "--set", f"run.steps={last + 4}")
        expect("RESOURCE_DOES_NOT_EXIST" in done.err and f"remove {run}/spool/mlflow.json to send it anew" in done.err, done)
        (run / "spool/mlflow.json").unlink()
        rechost("runs", "sync", run)
        expect_whole(server, run)
        log = run / "spool/mlflow.log"
        log.write_bytes(log.read_bytes().replace(b"\"kind\":\"tags\"", b"\"kind\":\"tagz\"", 1))
        failed = rechost("run", "--resume", run, "--set", f"run.steps={last + 8}", code=1)
        expect("is damaged after record" in failed.err and "move the file away" in failed.err, failed)


def a_bad_configuration_is_refused():
    for value, words in (("tracking.mlflow.uri=sqlite:///x", ["no http:// or https://"]), ("tracking.mlflow.uri=http://ann:s3cret@host", ["MLFLOW_TRACKING_USERNAME"]),
                         ("tracking.mlflow.tags.x=[1]", ["tags.x", "a tag is"]), ("tracking.mlflow.urri=x", ["uri"]), (f"tracking.mlflow.experiment={'x' * 501}", ["500"])):
        with folder() as place:
            refused = rechost(*RUN, "--set", "tracking.mlflow.uri=http://127.0.0.1:9", "--set", value, "--out", place, code=78)
            expect(all(word in refused.err for word in words) and "s3cret" not in refused.err, refused)


main([all_of_a_run_arrives, lost_answers_and_a_busy_server_change_nothing, a_server_that_is_away_is_told_later, a_server_that_comes_and_goes_is_told_all,
      a_server_that_hangs_holds_nothing_up, killed_and_resumed_it_is_the_same_run_and_each_point_once, a_killed_run_is_told_of_by_sync_and_resumed_again,
      a_stop_is_killed_and_a_failure_is_failed, a_refusal_is_one_warning_and_no_more_requests, the_environment_names_server_and_experiment,
      tls_is_checked, doctor_asks_the_server, a_run_that_was_not_tracked_is_sent_as_a_whole, a_damaged_spool_and_a_foreign_server_are_told_of, a_bad_configuration_is_refused])
