# label: real
"""A browser shows the report of a run, light and dark, and has nothing to complain of."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["RECHOST_SOURCE_DIR"])
sys.path.insert(0, str(SOURCE / "tests" / "cli"))

from program import SMALL, expect, folder, main, rechost  # noqa: E402

# Appended to a copy of the page: what the browser made of it, as text that --dump-dom prints.
PROBE = """<script>
const seen = {style: getComputedStyle(document.body).backgroundColor, wide: document.documentElement.scrollWidth <= innerWidth,
  charts: [...document.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect().height > 100 && svg.getBBox().width > 300),
  outside: [...document.querySelectorAll("svg text")].filter(text => { const b = text.getBBox(); return b.x < 0 || b.x + b.width > 560 || b.y + b.height > 262; }).length,
  requests: performance.getEntriesByType("resource").length};
document.body.innerHTML = "<pre id=seen>" + JSON.stringify(seen) + "</pre>";
</script>"""


def chromium(place, page, *arguments):
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    expect(program, "chromium is missing: packaging/test --label real installs it")
    # Without --no-sandbox it refuses to start as root; the page is ours.
    return subprocess.run([program, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", f"--user-data-dir={place}/profile",
                           "--window-size=1400,1000", *arguments, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)


def a_browser_renders_the_report():
    with folder() as place:
        place = pathlib.Path(place)
        run = rechost("run", "--plugin", "dlrm", *SMALL, "--set", "eval.every_steps=10", "--set", "run.log_every_steps=5", "--out", place / "runs",
                      "--output", "json").json()["run_dir"]
        report = pathlib.Path(run) / "report.html"
        probed = place / "probed.html"
        probed.write_text(report.read_text() + PROBE)
        colours = set()
        for scheme in ([], ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]):
            plain = chromium(place, report, "--dump-dom", *scheme)
            expect("CONSOLE" not in plain.stderr, plain.stderr)
            expect("</svg>" in plain.stdout, plain.stdout[:400])
            dump = chromium(place, probed, "--dump-dom", *scheme)
            expect("CONSOLE" not in dump.stderr, dump.stderr)
            expect('<pre id="seen">' in dump.stdout, dump.stdout[:400])
            seen = json.loads(dump.stdout.split('<pre id="seen">')[1].split("</pre>")[0])
            expect(len(seen["charts"]) >= 4 and all(seen["charts"]), seen)
            expect(seen["wide"] and seen["outside"] == 0 and seen["requests"] == 0, seen)
            colours.add(seen["style"])
        expect(len(colours) == 2, f"light and dark look the same: {colours}")
        shot = place / "report.png"
        chromium(place, report, f"--screenshot={shot}")
        expect(shot.read_bytes()[:4] == b"\x89PNG" and shot.stat().st_size > 20000, f"{shot.stat().st_size} bytes")


main([a_browser_renders_the_report])
