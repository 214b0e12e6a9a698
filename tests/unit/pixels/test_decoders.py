"""Compressed frames: a table of reference cases, for every decoder that can read them; and inconsistent streams."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from jpeg_markers import with_colour_markers
from made_up_pixels import DICOM, encapsulate, facts_for, frames, one_fragment_reader, picture, reader
from reference_cases import CASES, Case, by, deflate, encoded, jpeg, rle

from dicomzarr.dicom.transfer_syntaxes import DECODED
from dicomzarr.pixels import codestream, decode_plan, decoders
from dicomzarr.pixels.decoders import Decoder, Request
from dicomzarr.pixels.pixel_format import pixel_format
from dicomzarr.pixels.reader import CrossCheck, DecoderDisagreement, FrameReader
from dicomzarr.vocabulary.reasons import NotExtracted

Array = Any


def open_case(case: Case) -> FrameReader:
    header: dict[str, Any] = {"BitsStored": case.bits, "HighBit": case.bits - 1, **dict(case.header)}
    return one_fragment_reader(encoded(case), case.syntax, case.array, **header)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reference_case(case: Case) -> None:
    image = open_case(case)
    frame = image[0]
    assert frame.pixels.dtype == case.array.dtype
    assert frame.pixels.flags.c_contiguous
    assert frame.flags == case.flags
    difference = np.abs(frame.pixels.astype(np.int64) - case.array.astype(np.int64)).max()
    assert difference <= case.tolerance
    assert image.cross_check(0, frame).outcome != "refused"


def test_every_compressed_transfer_syntax_has_a_case() -> None:
    native = {f"{DICOM}{suffix}" for suffix in ("", ".1", ".2", ".1.99")}
    assert {f"{DICOM}{case.syntax}" for case in CASES} | native == set(DECODED)


# Every decoder that reads a family, also those the workflow does not use.
EVERY: dict[str, list[Decoder]] = {
    "rle": [decoders.RLE, decoders.RLE_OWN],
    "jpeg": [decoders.JPEG, decoders.JPEG_SOF3, decoders.JPEG_PILLOW],
    "jpegls": [decoders.JPEG_LS, decoders.JPEG_LS_OWN],
    "jpeg2000": [decoders.JPEG_2000, decoders.JPEG_2000_PILLOW],
    "htj2k": [decoders.HTJ2K, decoders.JPEG_2000],
    "jpegxl": [decoders.JPEG_XL],
    "deflated": [decoders.DEFLATE, decoders.DEFLATE_SECOND],
    "uncompressed": [decoders.NATIVE],
}
CANNOT = {
    "libjpeg": (),
    "jpegsof3": ("jpeg 8", "jpeg 12"),
    "pillow": ("lossless jpeg", "jpeg 12", "jpeg 2000 rgb 16"),
    "openjpeg": ("htj2k 24",),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_decoder_reads_every_case_it_can(case: Case) -> None:
    form = open_case(case).format
    plan = decode_plan.make_plan(encoded(case), form)
    read = 0
    for decoder in EVERY[form.syntax.family]:
        if any(case.name.startswith(CANNOT.get(decoder.name().split()[0], ())) for _ in "x"):
            continue
        plane, flags = decode_plan.decode(encoded(case), form, plan, decoder)
        assert np.abs(plane.astype(np.int64) - case.array.astype(np.int64)).max() <= case.tolerance, decoder.name()
        assert flags == set(case.flags)
        read += 1
    assert read >= 1


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_rle_agrees_with_two_more_implementations(bits: int) -> None:
    from pydicom.pixels.decoders.rle import _rle_decode_frame
    from rle.rle import decode_frame

    array = picture(bits, colour=True)
    data = rle(array)
    ours = frames(encapsulate([data]), f"{DICOM}.5", **{**_shape(array), "BitsAllocated": bits})[0].pixels
    planes = array.transpose(2, 0, 1).tobytes()
    assert bytes(decode_frame(data, array.shape[0] * array.shape[1], bits, "<")) == planes
    assert bytes(_rle_decode_frame(data, array.shape[0], array.shape[1], 3, bits)) == planes
    np.testing.assert_array_equal(ours, array)


@pytest.mark.parametrize("pad", [0x00, 0x20, 0x80, 0xFF])
def test_the_byte_that_pads_an_rle_segment_may_have_any_value(pad: int) -> None:
    want = np.arange(1, 6, dtype=np.uint8).reshape(1, 5)
    runs = bytes([1, 1, 2, 2, 3, 4, 5])  # 1 2, 3 4 5
    head = np.array([1, 64, *[0] * 14], "<u4").tobytes()
    header = _shape(want) | {"BitsAllocated": 8}
    image = reader(encapsulate([head + runs + bytes([pad])]), f"{DICOM}.5", **header)
    frame = next(iter(image))
    np.testing.assert_array_equal(frame.pixels, want)
    assert image.cross_check(0, frame).outcome == "agreed"
    with pytest.raises(NotExtracted):
        list(reader(encapsulate([head + runs[:-2] + bytes([pad])]), f"{DICOM}.5", **header))


def _shape(array: Array) -> dict[str, int]:
    return {"Rows": array.shape[0], "Columns": array.shape[1], "SamplesPerPixel": 3 if array.ndim == 3 else 1}


@pytest.mark.parametrize("packed", [True, False])
def test_rle_of_one_bit(packed: bool) -> None:
    want = np.random.default_rng(4).integers(0, 2, (3, 5, 7), dtype=np.uint8)
    fragments = []
    for frame in want:
        content = np.packbits(frame.ravel(), bitorder="little").tobytes() if packed else frame.tobytes()
        segment = b"".join(bytes([0, byte]) for byte in content)
        fragments.append(np.array([1, 64, *[0] * 14], "<u4").tobytes() + segment)
    header = {"Rows": 5, "Columns": 7, "NumberOfFrames": 3, "BitsAllocated": 1}
    image = reader(encapsulate(fragments), f"{DICOM}.5", **header)
    for number, frame in enumerate(image):
        np.testing.assert_array_equal(frame.pixels, want[number])
        assert image.cross_check(number, frame).outcome == "agreed"


@pytest.mark.parametrize("near", [0, 1, 3])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("colour", [False, True])
def test_our_jpeg_ls_decoder_equals_the_library(near: int, bits: int, colour: bool) -> None:
    import imagecodecs

    from dicomzarr.pixels import second_jpegls

    y, x = np.mgrid[:70, :90]
    flat = np.where(np.hypot(y - 35, x - 45) < 30, picture(bits, rows=70, columns=90), 1)  # runs, and where they end
    for array in (flat, picture(bits, rows=70, columns=90), np.zeros((3, 200), int), np.zeros((1, 1), int)):
        whole = np.stack([array, array // 2, array // 3], axis=-1) if colour else array
        whole = np.ascontiguousarray(whole.astype(np.uint8 if bits == 8 else np.uint16))
        data = bytes(imagecodecs.jpegls_encode(whole, near))
        np.testing.assert_array_equal(second_jpegls.decode(data), imagecodecs.jpegls_decode(data))


def test_frames_of_one_bit_each_begin_on_a_byte_when_deflated() -> None:
    want = np.random.default_rng(4).integers(0, 2, (3, 5, 7), dtype=np.uint8)
    fragments = [deflate(np.packbits(frame.ravel(), bitorder="little")) for frame in want]
    header = {"Rows": 5, "Columns": 7, "NumberOfFrames": 3, "BitsAllocated": 1}
    got = frames(encapsulate(fragments), f"{DICOM}.8.1", **header)
    np.testing.assert_array_equal(np.stack([frame.pixels for frame in got]), want)


# Bits, signs and colour -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [".4.70", ".4.80", ".4.110"])
def test_signed_values_in_streams_without_a_sign(syntax: str) -> None:
    want = picture(16, signed=True)
    encode = {
        ".4.70": jpeg(lossless=True, predictor=1, bitspersample=16),
        ".4.80": by("jpegls_encode"),
        ".4.110": by("jpegxl_encode", lossless=True),
    }[syntax]
    image = one_fragment_reader(encode(want.view("<u2")), syntax, want)
    np.testing.assert_array_equal(image[0].pixels, want)
    # 12 bits stored: the stream holds the lower 12 bits, the sign is theirs
    want = picture(12, signed=True)
    cells = want.view("<u2") & 0xFFF
    if syntax != ".4.110":
        encode = jpeg(lossless=True, predictor=1, bitspersample=12) if syntax == ".4.70" else encode
        image = one_fragment_reader(encode(cells), syntax, want, BitsStored=12, HighBit=11)
        np.testing.assert_array_equal(image[0].pixels, want)


def test_unused_bits_that_were_compressed_with_the_cells_are_cleared() -> None:
    want = picture(12)
    cells = want | 0xA000
    for syntax, data in ((".5", rle(cells)), (".4.80", by("jpegls_encode")(cells)), (".8.1", deflate(cells))):
        image = one_fragment_reader(data, syntax, want, BitsStored=12, HighBit=11)
        np.testing.assert_array_equal(image[0].pixels, want)
        assert "unused_bits_set" in image[0].flags


def test_high_bit_shifts_cells_and_not_samples() -> None:
    want = picture(12)
    shifted = (want << 4).astype("<u2")
    header = {"BitsStored": 12, "HighBit": 15}
    for syntax, data in ((".5", rle(shifted)), (".4.80", by("jpegls_encode")(shifted)), (".8.1", deflate(shifted))):
        image = one_fragment_reader(data, syntax, want, **header)
        np.testing.assert_array_equal(image[0].pixels, want)
    right = jpeg(lossless=True, predictor=1, bitspersample=12)(want)
    np.testing.assert_array_equal(one_fragment_reader(right, ".4.70", want, **header)[0].pixels, want)


@pytest.mark.parametrize("header_is_signed", [True, False])
def test_jpeg_2000_whose_sign_contradicts_the_header(header_is_signed: bool) -> None:
    encode = by("jpeg2k_encode", level=0, reversible=True, codecformat="J2K", bitspersample=13)
    want = picture(13, signed=header_is_signed)
    other = (want.view("<u2") & 0x1FFF) if header_is_signed else ((want << 3).astype("<u2").view("<i2") >> 3)
    image = one_fragment_reader(encode(other.astype("<u2" if header_is_signed else "<i2")), ".4.90", want)
    frame = image[0]
    np.testing.assert_array_equal(frame.pixels, want)
    assert "sign_mismatch" in frame.flags
    assert image.cross_check(0, frame).outcome == "agreed"


def test_8_bits_in_16_allocated() -> None:
    small = picture(8)
    for syntax, encode in ((".4.80", by("jpegls_encode")), (".4.70", jpeg(lossless=True, predictor=1))):
        image = one_fragment_reader(encode(small), syntax, small, BitsAllocated=16, BitsStored=8, HighBit=7)
        assert image[0].pixels.dtype.str == "<u2"
        np.testing.assert_array_equal(image[0].pixels, small)
        assert image[0].flags == ()


def test_overshoot_of_lossy_compression_is_not_cut_off() -> None:
    cells = picture(16)
    data = by("jpeg2k_encode", level=80, codecformat="J2K")(cells)
    frame = one_fragment_reader(data, ".4.91", cells, BitsStored=12, HighBit=11)[0]
    assert set(frame.flags) == {"precision_mismatch", "beyond_bits_stored"}
    assert int(frame.pixels.max()) > 4095


SOLID = np.full((16, 16, 3), (200, 30, 60), np.uint8)


@pytest.mark.parametrize("header", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize(
    ("marker", "colour"),
    [
        (b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00", "RGB"),
        (b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01", "YBR"),
        (b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00", "YBR"),
        (b"", ""),
    ],
)
def test_colour_of_dct_jpeg_follows_the_markers_of_the_stream(header: str, marker: bytes, colour: str) -> None:
    import imagecodecs

    truth = colour or ("RGB" if header == "RGB" else "YBR")
    space = "RGB" if truth == "RGB" else "YCBCR"
    data = bytes(imagecodecs.jpeg8_encode(SOLID, level=100, colorspace="RGB", outcolorspace=space, subsampling="444"))
    data = with_colour_markers(data, marker)
    assert codestream.read_jpeg(data).colour == colour
    image = one_fragment_reader(data, ".4.50", SOLID, PhotometricInterpretation=header)
    frame = image[0]
    np.testing.assert_allclose(frame.pixels.astype(int), SOLID.astype(int), atol=3)
    contradicted = bool(colour) and colour != header[:3]
    assert frame.flags == (("photometric_from_stream",) if contradicted else ())
    assert image.cross_check(0, frame) == CrossCheck("agreed", decoders.JPEG_PILLOW.name())


def test_component_ids_declare_rgb() -> None:
    import imagecodecs

    data = bytearray(imagecodecs.jpeg8_encode(SOLID, level=100, colorspace="RGB", outcolorspace="RGB"))
    assert codestream.read_jpeg(bytes(data)).colour == "RGB"
    frame = one_fragment_reader(bytes(data), ".4.50", SOLID, PhotometricInterpretation="YBR_FULL_422")[0]
    np.testing.assert_allclose(frame.pixels.astype(int), SOLID.astype(int), atol=3)


@pytest.mark.parametrize("syntax", [".5", ".4.80", ".4.70", ".4.90", ".1.98"])
def test_ybr_without_a_transform_in_the_stream_is_converted_after_decoding(syntax: str) -> None:
    from pydicom.pixels.processing import convert_color_space

    rgb = picture(8, colour=True, rows=16, columns=16)
    ybr = np.ascontiguousarray(convert_color_space(rgb, "RGB", "YBR_FULL"))
    encode = {
        ".5": rle,
        ".4.80": by("jpegls_encode"),
        ".4.70": lambda array: with_colour_markers(jpeg(lossless=True, predictor=1)(array)),
        ".4.90": by("jpeg2k_encode", level=0, reversible=True, codecformat="J2K", mct=False),
        ".1.98": lambda array: array.tobytes(),
    }[syntax]
    image = one_fragment_reader(encode(ybr), syntax, rgb, PhotometricInterpretation="YBR_FULL")
    assert image.format.photometric == "RGB"
    np.testing.assert_array_equal(image[0].pixels, convert_color_space(ybr, "YBR_FULL", "RGB"))


# Inconsistent and broken streams --------------------------------------------------------------------------------------


def refusal(data: bytes, syntax: str, array: Array, **header: Any) -> NotExtracted:
    with pytest.raises(NotExtracted) as caught:
        one_fragment_reader(data, syntax, array, **header)[0]
    return caught.value


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.name.split()[0] in ("jpeg", "jpeg-ls", "lossless", "htj2k")], ids=str
)
def test_a_size_that_differs_from_the_header_is_reported_before_decoding(case: Case) -> None:
    rows, columns = case.array.shape[:2]
    for change in ({"Rows": rows + 1}, {"Columns": columns - 1}, {"Rows": columns, "Columns": rows}):
        error = refusal(encoded(case), case.syntax, case.array, BitsStored=case.bits, HighBit=case.bits - 1, **change)
        assert error.code == "frame_size_mismatch"
        assert error.found != error.needed


def test_a_stream_with_more_bits_than_allocated() -> None:
    array = picture(12)
    error = refusal(by("jpegls_encode")(array), ".4.80", array, BitsAllocated=8)
    assert (error.code, error.found, error.needed) == ("unsupported_pixel_layout", 16, 8)


@pytest.mark.parametrize("case", [c for c in CASES if c.syntax not in (".1.98",)], ids=str)
def test_a_truncated_stream_is_never_accepted(case: Case) -> None:
    whole = encoded(case)
    for keep in (0.03, 0.3, 0.6, 0.9, 0.97):
        cut = whole[: int(len(whole) * keep)]
        header = {"BitsStored": case.bits, "HighBit": case.bits - 1, **dict(case.header)}
        error = refusal(cut, case.syntax, case.array, **header)
        assert error.code in ("decode_error", "truncated_pixel_data")


# Syntaxes whose streams show where they end; the last bytes of others may have any value.
WITH_AN_END = (".4.57", ".4.70", ".4.80", ".4.81", ".4.90", ".4.91", ".4.201", ".4.202", ".4.203")


@pytest.mark.parametrize("fill", [b"\0", b"\xff"], ids=["zeros", "ones"])
@pytest.mark.parametrize("case", [c for c in CASES if c.syntax in WITH_AN_END], ids=str)
def test_a_stream_whose_end_was_never_written_is_not_accepted(case: Case, fill: bytes) -> None:
    """A copy that was interrupted has all bytes of a file where the system reserved them, the last of them 0."""
    whole = encoded(case)
    header = {"BitsStored": case.bits, "HighBit": case.bits - 1, **dict(case.header)}
    for lost in (*range(2, 13), len(whole) // 30, len(whole) // 9, len(whole) // 2, 2 * len(whole) // 3):
        damaged = whole[:-lost] + fill * lost
        try:
            pixels = one_fragment_reader(damaged, case.syntax, case.array, **header)[0].pixels
        except NotExtracted as error:
            assert error.code in ("decode_error", "truncated_pixel_data")
        else:  # what was lost is padding, or the end marker of a JPEG
            np.testing.assert_array_equal(pixels, open_case(case)[0].pixels)


@pytest.mark.parametrize("behind", [b"\0", b"\0\0\0", b"any bytes"])
@pytest.mark.parametrize("case", [c for c in CASES if c.syntax in (".4.90", ".4.91", ".4.201")], ids=str)
def test_what_follows_the_end_of_a_jpeg_2000_stream_does_not_matter(case: Case, behind: bytes) -> None:
    header = {"BitsStored": case.bits, "HighBit": case.bits - 1, **dict(case.header)}
    image = one_fragment_reader(encoded(case) + behind, case.syntax, case.array, **header)
    np.testing.assert_array_equal(image[0].pixels, open_case(case)[0].pixels)


@pytest.mark.parametrize("name", ["jpeg 8", "jpeg 12", "lossless jpeg 12 predictor 1"])
def test_a_jpeg_without_its_end_is_read_if_nothing_else_is_missing(name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    assert encoded(case).endswith(b"\xff\xd9")
    header = {"BitsStored": case.bits, "HighBit": case.bits - 1}
    frame = one_fragment_reader(encoded(case)[:-2], case.syntax, case.array, **header)[0]
    np.testing.assert_array_equal(frame.pixels, open_case(case)[0].pixels)
    assert "missing_end_marker" in frame.flags


@pytest.mark.parametrize("behind", [b"", b"\0\0", b"\xff\xd9", b"\0" * 40 + b"\xff\xd9"], ids=len)
@pytest.mark.parametrize("case", [c for c in CASES if c.syntax in (".4.50", ".4.51", ".4.57", ".4.70")], ids=str)
def test_a_jpeg_that_ends_early_with_an_end_marker_is_detected_by_the_cross_check(case: Case, behind: bytes) -> None:
    """Also where no second decoder reads it, as 12 bits lossy; decoders end at the first end marker."""
    data = encoded(case)[: len(encoded(case)) // 2].rstrip(b"\xff") + b"\xff\xd9" + behind
    image = one_fragment_reader(data, case.syntax, case.array, BitsStored=case.bits, HighBit=case.bits - 1)
    with pytest.raises(NotExtracted, match="truncated_pixel_data"):
        image.cross_check(0, image[0])


@pytest.mark.parametrize("case", [c for c in CASES if c.syntax in (".4.201", ".4.202", ".4.203")], ids=str)
def test_an_htj2k_stream_that_ends_early_with_an_end_marker_is_never_accepted(case: Case) -> None:
    header = {"BitsStored": case.bits, "HighBit": case.bits - 1, **dict(case.header)}
    for keep in (0.3, 0.6, 0.9, 0.97):
        cut = encoded(case)[: int(len(encoded(case)) * keep)] + b"\xff\xd9"
        assert refusal(cut, case.syntax, case.array, **header).code in ("decode_error", "truncated_pixel_data")


def test_disagreement_comes_with_both_digests() -> None:
    case = next(case for case in CASES if case.name == "rle 16 grey")
    image = open_case(case)
    frame = image[0]
    assert image.cross_check(0, frame).outcome == "agreed"
    frame.pixels[3, 3] ^= 1
    with pytest.raises(DecoderDisagreement) as caught:
        image.cross_check(0, frame)
    assert caught.value.code == "decoder_disagreement"
    assert caught.value.digests[0] != caught.value.digests[1]


def test_lossy_frames_may_differ_by_one() -> None:
    case = next(case for case in CASES if case.name == "jpeg 8")
    image = open_case(case)
    frame = image[0]
    frame.pixels[0, 0] = 1 if frame.pixels[0, 0] == 0 else frame.pixels[0, 0] - 1
    assert image.cross_check(0, frame).outcome == "agreed"


def test_messages_of_libraries_are_not_passed_on() -> None:
    error = refusal(b"\xff\xd8" + b"SMITH^JOHN" * 20, ".4.50", picture(8))
    assert str(error) == "decode_error"
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


class Panic(BaseException):
    """What a library in Rust raises."""


def raising(error: type[BaseException]) -> Decoder:
    """Return a decoder that raises; it runs in this process, where a test can see what passes."""

    def decode(data: bytes, request: Request) -> Array:
        raise error("secret")

    return Decoder(lambda: "broken", decode, confined=False)


@pytest.mark.parametrize(
    ("raised", "code"), [(Panic, "decode_error"), (MemoryError, "too_large"), (ValueError, "decode_error")]
)
def test_every_exception_of_a_decoder_becomes_a_reason(raised: type[BaseException], code: str) -> None:
    request = Request(pixel_format(facts_for(b"", Rows=2, Columns=2)))
    with pytest.raises(NotExtracted) as caught:
        decoders.run(raising(raised), b"", request)
    assert caught.value.code == code
    assert "secret" not in repr(caught.value)


@pytest.mark.parametrize("passed_on", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interrupts_are_passed_on(passed_on: type[BaseException]) -> None:
    with pytest.raises(passed_on):
        decoders.run(raising(passed_on), b"", Request(pixel_format(facts_for(b"", Rows=2, Columns=2))))


def test_every_library_runs_in_a_child() -> None:
    table = {name: thing for name, thing in vars(decoders).items() if isinstance(thing, Decoder)}
    assert {name for name, decoder in table.items() if not decoder.confined} == {"NATIVE", "DEFLATE"}


def test_a_missing_tile_is_not_filled_with_zeros() -> None:
    import io

    from PIL import Image

    array, stream = picture(8, rows=64, columns=48), io.BytesIO()
    Image.fromarray(array).save(stream, "JPEG2000", no_jp2=True, tile_size=(32, 32), irreversible=False)
    whole = stream.getvalue()
    np.testing.assert_array_equal(one_fragment_reader(whole, ".4.90", array)[0].pixels, array)
    last = max(at for at in range(len(whole)) if whole[at : at + 4] == b"\xff\x90\x00\x0a")
    with pytest.raises(NotExtracted) as caught:
        one_fragment_reader(whole[:last] + b"\xff\xd9", ".4.90", array)[0]
    assert (caught.value.code, caught.value.found, caught.value.needed) == ("truncated_pixel_data", 3, 4)


FUZZED = ["rle 16 grey", "rle 8 rgb", "jpeg 8 rgb", "jpeg 12", "lossless jpeg 12 predictor 1", "lossless jpeg 8 rgb"]
FUZZED += ["jpeg-ls 12", "jpeg-ls rgb", "jpeg 2000 12 signed", "jpeg 2000 rgb by rct", "htj2k 16 signed"]
FUZZED += ["htj2k rgb", "jpeg xl 16", "jpeg xl rgb", "deflated 16"]


@pytest.mark.parametrize("name", FUZZED)
def test_broken_streams_raise_only_reasons(name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    whole = encoded(case)
    random = np.random.default_rng(FUZZED.index(name))
    header = {"BitsStored": case.bits, "HighBit": case.bits - 1, **dict(case.header)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(40):
            data = bytearray(whole)
            reach = len(data) if random.integers(2) else min(len(data), 100)
            for _ in range(random.integers(1, 5)):
                data[random.integers(reach)] = random.integers(256)
            if random.integers(3) == 0:
                del data[random.integers(len(data)) :][: random.integers(1, 9)]
            try:
                image = one_fragment_reader(bytes(data), case.syntax, case.array, **header)
                frame = image[0]
                assert frame.pixels.shape == case.array.shape
                assert frame.pixels.dtype == case.array.dtype
                image.cross_check(0, frame)
            except NotExtracted as error:
                assert error.code in (
                    "decode_error",
                    "truncated_pixel_data",
                    "frame_size_mismatch",
                    "unsupported_pixel_layout",
                    "decoder_disagreement",
                )
