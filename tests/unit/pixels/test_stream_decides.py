"""Colour and loss: the compressed stream decides, the header comes second, a contradiction is flagged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jpeg_markers import ADOBE_RGB, ADOBE_YBR, JFIF, PLAIN_IDS, RGB_IDS, with_colour_markers
from made_up_pixels import one_fragment_reader, picture, reader
from reference_cases import by, deflate, jpeg, progressive_jpeg, rle

from dicomzarr.pixels import codestream, decode_plan, decoders
from dicomzarr.vocabulary.reasons import NotExtracted

Array = Any
FROM_STREAM, FROM_HEADER = ("photometric_from_stream",), ("photometric_from_header",)


def rgb_of(ybr: Array) -> Array:
    """Return RGB as PS3.3 C.7.6.3.1.2 defines it."""
    y, cb, cr = (ybr[..., i].astype(float) for i in range(3))
    rgb = np.stack(
        [y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)], -1
    )
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8)


COLOURS = np.random.default_rng(8).integers(0, 256, (9, 11, 3), np.uint8)
LOSSLESS = jpeg(lossless=True, predictor=1)(COLOURS)


@pytest.mark.parametrize(
    ("markers", "ids", "header", "converted", "flags"),
    [
        # the stream says nothing
        (b"", PLAIN_IDS, "YBR_FULL", True, ()),
        (b"", (0, 1, 2), "YBR_FULL", True, ()),
        (b"", PLAIN_IDS, "YBR_FULL_422", True, ()),
        (b"", PLAIN_IDS, "RGB", False, ()),
        # the stream says it
        (ADOBE_YBR, PLAIN_IDS, "YBR_FULL", True, ()),
        (ADOBE_YBR, PLAIN_IDS, "RGB", True, FROM_STREAM),
        (ADOBE_RGB, PLAIN_IDS, "RGB", False, ()),
        (ADOBE_RGB, PLAIN_IDS, "YBR_FULL", False, FROM_STREAM),
        (b"", RGB_IDS, "RGB", False, ()),
        (b"", RGB_IDS, "YBR_FULL", False, FROM_STREAM),
        # JFIF is defined for the DCT alone
        (JFIF, PLAIN_IDS, "YBR_FULL", True, ()),
        (JFIF, PLAIN_IDS, "RGB", False, FROM_HEADER),
    ],
)
@pytest.mark.parametrize("syntax", [".4.57", ".4.70"])
def test_lossless_jpeg_is_converted_by_us(
    markers: bytes, ids: tuple[int, ...], header: str, converted: bool, flags: tuple[str, ...], syntax: str
) -> None:
    data = with_colour_markers(LOSSLESS, markers, ids)
    image = one_fragment_reader(data, syntax, COLOURS, PhotometricInterpretation=header)
    frame = image[0]
    if converted:
        np.testing.assert_allclose(frame.pixels.astype(int), rgb_of(COLOURS).astype(int), atol=1)
    else:
        np.testing.assert_array_equal(frame.pixels, COLOURS)
    assert (frame.flags, frame.lossy) == (flags, False)
    assert image.cross_check(0, frame).outcome == "agreed"


def test_lossless_jpeg_in_ybr_of_more_than_8_bits_is_not_extracted() -> None:
    wide = picture(12, colour=True)
    data = with_colour_markers(jpeg(lossless=True, predictor=1, bitspersample=12)(wide))
    with pytest.raises(NotExtracted, match="unsupported_pixel_layout"):
        one_fragment_reader(data, ".4.70", wide, BitsStored=12, PhotometricInterpretation="YBR_FULL")[0]


SOLID = np.full((16, 16, 3), (200, 30, 60), np.uint8)
YBR_SOLID = np.full((16, 16, 3), (84, 114, 211), np.uint8)  # the same colour, by PS3.3 C.7.6.3.1.2


def expected_space(adobe: int | None, ids: tuple[int, ...], jfif: bool, sampling: str, dct: bool, header: str) -> str:
    """Return the colour space that such a stream is in."""
    marked = ""
    if adobe is not None:
        marked = "YBR" if adobe else "RGB"
    elif ids == RGB_IDS:
        marked = "RGB"
    elif jfif and dct:
        marked = "YBR"
    if sampling != "444":
        marked = "" if marked == "RGB" else "YBR"
    return marked or header[:3]


@settings(deadline=None, max_examples=60)
@given(
    adobe=st.sampled_from([None, 0, 1]),
    ids=st.sampled_from([PLAIN_IDS, (0, 1, 2), RGB_IDS]),
    jfif=st.booleans(),
    sampling=st.sampled_from(["444", "422", "420"]),
    dct=st.booleans(),
    header=st.sampled_from(["RGB", "YBR_FULL", "YBR_FULL_422"]),
)
def test_any_mixture_of_header_and_markers_ends_in_the_right_colour(
    adobe: int | None, ids: tuple[int, ...], jfif: bool, sampling: str, dct: bool, header: str
) -> None:
    import imagecodecs

    sampling = sampling if dct else "444"
    space = expected_space(adobe, ids, jfif, sampling, dct, header)
    samples = SOLID if space == "RGB" else YBR_SOLID
    if dct:
        options = {"colorspace": "YCBCR", "outcolorspace": "YCBCR", "subsampling": sampling, "level": 100}
        data = bytes(imagecodecs.jpeg8_encode(samples, **options))
    else:
        data = jpeg(lossless=True, predictor=1)(samples)
    markers = (JFIF if jfif else b"") + (b"" if adobe is None else ADOBE_YBR if adobe else ADOBE_RGB)
    data = with_colour_markers(data, markers, ids)
    image = one_fragment_reader(data, ".4.50" if dct else ".4.70", SOLID, PhotometricInterpretation=header)
    frame = image[0]
    np.testing.assert_allclose(frame.pixels.astype(int), SOLID.astype(int), atol=3)
    assert ("photometric_from_stream" in frame.flags) == (space != header[:3])
    assert image.cross_check(0, frame).outcome == "agreed"


@pytest.mark.parametrize("header", ["RGB", "YBR_FULL_422"])
def test_a_subsampled_stream_that_calls_itself_rgb_follows_the_header(header: str) -> None:
    import imagecodecs

    samples = SOLID if header == "RGB" else YBR_SOLID
    data = imagecodecs.jpeg8_encode(samples, level=100, colorspace="YCBCR", outcolorspace="YCBCR", subsampling="422")
    for markers, ids in ((ADOBE_RGB, PLAIN_IDS), (b"", RGB_IDS)):
        data = with_colour_markers(bytes(data), markers, ids)
        frame = one_fragment_reader(data, ".4.50", SOLID, PhotometricInterpretation=header)[0]
        np.testing.assert_allclose(frame.pixels.astype(int), SOLID.astype(int), atol=3)
        assert frame.flags == FROM_HEADER


@pytest.mark.parametrize(
    ("header", "reversible", "flags"),
    [
        ("RGB", True, ()),
        ("YBR_RCT", True, ()),
        ("YBR_ICT", False, ()),
        ("YBR_ICT", True, FROM_STREAM),
        ("YBR_RCT", False, FROM_STREAM),
        ("YBR_FULL", True, FROM_STREAM),
        ("YBR_FULL", False, FROM_STREAM),
    ],
)
@pytest.mark.parametrize("family", ["jpeg2k", "htj2k"])
def test_the_component_transform_of_jpeg_2000_gives_rgb(
    header: str, reversible: bool, flags: tuple[str, ...], family: str
) -> None:
    options = {"codecformat": "J2K", "mct": True, "level": 0 if reversible else 100} if family == "jpeg2k" else {}
    data = by(f"{family}_encode", reversible=reversible, **options)(SOLID)
    frame = one_fragment_reader(
        data, ".4.91" if family == "jpeg2k" else ".4.203", SOLID, PhotometricInterpretation=header
    )[0]
    np.testing.assert_allclose(frame.pixels.astype(int), SOLID.astype(int), atol=0 if reversible else 3)
    assert (frame.flags, frame.lossy) == (flags, not reversible)


@pytest.mark.parametrize("samples", [1, 3])
def test_a_grey_stream_is_no_colour_image_nor_the_reverse(samples: int) -> None:
    array = picture(8, colour=samples == 1)
    header = picture(8, colour=samples == 3)
    for syntax, data in ((".4.50", jpeg(level=90)(array)), (".4.80", by("jpegls_encode")(array))):
        with pytest.raises(NotExtracted, match="frame_size_mismatch"):
            one_fragment_reader(data, syntax, header)[0]


# Loss -----------------------------------------------------------------------------------------------------------------

GREY = picture(8, rows=40, columns=48)
DCT, SOF3 = jpeg(level=90), jpeg(lossless=True, predictor=1)
J2K = by("jpeg2k_encode", level=0, reversible=True, codecformat="J2K")
ICT = by("jpeg2k_encode", level=60, reversible=False, codecformat="J2K")
HT, HT_LOSSY = by("htj2k_encode", reversible=True), by("htj2k_encode", reversible=False, level=0.01)
LS, LS_NEAR = by("jpegls_encode"), by("jpegls_encode", level=3)
XL, XL_LOSSY = by("jpegxl_encode", lossless=True), by("jpegxl_encode", lossless=False, level=80)


@pytest.mark.parametrize(
    ("syntax", "encode", "declared", "lossy", "flagged"),
    [
        # a lossy stream under a lossless transfer syntax
        (".4.70", DCT, None, True, True),
        (".4.57", DCT, "00", True, True),
        (".4.57", progressive_jpeg, None, True, True),
        (".4.80", LS_NEAR, None, True, True),
        (".4.90", ICT, None, True, True),
        (".4.201", HT_LOSSY, None, True, True),
        (".4.202", HT_LOSSY, "00", True, True),
        (".4.110", XL_LOSSY, None, True, True),
        # a lossy stream that the header calls lossless
        (".4.50", DCT, "00", True, True),
        (".4.81", LS_NEAR, "00", True, True),
        (".4.91", ICT, "00", True, True),
        # a lossy stream that is called so, or of which nothing is said
        (".4.50", DCT, "01", True, False),
        (".4.81", LS_NEAR, None, True, False),
        (".4.91", ICT, "01", True, False),
        (".4.203", HT_LOSSY, None, True, False),
        (".4.112", XL_LOSSY, None, True, False),
        # a lossless stream, whatever the transfer syntax permits
        (".4.70", SOF3, None, False, False),
        (".4.50", SOF3, None, False, False),
        (".4.81", LS, None, False, False),
        (".4.91", J2K, None, False, False),
        (".4.203", HT, "00", False, False),
        (".4.110", XL, None, False, False),
        # values were lost before
        (".4.70", SOF3, "01", True, False),
        (".4.81", LS, "01", True, False),
        (".4.90", J2K, "01", True, False),
        (".5", rle, "01", True, False),
        (".8.1", deflate, "01", True, False),
        (".1.98", lambda array: array.tobytes(), "01", True, False),
        (".5", rle, None, False, False),
    ],
)
def test_loss_is_what_the_stream_says(
    syntax: str, encode: Any, declared: str | None, lossy: bool, flagged: bool
) -> None:
    image = one_fragment_reader(encode(GREY), syntax, GREY, LossyImageCompression=declared)
    frame = image[0]
    assert (frame.lossy, "lossy_stream" in frame.flags) == (lossy, flagged)
    if not lossy or (declared == "01" and encode not in (DCT, ICT)):
        np.testing.assert_array_equal(frame.pixels, GREY)
    assert image.cross_check(0, frame).outcome != "refused"


@pytest.mark.parametrize("declared", [None, "00", "01"])
def test_native_pixels_were_lossy_if_the_header_says_so(declared: str | None) -> None:
    frame = reader(GREY.tobytes(), Rows=40, Columns=48, BitsAllocated=8, LossyImageCompression=declared)[0]
    assert (frame.lossy, frame.flags) == (declared == "01", ())


def test_one_irreversible_component_or_tile_makes_a_stream_lossy() -> None:
    data = J2K(GREY)
    assert codestream.read_jpeg2000(data).lossless is True
    cod = data.index(b"\xff\x52")
    size = int.from_bytes(data[cod + 2 : cod + 4], "big")
    parameters = data[cod + 9 : cod + 2 + size]
    irreversible = parameters[:4] + b"\0" + parameters[5:]
    coc = b"\xff\x53" + (4 + len(irreversible)).to_bytes(2, "big") + b"\0\0" + irreversible
    end = cod + 2 + size
    assert codestream.read_jpeg2000(data[:end] + coc + data[end:]).lossless is False
    sot = data.index(b"\xff\x90")
    length = int.from_bytes(data[sot + 6 : sot + 10], "big") + len(coc)
    tile = data[: sot + 6] + length.to_bytes(4, "big") + data[sot + 10 : sot + 12] + coc + data[sot + 12 :]
    assert codestream.read_jpeg2000(tile).lossless is False


@pytest.mark.parametrize("syntax", [".4.70", ".4.80"])
def test_a_point_transform_makes_a_lossless_stream_lossy(syntax: str) -> None:
    data = bytearray(SOF3(GREY) if syntax == ".4.70" else LS(GREY))
    assert codestream.read_jpeg(bytes(data)).lossless is True
    scan = data.index(b"\xff\xda")
    data[scan + 9] |= 1  # the lower half of the last byte of the scan's header
    assert codestream.read_jpeg(bytes(data)).lossless is False


def test_near_of_any_scan_makes_jpeg_ls_lossy() -> None:
    frame = b"\xff\xd8\xff\xf7\0\x11\x08\0\x04\0\x05\x03\x01\x11\0\x02\x11\0\x03\x11\0"
    scans = [b"\xff\xda\0\x08\x01" + bytes([n, 0, 0, 0, 0]) + b"\x12\x34" for n in (1, 2, 3)]
    assert codestream.read_jpeg(frame + b"".join(scans) + b"\xff\xd9").lossless is True
    scans[2] = scans[2][:7] + b"\x02" + scans[2][8:]
    assert codestream.read_jpeg(frame + b"".join(scans) + b"\xff\xd9").lossless is False


# HTJ2K: a decoder that overflows --------------------------------------------------------------------------------------


def saturated(dtype: str, colour: bool) -> Array:
    """Return blocks of the least and the largest value: an irreversible wavelet overshoots at their edges."""
    limits = np.iinfo(dtype)
    blocks = np.random.default_rng(3).integers(0, 2, (8, 8, 3) if colour else (8, 8))
    return np.where(blocks.repeat(8, 0).repeat(8, 1) == 1, limits.max, limits.min).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "colour", "second"),
    [("u1", False, "pillow"), ("i1", False, "pillow"), ("u2", False, "pillow"), ("i2", False, "pillow")]
    + [("u1", True, "pillow"), ("u2", True, "")],
)
def test_saturated_irreversible_htj2k_is_no_disagreement(dtype: str, colour: bool, second: str) -> None:
    want = saturated(dtype, colour)
    data = by("htj2k_encode", reversible=False)(want)
    image = one_fragment_reader(data, ".4.203", want)
    frame = image[0]
    assert np.abs(frame.pixels.astype(int) - want.astype(int)).max() <= 8
    checked = image.cross_check(0, frame)
    assert (checked.outcome, checked.decoder.split(" ")[0]) == ("agreed" if second else "none", second)
    # The fault: where this no longer holds, OpenJPH can be the second decoder again.
    plan = decode_plan.make_plan(data, image.format)
    wrapped, _ = decode_plan.decode(data, image.format, plan, decoders.HTJ2K)
    assert np.abs(wrapped.astype(int) - want.astype(int)).max() >= np.iinfo(dtype).max // 2


def test_reversible_htj2k_is_checked_by_another_library() -> None:
    want = saturated("u2", False)
    image = one_fragment_reader(HT(want), ".4.201", want)
    np.testing.assert_array_equal(image[0].pixels, want)
    assert image.cross_check(0, image[0]).decoder.startswith("openjph")


def test_irreversible_htj2k_of_more_than_16_bits_is_not_extracted() -> None:
    want = picture(24)
    data = by("htj2k_encode", reversible=False)(want)
    with pytest.raises(NotExtracted, match="unsupported_pixel_layout"):
        one_fragment_reader(data, ".4.203", want, BitsStored=32)[0]
