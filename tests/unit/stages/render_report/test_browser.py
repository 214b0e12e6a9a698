"""The report in a real browser: styled under its own policy, in light and dark, and no wider than a phone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_dataset import OUTCOMES, some_arrays, write_dataset
from PIL import Image

from dicomzarr.stages.render_report.page import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: the report is not seen by a browser"),
]

QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)
PROBE = """<!DOCTYPE html><iframe src="report.html" width="375" height="800"></iframe><pre></pre><script>
onload = () => {
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  const style = (element) => getComputedStyle(element);
  document.querySelector("pre").textContent = JSON.stringify({
    width: root.scrollWidth,
    paper: style(page.body).backgroundColor,
    colours: [...new Set([...page.querySelectorAll(".chart circle, .chart rect")].map((mark) => style(mark).fill))],
    fonts: [...new Set([...page.querySelectorAll("text")].map((element) => style(element).fontFamily.split(",")[0]))],
    images: [...page.images].map((image) => image.complete && image.naturalWidth > 0),
    small: [...page.querySelectorAll("text")].filter((element) => element.getBoundingClientRect().height < 8).length,
  });
};</script>"""


def browse(folder: Path, *arguments: str) -> str:
    command = [str(CHROMIUM), *QUIET.split(), f"--user-data-dir={folder / 'profile'}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    shutil.rmtree(folder / "profile", ignore_errors=True)
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    arrays = [replace(each, labels={"finding": "a_long_name_of_a_finding"}) for each in some_arrays()]
    page = render(write_dataset(folder / "dataset", arrays, OUTCOMES))
    assert 'id="groups"' in page
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "probe.html").write_text(PROBE)
    return folder


@pytest.mark.parametrize(
    ("scheme", "paper", "accent"),
    [("1", "rgb(252, 252, 250)", "rgb(43, 106, 140)"), ("0", "rgb(20, 24, 27)", "rgb(124, 185, 216)")],
    ids=["light", "dark"],
)
def test_the_page_is_styled_and_fits_a_phone(folder: Path, scheme: str, paper: str, accent: str) -> None:
    dump = browse(
        folder,
        f"--blink-settings=preferredColorScheme={scheme}",
        "--allow-file-access-from-files",
        "--virtual-time-budget=5000",
        "--dump-dom",
        (folder / "probe.html").as_uri(),
    )
    seen = json.loads(html.unescape(re.search(r"<pre>(.*?)</pre>", dump, re.DOTALL).group(1)))
    assert seen["width"] == 375
    assert seen["paper"] == paper and accent in seen["colours"]
    assert seen["fonts"] == ["system-ui"]
    assert len(seen["images"]) == 7 and all(seen["images"])
    assert seen["small"] == 0


@pytest.mark.parametrize(("scheme", "paper"), [("1", (252, 252, 250)), ("0", (20, 24, 27))], ids=["light", "dark"])
def test_screenshots_of_the_page(folder: Path, scheme: str, paper: tuple[int, int, int]) -> None:
    shot = folder / f"shot-{scheme}.png"
    browse(
        folder,
        f"--blink-settings=preferredColorScheme={scheme}",
        "--window-size=1280,4200",
        f"--screenshot={shot}",
        (folder / "report.html").as_uri(),
    )
    picture = Image.open(shot).convert("RGB")
    assert picture.size == (1280, 4200) and picture.getpixel((4, 4)) == paper
    share = {colour: number for number, colour in picture.getcolors(maxcolors=1 << 24) or []}
    assert share[paper] > 0.7 * 1280 * 4200  # calm: mostly paper
    assert share.get((255, 0, 0), 0) > 1000  # the red test image is there
