# label: quality
# The shipped Criteo configuration on the 80k sample: learns, and quickly.
import os
import time

from program import SOURCE, expect, folder, main, rechost


def dlrm_learns_from_real_clicks():
    expect(os.path.isdir(os.environ.get("RECHOST_DATA_DIR", "")), "RECHOST_DATA_DIR must name the folder with the data sets")
    with folder() as place:
        begin = time.monotonic()
        trained = rechost("run", "--config", SOURCE / "configs/dlrm_criteo.toml", "--out", place, "--output", "json", timeout=600).json()
        print(f"test auc {trained['metrics']['test']['auc']:.4f} in {time.monotonic() - begin:.0f} s", flush=True)
        expect(trained["metrics"]["test"]["auc"] > 0.66, trained)


main([dlrm_learns_from_real_clicks])
