# label: multiprocess
"""--profile writes what each rank did as a Chrome trace: steps, their parts inside of them, bytes that agree with the metrics, and the ids of coming
steps on their way while earlier ones compute."""
import json
import pathlib
import re

from test_ranks import DATA

from program import SMALL, expect, folder, main, rechost

STEPS = ["--set", "run.steps=60", "--set", "checkpoint.every_steps=40", "--set", "eval.every_steps=40", "--set", "run.log_every_steps=1"]
PARTS = {"wait for data", "row exchange", "lookup", "forward", "loss", "backward", "sum gradients", "gradient exchange", "update"}
PARTS_OF_RANKS = PARTS | {"dense reduce"}


class Profile:
    """One rank's file, checked against what a viewer expects of it."""

    def __init__(self, path):
        self.trace = json.loads(path.read_text())
        events = self.trace["traceEvents"]
        expect({event["ph"] for event in events} == {"X", "M"}, f"{path}: other kinds of events")
        self.names = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M" and event["name"] == "thread_name"}
        self.spans = [event for event in events if event["ph"] == "X"]
        for span in self.spans:
            expect(span["dur"] >= 0 and span["pid"] == int(path.stem.split("-")[1]) and span["tid"] in self.names, f"{path}: {span}")
        for thread in self.names:
            self.expect_nested(thread)

    def expect_nested(self, thread):
        """Spans of one thread lie inside of one another or apart."""
        open_ends = []
        own = [span for span in self.spans if span["tid"] == thread]
        # Of spans that begin together the longer one is outside. The clock's ticks are written in thousandths.
        for span in sorted(own, key=lambda span: (span["ts"], -span["dur"])):
            while open_ends and open_ends[-1] <= span["ts"] + 0.002:
                open_ends.pop()
            end = span["ts"] + span["dur"]
            expect(not open_ends or end <= open_ends[-1] + 0.002, f"{span} ends after the one around it")
            open_ends.append(end)

    def of(self, name):
        return [span for span in self.spans if span["name"] == name]

    def inside(self, outer):
        return [span for span in self.spans if span is not outer and span["tid"] == outer["tid"] and outer["ts"] <= span["ts"]
                and span["ts"] + span["dur"] <= outer["ts"] + outer["dur"] + 0.002]


def run(root, *more):
    rechost("run", "--plugin", "dlrm", *SMALL, *STEPS, "--out", root, *more, timeout=300)
    (found,) = pathlib.Path(root).glob("*/summary.json")
    return found.parent


def shares_of_steps(profile, parts):
    for step in profile.of("step"):
        inside = profile.inside(step)
        names = {span["name"] for span in inside}
        expect(parts <= names, f"step {step['args']}: no {parts - names}")
        covered = sum(span["dur"] for span in inside if span["name"] in parts)
        yield covered, step["dur"]


def expect_covered(profile, parts):
    covered, whole = (sum(values) for values in zip(*shares_of_steps(profile, parts)))
    expect(0.8 * whole < covered <= whole, f"parts cover {covered:.0f} of {whole:.0f} us")


def steps_are_covered_by_their_parts():
    with folder() as root:
        where = run(root, "--profile=20")
        profile = Profile(where / "profile" / "rank-00000.json")
        expect([span["args"]["step"] for span in profile.of("step")] == list(range(11, 31)), "other steps than the 20 after 10 to warm up")
        expect_covered(profile, PARTS)
        ahead = [span for span in profile.spans if profile.names[span["tid"]] == "batches ahead"]
        expect({span["name"] for span in ahead} >= {"gather samples", "prepare", "deduplicate"}, f"{ahead[:5]}")
        # What is rare is there wherever it was.
        expect([span["args"]["step"] for span in profile.of("checkpoint")] == [40, 60], profile.of("checkpoint"))
        expect(len(profile.of("evaluation")) >= 2, profile.of("evaluation"))
        expect(profile.trace["otherData"] == {"spans_left_out": 0}, profile.trace["otherData"])


