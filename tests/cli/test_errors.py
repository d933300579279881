# What a user does wrong: each gives one clear message and the right exit code, never a stack trace.
import gzip
import os
import pathlib
import shutil
import subprocess

from program import BIN, SMALL, expect, folder, main, rechost

RUN = ["run", "--plugin", "dlrm", *SMALL]
CSV = ["run", "--plugin", "dlrm", "--set", "data.plugin=csv", "--set", "data.label=[\"y\"]", "--set", "data.dense=[\"d\"]", "--set", "data.sparse=[\"s\"]",
       "--set", "run.threads=1", "--set", "data.split.test=0.0"]
ROWS = "y,d,s\n" + "".join(f"{i % 2},{i * 0.5},{'abc'[i % 3]}\n" for i in range(60))

# name, files to write, arguments, exit code, what the message must contain.
CASES = [
    ("unknown verb", {}, ["rum"], 2, ["there is no command \"rum\"", "did you mean \"run\""]),
    ("unknown noun", {}, ["plugins", "lst"], 2, ["list, inspect, check, new", "did you mean \"list\""]),
    ("unknown option", {}, ["run", "--plugn", "dlrm"], 2, ["unknown option --plugn", "--plugin"]),
    ("nothing to train", {}, ["run"], 2, ["--plugin NAME, or --config FILE"]),
    ("bad output form", {}, [*RUN, "--output", "yaml"], 2, ["--output is text or json"]),
    ("option without its value", {}, ["run", "--plugin"], 2, ["plugin"]),
    ("unknown plugin", {}, ["run", "--plugin", "dlmr", "--set", "data.plugin=synthetic"], 1, ["dlmr", "did you mean \"dlrm\""]),
    ("missing plugin file", {}, ["run", "--plugin", "./nothing.so"], 1, ["nothing.so"]),
    ("plugin that is no library", {"text.so": "hello"}, ["run", "--plugin", "./text.so"], 1, ["text.so", "ELF"]),
    ("typo in a section", {"a.toml": "[modle]\nplugin = \"dlrm\"\n"}, ["run", "--config", "a.toml"], 78, ["a.toml:1", "modle", "model"]),
    ("typo in a key", {"a.toml": "[run]\nsed = 1\n"}, ["run", "--config", "a.toml"], 78, ["a.toml:2", "run.sed", "seed"]),
    ("typo in a model option", {}, [*RUN, "--set", "model.embeding_dim=4"], 78, ["embeding_dim", "embedding_dim"]),
    ("typo in a data option", {}, [*RUN, "--set", "data.rowz=4"], 78, ["rowz", "rows"]),
    ("typo in --set", {}, [*RUN, "--set", "optimizer.dense.rl=4"], 78, ["--set", "optimizer.dense.rl", "lr"]),
    ("--set without a value", {}, [*RUN, "--set", "run.seed"], 78, ["run.seed"]),
    ("wrong type", {}, [*RUN, "--set", "run.seed=\"one\""], 78, ["run.seed", "integer"]),
    ("wrong choice", {}, [*RUN, "--set", "data.shuffle=some"], 78, ["data.shuffle", "full", "chunk", "none"]),
    ("out of range", {}, [*RUN, "--set", "data.batch_size=0"], 78, ["data.batch_size", "1"]),
    ("wrong choice of a model", {}, [*RUN, "--set", "model.interaction=dott"], 78, ["interaction", "dot"]),
    ("out of range of a model", {}, [*RUN, "--set", "model.embedding_dim=0"], 78, ["embedding_dim"]),
    ("broken TOML", {"a.toml": "[run\nseed = 1\n"}, ["run", "--config", "a.toml"], 78, ["a.toml:1"]),
    ("missing configuration file", {}, ["run", "--config", "nowhere.toml"], 78, ["nowhere.toml"]),
    ("includes in a circle", {"a.toml": "include = [\"b.toml\"]\n", "b.toml": "include = [\"a.toml\"]\n"}, ["run", "--config", "a.toml"], 78,
     ["a.toml", "b.toml"]),
    ("unset variable", {"a.toml": "[model]\nplugin = \"dlrm\"\n[data]\nplugin = \"criteo\"\npath = \"${RECHOST_NO_SUCH}/x\"\n"},
     ["run", "--config", "a.toml"], 78, ["a.toml:5", "RECHOST_NO_SUCH"]),
    ("pattern that matches nothing", {}, [*RUN, "--set", "features.user9.kind=ignore"], 78, ["user9"]),
    ("table that does not exist", {}, [*RUN, "--set", "tables.nothing.lr=0.1"], 78, ["nothing"]),
    ("table too small", {}, [*RUN, "--set", "tables.user_0.rows=10"], 78, ["user_0", "10 rows", "need"]),
    ("model that has nothing to learn", {}, ["run", "--plugin", f"{os.environ['RECHOST_TEST_PLUGIN_DIR']}/well_behaved.so", "--set", "data.plugin=synthetic", "--set",
     "data.rows=100"], 1, ["well_behaved", "cannot be trained", "label"]),
    ("bce on a label that is no yes or no", {}, ["run", "--plugin", "two_tower", "--set", "data.rows=100", "--set", "data.label_kind=regression"], 78,
     ["bce", "\"label\"", "softmax"]),
    ("CUDA where there is none", {}, [*RUN, "--set", "run.device=cuda"], 78, ["cuda", "cpu"]),
    ("no process at all", {}, [*RUN, "--nproc", "0"], 2, ["--nproc", "at least one"]),
    ("more ranks than a run may have", {}, [*RUN, "--nproc", "1000000"], 78, ["1000000 ranks", "at most 4096"]),
    ("early stop without validation", {}, [*RUN, "--set", "data.valid_rows=0", "--set", "eval.early_stop=1"], 78, ["early_stop", "valid"]),
    ("plateau without validation", {}, [*RUN, "--set", "data.valid_rows=0", "--set", "schedule.kind=plateau"], 78, ["plateau", "valid"]),
    ("unknown metric", {}, [*RUN, "--set", "eval.metric=auk"], 78, ["auk", "auc"]),
    ("loss that is not finite", {}, [*RUN, "--set", "optimizer.dense.kind=sgd", "--set", "optimizer.dense.lr=1e30"], 1, ["not finite", "step", "lower"]),
    ("missing data file", {}, [*CSV, "--set", "data.path=nothing.csv"], 1, ["nothing.csv"]),
    ("empty data file", {"e.csv": ""}, [*CSV, "--set", "data.path=e.csv"], 1, ["e.csv"]),
    ("missing column", {"c.csv": ROWS}, [*CSV, "--set", "data.path=c.csv", "--set", "data.dense=[\"dd\"]"], None, ["dd", "d"]),
    ("number that is none", {"c.csv": ROWS + "1,x7,a\n"}, [*CSV, "--set", "data.path=c.csv"], 1, ["c.csv", ":62", "x7"]),
    ("label that is none", {"c.csv": ROWS + "3,1,a\n"}, [*CSV, "--set", "data.path=c.csv"], 1, ["c.csv", "3"]),
    ("too few fields", {"c.csv": ROWS + "1\n"}, [*CSV, "--set", "data.path=c.csv"], 1, ["c.csv", ":62"]),
    ("more bad rows than allowed", {"c.csv": ROWS + "1,x,a\n1,y,b\n"},
     [*CSV, "--set", "data.path=c.csv", "--set", "data.bad_rows=skip", "--set", "data.bad_row_budget=1"], 1, ["bad_row_budget"]),
    ("no rows to train on", {"c.csv": "y,d,s\n"}, [*CSV, "--set", "data.path=c.csv"], None, ["c.csv"]),
    ("model that is not there", {}, ["eval", "runs/none"], 1, ["runs/none", "run directory"]),
    ("registry name that is not there", {}, ["eval", "models:/nothing@champion"], 78, ["nothing"]),
    ("bad registry name", {}, ["models", "register", "a b", "runs/none"], None, []),
    ("run that is not there", {}, ["runs", "show", "runs/none"], 1, ["runs/none"]),
    ("resume of nothing", {}, [*RUN, "--resume", "runs/none"], 78, ["runs/none"]),
    ("template name", {}, ["plugins", "new", "My-Model"], 2, ["My-Model", "lower-case"]),
]


