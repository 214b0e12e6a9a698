"""Native pixel data, made up: every layout, exact."""

from __future__ import annotations

import hashlib
import os
import resource
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_pixels import BIG, LITTLE, encapsulate, even, facts_for, frames, picture, reader

from dicomzarr.pixels.reader import (
    FileSource,
    FrameReader,
    MemorySource,
    is_sampled,
    open_source,
    pixel_format,
)
from dicomzarr.vocabulary.reasons import NotExtracted

GREY = {"Rows": 2, "Columns": 2}


@pytest.mark.parametrize(
    ("cells", "header", "voxels", "dtype", "flags"),
    [
        # unsigned, 12 of 16 bits, overlay bits above
        ([0x0FFF, 0xF001, 0x1002, 0], {"BitsStored": 12}, [4095, 1, 2, 0], "<u2", {"unused_bits_set"}),
        ([0x0FFF, 0x0001, 2, 0], {"BitsStored": 12}, [4095, 1, 2, 0], "<u2", set()),
        # signed, 12 of 16: extended already, not extended, junk
        ([0xFFFF, 0xF800, 2047, 0], {"BitsStored": 12, "PixelRepresentation": 1}, [-1, -2048, 2047, 0], "<i2", set()),
        (
            [0x0FFF, 0x0800, 2047, 0],
            {"BitsStored": 12, "PixelRepresentation": 1},
            [-1, -2048, 2047, 0],
            "<i2",
            {"sign_extended"},
        ),
        (
            [0x3FFF, 0x7800, 0xA001, 0],
            {"BitsStored": 12, "PixelRepresentation": 1},
            [-1, -2048, 1, 0],
            "<i2",
            {"unused_bits_set"},
        ),
        # High Bit 15 with Bits Stored 12: shifted, clean and with junk below
        ([0xFFF0, 0x0010, 0x8000, 0], {"BitsStored": 12, "HighBit": 15}, [4095, 1, 2048, 0], "<u2", set()),
        (
            [0xFFF7, 0x0010, 0x8000, 0],
            {"BitsStored": 12, "HighBit": 15},
            [4095, 1, 2048, 0],
            "<u2",
            {"unused_bits_set"},
        ),
        (
            [0xFFF0, 0x7FF0, 0x8000, 0],
            {"BitsStored": 12, "HighBit": 15, "PixelRepresentation": 1},
            [-1, 2047, -2048, 0],
            "<i2",
            set(),
        ),
        # High Bit 13 with Bits Stored 12: junk on both sides
        (
            [0xFFFC, 0x4005, 0x2000, 0],
            {"BitsStored": 12, "HighBit": 13},
            [4095, 1, 2048, 0],
            "<u2",
            {"unused_bits_set"},
        ),
        # 16 of 16: nothing is touched
        ([0xFFFF, 0x8000, 1, 0], {"PixelRepresentation": 1}, [-1, -32768, 1, 0], "<i2", set()),
        ([0xFFFF, 0x8000, 1, 0], {}, [65535, 32768, 1, 0], "<u2", set()),
    ],
)
@pytest.mark.parametrize("syntax", [LITTLE, BIG])
def test_bits_of_16_allocated(
    cells: list[int], header: dict[str, int], voxels: list[int], dtype: str, flags: set[str], syntax: str
) -> None:
    data = np.array(cells, ">u2" if syntax == BIG else "<u2").tobytes()
    image = reader(data, syntax, **GREY, **header)
    assert ("high_bit_shifted" in image.flags) == ("HighBit" in header)
    assert image[0].pixels.ravel().tolist() == voxels
    assert image[0].pixels.dtype.str == dtype
    assert set(image[0].flags) == flags


@pytest.mark.parametrize("high_bit", [0, 11, 14, 16, 65535])
@pytest.mark.parametrize("representation", [0, 1])
def test_high_bit_means_nothing_where_all_allocated_bits_are_stored(high_bit: int, representation: int) -> None:
    cells = np.array([0xFFFF, 0x8000, 0x0FFF, 1], "<u2")
    image = reader(cells.tobytes(), **GREY, HighBit=high_bit, PixelRepresentation=representation)
    assert image.flags == ("high_bit_ignored",)
    assert image[0].pixels.tobytes() == cells.tobytes()


