"""Make the pictures of the README from the demo: the report page, a volume in it, and the same volume in the viewer.

    ./run demo
    python docs/pictures.py

Needs Chromium, and playwright from requirements-dev.lock. The viewer is drawn without a graphics card, so that it looks
the same on every machine. Pictures are reduced to a palette to keep the repository small.
"""

import contextlib
import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
DATASET = ROOT / "demo" / "results" / "dataset"
IMAGES = ROOT / "docs" / "images"
WIDTH = 1200  # of the browser window, px
LARGEST = 250_000  # bytes of a picture
DRAWN = 15_000  # ms after which the viewer has drawn everything, also on a slow machine
SOFTWARE_GL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--no-sandbox"]
# Of the report: figures, flow and the first pictures, without findings and the table of reasons.
SHORTENED = """
nav, .about { display: none !important }
section:not([aria-labelledby=figures], [aria-labelledby=files], .explorer) { display: none !important }
[aria-labelledby=files] > :not(h2):not(figure):not(svg):not(:has(svg)) { display: none !important }
.explorer > p { display: none !important }
main > section { padding-block: 0.6rem !important; margin-block: 0 !important }
header { padding-block: 1.5rem 0 !important }
"""


def array_with_masks() -> str:
    """Return the id of the CT with most masks."""
    with open(DATASET / "volumes.csv", newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["modality"] == "CT"]
    return max(rows, key=lambda row: len(row["masks"].split()))["array"]


def picture_report(browser: Any, picture: Path) -> None:
    """Write a picture of parts of the report page."""
    page = browser.new_page(viewport={"width": WIDTH, "height": 1480}, color_scheme="light", bypass_csp=True)
    page.goto((DATASET / "reports" / "report.html").as_uri())
    page.add_style_tag(content=SHORTENED)
    page.wait_for_timeout(1000)
    page.screenshot(path=picture)


def picture_volume(browser: Any, picture: Path) -> None:
    """Write a picture of a volume that was opened in the report."""
    page = browser.new_page(viewport={"width": WIDTH, "height": 1100}, color_scheme="light")
    page.goto((DATASET / "reports" / "report.html").as_uri() + "#" + array_with_masks())
    page.wait_for_timeout(1000)
    page.locator("dialog").screenshot(path=picture)


def picture_viewer(browser: Any, picture: Path) -> None:
    """Write a picture of `./run view ARRAY`."""
    with viewer(array_with_masks()) as address:
        page = browser.new_page(viewport={"width": WIDTH, "height": 720})
        page.goto(address)
        page.wait_for_timeout(DRAWN)
        page.screenshot(path=picture)


@contextlib.contextmanager
def viewer(array: str) -> Iterator[str]:
    """Serve the dataset of the demo; yields the address of an array."""
    command = [sys.executable, "-P", "-m", "dicomzarr.commands", "view", array, "--dataset", str(DATASET), "--no-open"]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    served = subprocess.Popen(command, stdout=subprocess.PIPE, env=variables, text=True)
    try:
        assert served.stdout
        served.stdout.readline()
        yield served.stdout.readline().strip()
    finally:
        served.terminate()
        served.wait()


def main() -> int:
    """Make the pictures; return the exit code."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not DATASET.is_dir() or not program:
        print(f"pictures.py: needs {DATASET} (./run demo) and Chromium", file=sys.stderr)
        return 1
    too_large = 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=SOFTWARE_GL)
        for make, name in ((picture_report, "report"), (picture_volume, "volume"), (picture_viewer, "viewer")):
            raw, picture = Path(folder) / f"{name}.png", IMAGES / f"{name}.png"
            make(browser, raw)
            Image.open(raw).convert("RGB").quantize(256, kmeans=1, dither=Image.Dither.NONE).save(
                picture, optimize=True
            )
            print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")
            too_large += picture.stat().st_size > LARGEST
        browser.close()
    return 1 if too_large else 0


if __name__ == "__main__":
    sys.exit(main())
