"""A small MLflow server for tests: what it stores may be read, and how it fails is told to it. Unlike MLflow's own store it keeps a metric
that is sent twice twice."""
import base64
import http.server
import json
import re
import ssl
import threading
import urllib.parse

from faulty_http import Handler, Refusal

# Of nobody but these tests, for 127.0.0.1, until 2126.
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUN1j2VUCxy9Wa+tIBAOTSbUK8RuMwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyNDEzMDM1MFoYDzIxMjYxMDMx
MTMwMzUwWjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAT2JiC0RtgdB3R/MABfAiQ7mkKbwclPvkSgF1xq42qVVNwUJ4AWD8Oe
bZxV/qt9Bm8hS0yF6YcuPGcWGjh6xJHko2QwYjAdBgNVHQ4EFgQUAvjWCiYO/gA6
3moNLoYTehbPvKAwHwYDVR0jBBgwFoAUAvjWCiYO/gA63moNLoYTehbPvKAwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IQCK1E1ThBDYddAuGs/K8adimF867zo5FMAvW+bXT+7qxQIgS7NlInAmHRhQV4K+
EDgH5V6c/dhBDpquNhV9ohPJvJc=
-----END CERTIFICATE-----
"""
PRIVATE_KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgEUmBTn30Tj9sbDCi
ujJGVIuSEiMhS2Z8WQ39dV4uxh+hRANCAAT2JiC0RtgdB3R/MABfAiQ7mkKbwclP
vkSgF1xq42qVVNwUJ4AWD8OebZxV/qt9Bm8hS0yF6YcuPGcWGjh6xJHk
-----END PRIVATE KEY-----
"""
KEY = re.compile(r"^[/\w.\- ]*$", re.ASCII)


