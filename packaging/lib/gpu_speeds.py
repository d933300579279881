"""Trains each model for a while on CPU and GPU and prints samples per second; also as JSON lines on standard output.

Usage: RECHOST_BIN=... gpu_speeds.py
"""
import json
import os
import subprocess
import sys
import tempfile

BATCH_SIZES = [2048, 16384, 65536]
MODELS = {
    # A million rows of 64 floats in each of 26 tables, and layers as large as in published DLRM runs on Criteo.
    "dlrm": ["data.sparse=26", "data.dense=13", "data.cardinality=[1000000]", "model.embedding_dim=64", "model.bottom_mlp=[512, 256, 64]",
             "model.top_mlp=[512, 512, 256]"],
    "deepfm": ["data.sparse=26", "data.dense=13", "data.cardinality=[100000]", "model.embedding_dim=16"],
    "two_tower": ["data.sparse=8", "data.cardinality=[1000000]", "model.embedding_dim=64"],
}


def samples_per_second(model, settings, device, batch_size, folder):
    rows = min(40 * batch_size, 1 << 20)
    options = [*settings, f"run.device={device}", f"data.batch_size={batch_size}", f"data.rows={rows}", "data.valid_rows=0", "data.test_rows=0",
               "eval.every_epochs=0", "eval.final_test=false", "checkpoint.final=false"]
    command = [os.environ["RECHOST_BIN"], "run", "--plugin", model, "--out", folder, "--output", "json"]
    for option in options:
        command += ["--set", option]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    print(f"{'model':<10} {'batch':>7} {'CPU samples/s':>15} {'GPU samples/s':>15} {'times':>6}   GPU time: data, lookup, model, update", file=sys.stderr)
    for model, settings in MODELS.items():
        for batch_size in BATCH_SIZES:
            with tempfile.TemporaryDirectory(prefix="rechost-speeds-") as folder:
                cpu, gpu = (samples_per_second(model, settings, device, batch_size, folder) for device in ("cpu", "cuda"))
            slow, fast = cpu["samples_per_second"], gpu["samples_per_second"]
            shares = ", ".join(f"{100 * gpu['time'][part]:.0f}%" for part in ("data", "lookup", "model", "update"))
            print(f"{model:<10} {batch_size:>7} {slow:>15,.0f} {fast:>15,.0f} {fast / slow:>6.1f}   {shares}", file=sys.stderr)
            print(json.dumps({"model": model, "batch_size": batch_size, "cpu_samples_per_second": slow, "gpu_samples_per_second": fast,
                              "gpu": gpu["device"], "cpu_time": cpu["time"], "gpu_time": gpu["time"]}), flush=True)


if __name__ == "__main__":
    main()
