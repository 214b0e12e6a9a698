"""Measure the report page of many volumes in Chromium: its size, how long it takes to render, to open, and to use.

    python benchmarks/report_page.py [--volumes 10000] [--rounds 5]

The volumes are made up: tables and pictures without arrays. Thumbnails are of smoothed noise, about as large as real
ones. Needs Chromium and playwright (`./run check` makes the environment).
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "support")]

from made_up_many_volumes import write_many  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from dicomzarr.stages.render_report.page import render  # noqa: E402

ACTIONS = {
    "search": "form.text.value = 'ct 512'; refresh();",
    "clear the search": "form.text.value = ''; refresh();",
    "sort by spacing": "document.querySelector('#table th[data-key=spacing] button').click();",
    "sort by array": "document.querySelector('#table th[data-key=array] button').click();",
    "filter by modality": "chosen.set('modality', 'MR'); refresh();",
    "show all": "chosen.clear(); refresh();",
    "show pictures": "form.view.value = 'sheet'; refresh();",
    "open a volume": "show(SHOWN[99]);",
}


def timed(page: Page, action: str) -> float:
    """Return the milliseconds of an action, with the layout that follows."""
    measured = "const start = performance.now(); {} document.body.offsetHeight; return performance.now() - start;"
    return float(page.evaluate(f"() => {{ {measured.format(action)} }}"))


def main() -> None:
    """Make the dataset, render its page, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        sys.exit("report_page.py: needs Chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        dataset = write_many(Path(folder) / "dataset", options.volumes)
        render(dataset, small_cells=5)  # the template is compiled and cached
        start = time.perf_counter()
        text = render(dataset, small_cells=5)
        seconds = time.perf_counter() - start
        report = dataset / "reports" / "report.html"
        report.write_text(text, encoding="utf-8")
        thumbnails = sum(path.stat().st_size for path in dataset.rglob("*.thumb.jpg"))
        print(f"{options.volumes:,} volumes; rendered in {seconds:.2f} s")
        print(f"page {report.stat().st_size / 1e6:.1f} MB, thumbnails {thumbnails / 1e6:.1f} MB")
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        opened, asked = [], []
        for _ in range(options.rounds):
            page = chromium.new_page(viewport={"width": 1440, "height": 900})
            requests: list[str] = []
            page.on("request", lambda request, urls=requests: urls.append(request.url))
            page.goto(report.as_uri())
            opened.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
            page.wait_for_timeout(500)
            asked.append(sum(url.endswith(".jpg") for url in requests))
        print(f"opened in {statistics.median(opened) / 1000:.2f} s (median); {max(asked)} pictures loaded by then")
        page.locator("input[value=table]").check()
        for name, action in ACTIONS.items():
            times = [timed(page, action) for _ in range(options.rounds)]
            print(f"{name:<20} {statistics.median(times):6.1f} ms (median), {max(times):6.1f} ms (longest)")
        chromium.close()


if __name__ == "__main__":
    main()
