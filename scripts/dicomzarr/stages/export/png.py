"""Lossless PNG: every stored value, one file per frame, decoded and compared before it is committed.

8 bits if both Bits Stored (0028,0101) and the values need no more, else 16; RGB for colour. PNG has no negative
numbers: signed values are shifted by half of the range, and the offset is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.stages.export.refusals import Refused
from dicomzarr.stages.export.tables import ArrayExport, Exported, array_row, each_array, file_row, frame_name
from dicomzarr.stages.export.verified_arrays import Array, DamagedArray

FILTER_UP = 32  # PNG_FILTER_UP: for 16-bit images smaller than the adaptive choice of libpng, in half the time


@dataclass(frozen=True, slots=True)
class Depth:
    """Bits of the samples of a PNG, and the offset from stored values: ``sample = value + offset``."""

    bits: int
    offset: int


def depth_of(dtype: np.dtype[Any], bits_stored: int, low: int, high: int) -> Depth:
    """Return the bits and the offset of the PNG files of an array.

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
        If values are floating-point, or Bits Stored or the values need more than 16 bits.
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
    """Return the samples of a frame, uint8 or uint16, of the same shape; makes one copy at most."""
    kind: Any = np.uint8 if depth.bits == 8 else np.uint16
    if not depth.offset:
        return pixels.astype(kind, copy=False)
    signed = pixels.astype(np.int8 if depth.bits == 8 else np.int16, copy=False)
    samples: NDArray[Any] = signed.view(kind) ^ kind(depth.offset)  # adds the offset, which is the highest bit
    return samples


def values_of(samples: NDArray[Any], depth: Depth) -> NDArray[Any]:
    """Return the stored values of samples: the inverse of `samples_of`."""
    if not depth.offset:
        return samples
    values: NDArray[Any] = samples ^ samples.dtype.type(depth.offset)
    return values.view(np.int8 if depth.bits == 8 else np.int16)


def write_png(path: Path, samples: NDArray[Any], level: int) -> None:
    """Write samples as PNG without times and texts.

    Parameters
    ----------
    path : Path
    samples : ndarray of uint8 or uint16, shape (rows, columns) or (rows, columns, 3)
    level : int
        Level of compression, 0 to 9.
    """
    import imagecodecs

    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(samples), level=level, filter=FILTER_UP))


def read_png(path: Path) -> NDArray[Any]:
    """Return the samples of a PNG.

    Pillow decodes it, since it did not write it; 16-bit colour, which Pillow reduces to 8 bits, by imagecodecs. It may
    be large, since we wrote it ourselves: `Image.open` refuses images of more than 179 million pixels.
    """
    import imagecodecs
    from PIL.PngImagePlugin import PngImageFile

    with PngImageFile(path) as image:
        if image.mode in ("L", "I;16") or (image.mode == "RGB" and path.read_bytes()[24] == 8):
            return np.asarray(image)
    return np.asarray(imagecodecs.png_decode(path.read_bytes()))


def _write_array(array: Array, store: Path, level: int) -> ArrayExport:
    low, high = array.observed if array.dtype.kind in "iu" else (0, 0)
    depth = depth_of(array.dtype, array.record.bits_stored, low, high)
    folder = store / array.name
    folder.mkdir(parents=True)
    rows = []
    for frame in array.frames():
        path = folder / f"{frame_name(frame.t, frame.z)}.png"
        write_png(path, samples_of(frame.pixels, depth), level)
        samples = read_png(path)
        if samples.dtype.itemsize * 8 != depth.bits or not np.array_equal(values_of(samples, depth), frame.pixels):
            raise DamagedArray(array.name)
        rows.append(
            file_row(
                path, store, array.name, t=frame.t, z=frame.z,
                bit_depth=depth.bits, offset=depth.offset, pixel_digest=frame.digest,
            )
        )  # fmt: skip
    size = sum(row.bytes for row in rows)
    return array_row(array, files=len(rows), exported_bytes=size, bit_depth=depth.bits, offset=depth.offset), rows


def export_series(arrays: list[Array], store: Path, level: int) -> Exported:
    """Write the frames of a series below `store`; the parameters are those of `tables.ExportSeries`."""
    return each_array(arrays, lambda array: _write_array(array, store, level))
