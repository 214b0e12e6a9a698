"""Attributes that are not in the index, read from headers whose items end with the delimiter of a sequence."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from headers_of_bytes import both, deflated
from made_up_headers import EXPLICIT, IMPLICIT, Element, encode, head, image, meta, text

from dicomzarr.source.open_file import stat_key
from dicomzarr.stages.extract_batch import series_files

OPEN_ITEM, ITEM_END, SEQUENCE_END = (
    struct.pack("<HHI", 0xFFFE, tag, length) for tag, length in ((0xE000, 0xFFFFFFFF), (0xE00D, 0), (0xE0DD, 0))
)
PALETTE = {
    **{f"descriptor {n}": Element(0x00281101 + n, "US", struct.pack("<3H", 4, 0, 16)) for n in range(3)},
    **{f"table {n}": Element(0x00281201 + n, "OW", struct.pack("<4H", n, 700, 800, 65535)) for n in range(3)},
    "PhotometricInterpretation": text(0x00280004, "CS", "PALETTE COLOR"),
}


def interpreted(data: bytes, folder: Path) -> series_files.SourceFile:
    (folder / "file").write_bytes(data)
    facts = both(data).facts
    row: Any = {"path": "file", "stat": list(stat_key((folder / "file").stat())), "outcome": "image", "reason": ""}
    file = series_files.SourceFile(row | {"flags": [], "facts": facts}, "0" * 64)
    series_files.interpret(0, file, series_files.Roots({"": os.fsencode(folder)}))
    return file


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("ends", [ITEM_END + SEQUENCE_END, SEQUENCE_END * 2, SEQUENCE_END])
@pytest.mark.parametrize("prefix", [True, False])
def test_a_palette_is_read(tmp_path: Path, syntax: str, ends: bytes, prefix: bool) -> None:
    elements = image(syntax, **PALETTE)
    early = [element for element in elements if element.tag < 0x00100000]
    wrong = head(0x00081140, "SQ", 0xFFFFFFFF, syntax) + OPEN_ITEM + early[1].encode(syntax) + ends
    data = meta(syntax)[0 if prefix else 132 :] + encode(early, syntax) + wrong + encode(elements[len(early) :], syntax)
    file = interpreted(data, tmp_path)
    assert file.reason == "" and file.palette is not None
    assert file.palette["bits"] == 16 and file.palette["green"] == [1, 700, 800, 65535]


def test_an_image_does_not_lose_its_palette_in_silence(tmp_path: Path) -> None:
    """Deflated headers are not mended, so that pydicom cannot read this one."""
    elements = image(**PALETTE)
    early = [element for element in elements if element.tag < 0x00100000]
    wrong = head(0x00081140, "SQ", 0xFFFFFFFF, EXPLICIT) + OPEN_ITEM + early[1].encode(EXPLICIT) + SEQUENCE_END
    data = encode(early, EXPLICIT) + wrong + encode(elements[len(early) :], EXPLICIT)
    file = interpreted(deflated(data), tmp_path)
    assert (file.reason, file.palette) == ("unreadable_header", None)
