"""A web server far away: usage throttled_server.py FOLDER DELAY_SECONDS BYTES_PER_SECOND. Prints its address and serves the folder until
standard input ends. All connections share the line; every answer begins after the delay."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "cli"))

from storage_server import StorageServer  # noqa: E402

with StorageServer(sys.argv[1]) as server:
    server.delay_seconds, server.bytes_per_second = float(sys.argv[2]), float(sys.argv[3])
    print(server.address, flush=True)
    sys.stdin.read()