class MlflowHandler(Handler):
    def answer(self):
        store = self.server.store
        url = urllib.parse.urlparse(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with store.lock:
            store.requests.append(f"{self.command} {url.path}")
            fault = store.fault(f"{self.command} {url.path}")
        if fault == "drop before":
            return self.drop()
        if fault == "hang":
            store.released.wait()
            return self.drop()
        if fault and fault[0] == "status":
            return self.reply(fault[1], fault[3] if len(fault) > 3 else {}, fault[2] if len(fault) > 2 else b"busy")
        try:
            if url.path == "/version":
                return self.reply(200, {}, b"3.17.2")
            if store.account and self.headers.get("Authorization") != store.account:
                raise Refusal(401, "UNAUTHENTICATED", "You are not authenticated.")
            with store.lock:
                if url.path.startswith("/api/2.0/mlflow-artifacts/artifacts/"):
                    store.artifacts[urllib.parse.unquote(url.path.split("/artifacts/", 1)[1])] = body
                    result = {}
                else:
                    fields = dict(urllib.parse.parse_qsl(url.query)) if self.command == "GET" else json.loads(body)
                    call = url.path.removeprefix("/api/2.0/mlflow/").replace("/", "_").replace("-", "_")
                    result = getattr(store, call)(**fields)
        except Refusal as refusal:
            return self.reply(refusal.status, {}, json.dumps({"error_code": refusal.code, "message": refusal.message}).encode())
        if fault == "drop after":
            return self.drop()
        self.reply(200, {}, json.dumps(result).encode())

    do_GET = do_POST = do_PUT = answer


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class MlflowServer:
    """Listens until stop(); start() listens again, on the same port."""

    def __init__(self, certificate=None):
        """`certificate`: a folder to put one into, certificate.pem, and speak TLS."""
        self.tls = None
        if certificate:
            (certificate / "certificate.pem").write_text(CERTIFICATE)
            (certificate / "key.pem").write_text(PRIVATE_KEY)
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
        self.lock = threading.RLock()
        self.released = threading.Event()  # ends what hangs
        self.account = None
        self.requests = []
        self.faults = []
        self.experiments = {"Default": {"experiment_id": "0", "name": "Default", "lifecycle_stage": "active"}}
        self.runs = {}
        self.artifacts = {}
        self.artifact_root = "mlflow-artifacts:/"
        self.port = 0
        self.start()

    def start(self):
        self.listener = Listener(("127.0.0.1", self.port), MlflowHandler)
        self.listener.store = self
        self.port = self.listener.server_address[1]
        if self.tls:
            self.listener.socket = self.tls.wrap_socket(self.listener.socket, server_side=True, do_handshake_on_connect=False)
        self.uri = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def stop(self):
        self.released.set()
        self.listener.shutdown()
        self.listener.server_close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def basic(self, user, password):
        self.account = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def fault(self, request):
        """The fault that this request meets; `faults` holds (pattern of the request, fault, how often)."""
        for entry in self.faults:
            if entry[2] > 0 and re.search(entry[0], request):
                entry[2] -= 1
                return entry[1]
        return None

    def fail(self, pattern, fault, times=1):
        with self.lock:
            self.faults.append([pattern, fault, times])

    def count(self, pattern):
        with self.lock:
            return sum(1 for request in self.requests if re.search(pattern, request))

    # What follows is the interface, one method a call.
    def experiments_get_by_name(self, experiment_name):
        if experiment_name not in self.experiments:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Could not find experiment with name '{experiment_name}'")
        return {"experiment": self.experiments[experiment_name]}

    def experiments_create(self, name):
        if name in self.experiments:
            raise Refusal(400, "RESOURCE_ALREADY_EXISTS", f"Experiment {name} already exists.")
        self.experiments[name] = {"experiment_id": str(len(self.experiments)), "name": name, "lifecycle_stage": "active"}
        return {"experiment_id": self.experiments[name]["experiment_id"]}

    def runs_create(self, experiment_id, run_name, start_time, tags):
        run_id = f"{len(self.runs):032x}"
        self.runs[run_id] = {"info": {"run_id": run_id, "experiment_id": experiment_id, "run_name": run_name, "start_time": str(start_time), "status": "RUNNING",
                                      "artifact_uri": f"{self.artifact_root}{experiment_id}/{run_id}/artifacts"},
                             "metrics": [], "params": {}, "tags": {tag["key"]: tag["value"] for tag in tags}, "statuses": []}
        return {"run": {"info": self.runs[run_id]["info"]}}

    def runs_search(self, experiment_ids, filter, max_results):
        key, value = re.fullmatch(r"tags\.`([^`]+)` = '([^']*)'", filter).groups()
        found = [run for run in self.runs.values() if run["info"]["experiment_id"] in experiment_ids and run["tags"].get(key) == value]
        return {"runs": [{"info": run["info"]} for run in found[:max_results]]} if found else {}

    def run(self, run_id):
        if run_id not in self.runs:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Run with id={run_id} not found")
        return self.runs[run_id]

    def runs_log_batch(self, run_id, metrics=(), params=(), tags=()):
        run = self.run(run_id)
        sizes = (len(metrics), len(params), len(tags))
        if sizes[0] > 1000 or sizes[1] > 100 or sizes[2] > 100 or sum(sizes) > 1000 or sum(sizes) == 0:
            raise Refusal(400, "INVALID_PARAMETER_VALUE", f"a batch of {sizes}")
        for entry in [*metrics, *params, *tags]:
            key, value = entry["key"], entry["value"]
            bad = not KEY.match(key) or len(key) > 250 or key.startswith("/") or key.endswith("/") or ".." in key.split("/")
            if bad or (isinstance(value, str) and len(value) > (6000 if entry in list(params) else 5000)):
                raise Refusal(400, "INVALID_PARAMETER_VALUE", f"Invalid value for {key}")
        for param in params:
            if run["params"].setdefault(param["key"], param["value"]) != param["value"]:
                raise Refusal(400, "INVALID_PARAMETER_VALUE", f"Changing param values is not allowed: {param}")
        run["tags"].update((tag["key"], tag["value"]) for tag in tags)
        run["metrics"] += [(metric["key"], metric["step"], metric["timestamp"], metric["value"]) for metric in metrics]
        return {}

    def runs_update(self, run_id, status, end_time=None):
        run = self.run(run_id)
        run["info"].update({"status": status, "end_time": str(end_time)})
        run["statuses"].append(status)
        return {"run_info": run["info"]}

    def metrics_get_history(self, run_id, metric_key, max_results, page_token="0"):
        # In pages smaller than asked for, and with integers as text, which MLflow may do too.
        found = [metric for metric in self.run(run_id)["metrics"] if metric[0] == metric_key]
        begin, end = int(page_token), int(page_token) + min(int(max_results), 7)
        page = {"metrics": [{"key": key, "step": str(step), "timestamp": str(timestamp), "value": value} for key, step, timestamp, value in found[begin:end]]}
        return {**page, "next_page_token": str(end)} if end < len(found) else page