@pytest.mark.parametrize("before", [0, 1, 10_000])  # bytes
@pytest.mark.parametrize("high_bit", [11, 15])
def test_cells_that_change_leave_the_bytes_of_the_file_alone(before: int, high_bit: int) -> None:
    cells = np.array([0xFFF7, 0x0018, 0x8001, 0], "<u2")
    data = bytearray(bytes(before) + cells.tobytes())
    facts = facts_for(cells.tobytes(), **GREY, BitsStored=12, HighBit=high_bit)
    facts["pixel"]["offset"] = before
    image = FrameReader(MemorySource(data), facts)
    first, second = image[0], image[0]
    want = (cells >> (high_bit - 11)) & 0xFFF
    for frame in (first, second):
        assert frame.pixels.ravel().tolist() == want.tolist() and frame.flags == ("unused_bits_set",)
    assert data[before:] == cells.tobytes()


@pytest.mark.parametrize(("before", "is_kept"), [(0, True), (10_000, False)])  # bytes
def test_a_frame_keeps_no_file_that_is_much_larger_in_memory(before: int, is_kept: bool) -> None:
    data = bytes(before) + bytes(range(8))
    facts = facts_for(data[before:], **GREY)
    facts["pixel"]["offset"] = before
    frame = FrameReader(MemorySource(data), facts)[0].pixels
    assert frame.tobytes() == data[before:]
    assert np.may_share_memory(frame, np.frombuffer(data, np.uint8)) is is_kept
    assert frame.flags.writeable is not is_kept


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
@pytest.mark.parametrize("syntax", [LITTLE, BIG])
@pytest.mark.parametrize("count", [1, 3])
def test_whole_cells_of_every_width(dtype: str, syntax: str, count: int) -> None:
    limits = np.iinfo(dtype)
    random = np.random.default_rng(5)
    want = random.integers(limits.min, limits.max, (count, 3, 5), dtype=dtype, endpoint=True)
    order = ">" if syntax == BIG else "<"
    header = {"BitsAllocated": 8 * want.itemsize, "PixelRepresentation": int(dtype[0] == "i")}
    data = even(want.astype(want.dtype.newbyteorder(order)).tobytes())
    got = frames(data, syntax, vr="OB", Rows=3, Columns=5, NumberOfFrames=count, **header)
    np.testing.assert_array_equal(np.stack([frame.pixels for frame in got]), want)
    assert got[0].pixels.dtype == want.dtype.newbyteorder("<")


@pytest.mark.parametrize(("keyword", "dtype"), [("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")])
@pytest.mark.parametrize("syntax", [LITTLE, BIG])
def test_floats_are_read_bit_by_bit(keyword: str, dtype: str, syntax: str) -> None:
    want = np.array([[0.1, -0.0, np.nan], [np.inf, 1e-40, -1e30]], dtype)
    data = want.astype(want.dtype.newbyteorder(">" if syntax == BIG else "<")).tobytes()
    facts = facts_for(data, syntax, Rows=2, Columns=3, BitsAllocated=8 * want.itemsize, BitsStored=None, HighBit=None)
    facts["pixel"]["keyword"] = keyword
    del facts["PixelRepresentation"]
    image = FrameReader(MemorySource(data), facts)
    assert image[0].pixels.tobytes() == want.tobytes()
    assert (image.format.dtype, image.format.bits_stored) == (f"<{dtype}", 8 * want.itemsize)


