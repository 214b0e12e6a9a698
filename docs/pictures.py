"""Make the picture of the report that the README shows, from the demo's own report page.

    ./run demo
    python docs/pictures.py [report.html]

Needs Chromium. The picture is reduced to a palette, so that it stays small in the repository.
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
WIDTH, HEIGHT = 1200, 9000  # pixels of the browser's window: the whole page of the demo
# ASSUME: where the parts lie on the demo's page, in pixels from the top. Look at the picture after each change.
SHOWN = ((0, 580), (4545, 5070))  # the head of the page with its figures; two rows of previews
LARGEST = 200_000  # bytes


def screenshot(browser: str, page: Path, picture: Path) -> None:
    """Let a browser without a window draw a page."""
    command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={picture}"]
    command += [f"--window-size={WIDTH},{HEIGHT}", page.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def main(arguments: list[str]) -> int:
    """Draw the report, or say what is missing."""
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
    place = 0
    for top, bottom in SHOWN:
        picture.paste(whole.crop((0, top, WIDTH, bottom)), (0, place))
        place += bottom - top
    PICTURE.parent.mkdir(exist_ok=True)
    picture.quantize(256, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {size:,} bytes")
    return 0 if size <= LARGEST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
