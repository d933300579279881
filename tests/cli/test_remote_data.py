# Data that lies elsewhere: on a web server, or in S3 buckets. What is trained is what would have been trained on the same files here.
import gzip
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "damage"))

from criteo_runs import write_criteo  # noqa: E402
from parquet_files import SETTINGS, File  # noqa: E402
from program import BIN, expect, folder, main, rechost  # noqa: E402
from remote_place import ACCOUNTS, STREAMED, Place, trained, weights  # noqa: E402
from storage_server import StorageServer  # noqa: E402


def buckets_larger_than_the_cache_train_the_same_model():
    with folder() as path:
        place = Place(path, rows=250000, shard_bytes=500000)
        local, _ = trained(place, "local", place.local)
        with place.serve(ACCOUNTS) as server:
            limit = 0.008
            remote, _ = trained(place, "remote", place.config("s3://bucket"), *place.settings(limit), env=place.environment(server))
            expect(remote == local, "other weights")
            served = [len(server.gets(f"/bucket/train/{shard}")) for shard in place.shards]
            expect(sum((place.bucket / "train" / shard).stat().st_size for shard in place.shards) > 2 * limit * 2**30, "the cache holds them all")
            # Once to prepare, once for each of two epochs; reading ahead removes nothing that is still to be read.
            expect(min(served) >= 2 and sum(served) <= 3.2 * len(served), f"not streamed, or again and again: {served}")
            expect(place.cached_bytes() <= limit * 2**30 and not list((place.cache / "incoming").iterdir()), place.cached_bytes())
            expect(len(server.signers) > 50, server.signers)
            # Ranks of one machine share what one of them has fetched for as long as the cache holds it.
            ranks = ["--nproc", "2", "--set", "run.deterministic=true"]
            expected, _ = trained(place, "local-ranks", place.local, *ranks)
            for cache_gib, most in ((1.0, 1), (limit, 2 * 3.2)):
                shutil.rmtree(place.cache)
                server.requests.clear()
                shared, _ = trained(place, f"ranks-{cache_gib}", place.config("s3://bucket"), *place.settings(cache_gib), *ranks, env=place.environment(server))
                served = [len(server.gets(f"/bucket/train/{shard}")) for shard in place.shards]
                expect(sum(served) <= most * len(served), f"with {cache_gib} GiB, again and again: {served}")
                expect(place.cached_bytes() <= cache_gib * 2**30, place.cached_bytes())
                expect(shared == expected, f"other weights with two ranks and {cache_gib} GiB")
            # A server that drops, cuts and refuses: every shard fails once, the model is the same.
            seen = set()

            def faults(method, name, number):
                if name in seen or "shard" not in name:
                    return None
                seen.add(name)
                return ["drop", "cut", 503, 500][len(seen) % 4]
            server.fault = faults
            shutil.rmtree(place.cache)
            again, _ = trained(place, "faults", place.config("s3://bucket"), *place.settings(limit), env=place.environment(server))
            expect(again == local and len(seen) > len(place.shards), f"{len(seen)} faults")


def files_come_ahead_in_the_order_of_the_samples():
    with folder() as path:
        place = Place(path, rows=100000, shard_bytes=500000)
        with place.serve(ACCOUNTS) as server:
            server.delay_seconds = 0.05
            config, env = place.config("s3://bucket"), place.environment(server)
            # One thread that reads a chunk after the other; only who reads ahead has several requests under way.
            limits = ["--set", "data.reader_threads=1", *place.settings(0.02)]
            local, _ = trained(place, "local", place.local)
            remote, _ = trained(place, "remote", config, *limits, env=env)
            expect(remote == local and server.most_at_once >= 4, server.most_at_once)
            for verb, *more in (("stats",), ("verify",), ("convert", "--out", place.path / "again")):
                server.most_at_once = 0
                shutil.rmtree(place.cache)
                rechost("data", verb, "--config", config, "--set", "run.threads=1", *limits, *more, env=env)
                expect(server.most_at_once >= 4, f"{verb}: {server.most_at_once}")


