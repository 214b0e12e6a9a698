"""One thin decoder per kind of compressed frame, all of one signature; what to make of the result is decided elsewhere.

Each takes the bytes of one frame and returns the samples as the stream holds them: shape (rows, columns) or
(rows, columns, components), C order, any integer dtype. The only freedom is the colour space a DCT JPEG is taken to be
in. Every call goes through `run`, so that no text of a library, which may quote the data, gets out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.codestream import Stream
from dicomzarr.pixel_format import PixelFormat
from dicomzarr.reasons import SetAside

Samples = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What a decoder needs to know beside the bytes.

    Attributes
    ----------
    form : PixelFormat
        Of the image; RLE streams do not say how large they are.
    stream : Stream, optional
        What the stream says of itself, where it says anything.
    ybr : bool
        A DCT JPEG of three components is in YCbCr, to be returned as RGB.
    """

    form: PixelFormat
    stream: Stream | None = None
    ybr: bool = False


Decode = Callable[[bytes, Request], Samples]


@dataclass(frozen=True, slots=True)
class Decoder:
    """A decoder and how to name it with its version.

    Attributes
    ----------
    fragile : bool
        It can end the process on broken data: to be run where its death is survivable.
    tolerance : int
        How far its samples may be from another decoder's.
    """

    name: Callable[[], str]
    decode: Decode
    fragile: bool = False
    tolerance: int = 0


def run(decoder: Decoder, data: bytes, request: Request) -> Samples:
    """Return the samples of a frame, or set it aside.

    Raises
    ------
    SetAside
        `decode_error` where the decoder refuses, `too_large` where memory does not suffice.
    """
    try:
        return decoder.decode(data, request)
    except SetAside:
        raise
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except MemoryError:
        raise SetAside("too_large") from None
    except BaseException:  # pylibjpeg-rle panics with a BaseException of its own
        raise SetAside("decode_error") from None


def _imagecodecs(codec: str) -> Callable[[], str]:
    """Name the library behind a codec of imagecodecs, such as ``charls 2.4.3``."""

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
    # Stating both ends of the conversion keeps the library from guessing from markers.
    return imagecodecs.jpeg8_decode(data, colorspace="YCBCR" if request.ybr else "RGB", outcolorspace="RGB")


def _jpeg_sof3(data: bytes, request: Request) -> Samples:
    import imagecodecs

    return np.ascontiguousarray(imagecodecs.jpegsof3_decode(data))


def _jpeg_pillow(data: bytes, request: Request) -> Samples:
    """DCT JPEG of 8 bits through Pillow, which decides on colour from markers: so it is given the right ones."""
    import io

    from PIL import Image

    if request.form.samples == 3:
        data = _with_adobe_marker(data, 1 if request.ybr else 0)
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return np.asarray(image)


def _with_adobe_marker(data: bytes, transform: int) -> bytes:
    """Return a JPEG stream whose only statement on colour is an Adobe marker with `transform`."""
    kept = [b"\xff\xd8\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00", bytes([transform])]
    position = 2
    while data[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] not in (0xE0, 0xEE):
            kept.append(data[position:end])
        position = end
    return b"".join([*kept, data[position:]])


def _jpeg_ls(data: bytes, request: Request) -> Samples:
    import imagecodecs

    return imagecodecs.jpegls_decode(data)


def _jpeg_2000(data: bytes, request: Request) -> Samples:
    """JPEG 2000 and HTJ2K; JP2 boxes are cut off, lest the library converts colour by what they say."""
    import imagecodecs

    start = request.stream.start if request.stream else 0
    return imagecodecs.jpeg2k_decode(data[start:], numthreads=1)


def _htj2k(data: bytes, request: Request) -> Samples:
    import imagecodecs

    start = request.stream.start if request.stream else 0
    samples = imagecodecs.htj2k_decode(data[start:], planar=False)
    return np.ascontiguousarray(samples)


def _jpeg_xl(data: bytes, request: Request) -> Samples:
    import imagecodecs

    return imagecodecs.jpegxl_decode(data, numthreads=1, keeporientation=True)


