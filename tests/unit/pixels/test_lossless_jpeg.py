"""Lossless JPEG: point transforms, scans of one component, and sums beyond the range of the samples."""

from __future__ import annotations

from typing import Any

import lossless_jpeg
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_pixels import one_fragment_reader

from dicomzarr.pixels import codestream, jpeg_scans
from dicomzarr.pixels.reader import DecoderDisagreement
from dicomzarr.vocabulary.reasons import NotExtracted

EACH_ALONE = ((0,), (1,), (2,))


def noise(bits: int, *, colour: bool = False, seed: int = 0) -> Any:
    dtype = np.uint8 if bits <= 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 1 << bits, (9, 14, 3) if colour else (9, 14), dtype)


def read(data: bytes, array: Any, bits: int, **header: Any) -> tuple[Any, bool, str]:
    """Return the pixels, whether values were lost, and what the second decoder said."""
    image = one_fragment_reader(data, ".4.70", array, BitsStored=bits, HighBit=bits - 1, **header)
    frame = image[0]
    return frame.pixels, frame.lossy, image.cross_check(0, frame).outcome


@pytest.mark.parametrize(("bits", "transform"), [(8, 1), (12, 2), (16, 4), (10, 0)])
@pytest.mark.parametrize("colour", [False, True])
def test_a_point_transform_is_undone_by_both_decoders(bits: int, transform: int, colour: bool) -> None:
    array = noise(bits, colour=colour)
    pixels, lossy, second = read(lossless_jpeg.encode(array, bits, transform=transform), array, bits)
    np.testing.assert_array_equal(pixels, array >> transform << transform)
    assert (lossy, second) == (transform > 0, "agreed")


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("scans", [EACH_ALONE, ((2,), (0,), (1,)), ((1,), (0,), (2,))])
@pytest.mark.parametrize("transform", [0, 1])
def test_each_component_may_have_a_scan_of_its_own(bits: int, scans: Any, transform: int) -> None:
    array = noise(bits, colour=True)
    pixels, _, second = read(lossless_jpeg.encode(array, bits, scans=scans, transform=transform), array, bits)
    np.testing.assert_array_equal(pixels, array >> transform << transform)
    assert second == "agreed"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_scan_of_which_a_part_is_missing_is_detected(number: int) -> None:
    array = noise(8, colour=True)
    data = lossless_jpeg.encode(array, 8, scans=EACH_ALONE)
    (start, coded) = jpeg_scans.split_scans(data)[number]
    assert start == (number,)
    coded = coded[coded.index(b"\xff\xda") + 10 : -2]
    with pytest.raises((NotExtracted, DecoderDisagreement)):
        read(data.replace(coded, coded[:50]), array, 8)


@pytest.mark.parametrize("bits", [9, 10, 12, 15, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_sums_beyond_the_precision_are_taken_modulo(bits: int, signed: bool) -> None:
    array = noise(bits)
    expected = array.astype(np.int64)
    if signed:
        expected[expected >= 1 << (bits - 1)] -= 1 << bits
    data = lossless_jpeg.encode(array, bits, wrap=True)
    pixels, lossy, second = read(data, array, bits, PixelRepresentation=int(signed))
    np.testing.assert_array_equal(pixels, expected)
    assert (lossy, second) == (False, "agreed")


def test_the_precision_of_the_stream_counts_where_the_header_has_more_bits() -> None:
    array = noise(12)
    pixels, _, _ = read(lossless_jpeg.encode(array, 12, wrap=True), array, 16)
    np.testing.assert_array_equal(pixels, array)


@settings(max_examples=40, deadline=None)
@given(
    bits=st.integers(8, 16),
    transform=st.integers(0, 3),
    scans=st.permutations(range(3)),
    colour=st.booleans(),
    wrap=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_lossless_stream_is_exact(
    bits: int, transform: int, scans: list[int], colour: bool, wrap: bool, seed: int
) -> None:
    array = noise(bits, colour=colour, seed=seed)
    each = [[component] for component in scans] if colour else ()
    data = lossless_jpeg.encode(array, bits, transform=transform, scans=each, wrap=wrap)
    assert codestream.read_jpeg(data).point_transform == transform
    pixels, lossy, second = read(data, array, bits)
    np.testing.assert_array_equal(pixels, array >> transform << transform)
    assert (lossy, second) == (transform > 0, "agreed")
