"""Choose a decoder for a compressed frame and convert its samples to what the header declares.

All policy on compressed frames is here; `decoders` only call libraries, and `codestream` only reads markers.
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
from dicomzarr.vocabulary.reasons import NotExtracted

_EOI = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Plan:
    """The decoders of a frame.

    Attributes
    ----------
    request : Request
        Arguments of both decoders.
    decoder : Decoder
        Decodes the frame for the dataset.
    second : Decoder, optional
        Another implementation, for the cross-check.
    tolerance : int
        Largest difference allowed between the two, in stored values: 0 where the stream is lossless.
    """

    request: Request
    decoder: Decoder
    second: Decoder | None
    tolerance: int = 0


def make_plan(data: bytes, form: PixelFormat) -> Plan:
    """Read a frame's first markers, compare them with the header, and choose the decoders.

    Parameters
    ----------
    data : bytes
        The frame's fragments, joined.
    form : PixelFormat
        Of the image.

    Returns
    -------
    Plan
        Decoder, second decoder and tolerance.

    Raises
    ------
    NotExtracted
        `frame_size_mismatch` where rows, columns or samples differ from the header, `unsupported_pixel_layout` where
        the stream has more bits than Bits Allocated, `truncated_pixel_data` where its end is missing, `decode_error`
        where it is not a stream of the transfer syntax.

    References
    ----------
    DICOM PS3.5 8.2 and annex A.4.
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
            raise NotExtracted("frame_size_mismatch", found=found, needed=needed)
    if stream.precision > form.bits_allocated:
        raise NotExtracted("unsupported_pixel_layout", found=stream.precision, needed=form.bits_allocated)
    # The colour that the stream declares takes precedence; the header is used where it declares none. The library
    # converts DCT streams alone.
    ybr = form.samples == 3 and (stream.colour or form.photometric_source[:3]) == "YBR"
    ybr &= family == "jpeg" and stream.sof != codestream.SOF_LOSSLESS
    # Near-lossless JPEG-LS too: its arithmetic is integer, so that decoders agree exactly.
    exact = stream.lossless or family == "jpegls"
    return Plan(Request(form, stream, ybr), decoder, second, 0 if exact else 1)


def _jpeg_like(data: bytes, form: PixelFormat) -> tuple[Stream, Decoder, Decoder | None]:
    stream = codestream.read_jpeg(data)
    if form.syntax.family == "jpegls":
        if stream.sof != codestream.SOF_JPEG_LS:
            raise NotExtracted("decode_error")
        if not stream.ended:  # the library would search for the end marker for seconds
            raise NotExtracted("truncated_pixel_data", found=len(data))
        return stream, decoders.JPEG_LS, decoders.JPEG_LS_OWN
    if stream.sof not in codestream.SOF_SUPPORTED:
        raise NotExtracted("decode_error")
    if stream.sof == codestream.SOF_LOSSLESS:
        return stream, decoders.JPEG, decoders.JPEG_SOF3
    return stream, decoders.JPEG, decoders.JPEG_PILLOW if stream.precision == 8 else None


def _wavelet_like(data: bytes, form: PixelFormat) -> tuple[Stream, Decoder, Decoder | None]:
    if form.syntax.family == "jpegxl":
        return codestream.read_jpeg_xl(data), decoders.JPEG_XL, None
    stream = codestream.read_jpeg2000(data)
    # The libraries take zeros, as of a file of which the end was never written, for coded data, or fill in what is
    # missing, and raise nothing.
    if not stream.ended:
        raise NotExtracted("truncated_pixel_data", found=len(data))
    if form.syntax.family == "htj2k":
        # OpenJPEG survives broken data on which OpenJPH crashes, but supports 16 bits at most. OpenJPH overflows where
        # it clips what the irreversible wavelet gives beyond the range of the samples: white becomes black.
        if stream.precision <= 16:
            if stream.lossless:
                return stream, decoders.JPEG_2000, decoders.HTJ2K
            return stream, decoders.JPEG_2000, decoders.JPEG_2000_PILLOW if _fits_pillow(stream) else None
        if not stream.lossless:
            raise NotExtracted("unsupported_pixel_layout", found=stream.precision, needed=16)
        return stream, decoders.HTJ2K, None
    if stream.precision > 24:  # the arithmetic of the library overflows beyond 24 bits
        raise NotExtracted("unsupported_pixel_layout", found=stream.precision, needed=24)
    return stream, decoders.JPEG_2000, decoders.JPEG_2000_PILLOW if _fits_pillow(stream) else None


