"""Bytes that were inserted before pixels, or lost, shift all voxels: what follows the pixel data shows it."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from headers_of_bytes import both, deflated, read, reason_of
from made_up_headers import BIG, EXPLICIT, IMPLICIT, file, image, meta, number

from dicomzarr.pixels.reader import FrameReader, MemorySource
from dicomzarr.vocabulary.reasons import NotExtracted

RANDOM = random.Random(20)
PIXELS = bytes(RANDOM.randrange(1, 256) for _ in range(48))
SYNTAXES = (IMPLICIT, EXPLICIT, BIG)
SAID = {"trailing_bytes", "surplus_bytes"}


def made(syntax: str) -> bytes:
    """Return a file of 4 x 6 pixels of 16 bits."""
    bits = {"BitsStored": number(0x00280101, 16, syntax), "HighBit": number(0x00280102, 15, syntax)}
    return file(image(syntax, PIXELS, **bits), syntax)


def padding_element(syntax: str, content: bytes = RANDOM.randbytes(200)) -> bytes:
    """Return Data Set Trailing Padding (FFFC,FFFC) of 200 bytes."""
    return {
        IMPLICIT: struct.pack("<HHI", 0xFFFC, 0xFFFC, 200),
        EXPLICIT: struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 200),
        BIG: struct.pack(">HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 200),
    }[syntax] + content


def voxels(data: bytes) -> tuple[bytes, set[str]]:
    """Return the bytes of the voxels, empty where the file is no image, and the flags."""
    header = read(data)
    if header.outcome != "image":
        return b"", set()
    try:
        reader = FrameReader(MemorySource(data), header.facts)
    except NotExtracted:
        return b"", set()
    pixels = b"".join(np.ascontiguousarray(frame.pixels).tobytes() for frame in reader)
    return pixels, {*reader.flags, *header.flags}


@pytest.mark.parametrize("content", [None, RANDOM.randbytes(200), bytes(200), b"\xff" * 200])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_shifted_pixels_are_refused_or_said(syntax: str, content: bytes | None) -> None:
    data = made(syntax)
    expected, flags = voxels(data)
    assert len(expected) == 48 and not flags
    value = len(data) - 48
    data += b"" if content is None else padding_element(syntax, content)
    assert voxels(data) == (expected, set())
    for place in range(value - (8 if syntax == IMPLICIT else 12), value + 40):
        for count in (1, 2, 3, 4, 7, 8, 12):
            for inserted in (bytes(count), b"\xff" * count, RANDOM.randbytes(count), data[place : place + count]):
                pixels, flags = voxels(data[:place] + inserted + data[place:])
                assert pixels in (b"", expected) or flags & SAID, (place - value, inserted)
            pixels, flags = voxels(data[:place] + data[place + count :])
            assert pixels in (b"", expected) or flags & SAID, (place - value, count)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_length_beyond_the_file_needs_exact_pixels(syntax: str) -> None:
    data = made(syntax)
    order = ">I" if syntax == BIG else "<I"
    beyond = data[:-52] + struct.pack(order, 4711) + PIXELS
    for tail in (b"", padding_element(syntax)):
        assert reason_of(beyond + tail)[0] == "image", tail
    for tail in (b"\0", b"\1\2\3", bytes(-len(beyond) % 512)):
        assert reason_of(beyond + tail) == ("quarantined", "truncated_pixel_data")
    assert reason_of(data[:-52] + struct.pack(order, 4711) + b"\1\2" + PIXELS)[1] == "truncated_pixel_data"


@pytest.mark.parametrize(
    ("tail", "is_said"),
    [
        *((bytes(1), False), (b"\1", True), (bytes(7), True), (bytes(12), True), (b"\r\n", True)),
        *((PIXELS[:7], True), (PIXELS * 20, True)),
        (struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 500), True),  # longer than the file
        (struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 0), True),  # an element that stands before pixels
        (struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), False),
        (struct.pack("<HH2sHI", 0xFFFA, 0xFFFA, b"SQ", 0, 0xFFFFFFFF) + b"\1", True),  # no item
        (struct.pack("<HH2sHIHHI", 0xFFFA, 0xFFFA, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0) + b"\1", False),
        (struct.pack("<HH2sHIHHI", 0xFFFA, 0xFFFA, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE0DD, 0), False),
        (struct.pack("<HH2sH", 0x7FE1, 0x0010, b"LO", 0) * 2, True),  # the same tag again
        (struct.pack("<HH2sHHH2sH", 0x7FE1, 0x0010, b"LO", 0, 0xFFFC, 0xFFFC, b"OB", 0) + bytes(4), False),
    ],
)
def test_what_may_follow_pixels(tail: bytes, is_said: bool) -> None:
    for data in (made(EXPLICIT) + tail, deflated(made(EXPLICIT)[len(meta(EXPLICIT)) :] + tail)):
        header = both(data)
        assert (header.outcome, "trailing_bytes" in header.flags) == ("image", is_said)


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b" ", b"\1"])
@pytest.mark.parametrize("block", [128, 512, 2048])
def test_padding_fills_up_a_block(fill: bytes, block: int) -> None:
    """Fewer bytes may be the end of a dark image, which was shifted."""
    data = made(EXPLICIT)
    count = -len(data) % block
    assert both(data + fill * count).flags == (("trailing_bytes",) if fill == b"\1" else ())
    assert both(data + fill * (count - 2)).flags == ("trailing_bytes",)


def test_the_padding_of_an_odd_length_is_not_said() -> None:
    attributes = {"Rows": (0x00280010, 5), "Columns": (0x00280011, 5), "BitsAllocated": (0x00280100, 8)}
    attributes |= {"BitsStored": (0x00280101, 8), "HighBit": (0x00280102, 7)}
    changes = {name: number(tag, value) for name, (tag, value) in attributes.items()}
    data = file(image(EXPLICIT, bytes(26), **changes))
    odd = data[:-30] + struct.pack("<I", 25) + bytes([7]) * 25 + b"\0"
    header = both(odd + padding_element(EXPLICIT))
    assert (header.outcome, header.flags) == ("image", ())
