"""Make the screenshot of the report in the README, from the report of the demo.

    ./run demo
    python docs/pictures.py [report.html]

Needs Chromium. The picture is reduced to a palette of 256 colors to keep the repository small.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
REPORT = Path("demo/results/dataset/reports/report.html")
PICTURE = ROOT / "docs" / "images" / "report.png"
WIDTH, HEIGHT = 1200, 9000  # browser window in pixels: it fits the whole page
# ASSUME: positions on the demo's page, in pixels from the top. Check the picture after each change of the report.
SHOWN = ((0, 580), (4545, 5070))  # the head of the page with its figures; two rows of previews
LARGEST = 200_000  # bytes


def screenshot(browser: str, page: Path, picture: Path) -> None:
    """Write a screenshot of a page with a headless browser."""
    command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={picture}"]
    command += [f"--window-size={WIDTH},{HEIGHT}", page.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def main(arguments: list[str]) -> int:
    """Make the picture; return the exit code."""
    page = Path(arguments[0]) if arguments else REPORT
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not page.is_file() or not browser:
        print(f"pictures.py: needs {page} (./run demo) and Chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "report.png"
        screenshot(browser, page, raw)
        whole = Image.open(raw).convert("RGB")
    picture = Image.new("RGB", (WIDTH, sum(bottom - top for top, bottom in SHOWN)))
    height = 0
    for top, bottom in SHOWN:
        picture.paste(whole.crop((0, top, WIDTH, bottom)), (0, height))
        height += bottom - top
    PICTURE.parent.mkdir(exist_ok=True)
    picture.quantize(256, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {size:,} bytes")
    return 0 if size <= LARGEST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