@pytest.mark.parametrize("swapped", [False, True])
def test_bits_of_one_allocated_begin_inside_bytes(swapped: bool) -> None:
    want = np.random.default_rng(1).integers(0, 2, (5, 3, 7), dtype=np.uint8)
    data = even(np.packbits(want.ravel(), bitorder="little").tobytes())
    if swapped:
        data = np.frombuffer(data, "<u2").byteswap().tobytes()
    header = {"Rows": 3, "Columns": 7, "NumberOfFrames": 5, "BitsAllocated": 1}
    image = reader(data, BIG if swapped else LITTLE, vr="OW", **header)
    assert image.format.dtype == "|u1"
    for number in (4, 0, 2, 1, 3):  # in any order
        np.testing.assert_array_equal(image[number].pixels, want[number])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_12_bits_allocated_are_unpacked(signed: bool, swapped: bool) -> None:
    # PS3.5 8.1.1: three bytes hold two cells, least significant bits first
    want = np.random.default_rng(2).integers(0, 4096, (3, 3, 3))
    nibbles = np.stack([want.ravel() >> shift & 15 for shift in (0, 4, 8)], axis=1).ravel()
    nibbles = np.append(nibbles, [0] * (-len(nibbles) % 4))
    data = (nibbles[0::2] | nibbles[1::2] << 4).astype(np.uint8).tobytes()
    if swapped:
        data = np.frombuffer(data, "<u2").byteswap().tobytes()
    if signed:
        want = np.where(want > 2047, want - 4096, want)
    header = {"Rows": 3, "Columns": 3, "NumberOfFrames": 3, "BitsAllocated": 12, "PixelRepresentation": int(signed)}
    got = frames(data, BIG if swapped else LITTLE, **header)
    np.testing.assert_array_equal(np.stack([frame.pixels for frame in got]), want)
    assert got[0].pixels.dtype.str == ("<i2" if signed else "<u2")
    assert got[0].flags == ()


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("syntax", [LITTLE, BIG])
def test_colour_by_pixel_and_by_plane(planar: int, dtype: str, syntax: str) -> None:
    want = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, (2, 3, 5, 3), dtype=dtype)
    stored = want.transpose(0, 3, 1, 2) if planar else want
    data = np.ascontiguousarray(stored).astype(stored.dtype.newbyteorder(">" if syntax == BIG else "<")).tobytes()
    if syntax == BIG and dtype == "u1":
        data = np.frombuffer(even(data), "<u2").byteswap().tobytes()
    header = {"SamplesPerPixel": 3, "PlanarConfiguration": planar, "BitsAllocated": 8 * want.itemsize}
    got = frames(data, syntax, Rows=3, Columns=5, NumberOfFrames=2, **header)
    np.testing.assert_array_equal(np.stack([frame.pixels for frame in got]), want)
    assert all(frame.pixels.flags.c_contiguous for frame in got)


YBR = np.array([[[76, 85, 255], [150, 44, 21]], [[29, 255, 107], [128, 128, 128]]], np.uint8)
RGB = np.array([[[254, 0, 0], [0, 255, 1]], [[0, 0, 254], [128, 128, 128]]], np.uint8)


def test_ybr_full_becomes_rgb() -> None:
    header = {"SamplesPerPixel": 3, "BitsAllocated": 8, "PhotometricInterpretation": "YBR_FULL", **GREY}
    image = reader(YBR.tobytes(), **header)
    np.testing.assert_allclose(image[0].pixels.astype(int), RGB.astype(int), atol=1)
    assert (image.format.photometric, image.format.photometric_source) == ("RGB", "YBR_FULL")


def test_ybr_partial_becomes_rgb() -> None:
    # PS3.3 C.7.6.3.1.2: black, white and the three primaries in partial range
    partial = [[16, 128, 128], [235, 128, 128], [81, 90, 240], [145, 54, 34], [41, 240, 110]]
    rgb = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]
    pixels = np.array(partial, np.uint8)
    data = b"".join(bytes([p[0], p[0], p[1], p[2]]) for p in pixels)
    header = {"SamplesPerPixel": 3, "BitsAllocated": 8, "PhotometricInterpretation": "YBR_PARTIAL_422"}
    got = frames(data, Rows=5, Columns=2, **header)[0].pixels
    np.testing.assert_allclose(got[:, 0].astype(int), rgb, atol=2)
    np.testing.assert_array_equal(got[:, 0], got[:, 1])


def test_ybr_full_422_with_all_samples_is_not_read_as_more_frames() -> None:
    header = {"SamplesPerPixel": 3, "BitsAllocated": 8, "PhotometricInterpretation": "YBR_FULL_422", **GREY}
    image = reader(YBR.tobytes(), **header)
    assert "not_subsampled" in image.flags
    np.testing.assert_allclose(image[0].pixels.astype(int), RGB.astype(int), atol=1)


@settings(deadline=None)
@given(
    rows=st.integers(1, 5),
    pairs=st.integers(1, 4),
    count=st.integers(1, 3),
    planar=st.sampled_from([None, 0, 1]),
    syntax=st.sampled_from([LITTLE, f"{LITTLE}.98"]),
    photometric=st.sampled_from(["YBR_FULL_422", "YBR_PARTIAL_422"]),
)
def test_422_with_all_samples_is_stored_as_the_planar_configuration_says(
    rows: int, pairs: int, count: int, planar: int | None, syntax: str, photometric: str
) -> None:
    stored = np.random.default_rng(rows * pairs).integers(0, 256, (count, rows, 2 * pairs, 3), dtype=np.uint8)
    header = {"SamplesPerPixel": 3, "BitsAllocated": 8, "Rows": rows, "Columns": 2 * pairs, "NumberOfFrames": count}
    by_pixel = frames(stored.tobytes(), PhotometricInterpretation=photometric, **header)
    planes = np.ascontiguousarray(stored.transpose(0, 3, 1, 2)) if planar else stored
    cells = [even(plane.tobytes()) for plane in planes]
    data = encapsulate(cells) if syntax.endswith(".98") else planes.tobytes()
    image = reader(data, syntax, PhotometricInterpretation=photometric, PlanarConfiguration=planar, **header)
    for want, frame in zip(by_pixel, image, strict=True):
        np.testing.assert_array_equal(frame.pixels, want.pixels)
        assert {*image.flags, *frame.flags} == {"not_subsampled"}


