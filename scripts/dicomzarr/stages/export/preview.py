"""Previews: windowed 8-bit PNG for viewing. They lose values; their folder is called `preview_lossy`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dicom.photometric import PALETTE
from dicomzarr.pixels.display import coloured, function_of, pair_of, stretched, windowed
from dicomzarr.pixels.modality_lut import looked_up, range_of
from dicomzarr.stages.export.png import read_png, write_png
from dicomzarr.stages.export.tables import ArrayExport, Exported, array_row, each_array, file_row, frame_name
from dicomzarr.stages.export.verified_arrays import Array, DamagedArray

STRIP_PIXELS = 1 << 22  # converted at once: each takes about 30 bytes meanwhile


def limits_of(array: Array) -> tuple[float, float]:
    """Return the smallest and the largest stored value of an array, without padding, NaN and infinity.

    Parameters
    ----------
    array : Array
    """
    low, high = (float(value or 0) for value in (array.depth.unpadded_min, array.depth.unpadded_max))
    if math.isfinite(low) and math.isfinite(high):
        return low, high
    finite = (frame.pixels[np.isfinite(frame.pixels)] for frame in array.frames())
    extremes = [(float(values.min()), float(values.max())) for values in finite if values.size] or [(0.0, 0.0)]
    smallest, largest = min(extremes)[0], max(pair[1] for pair in extremes)
    return low if math.isfinite(low) else smallest, high if math.isfinite(high) else largest


def eight_bits(
    pixels: NDArray[Any], facts: Mapping[str, Any], number: int, limits: tuple[float, float]
) -> NDArray[Any]:
    """Return rows of a frame as 8-bit grey or colour.

    Grey values go through the Modality LUT and the window of the header; without a window, the range of the whole array
    without padding becomes 0 to 255. MONOCHROME1 is inverted, palette indices become colours, colours of more than 8
    bits lose their lowest bits.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns) or (rows, columns, 3)
        Stored values.
    facts : mapping
        The attribute `dicomzarr` of the array.
    number : int
        Of the frame, in array order.
    limits : (float, float)
        The range of the array.

    Returns
    -------
    ndarray of uint8, shape (rows, columns) or (rows, columns, 3)
    """
    if pixels.ndim == 3:
        bits = max(int(facts.get("bits_stored") or 8), 8)
        colours: NDArray[Any] = np.clip(pixels.astype(np.int64) >> (bits - 8), 0, 255).astype(np.uint8)
        return colours
    if facts.get("photometric") == PALETTE and "palette" in facts and pixels.dtype.kind in "iu":
        return coloured(pixels, facts["palette"])
    slope, intercept = pair_of(facts.get("rescale"), number) or (1.0, 0.0)
    low, high = limits
    if "modality_lut" in facts and "rescale" not in facts and pixels.dtype.kind in "iu":
        low, high = range_of(low, high, facts["modality_lut"])
        pixels = looked_up(pixels, facts["modality_lut"])
    values = pixels.astype(np.float64)
    window = pair_of(facts.get("window"), number)
    if window is not None:
        grey = windowed(values * slope + intercept, *window, function_of(facts.get("window_function"), number))
    else:
        grey = stretched(values, low, high)
    # Stored values are stretched without a window: with a negative slope the largest is the darkest.
    if (facts.get("photometric") == "MONOCHROME1") != (window is None and slope < 0):
        grey = 1 - grey
    samples: NDArray[Any] = np.rint(np.nan_to_num(grey) * 255).astype(np.uint8)
    return samples


def _write_array(array: Array, store: Path, level: int) -> ArrayExport:
    folder = store / array.name
    folder.mkdir(parents=True)
    rows, limits = [], limits_of(array)
    for number, frame in enumerate(array.frames()):
        path = folder / f"{frame_name(frame.t, frame.z)}.png"
        step = max(STRIP_PIXELS // frame.pixels.shape[1], 1)
        strips = (frame.pixels[row : row + step] for row in range(0, len(frame.pixels), step))
        samples = np.concatenate([eight_bits(strip, array.facts, number, limits) for strip in strips])
        write_png(path, samples, level)
        if not np.array_equal(read_png(path), samples):
            raise DamagedArray(array.name)
        rows.append(file_row(path, store, array.name, t=frame.t, z=frame.z, bit_depth=8))
    return array_row(array, files=len(rows), exported_bytes=sum(row.bytes for row in rows), bit_depth=8), rows


def export_series(arrays: list[Array], store: Path, level: int) -> Exported:
    """Write previews of the frames of a series below `store`; the parameters are those of `tables.ExportSeries`."""
    return each_array(arrays, lambda array: _write_array(array, store, level))