def check_message(name, result, code, fragments):
    expect(code is None and result.code not in (0, -6, -11) or result.code == code, f"{name}: expected exit code {code}\n{result}")
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    expect(len(errors) == 1, f"{name}: one line that begins with «error: » expected\n{result}")
    for fragment in fragments:
        expect(fragment.lower() in result.err[result.err.index("error: "):].lower(), f"{name}: the message lacks «{fragment}»\n{result}")
    for trace in ("terminate called", "Exception raised from", "frame #", "what():", "Segmentation", "core dumped"):
        expect(trace not in result.err, f"{name}: a trace instead of a message\n{result}")


def each_error_is_one_clear_message():
    failures = []
    for name, files, arguments, code, fragments in CASES:
        with folder() as place:
            for file, text in files.items():
                pathlib.Path(place, file).write_text(text)
            try:
                check_message(name, rechost(*arguments, cwd=place, code=None), code, fragments)
            except AssertionError as error:
                failures.append(str(error))
    print(f"{len(CASES)} cases", flush=True)
    expect(not failures, "\n".join(failures))
    expect(len(CASES) >= 40, "cases are missing")


def a_truncated_gzip_file_is_named():
    with folder() as place:
        path = pathlib.Path(place, "c.csv.gz")
        path.write_bytes(gzip.compress(ROWS.encode() * 50)[:-12])
        check_message("truncated gzip", rechost(*CSV, "--set", f"data.path={path}", cwd=place, code=None), 1, ["c.csv.gz"])


