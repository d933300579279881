"""moto's S3 server with a folder as a bucket: s3_server.py FOLDER BUCKET PORT, in the environment that packaging/s3 makes. Prints the
credentials of a user who may read and write as a line of JSON, then listens on 127.0.0.1. Whoever starts it again finds the same keys: to who
waits for it, it is the server that was away. Nothing is answered before the bucket is complete."""
import json
import logging
import os
import pathlib
import sys

SETUP_CALLS = 3  # that make the user; everything after them needs a signature
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(SETUP_CALLS)
os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")

import boto3  # noqa: E402
import urllib.request  # noqa: E402
from moto.server import DomainDispatcherApplication, ThreadedMotoServer, create_backend_app  # noqa: E402
from werkzeug.serving import WSGIRequestHandler, run_simple  # noqa: E402

folder, bucket, port = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
logging.getLogger("werkzeug").setLevel(logging.ERROR)

setup = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
setup.start()
address = "http://%s:%s" % setup.get_host_and_port()
urllib.request.urlopen(urllib.request.Request(f"{address}/moto-api/seed?a=20", method="POST")).read()
of = lambda service, key, secret: boto3.client(service, endpoint_url=address, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret)
iam = of("iam", "setup", "setup")
iam.create_user(UserName="trainer")
iam.put_user_policy(UserName="trainer", PolicyName="all", PolicyDocument=json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}))
made = iam.create_access_key(UserName="trainer")["AccessKey"]
s3 = of("s3", made["AccessKeyId"], made["SecretAccessKey"])
s3.create_bucket(Bucket=bucket)
for path in sorted(folder.rglob("*")):
    if path.is_file():
        s3.upload_file(str(path), bucket, str(path.relative_to(folder)))
setup.stop()
print(json.dumps({"key": made["AccessKeyId"], "secret": made["SecretAccessKey"]}), flush=True)


class Handler(WSGIRequestHandler):
    """Says what it was asked: the test counts."""

    def log_request(self, code="-", size="-"):
        # In one piece: requests are answered by several threads.
        sys.stderr.write(f"{self.command} {self.path} {code} {self.headers.get('Range')} {self.headers.get('Expect')}\n")


logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
run_simple("127.0.0.1", port, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=Handler)
