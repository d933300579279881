"""Real servers with data on 127.0.0.1: moto's S3 and nginx, started, killed and asked what they were asked by the tests."""
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request

from mlflow_process import free_port

SOURCE = pathlib.Path(os.environ["RECHOST_SOURCE_DIR"])


class Process:
    """A server that lives until stop(); start() takes it up again on the same port."""

    def __init__(self, place):
        self.place = pathlib.Path(place)
        self.place.mkdir()
        self.log = self.place / "requests.log"
        self.log.touch()
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def launch(self, command, **more):
        self.process = subprocess.Popen([str(part) for part in command], cwd=self.place, stdin=subprocess.DEVNULL, start_new_session=True, **more)

    def wait_until_it_answers(self):
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended:\n{''.join(path.read_text()[-3000:] for path in self.place.glob('*.log'))}")
            try:
                urllib.request.urlopen(f"{self.address}/", timeout=5).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)

    def stop(self):
        """As a power cut would: the server and what it has started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def asked(self, text):
        return [line for line in self.log.read_text().splitlines() if text in line]

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.stop()


class S3(Process):
    """moto, with a folder as a bucket. Every request is checked for its signature."""

    def __init__(self, place, folder, bucket):
        self.folder, self.bucket = folder, bucket
        super().__init__(place)

    def start(self):
        python = subprocess.run([SOURCE / "packaging/s3"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        with open(self.log, "ab") as log:
            self.launch([python, SOURCE / "tests/real/s3_server.py", self.folder, self.bucket, self.port], stdout=subprocess.PIPE, stderr=log,
                        env=dict(os.environ, no_proxy="127.0.0.1"))
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the server ended:\n{self.log.read_text()[-3000:]}")
        self.user = json.loads(line)
        self.wait_until_it_answers()


class Nginx(Process):
    def __init__(self, place, root):
        self.root = root
        super().__init__(place)

    def start(self):
        # As root its workers would be somebody else, who may not look into the test's folder.
        user = "user root;" if os.geteuid() == 0 else ""
        paths = "".join(f"{kind}_temp_path {self.place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = self.place / "nginx.conf"
        config.write_text(f"""{user} daemon off; pid {self.place}/pid; error_log {self.place}/error.log;
events {{}}
http {{
  {paths}
  log_format asked '$request_method $uri $status $http_range expect=$http_expect signed=$http_authorization';
  access_log {self.log} asked;
  server {{ listen 127.0.0.1:{self.port}; root {self.root}; }}
}}
""")
        self.launch(["nginx", "-p", self.place, "-c", config], stderr=subprocess.DEVNULL)
        self.wait_until_it_answers()