def _rle(data: bytes, request: Request) -> Samples:
    """RLE Lossless (PS3.5 annex G)."""
    from rle.rle import decode_frame, decode_segment

    form = request.form
    segments = rle_segments(data, form)
    if form.bits_allocated == 1:
        return _one_bit(bytes(decode_segment(segments[0])), form)
    return _interleave(decode_frame(data, form.rows * form.columns, form.bits_allocated, "<"), form)


def _rle_own(data: bytes, request: Request) -> Samples:
    """RLE Lossless without a library: slow, and written from the standard alone (PS3.5 G.3.2)."""
    form = request.form
    decoded = [_pack_bits(segment) for segment in rle_segments(data, form)]
    if form.bits_allocated == 1:
        return _one_bit(decoded[0], form)
    pixels, width = form.rows * form.columns, form.bits_allocated // 8
    if any(len(segment) < pixels for segment in decoded):
        raise SetAside("decode_error")
    planes = np.array([np.frombuffer(segment, np.uint8, pixels) for segment in decoded])
    # Segments run from the most to the least significant byte of a sample, sample by sample (G.2).
    cells = planes.reshape(form.samples, width, pixels)[:, ::-1].transpose(0, 2, 1)
    return _interleave(cells.tobytes(), form)


def rle_segments(data: bytes, form: PixelFormat) -> list[bytes]:
    """Return the segments of an RLE frame by its header of 64 bytes (PS3.5 G.5)."""
    head = np.frombuffer(data[:64], "<u4") if len(data) > 64 else np.zeros(16, "<u4")
    count, needed = int(head[0]), form.samples * max(form.bits_allocated // 8, 1)
    starts = [*head[1 : 1 + count].tolist(), len(data)]
    if count != needed or starts[0] < 64 or any(a >= b for a, b in zip(starts, starts[1:], strict=False)):
        raise SetAside("decode_error")
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


def _one_bit(decoded: bytes, form: PixelFormat) -> Samples:
    """Return pixels of one bit: packed eight to a byte as in native data, or, by older writers, one to a byte."""
    pixels = form.rows * form.columns
    packed = -(-pixels // 8)
    if packed <= len(decoded) <= packed + 1 or len(decoded) < pixels:
        if len(decoded) < packed:
            raise SetAside("decode_error")
        bits = np.unpackbits(np.frombuffer(decoded, np.uint8), bitorder="little", count=pixels)
        return bits.reshape(form.shape)
    return (np.frombuffer(decoded, np.uint8, pixels) & 1).reshape(form.shape)


def _interleave(planes: bytes | bytearray, form: PixelFormat) -> Samples:
    """Return little-endian samples, plane after plane, as pixels."""
    unsigned = f"<u{form.bits_allocated // 8}"
    samples = np.frombuffer(planes, unsigned).reshape(form.samples, form.rows, form.columns)
    return samples[0] if form.samples == 1 else np.ascontiguousarray(samples.transpose(1, 2, 0))


def inflate(data: bytes, needed: int) -> bytes:
    """Return one frame of a Deflated Image Frame (PS3.5 8.2.16): raw deflate, of at least `needed` bytes."""
    import zlib

    try:
        frame: bytes = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, needed + 1)
    except zlib.error:
        raise SetAside("decode_error") from None
    if len(frame) < needed:
        raise SetAside("truncated_pixel_data", found=len(frame), needed=needed)
    return frame


def _rle_name() -> str:
    from importlib.metadata import version

    return f"pylibjpeg-rle {version('pylibjpeg-rle')}"


def _pillow_name() -> str:
    import PIL

    return f"pillow {PIL.__version__}"


JPEG = Decoder(_imagecodecs("jpeg8"), _jpeg)
JPEG_SOF3 = Decoder(_imagecodecs("jpegsof3"), _jpeg_sof3, fragile=True)
JPEG_PILLOW = Decoder(_pillow_name, _jpeg_pillow, tolerance=1)
JPEG_LS = Decoder(_imagecodecs("jpegls"), _jpeg_ls)
JPEG_2000 = Decoder(_imagecodecs("jpeg2k"), _jpeg_2000)
HTJ2K = Decoder(_imagecodecs("htj2k"), _htj2k)
JPEG_XL = Decoder(_imagecodecs("jpegxl"), _jpeg_xl)
RLE = Decoder(_rle_name, _rle)
RLE_OWN = Decoder(lambda: "dicomzarr-rle", _rle_own)