def an_id_out_of_range_is_named():
    with folder() as place:
        path = pathlib.Path(place, "c.csv")
        path.write_text("y,d,s\n" + "".join(f"{i % 2},1,{i % 5}\n" for i in range(20)) + "1,1,-3\n")
        result = rechost(*CSV, "--set", f"data.path={path}", "--set", "features.s.encoder=identity", cwd=place, code=None)
        check_message("identity of unknown range", result, None, ["s"])


def a_damaged_checkpoint_is_refused():
    with folder() as place:
        place = pathlib.Path(place)
        rechost(*RUN, "--set", "run.steps=5", "--out", place)
        run = next(path for path in place.iterdir() if (path / "summary.json").exists())
        checkpoint = (run / "checkpoints" / "latest").resolve()
        for file in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
            name = str(file.relative_to(checkpoint))
            good = file.read_bytes()
            damaged = bytearray(good)
            damaged[len(damaged) // 2] ^= 1
            for what, content in (("a changed byte", bytes(damaged)), ("cut short", good[:-1])):
                file.write_bytes(content)
                check_message(f"{name}, {what}", rechost("checkpoint", "verify", checkpoint, code=None), 1, [file.name])
            file.unlink()
            check_message(f"{name}, missing", rechost("checkpoint", "verify", checkpoint, code=None), 1, [file.name if name != "manifest.json" else "checkpoint"])
            file.write_bytes(good)
        rechost("checkpoint", "verify", checkpoint)
        # A table that the model needs but the checkpoint's manifest does not have: the files are gone as a whole.
        shutil.rmtree(checkpoint / "tables")
        check_message("missing tables", rechost("eval", checkpoint, code=None), 1, ["tables/"])


def a_closed_pipe_is_no_crash():
    with folder() as place:
        rechost(*RUN, "--set", "run.steps=5", "--out", place)
        run = next(path for path in pathlib.Path(place).iterdir() if (path / "summary.json").exists())
        shell = f"'{BIN}' predict '{run}' | head -n 1"
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60, env=os.environ)
        expect(done.stdout.count("\n") == 1 and "terminate" not in done.stderr, done.stderr)


main([each_error_is_one_clear_message, a_truncated_gzip_file_is_named, an_id_out_of_range_is_named, a_damaged_checkpoint_is_refused,
      a_closed_pipe_is_no_crash])
