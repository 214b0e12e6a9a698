"""Make the picture of the viewer, from the demo: a volume with its masks in four panels.

    ./run demo
    python docs/viewer_picture.py

Needs Chromium, and playwright from requirements-dev.lock. The picture is reduced to a palette to keep the repository
small. It is drawn without a graphics card, so that it looks the same on every machine.
"""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
DATASET = ROOT / "demo" / "results" / "dataset"
PICTURE = ROOT / "docs" / "images" / "viewer.png"
WIDTH, HEIGHT = 1200, 720  # browser window in pixels
DRAWN = 15_000  # ms after which everything is drawn, also on a slow machine
SOFTWARE_GL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--no-sandbox"]
LARGEST = 200_000  # bytes


def array_with_masks() -> str:
    """Return the id of the CT with most masks."""
    with open(DATASET / "volumes.csv", newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["modality"] == "CT"]
    return max(rows, key=lambda row: len(row["masks"].split()))["array"]


def screenshot(browser: str, array: str, picture: Path) -> None:
    """Write a screenshot of `./run view ARRAY`."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-P", "-m", "dicomzarr.commands", "view", array, "--dataset", str(DATASET), "--no-open"]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    viewer = subprocess.Popen(command, stdout=subprocess.PIPE, env=variables, text=True)
    try:
        assert viewer.stdout
        viewer.stdout.readline()
        address = viewer.stdout.readline().strip()
        with sync_playwright() as play:
            chromium = play.chromium.launch(executable_path=browser, args=SOFTWARE_GL)
            page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(address)
            page.wait_for_timeout(DRAWN)
            page.screenshot(path=picture)
            chromium.close()
    finally:
        viewer.terminate()
        viewer.wait()


def main() -> int:
    """Make the picture; return the exit code."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not DATASET.is_dir() or not browser:
        print(f"viewer_picture.py: needs {DATASET} (./run demo) and Chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "viewer.png"
        screenshot(browser, array_with_masks(), raw)
        Image.open(raw).convert("RGB").quantize(192, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {size:,} bytes")
    return 0 if size <= LARGEST else 1


if __name__ == "__main__":
    sys.exit(main())
