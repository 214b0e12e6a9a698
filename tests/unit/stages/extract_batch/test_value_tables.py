"""Lookup tables count where they apply: palettes for palette images, Modality LUTs with items for grey ones."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from headers_of_bytes import both
from made_up_headers import BIG, EXPLICIT, IMPLICIT, Element, file, image, number, text

from dicomzarr.source.open_file import stat_key
from dicomzarr.stages.extract_batch import series_files
from dicomzarr.volumes.model import Frame

GREY, MONOCHROME1, PALETTE, RGB = "MONOCHROME2", "MONOCHROME1", "PALETTE COLOR", "RGB"
MODALITY_LUT = 0x00283000


def tables(descriptor: tuple[int, ...], size: int = 8) -> dict[str, Element]:
    """Return the elements of a palette: descriptors of three numbers, or of none, and tables of some bytes."""
    value = struct.pack(f"<{len(descriptor)}H", *descriptor)
    found = {f"descriptor {n}": Element(0x00281101 + n, "US", value) for n in range(3)}
    return found | ({f"table {n}": Element(0x00281201 + n, "OW", bytes(size)) for n in range(3)} if size else {})


PALETTES = {
    "whole": tables((4, 0, 16)),
    "supplemental": tables((4, 4000, 16)),
    "no tables": tables((4, 0, 16), 0),
    "zeros": tables((0, 0, 0), 0),
    "empty": tables((), 0),
    "one element": {"descriptor": Element(0x00281101, "US", struct.pack("<3H", 256, 0, 16))},
}
ITEM = (
    Element(0x00283002, "US", struct.pack("<3H", 2, 0, 16)),
    Element(0x00283006, "US", struct.pack("<2H", 7, 9)),
)
EMPTY_ITEM = (Element(0x00283002, "US", b""), Element(0x00283006, "US", b""))
RESCALE = {"intercept": text(0x00281052, "DS", "-1024"), "slope": text(0x00281053, "DS", "2")}


def photometric(name: str, syntax: str = EXPLICIT) -> dict[str, Element]:
    changes = {"PhotometricInterpretation": text(0x00280004, "CS", name)}
    if name == RGB:
        for keyword, tag, value in (
            ("SamplesPerPixel", 0x00280002, 3),
            ("PlanarConfiguration", 0x00280006, 0),
            ("BitsAllocated", 0x00280100, 8),
            ("BitsStored", 0x00280101, 8),
            ("HighBit", 0x00280102, 7),
        ):
            changes[keyword] = number(tag, value, syntax)
        changes["PixelData"] = Element(0x7FE00010, "OW", bytes(72))
    return changes


def interpreted(folder: Path, syntax: str = EXPLICIT, **elements: Element) -> series_files.SourceFile:
    data = file(image(syntax, **elements), syntax)
    (folder / "file").write_bytes(data)
    row: Any = {"path": "file", "stat": list(stat_key((folder / "file").stat())), "outcome": "image", "reason": ""}
    found = series_files.SourceFile(row | {"flags": [], "facts": both(data).facts}, "0" * 64)
    series_files.interpret(0, found, series_files.Roots({"": os.fsencode(folder)}))
    return found


def frame_of(found: series_files.SourceFile) -> Frame:
    assert not found.reason
    return found.frames[0]


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("name", [GREY, MONOCHROME1, RGB])
def test_a_palette_does_not_apply_to_other_images(tmp_path: Path, name: str, palette: str) -> None:
    found = interpreted(tmp_path, **photometric(name), **PALETTES[palette])
    assert found.palette is None and not frame_of(found).tables


def test_a_palette_image_has_its_palette_or_a_reason(tmp_path: Path) -> None:
    ends = {key: interpreted(tmp_path, **photometric(PALETTE), **palette) for key, palette in PALETTES.items()}
    assert {key for key, found in ends.items() if not found.reason} == {"whole", "supplemental"}
    assert {found.reason for found in ends.values()} == {"", "invalid_attribute"}
    assert ends["whole"].palette and frame_of(ends["whole"]).tables.keys() == {"palette"}


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("vr", ["SQ", "UN"])
def test_a_modality_lut_without_items_is_absent(tmp_path: Path, syntax: str, undefined: bool, vr: str) -> None:
    empty = Element(MODALITY_LUT, vr, (), undefined)
    found = interpreted(tmp_path, syntax, LUT=empty, **RESCALE)
    assert frame_of(found).rescale == (2.0, -1024.0) and found.modality_lut is None and not frame_of(found).tables


@pytest.mark.parametrize("name", [GREY, MONOCHROME1])
def test_a_modality_lut_of_a_grey_image_is_read_or_a_reason(tmp_path: Path, name: str) -> None:
    found = interpreted(tmp_path, LUT=Element(MODALITY_LUT, "SQ", (ITEM,)), **photometric(name))
    assert found.modality_lut == {"first": 0, "bits": 16, "values": [7, 9]}
    assert frame_of(found).tables.keys() == {"modality_lut"}
    for item in (ITEM[:1], ITEM[1:], EMPTY_ITEM[:1] + ITEM[1:]):
        broken = interpreted(tmp_path, LUT=Element(MODALITY_LUT, "SQ", (item,)), **photometric(name))
        assert broken.reason == "invalid_attribute"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("item", [(), "descriptor", "both"])
def test_a_modality_lut_that_says_nothing_is_absent(tmp_path: Path, syntax: str, item: Any) -> None:
    elements = {"descriptor": EMPTY_ITEM[:1], "both": EMPTY_ITEM}.get(item, ())
    found = interpreted(tmp_path, syntax, LUT=Element(MODALITY_LUT, "SQ", (elements,)), **RESCALE)
    assert frame_of(found).rescale == (2.0, -1024.0) and found.modality_lut is None and not frame_of(found).tables


@pytest.mark.parametrize("name", [RGB, PALETTE])
def test_a_modality_lut_does_not_apply_to_colours(tmp_path: Path, name: str) -> None:
    for item in (ITEM, ITEM[:1]):
        found = interpreted(tmp_path, LUT=Element(MODALITY_LUT, "SQ", (item,)), **photometric(name))
        assert found.modality_lut is None and not frame_of(found).tables


@pytest.mark.parametrize("tag", [0x00189364, 0x00283010, 0x00409096, 0x00540016, 0x00540022, 0x52009229, 0x52009230])
@pytest.mark.parametrize("undefined", [False, True])
def test_other_sequences_without_items_are_absent(tmp_path: Path, tag: int, undefined: bool) -> None:
    elements = {**RESCALE, "window": text(0x00281050, "DS", "40"), "width": text(0x00281051, "DS", "400")}
    place = text(0x00200037, "DS", "1\\0\\0\\0\\1\\0")
    with_it = interpreted(tmp_path, place=place, **elements, Empty=Element(tag, "SQ", (), undefined))
    assert frame_of(with_it) == frame_of(interpreted(tmp_path, place=place, **elements))
    assert with_it.frames[0].position == (-1.5, 2.0, 30.0) and with_it.frames[0].window == ((40.0, 400.0),)
