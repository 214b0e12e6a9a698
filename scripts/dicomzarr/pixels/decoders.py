"""Decoders of compressed frames, one for each codec and library, all with the same signature.

Each takes the bytes of one frame and returns the samples as the stream holds them: shape (rows, columns) or
(rows, columns, components), C order, any integer dtype. The only option is the colour space of a DCT JPEG.
`decode_plan` chooses the decoder and converts the samples. Every call goes through `run`, so that no message of a
library, which may quote the data, leaves this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.pixels import codestream, jpeg_scans, unpack_bits
from dicomzarr.pixels.codestream import Stream
from dicomzarr.pixels.pixel_format import PixelFormat
from dicomzarr.system import sandbox, shortage
from dicomzarr.vocabulary.reasons import NotExtracted

Samples = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Request:
    """Arguments of a decoder, besides the bytes.

    Attributes
    ----------
    form : PixelFormat
        Of the image; RLE streams do not hold their size.
    stream : Stream, optional
        First markers of the frame, where the codec has any.
    ybr : bool
        A DCT JPEG of three components is in YCbCr, to be returned as RGB.
    """

    form: PixelFormat
    stream: Stream | None = None
    ybr: bool = False


Decode = Callable[[bytes, Request], Samples]


@dataclass(frozen=True, slots=True)
class Decoder:
    """A decoder.

    Attributes
    ----------
    name : callable
        Returns library and version, such as ``charls 2.4.3``.
    decode : callable
        Returns the samples of a frame.
    confined : bool
        It runs in a child process, because a large library may crash, hang or take all memory on broken data.
    """

    name: Callable[[], str]
    decode: Decode
    confined: bool = True


def run(decoder: Decoder, data: bytes, request: Request) -> Samples:
    """Decode one frame.

    Parameters
    ----------
    decoder : Decoder
        To be used.
    data : bytes
        The frame's fragments, joined.
    request : Request
        Format, markers and colour space.

    Returns
    -------
    ndarray
        Shape (rows, columns) or (rows, columns, components), C order, any integer dtype.

    Raises
    ------
    NotExtracted
        `decode_error` where the decoder fails, `too_large` where it runs out of memory, `timeout` where it takes too
        long, `decoder_died` where its process dies.
    """
    try:
        if not decoder.confined:
            return decoder.decode(data, request)
        samples: Samples = sandbox.call(decoder.decode, data, request)
        return samples
    except NotExtracted:
        raise
    except (KeyboardInterrupt, SystemExit, GeneratorExit, shortage.Shortage):
        raise
    except MemoryError:
        shortage.refuse()
        raise NotExtracted("too_large") from None
    except BaseException as error:  # libraries written in Rust panic with a BaseException of their own
        shortage.refuse(error)
        raise NotExtracted("decode_error") from None


def _imagecodecs(codec: str) -> Callable[[], str]:
    """Return a function that names the library behind a codec of imagecodecs, such as ``charls 2.4.3``."""

    @cache
    def name() -> str:
        import imagecodecs

        return str(getattr(imagecodecs, f"{codec}_version")())

    return name


def _jpeg(data: bytes, request: Request) -> Samples:
    """DCT and lossless JPEG, 8 to 16 bits."""
    import imagecodecs

    if request.form.samples == 1:
        return imagecodecs.jpeg8_decode(data)
    # With both colour spaces given, the library does not guess them from markers.
    return imagecodecs.jpeg8_decode(data, colorspace="YCBCR" if request.ybr else "RGB", outcolorspace="RGB")


def _jpeg_sof3(data: bytes, request: Request) -> Samples:
    """Lossless JPEG by another implementation, which reads one scan and does not undo a point transform."""
    import imagecodecs

    stream = request.stream
    assert stream is not None
    if stream.scans == 1:
        samples = np.ascontiguousarray(imagecodecs.jpegsof3_decode(data))
        return samples << stream.point_transform if stream.point_transform else samples
    planes: dict[int, Samples] = {}
    for components, scan in jpeg_scans.split_scans(data):
        plane = imagecodecs.jpegsof3_decode(scan) << codestream.read_jpeg(scan).point_transform
        planes |= zip(components, plane.reshape(*plane.shape[:2], -1).transpose(2, 0, 1), strict=True)
    return np.stack([planes[component] for component in range(stream.components)], axis=-1)


def _jpeg_pillow(data: bytes, request: Request) -> Samples:
    """DCT JPEG of 8 bits by Pillow, which takes the colour space from markers: so they are replaced."""
    import io

    from PIL import Image

    if request.form.samples == 3:
        data = _with_adobe_marker(data, 1 if request.ybr else 0)
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return np.asarray(image)


def _with_adobe_marker(data: bytes, transform: int) -> bytes:
    """Return a JPEG stream whose only colour marker is an Adobe marker with `transform`."""
    segments = [b"\xff\xd8\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00", bytes([transform])]
    position = 2
    while data[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] not in (0xE0, 0xEE):
            segments.append(data[position:end])
        position = end
    return b"".join([*segments, data[position:]])


def _jpeg_ls(data: bytes, request: Request) -> Samples:
    import imagecodecs

    return imagecodecs.jpegls_decode(data)


def _jpeg_ls_own(data: bytes, request: Request) -> Samples:
    from dicomzarr.pixels import second_jpegls

    return second_jpegls.decode(data)


def _jpeg_2000(data: bytes, request: Request) -> Samples:
    """JPEG 2000 and HTJ2K; JP2 boxes are cut off, because the library converts colour as they declare."""
    import imagecodecs

    start = request.stream.start if request.stream else 0
    return imagecodecs.jpeg2k_decode(data[start:], numthreads=1)


def _jpeg_2000_pillow(data: bytes, request: Request) -> Samples:
    """JPEG 2000 by the OpenJPEG of Pillow, which scales samples to 8 or 16 bits; the scaling is undone."""
    import io

    from PIL import Image

    stream = request.stream
    assert stream is not None
    if stream.precision > (16 if stream.components == 1 else 8):
        raise NotExtracted("unsupported_pixel_layout", found=stream.precision)
    with Image.open(io.BytesIO(data[stream.start :]), formats=("JPEG2000",)) as image:
        samples = np.asarray(image)
    plane = samples.astype(np.int32) >> 8 * samples.dtype.itemsize - stream.precision
    if not stream.signed:
        return plane.astype(samples.dtype)
    return (plane - (1 << (stream.precision - 1))).astype(f"i{samples.dtype.itemsize}")


def _htj2k(data: bytes, request: Request) -> Samples:
    import imagecodecs

    start = request.stream.start if request.stream else 0
    samples = imagecodecs.htj2k_decode(data[start:], planar=False)
    return np.ascontiguousarray(samples)


def _jpeg_xl(data: bytes, request: Request) -> Samples:
    import imagecodecs

    return imagecodecs.jpegxl_decode(data, numthreads=1, keeporientation=True)


def _rle(data: bytes, request: Request) -> Samples:
    """RLE Lossless (PS3.5 annex G): its segments are PackBits."""
    return _join([_unpacked(segment) for segment in rle_segments(data, request.form)], request.form)


def _unpacked(segment: bytes) -> bytes:
    """Return the bytes of a segment.

    The byte that pads it to even length may have any value: the decoder of the standard ends where the segment is full
    (PS3.5 G.3.2), while imagecodecs reads on.
    """
    import imagecodecs

    try:
        return bytes(imagecodecs.packbits_decode(segment))
    except RuntimeError:
        return bytes(imagecodecs.packbits_decode(segment[:-1]))


def _rle_own(data: bytes, request: Request) -> Samples:
    """RLE Lossless in Python, written from the standard alone (PS3.5 G.3.2); slow."""
    return _join([_pack_bits(segment) for segment in rle_segments(data, request.form)], request.form)


def rle_segments(data: bytes, form: PixelFormat) -> list[bytes]:
    """Split an RLE frame into its segments, by its header of 64 bytes.

    Parameters
    ----------
    data : bytes
        One frame.
    form : PixelFormat
        Of the image.

    Returns
    -------
    list of bytes
        Compressed segments: one for each byte of a sample, sample by sample.

    Raises
    ------
    NotExtracted
        `decode_error` where the header does not fit the format.

    References
    ----------
    DICOM PS3.5 G.5.
    """
    head = np.frombuffer(data[:64], "<u4") if len(data) > 64 else np.zeros(16, "<u4")
    count, needed = int(head[0]), form.samples * max(form.bits_allocated // 8, 1)
    starts = [*head[1 : 1 + count].tolist(), len(data)]
    if count != needed or starts[0] < 64 or any(a >= b for a, b in zip(starts, starts[1:], strict=False)):
        raise NotExtracted("decode_error")
    return [data[a:b] for a, b in zip(starts, starts[1:], strict=False)]


def _pack_bits(segment: bytes) -> bytes:
    out = bytearray()
    position, size = 0, len(segment)
    while position < size:
        control = segment[position]
        if control < 128:
            out += segment[position + 1 : position + 2 + control]
            position += 2 + control
        elif control > 128:
            out += segment[position + 1 : position + 2] * (257 - control)
            position += 2
        else:
            position += 1
    return bytes(out)


def _join(decoded: Sequence[bytes | bytearray], form: PixelFormat) -> Samples:
    """Return pixels from byte segments: most to least significant byte of a sample, sample by sample (PS3.5 G.2)."""
    pixels = form.rows * form.columns
    if form.bits_allocated == 1:
        return _one_bit(decoded[0], pixels).reshape(form.shape)
    width = form.bits_allocated // 8
    # Bytes that pad a segment to even length decode to zeros.
    if any(len(segment) < pixels or any(segment[pixels:]) for segment in decoded):
        raise NotExtracted("decode_error")
    cells = np.empty((pixels, form.samples, width), np.uint8)
    for index, segment in enumerate(decoded):
        sample, byte = divmod(index, width)
        cells[:, sample, width - 1 - byte] = np.frombuffer(segment, np.uint8, pixels)
    return cells.view(f"<u{width}").reshape(form.shape)


def _one_bit(decoded: bytes | bytearray, pixels: int) -> Samples:
    """Return pixels of one bit: packed eight to a byte as in native data, or, by some writers, one to a byte."""
    packed = -(-pixels // 8)
    if len(decoded) < packed:
        raise NotExtracted("decode_error")
    if len(decoded) < pixels or not any(decoded[packed:]):
        return np.unpackbits(np.frombuffer(decoded, np.uint8), bitorder="little", count=pixels)
    return np.frombuffer(decoded, np.uint8, pixels) & 1


def _native(data: bytes, request: Request) -> Samples:
    """Cells as in native pixel data (PS3.5 A.4.11)."""
    form = request.form
    if len(data) < form.frame_bytes:
        raise NotExtracted("truncated_pixel_data", found=len(data), needed=form.frame_bytes)
    return unpack_bits.unpack(data, 0, form, form.is_subsampled and not form.has_all_chroma(len(data)))


def _deflate(data: bytes, request: Request) -> Samples:
    """Cells of one frame, deflated without a header (PS3.5 8.2.16), and perhaps a byte that makes them even."""
    import zlib

    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    most = request.form.frame_bytes + 1
    frame = inflater.decompress(data, most + 1)
    if len(frame) > most or inflater.unused_data.strip(b"\0"):  # fragments that are not one frame, or more cells
        raise NotExtracted("decode_error")
    if not inflater.eof:
        raise NotExtracted("truncated_pixel_data", found=len(frame), needed=request.form.frame_bytes)
    return _native(frame, request)


def _deflate_second(data: bytes, request: Request) -> Samples:
    import imagecodecs

    frame = imagecodecs.deflate_decode(data, raw=True, out=request.form.frame_bytes + 2)
    return _native(bytes(frame), request)


def _pillow_name() -> str:
    import PIL

    return f"pillow {PIL.__version__}"


NATIVE = Decoder(lambda: "native", _native, confined=False)
DEFLATE = Decoder(lambda: "zlib", _deflate, confined=False)
DEFLATE_SECOND = Decoder(_imagecodecs("deflate"), _deflate_second)
JPEG = Decoder(_imagecodecs("jpeg8"), _jpeg)
JPEG_SOF3 = Decoder(_imagecodecs("jpegsof3"), _jpeg_sof3)
JPEG_PILLOW = Decoder(_pillow_name, _jpeg_pillow)
JPEG_LS = Decoder(_imagecodecs("jpegls"), _jpeg_ls)
JPEG_LS_OWN = Decoder(lambda: "dicomzarr-jpegls", _jpeg_ls_own)
JPEG_2000 = Decoder(_imagecodecs("jpeg2k"), _jpeg_2000)
JPEG_2000_PILLOW = Decoder(_pillow_name, _jpeg_2000_pillow)
HTJ2K = Decoder(_imagecodecs("htj2k"), _htj2k)
JPEG_XL = Decoder(_imagecodecs("jpegxl"), _jpeg_xl)
RLE = Decoder(_imagecodecs("imcd"), _rle)
RLE_OWN = Decoder(lambda: "dicomzarr-rle", _rle_own)
