"""Previews: 8-bit PNG for the eye, through a window. They lose values, and lie in a folder that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.pixels.display import coloured, pair_of, stretched, windowed
from dicomzarr.stages.export.png import read_png, write_png
from dicomzarr.stages.export.tables import Exported, Written, array_row, each_array, file_row, frame_name
from dicomzarr.stages.export.verified_arrays import Array, Damaged

AT_ONCE = 1 << 22  # pixels that are turned into grey at once: each takes some 30 bytes on the way


def eight_bits(pixels: NDArray[Any], array: Array, number: int) -> NDArray[Any]:
    """Return rows of a frame as they are to be seen: (rows, columns) or (rows, columns, 3).

    Through the window of its header, else stretched over the values of the whole array without padding; MONOCHROME1 is
    turned around, a palette looked up, colours of more than 8 bits cut to 8.

    Parameters
    ----------
    pixels : ndarray
        Stored values.
    array : Array
    number : int
        Of the frame, in array order.
    """
    facts = array.facts
    if pixels.ndim == 3:
        bits = max(int(facts.get("bits_stored") or 8), 8)
        colours: NDArray[Any] = np.clip(pixels.astype(np.int64) >> (bits - 8), 0, 255).astype(np.uint8)
        return colours
    if "palette" in facts and pixels.dtype.kind in "iu":
        return coloured(pixels, facts["palette"])
    slope, intercept = pair_of(facts.get("rescale"), number) or (1.0, 0.0)
    values = pixels.astype(np.float64)
    window = pair_of(facts.get("window"), number)
    if window is not None:
        grey = windowed(values * slope + intercept, *window)
    else:
        low, high = (float(value or 0) for value in (array.depth.unpadded_min, array.depth.unpadded_max))
        grey = stretched(values, low, high)
    if facts.get("photometric") == "MONOCHROME1":
        grey = 1 - grey
    seen: NDArray[Any] = np.rint(np.nan_to_num(grey) * 255).astype(np.uint8)
    return seen


def _write_array(array: Array, store: Path, level: int) -> Written:
    folder = store / array.name
    folder.mkdir(parents=True)
    rows = []
    for number, frame in enumerate(array.frames()):
        path = folder / f"{frame_name(frame.t, frame.z)}.png"
        step = max(AT_ONCE // frame.pixels.shape[1], 1)
        strips = (frame.pixels[row : row + step] for row in range(0, len(frame.pixels), step))
        samples = np.concatenate([eight_bits(strip, array, number) for strip in strips])
        write_png(path, samples, level)
        if not np.array_equal(read_png(path), samples):
            raise Damaged(array.name)
        rows.append(file_row(path, store, array.name, t=frame.t, z=frame.z, bit_depth=8))
    return array_row(array, files=len(rows), exported_bytes=sum(row.bytes for row in rows), bit_depth=8), rows


def export_series(arrays: list[Array], store: Path, level: int) -> Exported:
    """Write previews of the frames of a series below `store`; see `tables.Work`."""
    return each_array(arrays, lambda array: _write_array(array, store, level))
