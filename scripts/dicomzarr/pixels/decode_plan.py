"""A frame in fragments against its header: is it what the header says, who decodes it, what do its samples mean.

All policy on compressed frames is here; decoders are thin, and `codestream` only reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.pixels import codestream, decoders, unpack_bits
from dicomzarr.pixels.codestream import Stream
from dicomzarr.pixels.decoders import Decoder, Request
from dicomzarr.pixels.pixel_format import PixelFormat
from dicomzarr.vocabulary.reasons import SetAside

_EOI = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a frame is decoded.

    Attributes
    ----------
    second : Decoder, optional
        Another implementation that reads this frame too.
    tolerance : int
        How far apart the two may be: 0 where the stream is lossless.
    """

    request: Request
    decoder: Decoder
    second: Decoder | None
    tolerance: int = 0


def plan(data: bytes, form: PixelFormat) -> Plan:
    """Read a frame's first markers, hold them against the header, and name the decoders.

    Raises
    ------
    SetAside
        `frame_size_mismatch` where rows, columns or samples differ from the header, `unsupported_pixel_layout` where
        the stream has more bits than Bits Allocated, `truncated_pixel_data` where it lacks its end, `decode_error`
        where it is no stream of its kind.
    """
    family = form.syntax.family
    if family == "uncompressed":
        return Plan(Request(form), decoders.NATIVE, None)
    if family == "deflated":
        return Plan(Request(form), decoders.DEFLATE, decoders.DEFLATE_SECOND)
    if family == "rle":
        return Plan(Request(form), decoders.RLE, decoders.RLE_OWN)
    stream, decoder, second = _jpeg_like(data, form) if family in ("jpeg", "jpegls") else _wavelet_like(data, form)
    pairs = ((stream.rows, form.rows), (stream.columns, form.columns), (stream.components, form.samples))
    for found, needed in pairs:
        if found and found != needed:
            raise SetAside("frame_size_mismatch", found=found, needed=needed)
    if stream.precision > form.bits_allocated:
        raise SetAside("unsupported_pixel_layout", found=stream.precision, needed=form.bits_allocated)
    # What the stream says of its colour wins; the header speaks where the stream is silent.
    ybr = form.samples == 3 and (stream.colour or form.photometric_source[:3]) == "YBR"
    exact = stream.lossless or family == "jpegls"  # near-lossless too: its arithmetic is that of integers
    return Plan(Request(form, stream, ybr), decoder, second, 0 if exact else 1)


def _jpeg_like(data: bytes, form: PixelFormat) -> tuple[Stream, Decoder, Decoder | None]:
    stream = codestream.read_jpeg(data)
    if form.syntax.family == "jpegls":
        if stream.sof != codestream.SOF_JPEG_LS:
            raise SetAside("decode_error")
        if not stream.ended:  # the library would look for the missing end for seconds
            raise SetAside("truncated_pixel_data", found=len(data))
        return stream, decoders.JPEG_LS, decoders.JPEG_LS_OWN
    if stream.sof not in codestream.SOF_SUPPORTED:
        raise SetAside("decode_error")
    if stream.sof == codestream.SOF_LOSSLESS:
        return stream, decoders.JPEG, decoders.JPEG_SOF3
    return stream, decoders.JPEG, decoders.JPEG_PILLOW if stream.precision == 8 else None


def _wavelet_like(data: bytes, form: PixelFormat) -> tuple[Stream, Decoder, Decoder | None]:
    if form.syntax.family == "jpegxl":
        return codestream.read_jpeg_xl(data), decoders.JPEG_XL, None
    stream = codestream.read_jpeg2000(data)
    if form.syntax.family == "htj2k":
        # OpenJPEG stands broken data that OpenJPH dies on, but stops at 16 bits.
        if stream.precision <= 16:
            return stream, decoders.JPEG_2000, decoders.HTJ2K
        if not stream.ended:  # which OpenJPH fills in silence
            raise SetAside("truncated_pixel_data", found=len(data))
        return stream, decoders.HTJ2K, None
    if stream.precision > 24:  # the library's own arithmetic overflows beyond
        raise SetAside("unsupported_pixel_layout", found=stream.precision, needed=24)
    fits = stream.precision <= (16 if stream.components == 1 else 8)
    return stream, decoders.JPEG_2000, decoders.JPEG_2000_PILLOW if fits else None


