"""Elements of explicit VR whose VR is none of the standard's, or that have none."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import ItemsView
from pathlib import Path
from typing import cast

import pydicom
import pytest
from headers_of_bytes import both, read_texts
from hypothesis import given
from hypothesis import strategies as st
from made_up_headers import DEFLATED, EXPLICIT, IMPLICIT, Element, encode, image, meta, number, text

from dicomzarr.headers.mended_items import mended_file
from dicomzarr.headers.unknown_vrs import MendedReader, with_known_vrs
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.extract_batch.series_files import read_data_set

ODD_VRS = (b"--", b"  ", b"\0\0", b"??", b"RE", b"ZZ", b"un")
PIXELS = bytes(range(48))
PRIVATE = Element(0x00191010, "SL", b"abcd")
NAME = text(0x00080080, "LO", "Made up hospital")


def with_head(element: Element, vr: bytes) -> bytes:
    """Return an element with another VR; with an empty one it has the form of implicit VR."""
    if not vr:
        return element.encode(IMPLICIT)
    data = element.encode(EXPLICIT)
    return data[:4] + vr + data[6:]


def file_with(elements: list[Element], odd: set[int], vr: bytes) -> bytes:
    return meta(EXPLICIT) + b"".join(
        with_head(element, vr) if element.tag in odd else element.encode(EXPLICIT) for element in elements
    )


def elements_of_an_image() -> list[Element]:
    return sorted([*image(EXPLICIT, pixels=PIXELS), PRIVATE, NAME], key=lambda element: element.tag)


@given(st.sampled_from([*ODD_VRS, b""]), st.data())
def test_any_element_may_have_a_vr_of_no_standard(vr: bytes, data: st.DataObject) -> None:
    elements = elements_of_an_image()
    # The first element decides whether VRs are explicit. One without a length has several forms.
    tags = [e.tag for e in elements[1:] if e.tag < 0x7FE00000 and e.vr in ("CS", "DS", "IS", "LO", "SL", "UI", "US")]
    odd = data.draw(st.sets(st.sampled_from(tags), min_size=1, max_size=3))
    content = file_with(elements, odd, vr)
    answer, plain = both(content), both(file_with(elements, set(), b""))
    assert (answer.outcome, answer.reason) == ("image", "")
    pixel = answer.facts.pop("pixel")
    assert content[pixel["offset"] :][: pixel["length"]] == PIXELS
    plain.facts.pop("pixel")
    assert answer.facts == plain.facts


@pytest.mark.parametrize("vr", ODD_VRS)
def test_a_long_head_may_have_a_vr_of_no_standard(vr: bytes) -> None:
    long = Element(0x00191011, "OB", b"12345678")
    elements = sorted([*elements_of_an_image(), long], key=lambda element: element.tag)
    assert both(file_with(elements, {long.tag}, vr)).outcome == "image"


@pytest.mark.parametrize("vr", ODD_VRS)
@pytest.mark.parametrize("depth", [1, 3])
def test_elements_within_items_of_undefined_length(vr: bytes, depth: int) -> None:
    begin = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    inner = with_head(text(0x00080100, "SH", "T-D1"), vr) + with_head(text(0x00080102, "SH", "SRT"), vr)
    for _ in range(depth):
        inner = struct.pack("<HH2sHI", 0x0008, 0x2218, b"SQ", 0, 0xFFFFFFFF) + begin + inner + end
    elements = elements_of_an_image()
    early = [element for element in elements if element.tag < 0x00082218]
    content = meta(EXPLICIT) + encode(early, EXPLICIT) + inner + encode(elements[len(early) :], EXPLICIT)
    answer = both(content)
    assert (answer.outcome, answer.reason) == ("image", "")
    assert content[answer.facts["pixel"]["offset"] :][: answer.facts["pixel"]["length"]] == PIXELS


def test_texts_of_such_elements_reach_the_privacy_search() -> None:
    texts = read_texts(file_with(elements_of_an_image(), {NAME.tag}, b"--"))
    assert any(b"Made up hospital" in value for _, value in texts)


def test_what_leaves_a_doubt_is_not_mended() -> None:
    elements = elements_of_an_image()
    data = file_with(elements, {PRIVATE.tag}, b"--").replace(b"--\4\0abcd", b"--\4\1abcd")
    assert with_known_vrs(lambda length, offset: data[offset : offset + length], len(data), len(meta(EXPLICIT))) is None
    assert both(data).outcome == "quarantined"
    plain = file_with(elements, set(), b"")
    assert mended_file(lambda length, offset: plain[offset : offset + length], len(plain), EXPLICIT) is None
    assert mended_file(lambda length, offset: plain[offset : offset + length], len(plain), DEFLATED) is None


@pytest.mark.parametrize("vr", [b"--", b"RE", b""])
def test_the_whole_data_set_is_read_where_extraction_needs_it(tmp_path: Path, vr: bytes) -> None:
    groups = Element(0x52009229, "SQ", ((number(0x00280010, 4),),))
    elements = sorted([*elements_of_an_image(), groups], key=lambda element: element.tag)
    path = tmp_path / "one.dcm"
    path.write_bytes(file_with(elements, {PRIVATE.tag}, vr))
    facts = both(path.read_bytes()).facts
    row = cast(HeaderRow, {"stat": [path.stat().st_size], "facts": facts})
    handle = os.open(path, os.O_RDONLY)
    try:
        header = read_data_set(handle, row)
    finally:
        os.close(handle)
    assert header.SharedFunctionalGroupsSequence[0].Rows == 4
    assert header.InstitutionName == "Made up hospital"
    assert pydicom.dcmread(io.BytesIO(file_with(elements, set(), b""))).Rows == header.Rows


def test_bytes_are_replaced_wherever_a_block_begins() -> None:
    data = file_with(elements_of_an_image(), {PRIVATE.tag}, b"--")
    found = with_known_vrs(lambda length, offset: data[offset : offset + length], len(data), len(meta(EXPLICIT)))
    assert found is not None
    place = data.index(b"--\4\0abcd")
    whole = found(len(data), 0)
    assert whole[place : place + 4] == b"LO" + struct.pack("<H", 4)
    for start in range(place - 2, place + 5):
        assert found(3, start) == whole[start : start + 3]
    assert encode([PRIVATE], EXPLICIT)[-4:] == whole[place + 4 : place + 8]


class CountedHeads(dict[int, bytes]):
    """Heads by offset that count how many of them are looked at."""

    looked_at = 0

    def __getitem__(self, place: int) -> bytes:
        self.looked_at += 1
        return super().__getitem__(place)

    def items(self) -> ItemsView[int, bytes]:
        self.looked_at += len(self)
        return super().items()


def test_a_read_looks_only_at_the_heads_within_it() -> None:
    """A hostile file may have very many: a look at all of them in each read would take minutes."""
    heads = CountedHeads(dict.fromkeys(range(4, 100000, 12), b"UN\x00\x00abcd"))
    mended = MendedReader(lambda length, offset: bytes(length), heads, 100_000)
    assert mended(26, 598) == b"cd" + bytes(4) + b"UN\0\0abcd" + bytes(4) + b"UN\0\0abcd"
    assert mended(3, 6) == b"\0\0a" and mended(2, 99_990) == bytes(2)
    assert heads.looked_at <= 8
