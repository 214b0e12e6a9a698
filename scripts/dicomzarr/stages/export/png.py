"""Lossless PNG: every stored value, one file a frame, decoded again before it is published.

8 bits where the data have 8 or fewer, by Bits Stored and by their values; 16 for more; RGB for colour. PNG knows no
signs: signed values are shifted by half of its range, and the offset is on record.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.stages.export.refusals import Refused
from dicomzarr.stages.export.tables import Exported, Written, array_row, each_array, file_row, frame_name
from dicomzarr.stages.export.verified_arrays import Array, Damaged

FILTER_UP = 32  # PNG_FILTER_UP: on 16-bit images smaller than the adaptive choice of libpng, and half as slow


@dataclass(frozen=True, slots=True)
class Depth:
    """How stored values become samples of a PNG: ``sample = value + offset``, of so many bits."""

    bits: int
    offset: int


def depth_of(dtype: np.dtype[Any], bits_stored: int, low: int, high: int) -> Depth:
    """Return the bits of the PNG of an array and what is added to its values.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the stored values.
    bits_stored : int
        Bits Stored (0028,0101), the largest of the frames.
    low, high : int
        Smallest and largest stored value.

    Raises
    ------
    Refused
        If values are no whole numbers, or either measure says more than 16 bits.
    """
    if dtype.kind not in "iu":
        raise Refused("float_values")
    signed = dtype.kind == "i"
    for bits in (8, 16):
        least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        if bits_stored <= bits and least <= low and high <= most:
            return Depth(bits, -least)
    raise Refused("more_than_16_bits")


def samples_of(pixels: NDArray[Any], depth: Depth) -> NDArray[Any]:
    """Return the samples of a frame, uint8 or uint16, of its shape; one copy at most, as frames may be large."""
    kind: Any = np.uint8 if depth.bits == 8 else np.uint16
    if not depth.offset:
        return pixels.astype(kind, copy=False)
    signed = pixels.astype(np.int8 if depth.bits == 8 else np.int16, copy=False)
    samples: NDArray[Any] = signed.view(kind) ^ kind(depth.offset)  # adds it: half of the range is the highest bit
    return samples


def values_of(samples: NDArray[Any], depth: Depth) -> NDArray[Any]:
    """Return the values of samples: what `samples_of` was given."""
    if not depth.offset:
        return samples
    values: NDArray[Any] = samples ^ samples.dtype.type(depth.offset)
    return values.view(np.int8 if depth.bits == 8 else np.int16)


def write_png(path: Path, samples: NDArray[Any], level: int) -> None:
    """Write samples, uint8 or uint16, shape (rows, columns) or (rows, columns, 3), as PNG: no time, no text."""
    import imagecodecs

    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(samples), level=level, filter=FILTER_UP))


def read_png(path: Path) -> NDArray[Any]:
    """Return the samples of a PNG: by Pillow, which did not write it, but for 16-bit colour, which Pillow cuts to 8."""
    import imagecodecs
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large images: it is our own
        with Image.open(path) as image:
            if image.mode in ("L", "I;16") or (image.mode == "RGB" and path.read_bytes()[24] == 8):
                return np.asarray(image)
    return np.asarray(imagecodecs.png_decode(path.read_bytes()))


def _write_array(array: Array, store: Path, level: int) -> Written:
    low, high = array.observed if array.dtype.kind in "iu" else (0, 0)
    depth = depth_of(array.dtype, array.record.bits_stored, low, high)
    folder = store / array.name
    folder.mkdir(parents=True)
    rows = []
    for frame in array.frames():
        path = folder / f"{frame_name(frame.t, frame.z)}.png"
        write_png(path, samples_of(frame.pixels, depth), level)
        again = read_png(path)
        if again.dtype.itemsize * 8 != depth.bits or not np.array_equal(values_of(again, depth), frame.pixels):
            raise Damaged(array.name)
        rows.append(
            file_row(
                path, store, array.name, t=frame.t, z=frame.z,
                bit_depth=depth.bits, offset=depth.offset, pixel_digest=frame.digest,
            )
        )  # fmt: skip
    size = sum(row.bytes for row in rows)
    return array_row(array, files=len(rows), exported_bytes=size, bit_depth=depth.bits, offset=depth.offset), rows


def export_series(arrays: list[Array], store: Path, level: int) -> Exported:
    """Write the frames of a series below `store`; see `tables.Work`."""
    return each_array(arrays, lambda array: _write_array(array, store, level))
