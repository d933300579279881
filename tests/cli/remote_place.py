"""Data made for a test and the ways to it: the same shards here and on a server."""
import pathlib

from program import expect, rechost
from storage_server import StorageServer

ACCOUNTS = {"AKIAREADER00001": "reader-secret"}
SMALL = ["--set", "data.batch_size=1000", "--set", "run.threads=1", "--set", "model.embedding_dim=4", "--set", "model.bottom_mlp=[8, 4]",
         "--set", "model.top_mlp=[8]", "--set", "data.shuffle=chunk"]
# So little memory that every epoch reads the shards again.
STREAMED = [*SMALL, "--set", "data.memory_gib=0.01", "--set", "run.epochs=2"]


class Place:
    """A folder with shards in bucket/, and what the program needs to find them on a server."""

    def __init__(self, path, rows=4000, shard_bytes=50000, test_rows=1000):
        self.path = pathlib.Path(path)
        made = self.path / "made"
        rechost("data", "synth", made, "--rows", rows, "--set", "data.valid_rows=0", "--set", f"data.test_rows={test_rows}")
        self.bucket = self.path / "served/bucket"
        self.bucket.parent.mkdir()
        rechost("data", "convert", "--config", made / "data.toml", "--out", self.bucket, "--shard-bytes", shard_bytes)
        self.local = self.bucket / "data.toml"
        self.shards = sorted(path.name for path in (self.bucket / "train").glob("shard.*.mds"))
        self.cache = self.path / "cache"

    def serve(self, accounts=None, **more):
        return StorageServer(self.path / "served", accounts, **more)

    def config(self, prefix):
        """The configuration with another beginning of every path."""
        path = self.path / "remote.toml"
        path.write_text(self.local.read_text().replace(str(self.bucket), prefix))
        return path

    def settings(self, cache_gib=1.0, deadline=20):
        return ["--set", f"data.cache={self.cache}", "--set", f"data.cache_gib={cache_gib}", "--set", f"data.remote_deadline_seconds={deadline}"]

    def environment(self, server, key="AKIAREADER00001", secret="reader-secret", **more):
        return {"AWS_ENDPOINT_URL": server.address, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "HOME": str(self.path / "home"),
                "AWS_EC2_METADATA_DISABLED": "true", **more}

    def cached_bytes(self):
        return sum(path.stat().st_size for path in self.cache.rglob("*.data"))


def weights(run):
    """Every parameter and every table of the last checkpoint, byte by byte."""
    files = sorted(pathlib.Path(run).glob("checkpoints/step-*/**/*.safetensors"))
    expect(len(files) > 3, f"{run}: {files}")
    return {path.name + path.parent.name: path.read_bytes() for path in files}


def trained(place, name, config, *settings, env=None):
    result = rechost("run", "--plugin", "dlrm", "--config", config, *STREAMED, *settings, "--out", place.path / name, "--output", "json", env=env)
    return weights(result.json()["run_dir"]), result