def a_server_may_be_away_for_a_while():
    with folder() as path:
        place = Place(path, rows=250000, shard_bytes=500000)
        local, _ = trained(place, "local", place.local)
        server = place.serve(ACCOUNTS)
        port, away = server.server_address[1], threading.Event()
        second_epoch = len(place.shards) + 8

        def leave(method, name, number):
            if len(server.gets("/train/shard")) == second_epoch:
                away.set()
            return "drop" if away.is_set() else None
        server.fault = leave
        later = []

        def go_and_come():
            expect(away.wait(60), "the second epoch never came")
            server.stop()
            time.sleep(3)
            later.append(place.serve(ACCOUNTS, port=port))
        thread = threading.Thread(target=go_and_come)
        thread.start()
        try:
            remote, result = trained(place, "remote", place.config("s3://bucket"), *place.settings(0.008, deadline=60), env=place.environment(server))
        finally:
            away.set()
            thread.join()
            for each in later:
                each.stop()
        expect(remote == local and later[0].requests, result)
        expect("it will be tried again" in result.err and "it goes on after" in result.err, result)


def a_changed_byte_is_caught_before_it_is_used():
    with folder() as path:
        place = Place(path)
        with place.serve(ACCOUNTS) as server:
            config, env = place.config("s3://bucket"), place.environment(server)
            bad = f"/bucket/train/{place.shards[2]}"
            stats = lambda code=0: rechost("data", "stats", "--config", config, *place.settings(), env=env, code=code)
            # On the way, once: the next copy is good.
            first = []

            def once(method, name, number):
                if name == bad and not first:
                    first.append(number)
                    return "flip"
            server.fault = once
            result = stats()
            expect(first and "is damaged: its xxh3_64 is " in result.err and "downloaded again" in result.err, result)
            expect(result.out == rechost("data", "stats", "--config", place.local).out, result)
            # Where it lies: nothing helps, and no sample of it is seen.
            shutil.rmtree(place.cache)
            server.fault = lambda method, name, number: "flip" if name == bad else None
            failed = stats(code=1)
            expect(f"{place.shards[2]}': is damaged: its xxh3_64 is " in failed.err and "no sample of it was used" in failed.err and "shard 2 of" in failed.err,
                   failed)
            # Twice before; then twice, and twice more where it was fetched ahead and found damaged before it was asked for.
            expect(len(server.gets(bad)) in (4, 6), server.gets(bad))
            # In the cache: found by the next process, which asks for the file again.
            server.fault = lambda method, name, number: None
            stats()
            for copy in (place.cache / "files").glob("*.data"):
                spoilt = bytearray(copy.read_bytes())
                spoilt[len(spoilt) // 2] ^= 1
                copy.write_bytes(spoilt)
            again = stats()
            expect("is damaged in the cache" in again.err and again.out == result.out, again)


def who_may_not_read_is_told_at_once():
    with folder() as path:
        place = Place(path, rows=300)
        place.path.joinpath("home").mkdir()
        with place.serve(ACCOUNTS) as server:
            config = place.config("s3://bucket")

            def refused(**more):
                before = len(server.requests)
                env = place.environment(server)
                for name, value in more.items():
                    env[name] = value
                began = time.monotonic()
                failed = rechost("data", "inspect", "--config", config, *place.settings(deadline=300), env=env, code=None)
                expect(failed.code in (1, 78) and len(server.requests) - before <= 2 and time.monotonic() - began < 30, failed)
                expect(failed.err.count("error:") == 1 and "-secret" not in failed.err, failed)
                return failed.err
            wrong = refused(AWS_SECRET_ACCESS_KEY="another-secret")
            expect('bucket "bucket"' in wrong and "train/index.json" in wrong and "SignatureDoesNotMatch" in wrong and "AKIA...0001" in wrong and
                   "the environment (AWS_ACCESS_KEY_ID)" in wrong and "the secret key does not belong to this access key" in wrong, wrong)
            expect("does not know this access key" in refused(AWS_ACCESS_KEY_ID="AKIANOBODY000001"), "unknown key")
            nobody = refused(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
            expect("without credentials" in nobody and 'profile "default" is not in' in nobody and "set AWS_ACCESS_KEY_ID" in nobody, nobody)
            expect("AWS_SECRET_ACCESS_KEY is not" in refused(AWS_SECRET_ACCESS_KEY=""), "half a pair")
            expect("neither" in refused(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_PROFILE="absent"), "no such profile")
            missing = rechost("data", "inspect", "--config", place.config("s3://elsewhere"), *place.settings(), env=place.environment(server), code=None)
            expect(missing.code == 1 and 'there is no bucket "elsewhere"' in missing.err, missing)


def credentials_come_from_profiles_and_instances():
    with folder() as path:
        place = Place(path, rows=300)
        aws = place.path / "home/.aws"
        aws.mkdir(parents=True)
        with place.serve({"AKIAPROFILE": "profile-secret", "AKIAINSTANCE1": "one", "AKIAINSTANCE2": "two", **ACCOUNTS}) as server:
            config = place.config("s3://bucket")

            def reads(drop=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), **more):
                shutil.rmtree(place.cache, ignore_errors=True)
                server.signers.clear()
                env = {**place.environment(server), **{name: "" for name in drop}, **more}
                rechost("data", "inspect", "--config", config, *place.settings(), env=env)
                return set(server.signers)
            (aws / "credentials").write_text("[default]\naws_access_key_id = AKIANOBODY\naws_secret_access_key = x\n"
                                             "# another\n[work]\naws_access_key_id=AKIAPROFILE\naws_secret_access_key=profile-secret\n")
            (aws / "config").write_text(f"[profile work]\nregion = eu-west-3\nservices = here\n[services here]\ns3 =\n  endpoint_url = {server.address}/\n")
            expect(reads(AWS_PROFILE="work", AWS_ENDPOINT_URL="") == {"AKIAPROFILE"}, "profile, with region and address")
            (aws / "credentials").unlink()
            # The machine's own, which end before their time: asked for again, once.
            server.tokens = {key: "session-of-" + key for key in ("AKIAINSTANCE1", "AKIAINSTANCE2")}
            server.instance_keys = lambda renewal: ("AKIAINSTANCE1", "one") if renewal == 1 else ("AKIAINSTANCE2", "two")
            instance = {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": server.address}
            expect(reads(**instance) == {"AKIAINSTANCE1"}, server.signers)
            server.renewals, server.expired = 0, {"AKIAINSTANCE1"}
            expect(reads(**instance) == {"AKIAINSTANCE2"} and server.renewals == 2, (server.signers, server.renewals))
            # A session token is part of what is signed.
            server.tokens["AKIAREADER00001"] = "session"
            expect(reads(drop=(), AWS_SESSION_TOKEN="session") == {"AKIAREADER00001"}, "session token")


def web_servers_are_read_too():
    with folder() as path:
        place = Place(path, rows=250000, shard_bytes=20000000)
        expected = rechost("data", "stats", "--config", place.local).out
        stats = lambda server: rechost("data", "stats", "--config", place.config(server.address + "/bucket"), *place.settings(),
                                       env={"HOME": str(place.path)})
        with place.serve() as server:
            result = stats(server)
            expect(result.out == expected, result)
            # A large file comes in parts, several at once, and each byte once.
            total = sum(path.stat().st_size for path in place.bucket.rglob("*") if path.suffix in (".mds", ".json"))
            expect(server.bytes_sent == total and len(server.gets("train/" + place.shards[0])) == 3, (server.bytes_sent, total, server.requests))
            before = server.bytes_sent
            expect(stats(server).out == expected and server.bytes_sent == before, "everything is in the cache")
            index = place.bucket / "train/index.json"
            index.write_text(index.read_text() + "\n")
            expect(stats(server).out == expected and before < server.bytes_sent < before + 100000, "only what changed comes again")
        # Neither parts nor entity tags nor time; the cut comes in the middle of the whole file.
        shutil.rmtree(place.cache)
        with place.serve() as server:
            server.parts = server.tags = False
            cut = []

            def once(method, name, number):
                if method == "GET" and "shard" in name and not cut:
                    cut.append(name)
                    return "cut"
            server.fault = once
            result = stats(server)
            expect(result.out == expected and cut, result)
        with place.serve() as server:
            gone = rechost("data", "stats", "--config", place.config(server.address + "/nothing"), *place.settings(), code=78)
            expect("there is no 'http" in gone.err and "/nothing/train/index.json" in gone.err, gone)
        down = rechost("data", "stats", "--config", place.config(server.address + "/bucket"), *place.settings(deadline=1), code=1)
        expect("given up" in down.err and "remote_deadline_seconds" in down.err, down)


def every_loader_reads_from_there():
    with folder() as path:
        path = pathlib.Path(path)
        bucket = path / "served/bucket"
        for name in ("csv", "criteo", "parquet", "ratings"):
            (bucket / name).mkdir(parents=True)
        draw = random.Random(5)
        for part in range(4):
            rows = "".join(f"{int(draw.random() < 0.5)},{draw.random():.6f},{draw.randrange(99)}\n" for _ in range(1000))
            (bucket / f"csv/part-{part}.csv").write_text("label,d,s\n" + rows)
            write_criteo(bucket / f"criteo/day_{part}", 300, part)
            (bucket / f"ratings/part-{part}.csv").write_text("user,item,rating,time\n" + "".join(
                f"{draw.randrange(50)},{draw.randrange(80)},{draw.randrange(1, 6)},{time}\n" for time in range(500)))
            (bucket / f"parquet/part-{part}.parquet").write_bytes(File(rows=400).bytes())
        (bucket / "csv/part-9.csv.gz").write_bytes(gzip.compress((bucket / "csv/part-0.csv").read_bytes()))
        (bucket / "csv/_SUCCESS").write_text("no data")
        (bucket / "csv/deeper").mkdir()
        (bucket / "csv/deeper/part-0.csv").write_text("x\n")
        roles = {"csv": ['dense=["d"]', 'sparse=["s"]', "chunk_rows=300"], "criteo": ["chunk_rows=100"], "parquet": list(SETTINGS), "ratings": []}

        def stats(loader, location, *more, code=0, **options):
            settings = [part for role in roles[loader] for part in ("--set", f"data.{role}")]
            return rechost("data", "stats", "--plugin", loader, *settings, "--set", f"data.path={location}", "--set", "run.threads=2", *more, code=code, **options)
        with StorageServer(path / "served", ACCOUNTS) as s3, StorageServer(path / "served") as web:
            env = {"AWS_ENDPOINT_URL": s3.address, "AWS_ACCESS_KEY_ID": "AKIAREADER00001", "AWS_SECRET_ACCESS_KEY": "reader-secret", "HOME": str(path)}
            for loader in roles:
                sizes = [file.stat().st_size for file in (bucket / loader).iterdir() if file.is_file()]
                # Room for two of the files at a time.
                limits = ["--set", f"data.cache={path / 'cache'}", "--set", f"data.cache_gib={2.2 * max(sizes) / 2**30}", "--set", "data.remote_deadline_seconds=20"]
                first = sorted(file for file in (bucket / loader).iterdir() if file.is_file() and file.name[0] != "_")[0]
                for local, pattern in ((bucket / loader, ""), (f"{bucket / loader}/[!.]*[0-3]*", "/[!.]*[0-3]*")):
                    expect(stats(loader, f"s3://bucket/{loader}{pattern}", *limits, env=env).out == stats(loader, local).out, f"{loader}{pattern}")
                    # Chunks of files that had to leave are read again from where they lie, with two threads at a time.
                    expect(sum(file.stat().st_size for file in (path / "cache").rglob("*.data")) <= 2.2 * max(sizes), loader)
                expect(stats(loader, f"{web.address}/bucket/{loader}/{first.name}", *limits, env=env).out == stats(loader, first).out, f"{loader} by http")
                gone = stats(loader, f"{web.address}/bucket/{loader}/absent", *limits, env=env, code=1)
                expect("there is no such file" in gone.err and gone.err.count("error:") == 1, gone)
                none = stats(loader, f"s3://bucket/{loader}/*.none", *limits, env=env, code=78)
                expect(f"path: no file matches 's3://bucket/{loader}/*.none'" in none.err, none)
            whole = ["--set", f"data.cache={path / 'large'}", "--set", "data.cache_gib=1"]
            stats("csv", "s3://bucket/csv", *whole, env=env)
            # A file that is written anew is another one, to the next process.
            changed = (bucket / "csv/part-1.csv").read_text().replace("0,", "1,")
            (bucket / "csv/part-1.csv").write_text(changed)
            expect(stats("csv", "s3://bucket/csv", *whole, env=env).out == stats("csv", bucket / "csv").out, "an old copy")
            # A model learns the same from text over there, which is brought ahead in every epoch.
            for file in (bucket / "criteo").iterdir():
                file.write_text(60 * file.read_text())
            limits = ["--set", f"data.cache={path / 'small'}", "--set", f"data.cache_gib={2.2 * file.stat().st_size / 2**30}", "--plugin", "dlrm"]
            train = [*STREAMED, "--set", "data.plugin=criteo", "--set", "data.chunk_rows=2000", "--set", "data.shuffle_chunks=2", "--output", "json"]
            run = lambda name, location: weights(rechost("run", *limits, *train, "--set", f"data.path={location}", "--out", path / name, env=env).json()["run_dir"])
            s3.requests.clear()
            expect(run("remote", "s3://bucket/criteo") == run("local", bucket / "criteo"), "other weights")
            expect(len(s3.gets("/criteo/")) > 8, s3.gets("/criteo/"))


def the_cache_is_shared_and_touches_nothing_else():
    with folder() as path:
        place = Place(path, rows=40000, shard_bytes=100000)
        with place.serve(ACCOUNTS) as server:
            config, env = place.config("s3://bucket"), place.environment(server)
            expected = rechost("data", "stats", "--config", place.local).out
            # A folder with something else in it is left alone.
            place.cache.mkdir()
            (place.cache / "thesis.txt").write_text("mine")
            failed = rechost("data", "stats", "--config", config, *place.settings(), env=env, code=78)
            expect("is not empty and not a cache of rechost" in failed.err and (place.cache / "thesis.txt").read_text() == "mine", failed)
            shutil.rmtree(place.cache)
            # Several processes at once: every file is downloaded by one of them.
            run = lambda: subprocess.Popen([BIN, "data", "stats", "--config", str(config), *place.settings()], env={**os.environ, **env},
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            server.delay_seconds = 0.02
            together = [run() for _ in range(4)]
            outs = [process.communicate(timeout=60) for process in together]
            expect(all(out == expected for out, _ in outs), outs)
            expect(all(len(server.gets(f"/train/{shard}")) == 1 for shard in place.shards), server.gets("/train/"))
            # Foreign files beside ours stay, even when there is no room.
            (place.cache / "files/notes.data").write_text("x" * 1000)
            shutil.rmtree(place.cache / "incoming")
            (place.cache / "incoming").mkdir()
            small = rechost("data", "stats", "--config", config, *place.settings(0.0005), env=env)
            expect(small.out == expected and (place.cache / "files/notes.data").exists(), small)
            expect(place.cached_bytes() - 1000 <= 0.0005 * 2**30, place.cached_bytes())
            too_small = rechost("data", "stats", "--config", config, *place.settings(0.00005), env=env, code=1)
            expect("must be above the largest file" in too_small.err and "shard 0 of" in too_small.err, too_small)
            # Killed in the middle of downloads, again and again: whoever comes next cleans up and reads the same.
            shutil.rmtree(place.cache)
            server.bytes_per_second = 3_000_000
            for _ in range(3):
                process = run()
                deadline = time.monotonic() + 30
                while not list(place.cache.glob("incoming/*")) and time.monotonic() < deadline:
                    time.sleep(0.005)
                process.send_signal(signal.SIGKILL)
                process.communicate()
            left = list(place.cache.glob("incoming/*"))
            expect(left, "nothing was under way")
            server.bytes_per_second = None
            done = rechost("data", "stats", "--config", config, *place.settings(), env=env)
            expect(done.out == expected and not list(place.cache.glob("incoming/*")), done)
            names = [re.fullmatch(r"([0-9a-f]{16})\.(data|json)", file.name) for file in (place.cache / "files").iterdir()]
            expect(all(names) and len(names) == 2 * len({name[1] for name in names}), names)


main([buckets_larger_than_the_cache_train_the_same_model, files_come_ahead_in_the_order_of_the_samples, a_server_may_be_away_for_a_while, a_changed_byte_is_caught_before_it_is_used,
      who_may_not_read_is_told_at_once, credentials_come_from_profiles_and_instances, web_servers_are_read_too,
      every_loader_reads_from_there, the_cache_is_shared_and_touches_nothing_else])
