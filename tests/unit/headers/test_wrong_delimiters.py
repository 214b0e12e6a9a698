"""Items of sequences that end with the delimiter of a sequence, and File Meta Information in implicit VR."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headers_of_bytes import both, reason_of
from hypothesis import given
from hypothesis import strategies as st
from made_up_headers import CT, DEFLATED, EXPLICIT, IMPLICIT, Element, encode, file, head, image, meta, text

from dicomzarr.headers.mended_items import mended
from dicomzarr.pixels.byte_source import open_source
from dicomzarr.pixels.reader import FrameReader

# --- items that end with the delimiter of a sequence ---------------------------------------------------------------

ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HHI", 0xFFFE, n, 0) for n in (0xE000, 0xE00D, 0xE0DD))
OPEN_ITEM = ITEM[:4] + b"\xff" * 4
UNDEFINED = 0xFFFFFFFF
LITTLE = (EXPLICIT, IMPLICIT)
PURPOSE = text(0x00081150, "UI", "1.2.3.4.5")
# The ends of an item that is not the last, and of the last with its sequence.
ENDS = {
    "right": (ITEM_END, ITEM_END + SEQUENCE_END),
    "in place": (SEQUENCE_END, SEQUENCE_END + SEQUENCE_END),
    "one for both": (ITEM_END, SEQUENCE_END),
}
Tree = list[Any]


def sequence(tag: int, items: Tree, ends: str, syntax: str) -> bytes:
    """Return a sequence whose items have an element and, if they are not empty, a sequence of these items."""
    content = []
    for number, nested in enumerate(items):
        inner = sequence(0x00081199, nested, ends, syntax) if nested else b""
        content += [OPEN_ITEM, PURPOSE.encode(syntax), inner, ENDS[ends][number == len(items) - 1]]
    return head(tag, "SQ", UNDEFINED, syntax) + (b"".join(content) or SEQUENCE_END)


def check(before: int, sequences: list[bytes], syntax: str) -> None:
    """Assert that an image with sequences before the element `before` is read like one without."""
    elements = image(syntax, pixels=bytes(range(48)))
    early = [element for element in elements if element.tag < before]
    data = meta(syntax) + encode(early, syntax) + b"".join(sequences) + encode(elements[len(early) :], syntax)
    answer, plain = both(data), both(file(elements, syntax))
    assert (answer.outcome, answer.reason, answer.flags) == ("image", "", ())
    pixel = answer.facts.pop("pixel")
    assert data[pixel["offset"] :][: pixel["length"]] == bytes(range(48))
    plain.facts.pop("pixel")
    assert answer.facts == plain.facts


@pytest.mark.parametrize("syntax", LITTLE)
@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("items", [[[]], [[], []], [[[]]], [[[[]]], []], [[], [[], [[]]]]])
def test_an_item_may_end_with_the_delimiter_of_a_sequence(syntax: str, ends: str, items: Tree) -> None:
    check(0x00100000, [sequence(0x00081140, items, ends, syntax)], syntax)
    check(0x7FE00000, [sequence(0x00540022, items, ends, syntax)], syntax)


TREES: st.SearchStrategy[Tree] = st.lists(
    st.recursive(st.just([]), lambda inner: st.lists(inner, max_size=3), max_leaves=6), min_size=1, max_size=3
)


@given(
    items=TREES,
    ends=st.sampled_from(sorted(ENDS)),
    syntax=st.sampled_from(LITTLE),
    size=st.integers(0, 200),
)
def test_any_nesting_is_read(items: Tree, ends: str, syntax: str, size: int) -> None:
    padding = Element(0x00081120, "OB", bytes(160 * size)).encode(syntax)  # moves the end of the block
    check(0x00100000, [padding, sequence(0x00081140, items, ends, syntax)], syntax)


def test_a_sequence_that_ends_the_file_is_whole() -> None:
    elements = [element for element in image() if element.tag not in (0x7FE00010, 0x00280010, 0x00280011)]
    for ends in ENDS:
        data = meta() + encode(elements, EXPLICIT) + sequence(0x00540022, [[]], ends, EXPLICIT)
        assert reason_of(data) == ("skipped", "no_pixel_data")
        assert reason_of(data[:-4])[0] == "quarantined"


@pytest.mark.parametrize("ends", ENDS)
def test_numbers_in_such_items_are_read(ends: str) -> None:
    slope, intercept = (
        Element(tag, "FD", struct.pack("<d", value)) for tag, value in ((0x00409225, 0.5), (0x00409224, -3.0))
    )
    inner = sequence(0x004008EA, [[[]]], ends, EXPLICIT)
    content = OPEN_ITEM + inner + encode([intercept, slope], EXPLICIT) + ENDS[ends][1]
    elements = image()
    data = encode(elements[:-1], EXPLICIT) + head(0x00409096, "SQ", UNDEFINED, EXPLICIT) + content
    answer = both(meta() + data + encode(elements[-1:], EXPLICIT))
    assert answer.facts["real_world"] == [0.5, -3.0]


def mend(data: bytes, start: int, implicit: bool) -> bytes | None:
    return mended(lambda length, offset: data[offset : offset + length], len(data), start, implicit)


@given(items=TREES, ends=st.sampled_from(sorted(ENDS)), syntax=st.sampled_from(LITTLE), twice=st.booleans())
def test_mended_items_are_what_they_should_be(items: Tree, ends: str, syntax: str, twice: bool) -> None:
    elements = image(syntax)
    early = encode([element for element in elements if element.tag < 0x00100000], syntax)
    late = encode([element for element in elements if 0x00100000 < element.tag < 0x7FE00000], syntax)
    pixels = encode(elements[-1:], syntax)
    more = sequence(0x00540022, [[], []], "right", syntax) if twice else b""

    def header_of(kind: str) -> bytes:
        return meta(syntax) + early + sequence(0x00081140, items, kind, syntax) + late + more

    start, implicit = len(meta(syntax)), syntax == IMPLICIT
    assert mend(header_of(ends) + pixels, start, implicit) == (None if ends == "right" else header_of("right"))


def test_items_that_cannot_be_followed_are_not_mended() -> None:
    data = meta() + sequence(0x00081140, [[], [[]]], "in place", EXPLICIT)
    assert mend(data, len(meta()), False) is not None
    assert mend(data[:-40], len(meta()), False) is None
    assert mend(data.replace(b"UI", b"??"), len(meta()), False) is None


# --- File Meta Information in implicit VR ---------------------------------------------------------------------------


def implicit_meta(syntax: str, *, named: bool = True, more: bool = False) -> bytes:
    elements = [text(0x00020002, "UI", CT), text(0x00020003, "UI", "1.2.3.4")]
    if named:
        elements.append(text(0x00020010, "UI", syntax))
    if more:
        elements += [text(0x00020012, "UI", "1.2.3"), text(0x00020013, "SH", "NAME"), text(0x00020016, "AE", "TITLE")]
    content = encode(elements, IMPLICIT)
    return Element(0x00020000, "UL", struct.pack("<I", len(content))).encode(IMPLICIT) + content


@pytest.mark.parametrize("preamble", [b"", bytes(128) + b"DICM"])
@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("syntax", LITTLE)
def test_meta_information_may_be_in_implicit_vr(preamble: bytes, more: bool, syntax: str) -> None:
    content = encode(image(syntax), syntax)
    answer = both(preamble + implicit_meta(syntax, more=more) + content)
    assert (answer.outcome, answer.reason, answer.flags) == ("image", "", ())
    plain = both(file(image(syntax), syntax))
    plain.facts["pixel"]["offset"] = len(preamble + implicit_meta(syntax, more=more) + content) - 48
    assert answer.facts == plain.facts
    answer = both(preamble + implicit_meta(syntax, named=False, more=more) + content)
    assert (answer.outcome, answer.flags) == ("image", ("assumed_transfer_syntax",))


def test_meta_information_of_few_elements_without_preamble() -> None:
    """The data set after it need not have the same encoding."""
    for syntax in LITTLE:
        data = meta(syntax)[132:] + encode(image(syntax), syntax)
        assert both(data).outcome == "image"


def test_what_only_begins_like_meta_information_is_no_dicom() -> None:
    for data in (b"\2\0\0\0\4\0\0\0" * 50, b"\2\0\x10\0\4\0\0\0text" * 50, b"\2\0\0\0\4\0\0\0\0\0\0\0" + bytes(400)):
        assert reason_of(data) == ("ignored", "not_dicom")
    # neither two letters of a VR nor a length
    broken = bytes(128) + b"DICM\2\0\0\0??\4\0\0\0\0\0" + encode(image(), EXPLICIT)
    assert reason_of(broken) == ("quarantined", "unreadable_header")


def test_deflated_after_implicit_meta_information(tmp_path: Path) -> None:
    import zlib

    squeeze = zlib.compressobj(wbits=-15)
    pixels = np.arange(24, dtype="<u2").tobytes()
    data = squeeze.compress(encode(image(pixels=pixels), EXPLICIT)) + squeeze.flush()
    for preamble in (b"", bytes(128) + b"DICM"):
        answer = both(preamble + implicit_meta(DEFLATED) + data)
        assert answer.outcome == "image"
        path = tmp_path / "file"
        path.write_bytes(preamble + implicit_meta(DEFLATED) + data)
        with open(path, "rb") as stream:
            source = open_source(stream.fileno(), path.stat().st_size, answer.facts)
            assert FrameReader(source, answer.facts)[0].pixels.tobytes() == pixels
