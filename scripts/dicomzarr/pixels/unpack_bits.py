"""Convert the bytes of one uncompressed frame to its array: cells, unused bits, planes, colour (PS3.5 section 8)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.pixels.pixel_format import PixelFormat
from dicomzarr.vocabulary.reasons import NotExtracted

Plane = NDArray[Any]


def unpack(data: bytes | memoryview, first_bit: int, form: PixelFormat, subsampled: bool) -> Plane:
    """Unpack the pixel cells of one frame; the colour space is not converted, unused bits are not cleared.

    Parameters
    ----------
    data : bytes
        Holds the frame; bytes of swapped words are in order already.
    first_bit : int
        Bit of `data` at which the frame begins, 0 the least significant of the first byte.
    form : PixelFormat
        Of the image.
    subsampled : bool
        The samples are stored as Y1 Y2 CB CR (YBR_FULL_422); each CB and CR belongs to both pixels.

    Returns
    -------
    ndarray
        Shape (rows, columns) or (rows, columns, 3), C order, writable, dtype of the format.

    References
    ----------
    DICOM PS3.5 8.1.1; PS3.3 C.7.6.3.1.2.
    """
    pixels = form.rows * form.columns
    cells = pixels * (2 if subsampled else form.samples)
    plane: Plane
    if form.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little", count=first_bit + cells)
        plane = bits[first_bit:]
    elif form.bits_allocated == 12:
        plane = _unpack_12(np.frombuffer(data, np.uint8), first_bit, cells, form.signed)
    else:
        stored_dtype = np.dtype(form.dtype).newbyteorder(">" if form.syntax.big_endian else "<")
        plane = np.frombuffer(data, stored_dtype, count=cells).astype(form.dtype)
    if subsampled:
        return _upsample(plane).reshape(form.shape)
    if form.planar:
        return np.ascontiguousarray(plane.reshape(form.samples, form.rows, form.columns).transpose(1, 2, 0))
    return np.ascontiguousarray(plane).reshape(form.shape)


def _unpack_12(data: NDArray[np.uint8], first_bit: int, cells: int, signed: bool) -> Plane:
    """Return cells of 12 bits that follow each other without padding, least significant bits first (PS3.5 8.1.1)."""
    nibbles = np.empty((len(data), 2), np.uint8)
    np.bitwise_and(data, 15, out=nibbles[:, 0])
    np.right_shift(data, 4, out=nibbles[:, 1])
    first = first_bit // 4
    triples = nibbles.reshape(-1)[first : first + 3 * cells].reshape(cells, 3).astype(np.uint16)
    plane = triples[:, 0] | triples[:, 1] << 4 | triples[:, 2] << 8
    return (plane << 4).view("<i2") >> 4 if signed else plane


def _upsample(samples: Plane) -> Plane:
    """Return Y CB CR of each pixel from Y1 Y2 CB CR of each pair."""
    pairs = samples.reshape(-1, 4)
    full = np.empty((len(pairs), 2, 3), samples.dtype)
    full[:, :, 0] = pairs[:, :2]
    full[:, :, 1:] = pairs[:, None, 2:]
    return full


def swap_pairs(data: bytes | memoryview) -> bytes:
    """Swap the bytes of each 16-bit word.

    Parameters
    ----------
    data : bytes
        Of even length.

    Returns
    -------
    bytes
        Of the same length.
    """
    return np.frombuffer(data, "<u2").byteswap().tobytes()


def clear_unused_bits(plane: Plane, form: PixelFormat) -> tuple[Plane, tuple[str, ...]]:
    """Shift cells by High Bit, then clear (unsigned) or sign-extend (signed) the bits above Bits Stored.

    Parameters
    ----------
    plane : ndarray, shape (rows, columns) or (rows, columns, 3)
        Pixel cells, dtype of the format; changed in place if it is writable.
    form : PixelFormat
        Of the image.

    Returns
    -------
    plane : ndarray
        The same array, or a new one where cells of an array that is not writable change.
    flags : tuple of str
        `unused_bits_set` where bits outside the stored ones had another value; `sign_extended` where they were 0 and
        the value is negative.

    References
    ----------
    DICOM PS3.5 8.1.1: the content of unused bits is not to be relied upon.
    """
    spare = 8 * plane.dtype.itemsize - form.bits_stored
    if form.is_float or not spare or form.bits_allocated in (1,):
        return plane, ()
    out = plane if plane.flags.writeable else None
    if form.shift:
        below = bool((plane & ((1 << form.shift) - 1)).any())
        # An arithmetic shift for signed cells; the bits that it fills in are cleared below.
        plane = out = np.right_shift(plane, form.shift, out=out)
        flags = ("unused_bits_set",) if below else ()
    else:
        flags = ()
    if form.signed:
        top = 1 << (form.bits_stored - 1)
        if -top <= int(plane.min()) and int(plane.max()) < top:
            return plane, flags
        has_other_bits = int(plane.min()) < 0 or int(plane.max()) >= 2 * top
        plane = np.left_shift(plane, spare, out=out)
        np.right_shift(plane, spare, out=plane)
        return plane, ("unused_bits_set",) if has_other_bits else flags or ("sign_extended",)
    mask = (1 << form.bits_stored) - 1
    if int(plane.max()) <= mask:
        return plane, flags
    return np.bitwise_and(plane, plane.dtype.type(mask), out=out), ("unused_bits_set",)


def largest_difference(first: Plane, second: Plane) -> int:
    """Return the largest absolute difference between two frames.

    Parameters
    ----------
    first, second : ndarray
        Of equal shape and integer dtype.

    Returns
    -------
    int
        In stored values.
    """
    if np.array_equal(first, second):
        return 0
    return int(np.where(first > second, first - second, second - first).max())


def to_rgb(plane: Plane, photometric: str) -> Plane:
    """Convert a YBR_FULL* or YBR_PARTIAL* frame to RGB.

    Parameters
    ----------
    plane : ndarray of uint8, shape (rows, columns, 3)
        Y, CB and CR.
    photometric : str
        Photometric Interpretation (0028,0004).

    Returns
    -------
    ndarray of uint8, shape (rows, columns, 3)
        RGB, C order.

    Raises
    ------
    NotExtracted
        `unsupported_pixel_layout` for samples of another width than 8 bits.

    References
    ----------
    DICOM PS3.3 C.7.6.3.1.2.
    """
    if plane.dtype != np.uint8:
        raise NotExtracted("unsupported_pixel_layout", found=8 * plane.dtype.itemsize, needed=8)
    if photometric.startswith("YBR_PARTIAL"):
        return _partial_to_rgb(plane)
    from pydicom.pixels.processing import convert_color_space

    rgb: Plane = convert_color_space(plane, "YBR_FULL", "RGB")
    return np.ascontiguousarray(rgb)


# PS3.3 C.7.6.3.1.2, YBR_PARTIAL_422: RGB to Y CB CR of partial range; inverted for the way back.
_PARTIAL = np.array([[0.2568, 0.5041, 0.0979], [-0.1482, -0.2910, 0.4392], [0.4392, -0.3678, -0.0714]])


def _partial_to_rgb(plane: Plane) -> Plane:
    """Return RGB of Y in 16 to 235, CB and CR in 16 to 240."""
    rgb = (plane - np.array([16.0, 128.0, 128.0])) @ np.linalg.inv(_PARTIAL).T
    clipped: Plane = np.clip(np.floor(rgb + 0.5), 0, 255).astype(np.uint8)
    return clipped
