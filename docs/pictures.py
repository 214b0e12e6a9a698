"""Make the picture of the report in the README, from the report of the demo.

    ./run demo
    python docs/pictures.py [report.html]

Needs Chromium. The picture shows parts of the page: its head, the previews with masks and four others, and the table of
masks. It is reduced to a palette of 256 colors to keep the repository small.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parents[1]
REPORT = Path("demo/results/dataset/reports/report.html")
PICTURE = ROOT / "docs" / "images" / "report.png"
WIDTH, HEIGHT = 1200, 2000  # browser window in pixels
OTHERS = 4  # previews without masks, of MR and CT
MARGIN = 40  # below the last line
LARGEST = 200_000  # bytes


def parts(page: str) -> str:
    """Return a page that has only some parts of the report."""

    def part(pattern: str) -> str:
        found = re.search(pattern, page, re.DOTALL)
        if found is None:
            raise ValueError(f"the report has no {pattern!r}")
        return found[0]

    previews = re.findall(r"<li><figure>.*?</figure></li>", page, re.DOTALL)
    with_masks = [each for each in previews if 'class="outlines"' in each]
    others = [each for each in previews if each not in with_masks and re.search("<strong>(CT|MR)</strong>", each)]
    others.sort(key=len, reverse=True)  # the PNG of a preview is long where there is much to see
    shown = "".join([*with_masks, *others[:OTHERS]])
    return "".join(
        (
            part(".*<main[^>]*>"),
            part('<section aria-labelledby="figures">.*?</section>'),
            f'<section><ul class="sheet">{shown}</ul></section>',
            part('<section aria-labelledby="masks">.*?</table>\\s*</div>') + "</section>",
            "</main></body></html>",
        )
    )


def screenshot(browser: str, page: Path, picture: Path) -> None:
    """Write a screenshot of a page with a headless browser."""
    command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={picture}"]
    command += ["--blink-settings=preferredColorScheme=1"]  # light
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
        raw, cut = Path(folder) / "report.png", Path(folder) / "report.html"
        cut.write_text(parts(page.read_text(encoding="utf-8")), encoding="utf-8")
        screenshot(browser, cut, raw)
        whole = Image.open(raw).convert("RGB")
    blank = Image.new("RGB", whole.size, whole.getpixel((0, 0)))
    box = ImageChops.difference(whole, blank).getbbox()
    picture = whole.crop((0, 0, WIDTH, min(HEIGHT, box[3] + MARGIN if box else HEIGHT)))
    PICTURE.parent.mkdir(exist_ok=True)
    picture.quantize(256, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {size:,} bytes")
    return 0 if size <= LARGEST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
