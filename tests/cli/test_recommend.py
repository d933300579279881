# Vectors and lists out of a two-tower model, in the second stage ordered by a ranking model.
import array
import collections
import json
import math
import pathlib
import random

from program import expect, folder, main, rechost

USERS, ITEMS, K = 60, 40, 10

TOWERS = ["--set", "model.embedding_dim=8", "--set", "model.user_layers=[8]", "--set", "model.item_layers=[8]", "--set", "run.threads=1",
          "--set", "data.batch_size=100"]
RANKER = ["--set", "model.embedding_dim=4", "--set", "model.bottom_mlp=[4]", "--set", "model.top_mlp=[8]", "--set", "run.threads=1",
          "--set", "data.batch_size=100"]


def write_clicks(path, rows, seed):
    """Users like items of the same remainder. Ids begin at 0; user 0 and item 0 are among them."""
    draw = random.Random(seed)
    with open(path, "w") as out:
        out.write("label,user,age,item,kind,hour\n")
        for row in range(rows):
            user, item = (0, 0) if row == 0 else (draw.randrange(USERS), draw.randrange(ITEMS))
            label = int(draw.random() < (0.8 if user % 4 == item % 4 else 0.2))
            out.write(f"{label},{user},{user % 7},{item},{item % 4},{row % 24}\n")


def seen_pairs(path):
    seen = collections.defaultdict(set)
    for line in path.read_text().splitlines()[1:]:
        _, user, _, item, _, _ = line.split(",")
        seen[user].add(item)
    return seen


def data_settings(place, context=False):
    (place / "data.toml").write_text(f"""
[data]
plugin = "csv"
train_path = "{place}/train.csv"
valid_path = "{place}/test.csv"
test_path = "{place}/test.csv"
label = ["label"]
sparse = ["user", "item", "kind"{', "hour"' if context else ''}]
dense = ["age"]
user_columns = ["user", "age"]
user_key = "user"
item_columns = ["item", "kind"]
item_key = "item"
""")
    return ["--config", place / "data.toml"]


def exported(path):
    """(ids, vectors, manifest) read with nothing but the formats' own rules."""
    data = (path / "vectors.npy").read_bytes()
    expect(data[:8] == b"\x93NUMPY\x01\x00", data[:8])
    start = 10 + int.from_bytes(data[8:10], "little")
    expect(start % 64 == 0 and data[start - 1:start] == b"\n", "the header's end")
    count, dim = eval(data[10:start].decode())["shape"]
    floats = array.array("f", data[start:])
    expect(len(floats) == count * dim, f"{len(floats)} floats for {count} x {dim}")
    ids = (path / "ids.txt").read_text().splitlines()
    expect(len(ids) == len(set(ids)) == count, f"{len(ids)} ids for {count} vectors")
    manifest = json.loads((path / "manifest.json").read_text())
    expect(manifest["count"] == count and manifest["dim"] == dim, manifest)
    expect((path / "index.faiss").read_bytes()[45:] == data[start:], "index.faiss holds other vectors")
    return ids, [floats[i * dim:(i + 1) * dim] for i in range(count)], manifest


def lists_of(result):
    return {line["user"]: line for line in map(json.loads, result.out.splitlines())}


def brute_force(user, item_ids, item_vectors, without):
    scored = [(-math.fsum(a * b for a, b in zip(user, vector)), place) for place, vector in enumerate(item_vectors)]
    return [(item_ids[place], -score) for score, place in sorted(scored) if item_ids[place] not in without]


def same_list(line, expected):
    """The same items; where two scores are equal but for rounding, in either order."""
    expect(len(line["items"]) == len(line["scores"]) == len(expected), f"{len(line['items'])} items, not {len(expected)}: {line}")
    score_of = dict(expected)
    for score, item, (_, best) in zip(line["scores"], line["items"], expected):
        expect(abs(score - best) < 1e-4 and abs(score - score_of.get(item, math.inf)) < 1e-4, f"user {line['user']}: {line}\n{expected}")


def with_models(test):
    def run():
        with folder() as place:
            place = pathlib.Path(place)
            write_clicks(place / "train.csv", 1000, seed=1)
            write_clicks(place / "test.csv", 300, seed=2)
            towers = rechost("run", "--plugin", "two_tower", *data_settings(place), *TOWERS, "--out", place / "towers", "--output", "json").json()
            test(place, towers["run_dir"])
    run.__name__ = test.__name__
    return run


@with_models
def exported_vectors_give_the_recommended_lists(place, towers):
    rechost("export", towers, "--what", "items", "--out", place / "items")
    rechost("export", towers, "--what", "users", "--out", place / "users")
    item_ids, item_vectors, manifest = exported(place / "items")
    expect(manifest["entity"] == "item" and manifest["similarity"] == "dot" and manifest["model"] == towers, manifest)
    user_ids, user_vectors, manifest = exported(place / "users")
    expect(manifest["entity"] == "user", manifest)
    expect("0" in item_ids and "0" in user_ids, "id 0 is an id like any other")
    expect(sorted(map(int, item_ids)) == list(range(ITEMS)), item_ids)

    seen = seen_pairs(place / "train.csv")
    masked = lists_of(rechost("recommend", towers, "--k", K))
    expect(set(masked) == set(user_ids), "without --users and --split: every user of the training split")
    for user, vector in zip(user_ids, user_vectors):
        expect(not seen[user].intersection(masked[user]["items"]), f"user {user} is given what it has seen")
        same_list(masked[user], brute_force(vector, item_ids, item_vectors, seen[user])[:K])
    expect(any("0" in line["items"] for line in masked.values()), "item 0 is never recommended")

    kept = lists_of(rechost("recommend", towers, "--k", 1000, "--seen", "keep"))
    for user, vector in zip(user_ids, user_vectors):
        same_list(kept[user], brute_force(vector, item_ids, item_vectors, set()))


