# label: real
"""FAISS opens the exported index and finds the same hundred items that rechost recommends."""
import json
import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["RECHOST_SOURCE_DIR"])
sys.path.insert(0, str(SOURCE / "tests" / "cli"))

from program import expect, folder, main, rechost  # noqa: E402

SEARCH = """
import json, sys
import faiss, numpy
folder, users = sys.argv[1:]
index = faiss.read_index(folder + "/index.faiss")
vectors = numpy.load(folder + "/vectors.npy")
assert type(index).__name__ == "IndexFlatIP", type(index)
assert index.is_trained and index.ntotal == len(vectors) and index.d == vectors.shape[1]
assert (index.reconstruct_n(0, index.ntotal) == vectors).all(), "other vectors"
ids = open(folder + "/ids.txt").read().splitlines()
scores, found = index.search(numpy.load(users + "/vectors.npy"), 100)
for user, row, values in zip(open(users + "/ids.txt").read().splitlines(), found, scores):
    print(json.dumps({"user": user, "items": [ids[i] for i in row], "scores": [float(v) for v in values]}))
"""


def the_index_opens_and_finds_the_same_hundred():
    python = subprocess.run([SOURCE / "packaging" / "faiss"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    with folder() as place:
        place = pathlib.Path(place)
        for similarity in ("dot", "cosine"):
            run = rechost("run", "--plugin", "two_tower", "--set", "data.rows=50000", "--set", "data.valid_rows=1000", "--set", "data.test_rows=1000",
                          "--set", "data.cardinality=[500]", "--set", f"model.similarity=\"{similarity}\"", "--set", "run.threads=2", "--out",
                          place / similarity, "--output", "json").json()["run_dir"]
            for what in ("items", "users"):
                rechost("export", run, "--what", what, "--out", place / similarity / what)
            searched = subprocess.run([python, "-c", SEARCH, place / similarity / "items", place / similarity / "users"], stdout=subprocess.PIPE,
                                      text=True, check=True).stdout.splitlines()
            listed = rechost("recommend", run, "--k", 100, "--seen", "keep").out.splitlines()
            expect(len(searched) == len(listed) > 100, f"{len(searched)} users there, {len(listed)} here")
            differing = 0
            for there, here in zip(map(json.loads, searched), map(json.loads, listed)):
                expect(there["user"] == here["user"] and len(here["items"]) == 100, f"{there['user']}, {here['user']}")
                expect(all(abs(a - b) < 1e-4 for a, b in zip(there["scores"], here["scores"])), f"user {here['user']}: other scores")
                # Sums are rounded in another order there: items whose scores are all but equal may change places, at the end also leave.
                edge = here["scores"][-1] + 1e-4
                certain = {item for item, score in zip(here["items"], here["scores"]) if score > edge}
                expect(certain <= set(there["items"]), f"user {here['user']}: FAISS misses {certain - set(there['items'])}")
                differing += set(there["items"]) != set(here["items"])
            print(f"{similarity}: {len(listed)} users, {differing} with another item at the edge")


main([the_index_opens_and_finds_the_same_hundred])