def without_profile_there_is_none():
    with folder() as root:
        expect(not (run(root) / "profile").exists(), "a profile that nobody asked for")
        refused = rechost("run", "--plugin", "dlrm", "--profile=0", "--out", root, code=2)
        expect("--profile: at least one step" in refused.err, refused)


def bytes_of_a_step_are_those_of_its_messages_and_of_the_metrics():
    for more in ([], ["--set", "run.deterministic=true"], ["--set", "comm.transport=tcp"]):
        with folder() as root:
            where = run(root, "--profile=30", "--nproc", 2, *more)
            metrics = [json.loads(line) for line in (where / "metrics.jsonl").read_text().splitlines()]
            profiles = [Profile(where / "profile" / f"rank-{rank:05}.json") for rank in range(2)]
            for kind in ("sent_bytes", "received_bytes"):
                by_step = {line["step"]: line[f"comm.{kind}"] for line in metrics if f"comm.{kind}" in line}
                for step in profiles[0].of("step"):
                    number = step["args"]["step"]
                    expect(step["args"][kind] == by_step[number] > 0, f"step {number}: {step} and {by_step[number]}")
            for profile in profiles:
                expect_covered(profile, PARTS_OF_RANKS)
                exchanges = {span["args"]["step"]: span for span in profile.of("id exchange") if "step" in span["args"]}
                for step in profile.of("step"):
                    inside = [span for span in profile.inside(step) if span["name"].startswith(("all_", "broadcast"))]
                    ahead = exchanges.get(step["args"]["step"])
                    if ahead is None:  # on its way before the first step that is kept
                        continue
                    total = ahead["args"]["sent_bytes"] + sum(span["args"]["sent_bytes"] for span in inside)
                    expect(total == step["args"]["sent_bytes"], f"{step}: its messages have {total} bytes")
            # What one sends the other receives.
            sent, received = ([span["args"][kind] for span in profile.of("step")] for profile, kind in zip(profiles, ("sent_bytes", "received_bytes")))
            expect(sent == received, f"{sent} and {received}")


def ids_of_a_step_go_before_it_begins():
    with folder() as root:
        where = run(root, "--profile=30", "--nproc", 2)
        for rank in range(2):
            profile = Profile(where / "profile" / f"rank-{rank:05}.json")
            begins = {span["args"]["step"]: span["ts"] for span in profile.of("step")}
            exchanges = [span for span in profile.of("id exchange") if span["args"].get("step") in begins]
            expect(len(exchanges) >= 20, f"{len(exchanges)} exchanges")
            for span in exchanges:
                expect(profile.names[span["tid"]] == "batches ahead", f"{span}: on the thread of the steps")
            early = sum(span["ts"] + span["dur"] <= begins[span["args"]["step"]] for span in exchanges)
            # How many depends on how busy the machine is; without going ahead there were none.
            expect(early >= len(exchanges) / 2, f"{early} of {len(exchanges)} before their step")


def a_run_that_fails_leaves_what_led_there():
    with folder() as root:
        # A decay that makes weights larger, step by step, until they are no numbers.
        growing = ["--set", "optimizer.dense.kind=sgd", "--set", "optimizer.dense.lr=1", "--set", "regularization.l2_dense=2.3"]
        failed = rechost("run", "--plugin", "dlrm", *SMALL, *STEPS, *growing, "--profile=50", "--nproc", 2, "--out", root, code=1)
        at = int(re.search(r"not finite at step (\d+)", failed.err).group(1))
        expect(15 < at < 60, failed)
        (where,) = pathlib.Path(root).glob("*/profile")
        for rank in range(2):
            steps = [span["args"]["step"] for span in Profile(where / f"rank-{rank:05}.json").of("step")]
            expect(steps == list(range(11, at + 1)), f"rank {rank} failed at step {at} and traced {steps}")
        expect("profile of up to 50 steps" in failed.err, failed)


if __name__ == "__main__":
    main([steps_are_covered_by_their_parts, without_profile_there_is_none, bytes_of_a_step_are_those_of_its_messages_and_of_the_metrics,
          ids_of_a_step_go_before_it_begins, a_run_that_fails_leaves_what_led_there])
