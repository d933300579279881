# The page that tells of a run: of one that finished, one that failed and one that is not over.
import html.parser
import pathlib
import re
import shutil

from program import SMALL, expect, folder, main, rechost

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(html.parser.HTMLParser):
    """Checks that every element is closed where it must be, and collects what the page says."""

    def __init__(self, path):
        super().__init__()
        self.open = []
        self.count = {}
        self.text = ""
        source = path.read_text()
        expect(source.startswith("<!DOCTYPE html>"), source[:40])
        expect(not re.search(r"https?:|//[a-z]|@import|url\(|<script", source), "the page refers to something outside of it")
        expect(not re.search(r"\bnan\b|\binf\b", source), "a number that is none")
        self.feed(source)
        self.close()
        expect(self.open == [], f"not closed: {self.open}")

    def handle_starttag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
        for name, value in attributes:
            expect(name not in ("src", "srcset") and not (name == "href" and value != "data:,"), f"<{tag} {name}={value}>")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag):
        expect(self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}")
        self.open.pop()

    def handle_data(self, data):
        self.text += data


def a_finished_run_has_curves_results_and_configuration():
    with folder() as place:
        place = pathlib.Path(place)
        summary = rechost("run", "--plugin", "dlrm", *SMALL, "--set", "eval.every_steps=10", "--set", "run.log_every_steps=5", "--out", place,
                          "--output", "json").json()
        bins = summary["reliability"]["test"][0]["bins"]
        expect(summary["reliability"]["test"][0]["head"] == "" and sum(entry["rows"] for entry in bins) == 4000, bins)
        expect(all(set(entry) == {"mean_prediction", "mean_label", "weight", "rows"} for entry in bins), bins[0])
        run = pathlib.Path(summary["run_dir"])
        page = Page(run / "report.html")
        for text in ("finished", "dlrm on synthetic", "Loss", "Evaluation", "Reliability", "Where a step's time goes", "Configuration", "embedding_dim",
                     f"{summary['metrics']['test']['auc']:.4f}", f"{summary['metrics']['test']['log_loss']:.4f}", "20,000"):
            expect(text in page.text, f"{text!r} is not on the page")
        expect(page.count["svg"] >= 4 and page.count["polyline"] >= 6, page.count)
        again = rechost("runs", "report", run, "--out", place / "again.html")
        expect((place / "again.html").read_text() == (run / "report.html").read_text() and again.out == "", "not the same page again")
        expect(rechost("runs", "report", run, "--out", "-").out == (run / "report.html").read_text(), "standard output")


def a_run_that_is_not_over_has_a_report_too():
    with folder() as place:
        place = pathlib.Path(place)
        run = pathlib.Path(rechost("run", "--plugin", "dlrm", *SMALL, "--out", place, "--output", "json").json()["run_dir"])
        killed = place / "dlrm-killed"
        shutil.copytree(run, killed)
        for name in ("summary.json", "report.html"):
            (killed / name).unlink()
        rechost("runs", "report", killed)
        page = Page(killed / "report.html")
        expect("killed" in page.text and "Evaluation" in page.text and "Where a step" not in page.text, page.text)
        for name in ("metrics.jsonl", "config.toml"):
            (killed / name).unlink()
        rechost("runs", "report", killed)
        expect("killed" in Page(killed / "report.html").text, "nothing but events")


def a_failed_run_says_why():
    with folder() as place:
        place = pathlib.Path(place)
        (place / "bad.csv").write_text("label,c\n1,<b>x</b>\n")
        failed = rechost("run", "--plugin", "dlrm", "--set", "data.plugin=\"csv\"", "--set", f"data.path=\"{place}/bad.csv\"", "--set",
                         "data.sparse=[\"c\"]", "--set", "features.c.encoder=\"identity\"", "--out", place / "runs", "--output", "json", code=None)
        expect(failed.code not in (0, 2), failed)
        page = Page(pathlib.Path(failed.json()["run_dir"]) / "report.html")
        expect("failed" in page.text and failed.json()["error"] in page.text, page.text)


def no_run_is_an_error():
    with folder() as place:
        expect("which run" in rechost("runs", "report", code=2).err, "no argument")
        rechost("runs", "report", pathlib.Path(place) / "nothing", code=1)


main([a_finished_run_has_curves_results_and_configuration, a_run_that_is_not_over_has_a_report_too, a_failed_run_says_why, no_run_is_an_error])