def test_palette_keeps_indices() -> None:
    header = {"BitsAllocated": 8, "PhotometricInterpretation": "PALETTE COLOR", **GREY}
    image = reader(bytes([0, 1, 254, 255]), **header)
    assert image[0].pixels.tolist() == [[0, 1], [254, 255]]
    assert image.format.photometric == "PALETTE COLOR"


# Wrong lengths -------------------------------------------------------------------------------------------------------


def test_missing_bytes_are_never_filled() -> None:
    with pytest.raises(NotExtracted) as caught:
        reader(bytes(30), Rows=2, Columns=2, NumberOfFrames=4)
    assert (caught.value.code, caught.value.found, caught.value.needed) == ("truncated_pixel_data", 30, 32)


def test_a_length_beyond_the_end_of_the_file_reports_the_bytes_present() -> None:
    facts = facts_for(bytes(32), Rows=4, Columns=4)
    with pytest.raises(NotExtracted) as caught:
        FrameReader(MemorySource(bytes(20)), facts)
    assert (caught.value.code, caught.value.found, caught.value.needed) == ("truncated_pixel_data", 20, 32)


@pytest.mark.parametrize(("extra", "flagged"), [(0, False), (1, False), (2, True), (9, True), (900, True)])
def test_surplus_bytes_are_not_a_frame(extra: int, flagged: bool) -> None:
    image = reader(bytes(9 + extra), Rows=3, Columns=3, BitsAllocated=8)
    assert len(image) == len(list(image)) == 1
    assert ("surplus_bytes" in image.flags) == flagged


@pytest.mark.parametrize(
    ("surplus", "header", "flags"),
    [
        (b"\1" * 9, {}, ("surplus_bytes", "surplus_frames")),
        (bytes(8) + b"\1", {}, ("surplus_bytes", "surplus_frames")),
        (bytes(1 << 21) + b"\1", {}, ("surplus_bytes", "surplus_frames")),
        (b"\1" * 8, {}, ("surplus_bytes",)),
        (bytes(900), {}, ("surplus_bytes",)),  # padding
        (b"\xff" * 900, {}, ("surplus_bytes",)),
        (b"\1" * 6, {"PhotometricInterpretation": "YBR_FULL_422"}, ("surplus_bytes",)),
        (b"\1" * 14, {"PhotometricInterpretation": "YBR_FULL_422"}, ("surplus_bytes", "surplus_frames")),
    ],
)
def test_whole_frames_beyond_those_declared_are_flagged(
    surplus: bytes, header: dict[str, Any], flags: tuple[str, ...]
) -> None:
    layout = {"Rows": 3, "Columns": 3} if not header else {"Rows": 2, "Columns": 2, "SamplesPerPixel": 3}
    size = 9 if not header else 8
    image = reader(bytes(range(size)) + surplus, BitsAllocated=8, **layout, **header)
    assert image.flags == flags
    assert len(list(image)) == 1


def test_the_surplus_of_each_file_is_looked_at() -> None:
    first, second = (bytes(9) + surplus for surplus in (bytes(9), b"\1" * 9))
    facts = facts_for(first, Rows=3, Columns=3, BitsAllocated=8)
    form = pixel_format(facts)
    image = FrameReader(MemorySource(first), facts, form)
    assert image.like(MemorySource(second), facts, form) is None
    plain = facts_for(bytes(9), Rows=3, Columns=3, BitsAllocated=8)
    assert FrameReader(MemorySource(bytes(9)), plain, form).like(MemorySource(bytes(9)), plain, form) is not None


