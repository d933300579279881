# label: real
# Training data on real servers: moto's S3, which checks every signature, and nginx. packaging/s3 makes the environment of the first.
import pathlib
import shutil
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))

from program import expect, folder, main, rechost  # noqa: E402
from remote_place import Place, trained  # noqa: E402
from sample_logs import by_epoch, global_batches  # noqa: E402
from storage_process import S3, Nginx  # noqa: E402

AWAY_SECONDS = 20
CACHE_GIB = 0.008  # of 19 MB of data


def to(place, server, key=None, secret=None):
    return place.environment(server, key or server.user["key"], secret or server.user["secret"])


def a_bucket_larger_than_the_cache_trains_the_same_model():
    with folder() as path:
        place = Place(path, rows=250000, shard_bytes=500000)
        local, _ = trained(place, "local", place.local)
        total = sum(file.stat().st_size for file in place.bucket.rglob("*.mds"))
        expect(total > 1.5 * CACHE_GIB * 2**30, total)
        with S3(place.path / "s3", place.bucket, "bucket") as server:
            remote, _ = trained(place, "remote", place.config("s3://bucket"), *place.settings(CACHE_GIB), env=to(place, server))
            expect(remote == local, "other weights")
            expect(place.cached_bytes() <= CACHE_GIB * 2**30, place.cached_bytes())
            fetched = [len(server.asked(f"GET /bucket/train/{shard} ")) for shard in place.shards]
            # A shard may happen to be in the cache still when the next epoch wants it.
            expect(2 * len(fetched) <= sum(fetched) <= 3.5 * len(fetched), f"not streamed, or again and again: {fetched}")
            expect(all(line.endswith(" None") for line in server.asked("GET /bucket")), "a request waits to be asked for its body")


def a_server_that_is_killed_and_comes_back_costs_nothing_but_time():
    with folder() as path:
        place = Place(path, rows=250000, shard_bytes=500000)
        noted = ["--set", "run.log_samples=true"]
        local, here = trained(place, "local", place.local, *noted)
        with S3(place.path / "s3", place.bucket, "bucket") as server:
            env, done = to(place, server), threading.Event()
            before = dict(server.user)
            second_epoch = 2 * len(place.shards) + len(place.shards) // 4

            def kill_and_start_again():
                while len(server.asked("GET /bucket/train/shard")) < second_epoch:
                    if done.wait(0.02):
                        return
                server.stop()
                killed.append(time.monotonic())
                time.sleep(AWAY_SECONDS)
                server.start()
            killed = []
            thread = threading.Thread(target=kill_and_start_again)
            thread.start()
            try:
                began = time.monotonic()
                remote, result = trained(place, "remote", place.config("s3://bucket"), *noted, *place.settings(CACHE_GIB, deadline=120), env=env)
                took = time.monotonic() - began
            finally:
                done.set()
                thread.join()
            expect(killed and took > AWAY_SECONDS, f"never killed, {took} s: {server.asked('GET')[-5:]}")
            expect(server.user == before, "other keys")
            expect("it will be tried again" in result.err and "it goes on after" in result.err, result)
            expect(remote == local, "other weights")
            batches = global_batches(result.json()["run_dir"])
            expect(batches == global_batches(here.json()["run_dir"]), "other samples")
            for epoch, samples in by_epoch(batches).items():
                expect(sorted(samples) == list(range(250000)), f"epoch {epoch}: {len(samples)} samples, {len(set(samples))} different ones")


def a_changed_byte_in_the_bucket_is_caught():
    with folder() as path:
        place = Place(path, rows=4000)
        bad = place.bucket / "train" / place.shards[1]
        spoilt = bytearray(bad.read_bytes())
        spoilt[len(spoilt) // 2] ^= 1
        bad.write_bytes(spoilt)
        with S3(place.path / "s3", place.bucket, "bucket") as server:
            failed = rechost("run", "--plugin", "dlrm", "--config", place.config("s3://bucket"), *place.settings(), "--out", place.path / "run",
                             env=to(place, server), code=1)
            expect(f"{bad.name}': is damaged: its xxh3_64 is " in failed.err and "the index says" in failed.err and "no sample of it was used" in failed.err,
                   failed)
            expect(failed.err.count("error:") == 1, failed)


def wrong_credentials_are_one_clear_error():
    with folder() as path:
        place = Place(path, rows=300)
        with S3(place.path / "s3", place.bucket, "bucket") as server:
            config = place.config("s3://bucket")
            stats = lambda code, **who: rechost("data", "stats", "--config", config, *place.settings(), env=to(place, server, **who), code=code)
            for who, said in (({"secret": "another"}, "SignatureDoesNotMatch"), ({"key": "AKIANOBODY0000000000"}, "InvalidAccessKeyId")):
                shutil.rmtree(place.cache, ignore_errors=True)
                failed = stats(1, **who)
                expect(said in failed.err and 'bucket "bucket"' in failed.err and failed.err.count("error:") == 1, failed)
                expect(server.user["secret"] not in failed.err, failed)
            expect(stats(0).out == rechost("data", "stats", "--config", place.local).out, "the right ones")


def a_web_server_is_read_in_parts():
    with folder() as path:
        place = Place(path, rows=150000, shard_bytes=20000000)
        large = [shard for shard in place.shards if (place.bucket / "train" / shard).stat().st_size > 2**23]
        expect(large, [file.stat().st_size for file in place.bucket.rglob("*.mds")])
        local, _ = trained(place, "local", place.local)
        with Nginx(place.path / "nginx", place.path / "served") as server:
            remote, _ = trained(place, "remote", place.config(server.address + "/bucket"), *place.settings(), env={"HOME": str(place.path)})
            expect(remote == local, "other weights")
            for shard in large:
                parts = server.asked(f"GET /bucket/train/{shard} 206 bytes=")
                expect(len(parts) >= 2 and len(set(parts)) == len(parts), parts)
            # The same files as a bucket: nginx does not look at the signature, and shows what else is sent with it.
            shutil.rmtree(place.cache)
            env = place.environment(server, "AKIAREADER", "secret")
            rechost("data", "stats", "--config", place.config("s3://bucket"), *place.settings(), env=env)
            signed = server.asked("signed=AWS4-HMAC-SHA256 Credential=AKIAREADER/")
            expect(len(signed) > 3 and all("expect=- " in line for line in server.asked("")), signed)


main([a_bucket_larger_than_the_cache_trains_the_same_model, a_server_that_is_killed_and_comes_back_costs_nothing_but_time,
      a_changed_byte_in_the_bucket_is_caught, wrong_credentials_are_one_clear_error, a_web_server_is_read_in_parts])
