"""The report holds Chart.js, our scripts and our style: they are not searched. Every other word of the page is."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_dataset import OUTCOMES, some_arrays, write_dataset
from made_up_pictures import MadePicture, write_pictures

from dicomzarr.privacy.identifiers import identifiers_of
from dicomzarr.privacy.plain_words import own_words, shipped_parts
from dicomzarr.privacy.scanner import Allowed, Leak, Scanner
from dicomzarr.stages.render_report.assets import assets
from dicomzarr.stages.render_report.page import render

ROOT = Path(__file__).resolve().parents[3]
OWN = own_words(ROOT)
NAMES = (
    b"Zyxwolf^Canaria",
    b"cubicInterpolationMode",
    b"replacechildren",
)  # the last two occur in Chart.js and explorer.js


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    arrays = some_arrays()
    folder = write_dataset(tmp_path_factory.mktemp("shipped") / "dataset", arrays, OUTCOMES)
    write_pictures(folder, [MadePicture(arrays[0].array, [arrays[0].pixels[2] % 256])])
    return render(folder).encode()


def scanner(shipped: tuple[bytes, ...]) -> Scanner:
    hashes = frozenset(number for name in NAMES for number in identifiers_of("PN", name))
    return Scanner(hashes, OWN - {"replacechildren"}, Allowed(shipped=shipped))


def test_what_is_shipped_is_what_the_page_holds(page: bytes) -> None:
    parts = shipped_parts(ROOT)
    held = assets()
    assert sorted(parts) == sorted(text.encode() for text in (held.style, held.library, *held.scripts))
    assert all(page.count(part) == 1 for part in parts)


def test_words_of_the_shipped_files_are_no_leaks(page: bytes) -> None:
    assert scanner(()).content(page, "report.html") is not None
    assert scanner(shipped_parts(ROOT)).content(page, "report.html") is None


@pytest.mark.parametrize(
    ("place", "planted"),
    [
        (b'"words":["fail"', b'"words":["Zyxwolf Canaria","fail"'),
        (b"<h1>", b"<h1>zyxwolf, canaria"),
        (b"</style>", b"/* Zyxwolf Canaria */</style>"),
        (b"Released under the MIT License", b"Released by Zyxwolf Canaria"),
        (b'"use strict";', b'"use strict"; // CANARIA ZYXWOLF'),
        (b"</body>", b"<script>cubicInterpolationMode</script></body>"),
        (b"data:image/jpeg;base64,", b"data:image/jpeg;base64,Wnl4d29sZl5DYW5hcmlhIHp5eHdvbGY="),
    ],
    ids=["data", "text", "style", "library", "script", "word of the library", "picture"],
)
def test_an_identity_anywhere_in_the_page_is_found(page: bytes, place: bytes, planted: bytes) -> None:
    assert place in page
    found = scanner(shipped_parts(ROOT)).content(page.replace(place, planted, 1), "report.html")
    assert found is not None and found.code in ("value_in_file", "value_encoded")


def test_the_line_of_a_leak_is_that_of_the_page(page: bytes) -> None:
    lines = page.replace(b"</footer>", b"Zyxwolf Canaria</footer>").split(b"\n")
    (number,) = [at for at, line in enumerate(lines, 1) if b"Zyxwolf" in line]
    assert scanner(shipped_parts(ROOT)).content(b"\n".join(lines), "report.html") == Leak("value_in_file", number)


def test_shipped_bytes_are_searched_in_other_files(page: bytes) -> None:
    assert scanner(shipped_parts(ROOT)).content(assets().library.encode(), "notes.txt") is not None
