# label: quality
# The shipped Gowalla configuration on the published split: Recall@20 over the full catalogue, seen items masked.
import os
import time

from program import SOURCE, expect, folder, main, rechost


def two_tower_recommends_places():
    expect(os.path.isdir(os.environ.get("RECHOST_DATA_DIR", "")), "RECHOST_DATA_DIR must name the folder with the data sets")
    with folder() as place:
        begin = time.monotonic()
        trained = rechost("run", "--config", SOURCE / "configs/two_tower_gowalla.toml", "--out", place, "--output", "json", timeout=2300).json()
        metrics = trained["metrics"]["test"]
        print(f"recall@20 {metrics['recall@20']:.4f}, ndcg@20 {metrics['ndcg@20']:.4f} in {time.monotonic() - begin:.0f} s", flush=True)
        expect(metrics["recall@20"] >= 0.155, trained)


main([two_tower_recommends_places])