def _fits_pillow(stream: Stream) -> bool:
    """Return whether Pillow reads JPEG 2000 of this precision."""
    return stream.precision <= (16 if stream.components == 1 else 8)


def is_lossy(form: PixelFormat, stream: Stream | None) -> bool:
    """Return whether values of a frame were lost, now or before.

    Parameters
    ----------
    form : PixelFormat
        Of the image.
    stream : Stream, optional
        First markers of the frame, where the codec has any.

    Returns
    -------
    bool
        As the stream says, whatever the transfer syntax is called; Lossy Image Compression (0028,2110) of 01 tells of
        an earlier loss. Where the stream does not say, transfer syntax and header decide.

    References
    ----------
    DICOM PS3.3 C.7.6.1.1.5.
    """
    if stream is None or stream.lossless is None:
        return form.lossy
    return not stream.lossless or form.lossy_header == "01"


def decode(data: bytes, form: PixelFormat, plan: Plan, decoder: Decoder) -> tuple[NDArray[Any], set[str]]:
    """Decode a frame to what the dataset stores.

    Parameters
    ----------
    data : bytes
        The frame's fragments, joined.
    form : PixelFormat
        Of the image.
    plan : Plan
        Of this frame.
    decoder : Decoder
        One of the two decoders of the plan.

    Returns
    -------
    pixels : ndarray
        Shape (rows, columns) or (rows, columns, 3), C order, dtype of the format.
    flags : set of str
        Of this frame.

    Raises
    ------
    NotExtracted
        As `decoders.run`; `frame_size_mismatch` where the decoded shape differs from the header.
    """
    flags: set[str] = set()
    samples = decoders.run(decoder, data, plan.request)
    if samples.shape != form.shape:
        raise NotExtracted("frame_size_mismatch", found=samples.size, needed=int(np.prod(form.shape)))
    stream = plan.request.stream
    if stream is None:
        plane = samples.astype(form.dtype) if form.bits_allocated == 1 else samples.view(form.dtype)
        if form.syntax.family == "uncompressed" and form.has_all_chroma(len(data)):
            flags.add("not_subsampled")
        elif form.syntax.family == "uncompressed" and len(data) > form.frame_bytes + 1:
            flags.add("surplus_bytes")
            if len(data) >= 2 * form.frame_bytes and any(data[form.frame_bytes :]):
                flags.add("surplus_frames")
        plane, flags_of_bits = unpack_bits.clear_unused_bits(plane, form)
        flags.update(flags_of_bits)
        if form.samples == 3 and form.photometric_source.startswith("YBR"):
            plane = unpack_bits.to_rgb(plane, form.photometric_source)
        return plane, flags
    if form.syntax.family == "jpeg" and not stream.ended:
        check_complete(decoder, data, plan.request, samples)
        flags.add("missing_end_marker")
    plane, sample_flags = convert_samples(samples, stream, form)
    plane, colour_flags = _convert_colour(plane, stream, form)
    if stream.lossless is False and (form.syntax.lossy is False or form.lossy_header == "00"):
        flags.add("lossy_stream")
    return np.ascontiguousarray(plane), flags | sample_flags | colour_flags