def decode(data: bytes, form: PixelFormat, how: Plan, decoder: Decoder) -> tuple[NDArray[Any], set[str]]:
    """Return a frame as the dataset stores it, and what was odd about it.

    Parameters
    ----------
    data : bytes
        The frame's fragments, joined.
    decoder : Decoder
        One of the two of the plan.
    """
    flags: set[str] = set()
    samples = decoders.run(decoder, data, how.request)
    if samples.shape != form.shape:
        raise SetAside("frame_size_mismatch", found=samples.size, needed=int(np.prod(form.shape)))
    stream = how.request.stream
    if stream is None:
        plane = samples.astype(form.dtype) if form.bits_allocated == 1 else samples.view(form.dtype)
        if form.syntax.family == "uncompressed" and len(data) > form.frame_bytes + 1:
            flags.add("surplus_bytes")
        flags.update(unpack_bits.clear_unused_bits(plane, form))
        if form.samples == 3 and form.photometric_source.startswith("YBR"):
            plane = unpack_bits.to_rgb(plane, form.photometric_source)
        return plane, flags
    if form.syntax.family == "jpeg" and not stream.ended:
        check_complete(decoder, data, how.request, samples)
        flags.add("missing_end_marker")
    plane, odd = settle(samples, stream, form)
    plane, colour = _colour(plane, stream, form)
    return np.ascontiguousarray(plane), flags | odd | colour


def settle(samples: NDArray[Any], stream: Stream, form: PixelFormat) -> tuple[NDArray[Any], set[str]]:
    """Bring the samples of a stream to sign and width of the header; return them and flags.

    A stream holds its samples right-aligned in its own precision, so High Bit shifts only what was compressed as whole
    cells. JPEG and JPEG-LS know no sign. A JPEG 2000 stream whose sign contradicts the header is read as the header
    says, at the stream's precision, as pydicom does.
    """
    flags: set[str] = set()
    precision = stream.precision or 8 * samples.dtype.itemsize
    family = form.syntax.family
    sign_bits = 0
    if stream.precision and precision != form.bits_stored:
        flags.add("precision_mismatch")
    if family in ("jpeg2000", "htj2k"):
        if stream.signed != form.signed:
            if form.samples != 1:
                raise SetAside("unsupported_pixel_layout")
            flags.add("sign_mismatch")
            sign_bits = precision
    elif form.signed:
        sign_bits = max(precision, form.bits_stored) if family == "jpeg" else precision
    width = np.dtype(form.dtype).itemsize
    plane = samples.astype(f"<{samples.dtype.kind}{width}", copy=not samples.flags.writeable).view(form.dtype)
    spare = 8 * width - sign_bits if sign_bits else 0
    if spare:
        # Sign-extends a signed dtype, clears the upper bits of an unsigned one.
        np.left_shift(plane, spare, out=plane)
        np.right_shift(plane, spare, out=plane)
    if precision > form.bits_stored:
        if not form.lossy:
            flags.update(unpack_bits.clear_unused_bits(plane, form))
        elif not _in_range(plane, form):
            # Overshoot of lossy compression: to cut its bits off would turn white into black.
            flags.add("beyond_bits_stored")
    return plane, flags


def _in_range(plane: NDArray[Any], form: PixelFormat) -> bool:
    """Say whether Bits Stored suffice for every value."""
    low = -(1 << (form.bits_stored - 1)) if form.signed else 0
    return low <= int(plane.min()) and int(plane.max()) < low + (1 << form.bits_stored)


def _colour(plane: NDArray[Any], stream: Stream, form: PixelFormat) -> tuple[NDArray[Any], set[str]]:
    """Convert to RGB what the decoder has left as it was; return it and flags."""
    header, family = form.photometric_source, form.syntax.family
    odd: set[str] = {"photometric_from_stream"}
    if form.samples != 3 or family == "jpegxl":
        return plane, set()
    if family == "jpeg" and stream.sof != codestream.SOF_LOSSLESS:
        return plane, odd if stream.colour and stream.colour != header[:3] else set()
    if family in ("jpeg2000", "htj2k") and stream.colour == "RGB":
        return plane, set() if header in ("RGB", "YBR_ICT", "YBR_RCT") else odd
    if header in ("YBR_ICT", "YBR_RCT"):
        return plane, odd  # no component transform in the stream: it holds RGB
    if header.startswith("YBR"):
        return unpack_bits.to_rgb(plane, header), set()
    return plane, set()


def check_complete(decoder: Decoder, data: bytes, request: Request, samples: NDArray[Any]) -> None:
    """Make sure that a JPEG's data does not end before its last sample.

    The library fills what is missing without a word. So the frame is decoded once more with bits behind its data that
    a complete stream never looks at: equal samples show that nothing was missing.

    Raises
    ------
    SetAside
        `truncated_pixel_data`
    """
    if request.stream and request.stream.ended:
        body = data[: data.rindex(_EOI)].rstrip(b"\xff")  # fill bytes of the marker (ISO/IEC 10918-1 B.1.1.2)
    else:
        body = data.rstrip(b"\x00\xff")  # a byte of padding could pass for the bits that are missing
    for bits in (b"\x55\xaa", b"\xd3\x6c"):
        again = decoders.run(decoder, body + bits * 64 + _EOI, request)
        if again.shape != samples.shape or not np.array_equal(again, samples):
            raise SetAside("truncated_pixel_data", found=len(data))
