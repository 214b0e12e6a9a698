"""Reference cases of compressed frames: pictures with known voxels, their encoder, and the tolerance.

One table, used by the tests of every decoder and of the whole workflow.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from made_up_pixels import picture

Array = Any


@dataclass(frozen=True, eq=False)
class Case:
    """A picture, its encoder, and the largest difference of decoded values."""

    name: str
    syntax: str
    array: Array
    encode: Callable[[Array], bytes]
    bits: int
    tolerance: int = 0
    header: tuple[tuple[str, Any], ...] = ()
    flags: tuple[str, ...] = ()  # expected: some encoders declare Bits Allocated, not Bits Stored

    def __str__(self) -> str:
        return self.name


def jpeg(**options: Any) -> Callable[[Array], bytes]:
    def encode(array: Array) -> bytes:
        import imagecodecs

        if array.ndim == 3:
            options.setdefault("outcolorspace", "RGB")
            options.setdefault("colorspace", "RGB")
        return bytes(imagecodecs.jpeg8_encode(array, **options))

    return encode


def by(function: str, **options: Any) -> Callable[[Array], bytes]:
    def encode(array: Array) -> bytes:
        import imagecodecs

        return bytes(getattr(imagecodecs, function)(array, **options))

    return encode


def rle(array: Array) -> bytes:
    from rle.utils import encode_pixel_data

    bits = 1 if array.dtype == bool else 8 * array.itemsize
    options = {"rows": array.shape[0], "columns": array.shape[1], "bits_allocated": bits, "byteorder": "<"}
    return encode_pixel_data(array.tobytes(), samples_per_pixel=3 if array.ndim == 3 else 1, **options)


def progressive_jpeg(array: Array) -> bytes:
    """Encode as progressive JPEG (SOF2), of the retired syntaxes .53 and .55; only Pillow writes it."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "JPEG", quality=100, progressive=True)
    return stream.getvalue()


def jpeg_xl_of_jpeg(array: Array) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpegxl_encode_jpeg(imagecodecs.jpeg8_encode(array, level=100)))


def deflate(array: Array) -> bytes:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    return deflater.compress(array.tobytes()) + deflater.flush()


def _cases() -> list[Case]:
    cases = []
    for bits in (8, 16, 32):
        for colour in (False, True):
            name = f"rle {bits} {'rgb' if colour else 'grey'}"
            cases.append(Case(name, ".5", picture(bits, colour=colour), rle, bits))
    cases.append(Case("rle 16 signed", ".5", picture(16, signed=True), rle, 16))
    for bits in (8, 10, 12, 14, 16):
        for predictor in (1, 2, 3, 4, 5, 6, 7) if bits in (8, 12, 16) else (1,):
            encode = jpeg(lossless=True, predictor=predictor, bitspersample=bits)
            syntax = ".4.70" if predictor == 1 else ".4.57"
            cases.append(Case(f"lossless jpeg {bits} predictor {predictor}", syntax, picture(bits), encode, bits))
    for bits in (8, 16):
        encode = jpeg(lossless=True, predictor=4, bitspersample=bits)
        cases.append(Case(f"lossless jpeg {bits} rgb", ".4.57", picture(bits, colour=True), encode, bits))
    cases.append(Case("jpeg 8", ".4.50", picture(8), jpeg(level=100), 8, 4))
    cases.append(Case("jpeg 8 rgb", ".4.50", picture(8, colour=True), jpeg(level=100), 8, 6))
    for syntax in (".4.53", ".4.55"):
        cases.append(Case(f"jpeg 8 progressive {syntax}", syntax, picture(8), progressive_jpeg, 8, 4))
    cases.append(Case("jpeg 12", ".4.51", picture(12), jpeg(level=100, bitspersample=12), 12, 8))
    for bits, flags in ((8, ()), (12, ("precision_mismatch",)), (16, ())):
        cases.append(Case(f"jpeg-ls {bits}", ".4.80", picture(bits), by("jpegls_encode"), bits, flags=flags))
    cases.append(Case("jpeg-ls rgb", ".4.80", picture(8, colour=True), by("jpegls_encode"), 8))
    cases.append(Case("jpeg-ls near", ".4.81", picture(16), by("jpegls_encode", level=3), 16, 3))
    for bits in (8, 12, 16):
        for signed in (False, True):
            kind = f"{bits} {'signed' if signed else 'unsigned'}"
            array = picture(bits, signed=signed)
            encode = by("jpeg2k_encode", level=0, reversible=True, codecformat="J2K", bitspersample=bits)
            cases.append(Case(f"jpeg 2000 {kind}", ".4.90", array, encode, bits))
            if bits != 12:
                encode = by("htj2k_encode", reversible=True)
                cases.append(Case(f"htj2k {kind}", ".4.201", array, encode, bits))
    j2k = by("jpeg2k_encode", level=0, reversible=True, codecformat="J2K")
    rct = (("PhotometricInterpretation", "YBR_RCT"),)
    cases.append(Case("jpeg 2000 rgb by rct", ".4.90", picture(8, colour=True), j2k, 8, header=rct))
    no_mct = by("jpeg2k_encode", level=0, reversible=True, codecformat="J2K", mct=False)
    cases.append(Case("jpeg 2000 rgb", ".4.90", picture(8, colour=True), no_mct, 8))
    cases.append(Case("jpeg 2000 rgb 16", ".4.90", picture(16, colour=True), j2k, 16))
    lossy = by("jpeg2k_encode", level=80, codecformat="J2K")
    cases.append(Case("jpeg 2000 lossy", ".4.91", picture(16), lossy, 16, 100))
    cases.append(Case("jpeg 2000 boxed", ".4.90", picture(8), by("jpeg2k_encode", level=0, reversible=True), 8))
    cases.append(
        Case("htj2k 24", ".4.202", picture(24), by("htj2k_encode", reversible=True), 24, flags=("precision_mismatch",))
    )
    cases.append(Case("htj2k rgb", ".4.202", picture(8, colour=True), by("htj2k_encode", reversible=True), 8))
    flat = by("htj2k_encode", reversible=True, rgb=False)
    cases.append(Case("htj2k rgb without transform", ".4.203", picture(8, colour=True), flat, 8))
    for bits in (8, 16):
        cases.append(Case(f"jpeg xl {bits}", ".4.110", picture(bits), by("jpegxl_encode", lossless=True), bits))
    encode = by("jpegxl_encode", lossless=True, bitspersample=12)
    cases.append(Case("jpeg xl 12", ".4.112", picture(12), encode, 12))
    cases.append(Case("jpeg xl rgb", ".4.110", picture(8, colour=True), by("jpegxl_encode", lossless=True), 8))
    cases.append(Case("jpeg xl of a jpeg", ".4.111", picture(8, rows=64, columns=48), jpeg_xl_of_jpeg, 8, 4))
    for bits in (8, 16, 32):
        cases.append(Case(f"deflated {bits}", ".8.1", picture(bits), deflate, bits))
        cases.append(Case(f"uncompressed {bits}", ".1.98", picture(bits), lambda array: array.tobytes(), bits))
    return cases


CASES = _cases()


@cache
def encoded(case: Case) -> bytes:
    return case.encode(case.array)