@with_models
def users_come_from_a_file_or_a_split(place, towers):
    (place / "some.txt").write_text("7\n0\nnobody\n")
    result = rechost("recommend", towers, "--k", 3, "--users", place / "some.txt", "--out", place / "lists.jsonl")
    lines = [json.loads(line) for line in (place / "lists.jsonl").read_text().splitlines()]
    expect(result.out == "" and [line["user"] for line in lines] == ["7", "0", "nobody"], lines)
    expect([len(line["items"]) for line in lines] == [3, 3, 0] and "1 users are not in the data" in result.err, result)
    lists = lists_of(rechost("recommend", towers, "--k", 3, "--split", "test"))
    expect(set(lists) == set(seen_pairs(place / "test.csv")), "the users of the test split")


@with_models
def a_ranking_model_puts_the_candidates_in_its_own_order(place, towers):
    for plugin in ("dlrm", "deepfm"):
        settings = RANKER if plugin == "dlrm" else RANKER[:2] + RANKER[6:]
        ranker = rechost("run", "--plugin", plugin, *data_settings(place), *settings, "--out", place / plugin, "--output", "json").json()["run_dir"]
        plain = lists_of(rechost("recommend", towers, "--k", K))
        ranked = lists_of(rechost("recommend", towers, "--k", K, "--rank", ranker))
        expect(set(plain) == set(ranked), "the same users")
        expect(any(plain[user]["items"] != ranked[user]["items"] for user in plain), "no list has changed its order")
        for user in plain:
            expect(sorted(plain[user]["items"]) == sorted(ranked[user]["items"]), f"{plugin}, user {user}: other items")
            expect(ranked[user]["scores"] == sorted(ranked[user]["scores"], reverse=True), ranked[user])
        # The same rows through `predict` have the same scores.
        pairs = [(user, item, score) for user in list(ranked)[:5] for item, score in zip(ranked[user]["items"], ranked[user]["scores"])]
        with open(place / "pairs.csv", "w") as out:
            out.write("label,user,age,item,kind,hour\n")
            for user, item, _ in pairs:
                out.write(f"0,{user},{int(user) % 7},{item},{int(item) % 4},0\n")
        predicted = rechost("predict", ranker, "--split", "test", "--set", f"data.test_path={place}/pairs.csv").out.splitlines()
        expect(len(predicted) == len(pairs), f"{len(predicted)} predictions")
        for (user, item, score), line in zip(pairs, predicted):
            probability = next(value for key, value in json.loads(line).items() if key != "row")
            expect(abs(probability - score) < 1e-5, f"{plugin}, user {user}, item {item}: ranked {score}, predicted {probability}")


@with_models
def what_cannot_be_done_says_why(place, towers):
    context = rechost("run", "--plugin", "dlrm", *data_settings(place, context=True), *RANKER, "--out", place / "dlrm", "--output", "json")
    ranker = context.json()["run_dir"]
    refused = rechost("recommend", towers, "--rank", ranker, code=78)
    expect('neither a user nor an item' in refused.err and '"hour"' in refused.err, refused)
    refused = rechost("export", ranker, "--what", "items", "--out", place / "none", code=78)
    expect("has no vectors of users" in refused.err and not (place / "none").exists(), refused)
    expect("--what is items or users" in rechost("export", towers, "--what", "both", "--out", place / "none", code=2).err, "what")
    expect("--out" in rechost("export", towers, code=2).err, "out")
    expect("at least one" in rechost("recommend", towers, "--k", 0, code=2).err, "k")
    expect("mask or keep" in rechost("recommend", towers, "--seen", "all", code=2).err, "seen")


@with_models
def a_registered_model_is_used_by_its_alias(place, towers):
    rechost("models", "register", "towers", towers)
    rechost("models", "alias", "models:/towers/1", "champion")
    for model, out in ((towers, "by-run"), ("models:/towers@champion", "by-alias")):
        rechost("export", model, "--what", "items", "--out", place / out)
    expect((place / "by-run/vectors.npy").read_bytes() == (place / "by-alias/vectors.npy").read_bytes(), "other vectors")
    expect(lists_of(rechost("recommend", "models:/towers@champion", "--k", K)) == lists_of(rechost("recommend", towers, "--k", K)), "other lists")


main([exported_vectors_give_the_recommended_lists, users_come_from_a_file_or_a_split, a_ranking_model_puts_the_candidates_in_its_own_order,
      what_cannot_be_done_says_why, a_registered_model_is_used_by_its_alias])
