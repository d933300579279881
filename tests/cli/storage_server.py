"""A small web server and object store for tests: files of a folder by HTTP with parts and entity tags, or as S3 buckets (GET, HEAD, list)
whose signatures are checked, and how it fails is told to it."""
import hashlib
import hmac
import http.server
import json
import pathlib
import threading
import time
import urllib.parse
import xml.sax.saxutils

from faulty_http import Handler, Refusal


def keyed(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class StorageHandler(Handler):
    def do_GET(self):
        self.answer()

    def do_HEAD(self):
        self.answer()

    def do_PUT(self):
        self.answer()

    def answer(self):
        server = self.server
        url = urllib.parse.urlsplit(self.path)
        with server.lock:
            server.requests.append(f"{self.command} {url.path}")
            number = len(server.requests)
            fault = server.fault(self.command, url.path, number)
            server.now += 1
            server.most_at_once = max(server.most_at_once, server.now)
        try:
            time.sleep(server.delay_seconds)
            if fault == "drop":
                return self.drop()
            if isinstance(fault, int):
                raise Refusal(fault, "SlowDown" if fault == 503 else "InternalError", "told to")
            if url.path.startswith("/latest/"):
                return self.instance(url.path)
            if server.accounts is not None:
                self.check_signature(url)
                if "list-type=2" in url.query:
                    return self.list(url)
            self.file(url, fault)
        except Refusal as refusal:
            body = f"<?xml version=\"1.0\"?><Error><Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error>".encode()
            self.reply(refusal.status, {"Content-Type": "application/xml"}, body)
        finally:
            with server.lock:
                server.now -= 1

    def instance(self, path):
        """The metadata service of a machine at AWS, version 2."""
        server = self.server
        if self.command == "PUT":
            return self.reply(200, {}, b"a-token")
        if self.headers.get("X-aws-ec2-metadata-token") != "a-token":
            raise Refusal(401, "", "no token")
        if path.endswith("/security-credentials/"):
            return self.reply(200, {}, b"trainer")
        server.renewals += 1
        key, secret = server.instance_keys(server.renewals)
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        self.reply(200, {}, json.dumps({"Code": "Success", "AccessKeyId": key, "SecretAccessKey": secret, "Token": "session-of-" + key,
                                        "Expiration": until}).encode())

    def check_signature(self, url):
        """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html"""
        header = self.headers.get("Authorization")
        bucket = url.path.split("/")[1]
        if header is None:
            if bucket.startswith("public"):
                return
            raise Refusal(403, "AccessDenied", "Access Denied")
        kind, _, rest = header.partition(" ")
        fields = dict(part.strip().split("=", 1) for part in rest.split(","))
        key, day, region, service, last = fields["Credential"].split("/")
        if key not in self.server.accounts:
            raise Refusal(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
        if key in self.server.expired:
            raise Refusal(400, "ExpiredToken", "The provided token has expired.")
        signed = fields["SignedHeaders"].split(";")
        canonical = "\n".join([self.command, url.path, "&".join(sorted(url.query.split("&"))),
                               *(f"{name}:{' '.join(self.headers.get(name).split())}" for name in signed), "", ";".join(signed),
                               self.headers["x-amz-content-sha256"]])
        scope = f"{day}/{region}/{service}/{last}"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
        secret = keyed(keyed(keyed(keyed(("AWS4" + self.server.accounts[key]).encode(), day), region), service), last)
        if kind != "AWS4-HMAC-SHA256" or hmac.new(secret, to_sign.encode(), hashlib.sha256).hexdigest() != fields["Signature"]:
            raise Refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
        token = self.headers.get("x-amz-security-token")
        if key in self.server.tokens and (token != self.server.tokens[key] or "x-amz-security-token" not in signed):
            raise Refusal(403, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        self.server.signers.append(key)

    def list(self, url):
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        bucket = self.server.root / url.path.strip("/")
        if not bucket.is_dir():
            raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist")
        keys = sorted(str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file())
        keys = [key for key in keys if key.startswith(query.get("prefix", "")) and key > query.get("continuation-token", "")]
        page, more = keys[:self.server.page], len(keys) > self.server.page
        text = "<?xml version=\"1.0\"?><ListBucketResult><EncodingType>url</EncodingType>"
        for key in page:
            text += f"<Contents><Key>{urllib.parse.quote_plus(key, safe='/')}</Key><Size>{(bucket / key).stat().st_size}</Size></Contents>"
        if more:
            text += f"<IsTruncated>true</IsTruncated><NextContinuationToken>{xml.sax.saxutils.escape(page[-1])}</NextContinuationToken>"
        self.reply(200, {"Content-Type": "application/xml"}, (text + "</ListBucketResult>").encode())

    def file(self, url, fault):
        server = self.server
        path = server.root / urllib.parse.unquote(url.path).lstrip("/")
        if not path.is_file():
            raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
        body = bytearray(path.read_bytes())
        tag = '"' + hashlib.md5(body).hexdigest() + '"'
        if self.headers.get("If-Match", tag) != tag:
            raise Refusal(412, "PreconditionFailed", "changed")
        if fault == "flip":
            body[len(body) // 2] ^= 1
        headers = {"ETag": tag} if server.tags else {}
        status, total, sent = 200, len(body), self.headers.get("Range")
        if sent is not None and server.parts:
            begin, end = sent.removeprefix("bytes=").split("-")
            if int(begin) >= total:
                raise Refusal(416, "InvalidRange", "not satisfiable")
            end = min(int(end), total - 1)
            headers["Content-Range"] = f"bytes {begin}-{end}/{total}"
            status, body = 206, body[int(begin):end + 1]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "cut":
            self.wfile.write(body[:len(body) // 3])
            self.wfile.flush()
            return self.drop()
        self.send_at_rate(body)
        with server.lock:
            server.bytes_sent += len(body)

    def send_at_rate(self, body):
        rate = self.server.bytes_per_second
        if rate is None:
            return self.wfile.write(body)
        piece = 1 << 16
        for at in range(0, len(body), piece):
            part = body[at:at + piece]
            self.wfile.write(part)
            # All connections share the line.
            with self.server.line:
                self.server.line_free = max(self.server.line_free, time.monotonic()) + len(part) / rate
                free = self.server.line_free
            time.sleep(max(0.0, free - time.monotonic()))


class StorageServer(http.server.ThreadingHTTPServer):
    """`accounts`: access keys and secrets of an S3 server; None: a plain web server."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root, accounts=None, port=0):
        super().__init__(("127.0.0.1", port), StorageHandler)
        self.root, self.accounts = pathlib.Path(root), accounts
        self.lock, self.line = threading.Lock(), threading.Lock()
        self.requests, self.signers, self.bytes_sent = [], [], 0
        self.now, self.most_at_once, self.line_free = 0, 0, 0.0
        self.tags, self.parts, self.page = True, True, 3
        self.delay_seconds, self.bytes_per_second = 0.0, None
        self.expired, self.tokens, self.renewals = set(), {}, 0
        self.instance_keys = lambda renewal: ("AKIAINSTANCE", "instance-secret")
        # (method, path, number of the request) -> "drop", "cut", "flip", a status, or None.
        self.fault = lambda method, path, number: None
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def gets(self, name):
        return [request for request in self.requests if request.startswith("GET ") and name in request]

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.stop()

    def stop(self):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        pass
