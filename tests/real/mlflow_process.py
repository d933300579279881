"""The real MLflow server on 127.0.0.1 with a store in SQLite, started, killed and asked by the tests."""
import base64
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request

SOURCE = pathlib.Path(os.environ["RECHOST_SOURCE_DIR"])


def python():
    return subprocess.run([SOURCE / "packaging" / "mlflow"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mlflow:
    """A server that lives until stop(); start() takes it up again with all it has stored."""

    def __init__(self, place, account=None):
        self.place = pathlib.Path(place)
        self.place.mkdir()
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.account = account
        self.process = None
        self.start()

    def start(self):
        # Nothing that is asked of a server on this machine goes through a proxy, or out.
        environment = dict(os.environ, MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", no_proxy="127.0.0.1")
        arguments = []
        if self.account:
            config = self.place / "auth.ini"
            config.write_text(f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{self.place}/auth.db\nadmin_username = {self.account[0]}\n"
                              f"admin_password = {self.account[1]}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n")
            environment.update(MLFLOW_AUTH_CONFIG_PATH=str(config), MLFLOW_FLASK_SERVER_SECRET_KEY="for a test")
            arguments = ["--app-name", "basic-auth"]
        with open(self.place / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [python(), "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{self.place}/mlflow.db", "--artifacts-destination",
                 str(self.place / "artifacts"), "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", *arguments],
                cwd=self.place, env=environment, stdout=log, stderr=log, start_new_session=True)
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended:\n{(self.place / 'server.log').read_text()[-3000:]}")
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)

    def stop(self, number=signal.SIGKILL):
        """By default as a power cut would: the server and its workers, which are a session of their own."""
        os.killpg(self.process.pid, number)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.stop()

    def get(self, call, **query):
        return json.loads(self.answer(f"mlflow/{call}?{urllib.parse.urlencode(query)}"))

    def answer(self, path, body=None):
        request = urllib.request.Request(f"{self.uri}/api/2.0/{path}", body, {"Content-Type": "application/json"})
        if self.account:
            request.add_header("Authorization", "Basic " + base64.b64encode(":".join(self.account).encode()).decode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def runs(self, experiment):
        found = self.get("experiments/get-by-name", experiment_name=experiment)["experiment"]["experiment_id"]
        return json.loads(self.answer("mlflow/runs/search", json.dumps({"experiment_ids": [found], "max_results": 100}).encode())).get("runs", [])

    def history(self, run_id, key):
        points, page = [], {}
        while True:
            answer = self.get("metrics/get-history", run_id=run_id, metric_key=key, max_results=1000, **page)
            points += [(int(metric["step"]), int(metric["timestamp"]), metric["value"]) for metric in answer.get("metrics", [])]
            if not answer.get("next_page_token"):
                return points
            page = {"page_token": answer["next_page_token"]}

    def artifact(self, run, path):
        root = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
        return self.answer(f"mlflow-artifacts/artifacts/{root}/{path}")