def test_bits_of_a_whole_frame_beyond_those_declared() -> None:
    header = {"Rows": 3, "Columns": 3, "BitsAllocated": 1, "BitsStored": 1}
    # 9 bits a frame: 2 frames fill 18 of 24 bits, 3 frames 27 of 32
    assert reader(b"\1\2\3\0", NumberOfFrames=2, **header).flags == ()
    assert "surplus_frames" not in reader(b"\1\2\3\4", NumberOfFrames=3, **header).flags
    assert reader(b"\1\2\3\4\5\6", NumberOfFrames=2, **header).flags == ("surplus_bytes", "surplus_frames")


def bits_of(planes: np.ndarray[Any, Any], *, padded: bool) -> bytes:
    """Return frames of bits, each padded to whole bytes or not."""
    parts = planes.reshape(len(planes) if padded else 1, -1)
    return b"".join(np.packbits(part, bitorder="little").tobytes() for part in parts)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("even", [False, True])
def test_frames_of_bits_that_are_padded_to_bytes(padded: bool, even: bool) -> None:
    """PS3.5 8.1.1 has no padding between frames; some writers pad each frame."""
    planes = np.random.default_rng(3).integers(0, 2, (31 if even else 30, 3, 3), "u1")
    planes[-1] = 1
    data = bits_of(planes, padded=padded)
    header = {"Rows": 3, "Columns": 3, "BitsAllocated": 1, "BitsStored": 1, "NumberOfFrames": len(planes)}
    image = reader(data + bytes(len(data) % 2), **header)
    assert image.flags == (("padded_frames",) if padded else ())
    np.testing.assert_array_equal([frame.pixels for frame in image], planes)


def test_bits_behind_the_last_frame_show_that_frames_may_be_padded() -> None:
    """Padding may leave the length as it is; the bits behind the last frame are 0 if frames are not padded."""
    planes = np.random.default_rng(4).integers(0, 2, (2, 3, 5), "u1")
    header = {"Rows": 3, "Columns": 5, "BitsAllocated": 1, "BitsStored": 1, "NumberOfFrames": 2}
    for last, flags in ((1, ("uncertain_frames",)), (0, ())):
        planes[1, -1] = last
        image = reader(bits_of(planes, padded=True), **header)
        assert image.flags == flags
        np.testing.assert_array_equal(image[0].pixels, planes[0])
    planes[1, 0, 0] = 1
    assert reader(bits_of(planes, padded=False), **header).flags == ()


@pytest.mark.parametrize(
    ("surplus", "is_uncertain"), [(0, False), (2, True), (25, True), (26, True), (27, False), (60, False)]
)
def test_where_frames_of_bits_begin_is_certain_or_flagged(surplus: int, is_uncertain: bool) -> None:
    planes = np.zeros((30, 3, 3), "u1")
    planes[0] = 1
    header = {"Rows": 3, "Columns": 3, "BitsAllocated": 1, "BitsStored": 1, "NumberOfFrames": 30}
    data = bits_of(planes, padded=False)  # 34 bytes; 60 if each frame is padded
    image = reader(data + bytes(surplus), **header)
    assert ("surplus_bytes" in image.flags) == (surplus > 0)
    assert ("uncertain_frames" in image.flags) == is_uncertain
    np.testing.assert_array_equal([frame.pixels for frame in image], planes)
    # Bits are set where frames that are padded have none.
    planes[:] = 1
    assert reader(bits_of(planes, padded=False) + bytes(26), **header).flags == ("surplus_bytes",)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Rows": None}, "missing_attribute"),
        ({"Rows": 0}, "invalid_attribute"),
        ({"BitsAllocated": None}, "missing_attribute"),
        ({"PixelRepresentation": None}, "missing_attribute"),
        ({"PixelRepresentation": 2}, "invalid_attribute"),
        ({"BitsStored": 17}, "invalid_attribute"),
        ({"HighBit": 16, "BitsStored": 12}, "invalid_attribute"),
        ({"HighBit": 10, "BitsStored": 12}, "invalid_attribute"),
        ({"BitsAllocated": 24, "BitsStored": 24, "HighBit": 23}, "unsupported_pixel_layout"),
        ({"SamplesPerPixel": 4}, "unsupported_pixel_layout"),
        ({"SamplesPerPixel": 3}, "unsupported_pixel_layout"),
        ({"PhotometricInterpretation": "HSV"}, "unsupported_pixel_layout"),
        ({"PhotometricInterpretation": None}, "missing_attribute"),
        ({"TransferSyntaxUID": "1.2.840.10008.1.2.4.100"}, "unsupported_transfer_syntax"),
        ({"TransferSyntaxUID": None}, "missing_attribute"),
        ({"NumberOfFrames": -1}, "invalid_attribute"),
        ({"pixel": None}, "missing_pixel_data"),
        ({"Rows": 65535, "Columns": 65535, "BitsAllocated": 32}, "too_large"),
    ],
)
def test_headers_of_images_that_are_not_extracted(change: dict[str, Any], code: str) -> None:
    facts = facts_for(bytes(8), **GREY)
    changed = {key: value for key, value in ({**facts, **change}).items() if value is not None}
    with pytest.raises(NotExtracted) as caught:
        pixel_format(changed)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_absent_number_of_frames_is_one() -> None:
    facts = facts_for(bytes(8), **GREY)
    del facts["NumberOfFrames"]
    assert pixel_format(facts).frames == 1


