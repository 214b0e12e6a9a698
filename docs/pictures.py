"""Make the pictures of the report in the README, from the report of the demo: its parts, and the view of a volume.

    ./run demo
    python docs/pictures.py [report.html]

Needs Chromium and playwright. The first picture shows the head of the page, the flow of the files and volumes with
large planes; the second a volume with masks. They are reduced to a palette to keep the repository small.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
REPORT = Path("demo/results/dataset/reports/report.html")
FOLDER = ROOT / "docs" / "images"
WIDTH, HEIGHT = 1200, 1000  # browser window in pixels
LARGEST = 200_000  # bytes of a picture

# Leave parts of the page, with the volumes that have most to see; then return the height.
PARTS = """() => {
  const hidden = ["attention", "modalities", "groups", "masks", "depth", "size"];
  for (const id of hidden) document.getElementById(id)?.closest("section").setAttribute("hidden", "");
  for (const part of document.querySelectorAll("header .about, nav, #files ~ *:not(figure), #volumes ~ p, footer"))
    part.hidden = true;
  const pixels = (volume) => volume.shape.split("\\u00d7").reduce((size, length) => size * Number(length), 1);
  const shown = VOLUMES.filter((volume) => volume.picture && ["CT", "MR", "NM"].includes(volume.modality));
  lists[0].show(shown.sort((a, b) => b.masks.length - a.masks.length || pixels(b) - pixels(a)).slice(0, 9));
  return document.body.scrollHeight;
}"""
# Open the volume with most masks, in a window that is as high as its view.
VOLUME = """() => {
  const volume = [...VOLUMES].sort((a, b) => b.masks.length - a.masks.length)[0];
  location.hash = `#${volume.array}`;
}"""


def save(shot: bytes, name: str) -> bool:
    """Write a screenshot with a palette; return whether it is small enough."""
    path = FOLDER / name
    picture = Image.open(io.BytesIO(shot)).convert("RGB").quantize(256, kmeans=1, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")
    return path.stat().st_size <= LARGEST


def main(arguments: list[str]) -> int:
    """Make the pictures; return the exit code."""
    report = Path(arguments[0]) if arguments else REPORT
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not report.is_file() or not browser:
        print(f"pictures.py: needs {report} (./run demo) and Chromium", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(report.resolve().as_uri())
        page.set_viewport_size({"width": WIDTH, "height": page.evaluate(PARTS)})
        page.wait_for_timeout(500)
        fits = save(page.screenshot(), "report.png")
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        page.evaluate(VOLUME)
        page.wait_for_timeout(500)
        fits &= save(page.locator("#viewer").screenshot(), "volume.png")
        chromium.close()
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
