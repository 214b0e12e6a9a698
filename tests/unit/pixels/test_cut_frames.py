"""Frames in any number of fragments, without an offset table: the same pixels in every transfer syntax."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_pixels import DICOM, encapsulate, even, picture, reader
from reference_cases import by, deflate, jpeg, rle

from dicomzarr.vocabulary.reasons import NotExtracted

FRAMES = [np.roll(picture(8, rows=23, columns=31), 5 * shift, axis=1) for shift in range(3)]
ENCODERS: dict[str, Any] = {
    ".5": rle,
    ".4.70": jpeg(lossless=True, predictor=1),
    ".4.80": by("jpegls_encode"),
    ".4.90": by("jpeg2k_encode", level=0, reversible=True, codecformat="J2K"),
    ".4.201": by("htj2k_encode", reversible=True),
    ".4.110": by("jpegxl_encode", lossless=True),
    ".8.1": deflate,
    ".1.98": lambda array: array.tobytes(),
}
STREAMS = {syntax: [even(encode(frame)) for frame in FRAMES] for syntax, encode in ENCODERS.items()}
HEADER = {"Rows": 23, "Columns": 31, "BitsAllocated": 8}


@settings(deadline=None, max_examples=80)
@given(
    syntax=st.sampled_from(sorted(STREAMS)),
    count=st.integers(1, 3),
    step=st.integers(1, 400),
    first=st.integers(0, 40),
)
def test_any_cut_gives_the_same_pixels(syntax: str, count: int, step: int, first: int) -> None:
    count = 1 if syntax in (".8.1", ".1.98") else count  # nothing shows where such a frame ends
    fragments = []
    for stream in STREAMS[syntax][:count]:
        bounds = sorted({0, *range(2 * first, len(stream), 2 * step), len(stream)})
        fragments += [stream[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]
    image = reader(encapsulate(fragments), f"{DICOM}{syntax}", NumberOfFrames=count, **HEADER)
    for number, frame in enumerate(image):
        np.testing.assert_array_equal(frame.pixels, FRAMES[number])
        assert image.cross_check(number, frame).outcome != "refused"
    assert ("joined_fragments" in image.flags) == (len(fragments) > count)


@settings(deadline=None, max_examples=40)
@given(
    syntax=st.sampled_from([".4.70", ".4.80", ".4.90", ".4.201"]),
    pads=st.lists(st.integers(0, 255), min_size=1, max_size=3),
    in_parts=st.booleans(),
)
def test_the_byte_that_makes_a_frame_even_may_have_any_value(syntax: str, pads: list[int], in_parts: bool) -> None:
    """It should be 0 (PS3.5 A.4). dcmcjpls of DCMTK 3.6.7 leaves what was in memory; its dcmdjpls reads such frames."""
    fragments = [ENCODERS[syntax](frame) + bytes([pad]) for frame, pad in zip(FRAMES, pads, strict=False)]
    if in_parts:  # two fragments each, of which only the content says to which frame they belong
        fragments = [part for stream in fragments for part in (stream[:60], stream[60:])]
    image = reader(encapsulate(fragments), f"{DICOM}{syntax}", NumberOfFrames=len(pads), **HEADER)
    for number, frame in enumerate(image):
        np.testing.assert_array_equal(frame.pixels, FRAMES[number])
        assert "missing_end_marker" not in frame.flags
        assert image.cross_check(number, frame).outcome != "refused"


@settings(deadline=None, max_examples=80)
@given(
    syntax=st.sampled_from(sorted(STREAMS)),
    count=st.integers(1, 3),
    lost=st.integers(1, 9),
    at=st.floats(0, 1),
    padding=st.sampled_from([0, 0, 2, 40]),
)
def test_bytes_lost_from_a_file_are_never_made_up(syntax: str, count: int, lost: int, at: float, padding: int) -> None:
    """The last fragment then reaches over the delimiter behind it, up to the end of the file, or beyond."""
    count = 1 if syntax in (".8.1", ".1.98") else count
    data = encapsulate(STREAMS[syntax][:count])
    last = len(data) - 8 - len(STREAMS[syntax][count - 1])
    start = last + int(at * (len(data) - 8 - lost - last))
    damaged = data[:start] + data[start + lost :] + bytes(padding)
    try:
        image = reader(damaged, f"{DICOM}{syntax}", NumberOfFrames=count, **HEADER)
        found = [frame.pixels.tobytes() for frame in image]
    except NotExtracted as error:
        assert error.code in ("truncated_pixel_data", "bad_encapsulation", "decode_error")
    else:  # what was lost is the padding of the stream
        assert found == [frame.tobytes() for frame in FRAMES[:count]]


@pytest.mark.parametrize("syntax", [".8.1", ".1.98"])
def test_two_frames_without_markers_are_not_joined_to_one(syntax: str) -> None:
    data = encapsulate(STREAMS[syntax][:2])
    if syntax == ".8.1":
        with pytest.raises(NotExtracted, match="decode_error"):
            reader(data, f"{DICOM}{syntax}", **HEADER)[0]
    else:
        frame = reader(data, f"{DICOM}{syntax}", **HEADER)[0]
        np.testing.assert_array_equal(frame.pixels, FRAMES[0])
        assert frame.flags == ("surplus_bytes", "surplus_frames")
    with pytest.raises(NotExtracted, match="frame_count_mismatch"):
        reader(encapsulate([*STREAMS[syntax][:2], b"more"]), f"{DICOM}{syntax}", NumberOfFrames=2, **HEADER)


@pytest.mark.parametrize("syntax", [".5", ".4.70", ".4.80", ".4.90", ".4.201"])
@pytest.mark.parametrize("declared", [1, 2])
def test_whole_streams_beyond_those_declared(syntax: str, declared: int) -> None:
    image = reader(encapsulate(STREAMS[syntax]), f"{DICOM}{syntax}", NumberOfFrames=declared, **HEADER)
    assert [frame.pixels.tobytes() for frame in image] == [frame.tobytes() for frame in FRAMES[:declared]]
    assert image.flags == ("surplus_frames",)