def convert_samples(samples: NDArray[Any], stream: Stream, form: PixelFormat) -> tuple[NDArray[Any], set[str]]:
    """Convert the samples of a stream to the sign and width of the header.

    A stream holds its samples right-aligned in its own precision, so that High Bit shifts only pixels that were
    compressed as whole cells. JPEG and JPEG-LS have no sign. Where the sign of a JPEG 2000 stream contradicts the
    header, the header decides, at the precision of the stream, as in pydicom. Lossless JPEG sums differences modulo
    2^16 whatever its precision: of its samples, the bits of the precision count.

    Parameters
    ----------
    samples : ndarray of integers, shape (rows, columns) or (rows, columns, 3)
        As decoded.
    stream : Stream
        First markers of the frame.
    form : PixelFormat
        Of the image.

    Returns
    -------
    pixels : ndarray
        Of the same shape, dtype of the format.
    flags : set of str
        Of this frame.

    Raises
    ------
    NotExtracted
        `unsupported_pixel_layout` for colour whose sign contradicts the header.

    References
    ----------
    DICOM PS3.5 8.1.1, 8.2; ISO/IEC 10918-1 H.1.2.1.
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
                raise NotExtracted("unsupported_pixel_layout")
            flags.add("sign_mismatch")
            sign_bits = precision
    elif form.signed:
        sign_bits = max(precision, form.bits_stored) if family == "jpeg" else precision
    width = np.dtype(form.dtype).itemsize
    if stream.sof == codestream.SOF_LOSSLESS and not sign_bits and precision < 8 * samples.dtype.itemsize:
        samples = samples & samples.dtype.type((1 << precision) - 1)
    plane = samples.astype(f"<{samples.dtype.kind}{width}", copy=not samples.flags.writeable).view(form.dtype)
    spare = 8 * width - sign_bits if sign_bits else 0
    if spare:
        # Sign-extends a signed dtype, clears the upper bits of an unsigned one.
        np.left_shift(plane, spare, out=plane)
        np.right_shift(plane, spare, out=plane)
    if precision > form.bits_stored:
        if not is_lossy(form, stream):
            plane, flags_of_bits = unpack_bits.clear_unused_bits(plane, form)
            flags.update(flags_of_bits)
        elif not _in_range(plane, form):
            # Overshoot of lossy compression: clearing the upper bits would turn white into black.
            flags.add("beyond_bits_stored")
    return plane, flags


def _in_range(plane: NDArray[Any], form: PixelFormat) -> bool:
    """Return whether every value fits into Bits Stored."""
    low = -(1 << (form.bits_stored - 1)) if form.signed else 0
    return low <= int(plane.min()) and int(plane.max()) < low + (1 << form.bits_stored)


def _convert_colour(plane: NDArray[Any], stream: Stream, form: PixelFormat) -> tuple[NDArray[Any], set[str]]:
    """Convert a frame to RGB where the decoder did not; return it and flags."""
    header, family = form.photometric_source, form.syntax.family
    mismatch = {"photometric_from_stream"}
    if form.samples != 3 or family == "jpegxl":
        return plane, set()
    if family in ("jpeg2000", "htj2k") and stream.colour == "RGB":
        return plane, set() if header in ("RGB", "YBR_RCT" if stream.lossless else "YBR_ICT") else mismatch
    flags = {"photometric_from_header"} if stream.claims - {header[:3]} else set()
    if stream.colour and stream.colour != header[:3]:
        flags |= mismatch
    if stream.colour == "RGB" or (family == "jpeg" and stream.sof != codestream.SOF_LOSSLESS):
        return plane, flags
    if stream.colour == "YBR":
        return unpack_bits.to_rgb(plane, "YBR_FULL"), flags
    if header in ("YBR_ICT", "YBR_RCT"):
        return plane, flags | mismatch  # no component transform in the stream: it holds RGB
    if header.startswith("YBR"):
        return unpack_bits.to_rgb(plane, header), flags
    return plane, flags


def check_complete(decoder: Decoder, data: bytes, request: Request, samples: NDArray[Any]) -> None:
    """Raise where the data of a JPEG frame end before its last sample.

    The library fills in missing samples and raises nothing. Therefore the frame is decoded twice more, with other bits
    appended to its data. A complete stream never reads them, so that the samples are equal.

    Parameters
    ----------
    decoder : Decoder
        With which the samples were decoded.
    data : bytes
        The frame.
    request : Request
        With which the samples were decoded.
    samples : ndarray
        As decoded.

    Raises
    ------
    NotExtracted
        `truncated_pixel_data` where the samples differ.
    """
    # The decoder ends at the first end marker, whatever follows it: bits after that would prove nothing.
    end = data.find(_EOI, request.stream.scan if request.stream else 0)
    # Without one, padding could be taken for the missing bits; before it are fill bytes (ISO/IEC 10918-1 B.1.1.2).
    body = data[:end].rstrip(b"\xff") if end >= 0 else data.rstrip(b"\x00\xff")
    for bits in (b"\x55\xaa", b"\xd3\x6c"):
        again = decoders.run(decoder, body + bits * 64 + _EOI, request)
        if again.shape != samples.shape or not np.array_equal(again, samples):
            raise NotExtracted("truncated_pixel_data", found=len(data))