# Sources --------------------------------------------------------------------------------------------------------------


def test_the_last_frame_of_a_huge_file_costs_one_frame(tmp_path: Path) -> None:
    rows, columns, count = 1024, 1024, 2000  # 4 GB, sparse
    path = tmp_path / "sparse"
    size = 1000 + rows * columns * 2 * count
    last = picture(16, rows=rows, columns=columns)
    with open(path, "wb") as stream:
        stream.truncate(size - last.nbytes)
        stream.seek(0, os.SEEK_END)
        stream.write(last.tobytes())
    facts = facts_for(b"", Rows=rows, Columns=columns, NumberOfFrames=count)
    facts["pixel"]["offset"], facts["pixel"]["length"] = 1000, size - 1000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open(path, "rb") as stream:
        image = FrameReader(FileSource(stream.fileno(), size), facts)
        assert not image[7].pixels.any()
        np.testing.assert_array_equal(image[count - 1].pixels, last)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


def test_deflated_data_is_inflated_no_further_than_needed(tmp_path: Path) -> None:
    want = picture(16)
    body = b"header" * 50 + want.tobytes() + bytes(1 << 24)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    path = tmp_path / "deflated"
    uid = b"1.2.840.10008.1.2.1.99\0\0"[:24]
    element = b"\x02\x00\x10\x00UI" + len(uid).to_bytes(2, "little") + uid
    meta = b"\x02\x00\x00\x00UL\x04\x00" + len(element).to_bytes(4, "little") + element
    path.write_bytes(bytes(128) + b"DICM" + meta + deflater.compress(body) + deflater.flush())
    facts = facts_for(b"", Rows=want.shape[0], Columns=want.shape[1])
    facts["TransferSyntaxUID"] = "1.2.840.10008.1.2.1.99"
    facts["pixel"]["offset"], facts["pixel"]["length"] = 300, want.nbytes
    with open(path, "rb") as stream:
        source = open_source(stream.fileno(), path.stat().st_size, facts)
        np.testing.assert_array_equal(FrameReader(source, facts)[0].pixels, want)
        assert source.size == 300 + want.nbytes
        facts["pixel"]["length"] = 1 << 26
        with pytest.raises(NotExtracted, match="truncated_pixel_data"):
            open_source(stream.fileno(), path.stat().st_size, facts)
        facts["pixel"]["length"] = 1 << 40
        with pytest.raises(NotExtracted, match="too_large"):
            open_source(stream.fileno(), path.stat().st_size, facts)
        with pytest.raises(NotExtracted, match="truncated_pixel_data"):
            FileSource(stream.fileno(), 1 << 50).read(0, 1 << 20)
    path.write_bytes(path.read_bytes()[:200] + bytes(50))
    with open(path, "rb") as stream, pytest.raises(NotExtracted):
        open_source(stream.fileno(), 250, facts)


# Samples -------------------------------------------------------------------------------------------------------------


def test_the_sample_for_cross_checks_depends_on_the_data_alone() -> None:
    digest = hashlib.sha256(b"a file").hexdigest()
    drawn = [frame for frame in range(10_000) if is_sampled(digest, frame, 0.01)]
    assert drawn == [frame for frame in range(10_000) if is_sampled(digest, frame, 0.01)]
    assert 60 < len(drawn) < 150
    assert set(drawn) <= {frame for frame in range(10_000) if is_sampled(digest, frame, 0.1)}
    assert all(is_sampled(digest, frame, 1.0) for frame in range(100))
    assert not any(is_sampled(digest, frame, 0.0) for frame in range(100))
