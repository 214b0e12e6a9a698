"""The contact sheet of the report: small 8-bit previews of middle planes, as data URIs."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicomzarr.dataset import Volume
from dicomzarr.pixels.display import Grey, coloured, pair_of, stretched, windowed
from dicomzarr.stages.render_report.masks import Mask
from dicomzarr.stages.render_report.outlines import MOST, Outline, drawable, outlines, plane_of
from dicomzarr.stages.render_report.tables import Array, by_modality
from dicomzarr.system import files
from dicomzarr.system.thread_pool import ThreadPool

SIDE = 160  # px, the longer side of a preview
NO_PLANE = "no plane to show"  # the array is undamaged, but empty or without rows and columns
_READ_SIDE = 4 * SIDE  # planes are subsampled to about this size before any arithmetic
_NAME = re.compile(r"[0-9A-Za-z_-]+/[0-9A-Za-z_-]+")

NONE: Mapping[str, Sequence[Mask]] = {}

Plane = NDArray[Any]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Preview:
    """The middle plane of an array, or of the mask on it that covers most slices.

    Attributes
    ----------
    source : str
        PNG as a data URI; empty without a preview.
    width, height : int
        In px, after correction by the spacing.
    place : str
        Position of the plane, such as ``z 5 of 10``; empty for a single plane.
    shown : str
        How values were converted: window, percentiles, colour or palette.
    trouble : str
        Why there is no preview, else empty.
    outlines : tuple of Outline
        Of the masks on the array, in this plane.
    more : int
        Masks that are not drawn, since there are too many.
    """

    array: Array
    source: str = ""
    width: int = 0
    height: int = 0
    place: str = ""
    shown: str = ""
    trouble: str = ""
    outlines: tuple[Outline, ...] = ()
    more: int = 0


def choose(arrays: Sequence[Array], at_most: int) -> list[Array]:
    """Return at most `at_most` arrays, spread evenly over modalities and within each.

    Modalities get one array in turn until `at_most` is reached. Within a modality the arrays, sorted by id, are chosen
    at equal distances. The choice depends on the arrays alone.
    """
    groups = {name: sorted(members, key=lambda a: a.array) for name, members in by_modality(arrays).items()}
    shares = dict.fromkeys(groups, 0)
    remaining = min(at_most, len(arrays))
    while remaining > 0:
        for name, members in groups.items():
            if remaining and shares[name] < len(members):
                shares[name] += 1
                remaining -= 1
    return [
        members[(2 * k + 1) * len(members) // (2 * shares[name])]
        for name, members in groups.items()
        for k in range(shares[name])
    ]


def preview(images: Path, array: Array, masks: Sequence[Mask] = ()) -> Preview:
    """Return the preview of an array, or the reason why there is none.

    Parameters
    ----------
    images : Path
        The group that holds the arrays, ``images.zarr``.
    array : Array
        The row of the array in ``volumes.csv``.
    masks : sequence of Mask
        The masks on it.

    Returns
    -------
    Preview

    Raises
    ------
    OSError
        If the disk fails to return a file that exists. A damaged array raises nothing.
    """
    if not _NAME.fullmatch(array.array) or not (images / array.array / "0" / "zarr.json").is_file():
        return Preview(array, trouble="not found")
    try:
        return _preview(images / array.array, array, drawable(masks))
    except Exception as error:  # the checks report damaged arrays; the page must still be written
        if isinstance(error, OSError) and files.is_disk_error(error):
            raise
        return Preview(array, trouble="cannot be read")


def _preview(image: Path, array: Array, masks: Sequence[Mask]) -> Preview:
    axes = array.axes
    shape: list[int] = json.loads((image / "0" / "zarr.json").read_bytes())["shape"]
    if len(axes) != len(shape) or axes[-2:] != "yx" or 0 in shape:
        return Preview(array, trouble=NO_PLANE)
    lengths = dict(zip(axes, shape, strict=True))
    middle = {axis: lengths[axis] // 2 for axis in "tz" if axis in lengths}
    middle |= {axis: index for axis, index in plane_of(masks, axes).items() if index < lengths.get(axis, 0)}
    volume = Volume(image)
    plane = volume.read(tuple(slice(middle.get(axis, 0), middle.get(axis, n - 1) + 1) for axis, n in lengths.items()))
    plane = plane[tuple(0 if axis in middle else slice(None) for axis in axes)]
    frame = middle.get("t", 0) * lengths.get("z", 1) + middle.get("z", 0)
    step = max(1, min(plane.shape[-2:]) // _READ_SIDE)
    plane = plane[..., ::step, ::step]
    pixels, shown = _eight_bits(plane, volume.facts, frame)
    width, height = _fitted(shape[-1], shape[-2], _aspect(_ome(image), axes))
    picture = Image.fromarray(pixels)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, format="PNG", compress_level=6)
    source = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    place = ", ".join(f"{axis} {middle[axis] + 1} of {lengths[axis]}" for axis in middle if lengths[axis] > 1)
    drawn = tuple(_outlines(image, masks, middle, width, height))
    return Preview(array, source, width, height, place, shown, outlines=drawn, more=max(0, len(masks) - MOST))


def _outlines(
    image: Path, masks: Sequence[Mask], plane: Mapping[str, int], width: int, height: int
) -> Sequence[Outline]:
    """Return the outlines of the masks of an image; none if a mask is damaged, which the checks report."""
    try:
        return outlines(image, masks, plane, width, height)
    except Exception as error:
        if isinstance(error, OSError) and files.is_disk_error(error):
            raise
        return ()


def _eight_bits(plane: Plane, facts: Mapping[str, Any], frame: int) -> tuple[Bytes, str]:
    """Return a plane as grey (y, x) or colour (y, x, 3), uint8, and how values were converted."""
    if plane.ndim == 3:
        bits = int(facts.get("bits_stored") or 8 * plane.dtype.itemsize)
        colour = np.moveaxis(plane, 0, -1)
        colour = colour[..., :3] if colour.shape[-1] >= 3 else np.repeat(colour[..., :1], 3, axis=-1)
        if bits == 8 and colour.dtype == np.uint8:
            return np.ascontiguousarray(colour), "colour"
        return _bytes(colour.astype(np.float64) / ((1 << bits) - 1)), "colour"
    if isinstance(facts.get("palette"), Mapping):
        return coloured(plane, facts["palette"]), "palette"
    slope, intercept = _pair(facts.get("rescale"), frame) or (1.0, 0.0)
    grey = plane.astype(np.float64) * slope + intercept
    window = _pair(facts.get("window"), frame)
    shown = "window"
    # A width of 1 would leave only black and white.
    scaled = np.nan_to_num(windowed(grey, *window)) if window and window[1] > 1 else None
    if scaled is None or np.ptp(scaled) == 0:  # no window, or this plane lies outside of it
        scaled, shown = _stretched(grey), "1–99 %"
    if facts.get("photometric") == "MONOCHROME1":
        scaled = 1 - scaled
    return _bytes(scaled), shown


def _bytes(values: Grey) -> Bytes:
    return np.ascontiguousarray(np.clip(np.rint(values * 255), 0, 255).astype(np.uint8))


def _stretched(grey: Grey) -> Grey:
    """Return values scaled to 0 to 1 between the 1st and the 99th percentile of the finite ones."""
    finite = grey[np.isfinite(grey)]
    if not finite.size:
        return np.zeros_like(grey)
    low, high = (float(value) for value in np.percentile(finite, (1, 99)))
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    return np.nan_to_num(stretched(grey, low, high))  # a constant plane becomes mid grey


def _ome(image: Path) -> Mapping[str, Any]:
    """Return the attribute `ome` of an image."""
    ome: Mapping[str, Any] = json.loads((image / "zarr.json").read_bytes())["attributes"].get("ome", {})
    return ome


def _pair(values: object, frame: int) -> tuple[float, float] | None:
    """Return the pair of numbers that applies to a frame, None if there is none or they are not finite."""
    pair = pair_of(values, frame)
    return pair if pair and all(map(math.isfinite, pair)) else None


def _aspect(ome: Mapping[str, Any], axes: str) -> float:
    """Return the height of a pixel over its width; 1 if the spacing is unknown."""
    try:
        multiscale = ome["multiscales"][0]
        units = {axis["name"]: axis.get("unit") for axis in multiscale["axes"]}
        steps = multiscale["datasets"][0]["coordinateTransformations"]
        scales = next(step["scale"] for step in steps if step["type"] == "scale")
        by_axis = dict(zip(axes, scales, strict=True))
        if units.get("y") and units.get("y") == units.get("x") and by_axis["x"] > 0 and by_axis["y"] > 0:
            return min(100.0, max(0.01, float(by_axis["y"]) / float(by_axis["x"])))
    except (KeyError, IndexError, StopIteration, TypeError, ValueError):
        pass
    return 1.0


def _fitted(columns: int, rows: int, aspect: float) -> tuple[int, int]:
    """Return width and height in px with square pixels, at most `SIDE`; small planes are not enlarged."""
    width, height = float(columns), float(rows)
    if aspect >= 1:
        height *= aspect
    else:
        width /= aspect
    factor = min(1.0, SIDE / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def previews(
    dataset: Path, arrays: Sequence[Array], at_most: int, threads: int = 1, masks: Mapping[str, Sequence[Mask]] = NONE
) -> list[Preview]:
    """Return the previews of the contact sheet of a dataset.

    Parameters
    ----------
    dataset : Path
        The folder that holds ``images.zarr``.
    arrays : sequence of Array
    at_most : int
        Largest number of previews.
    threads : int
        Number of threads that draw previews.
    masks : mapping of str to sequence of Mask
        The masks of each array that has any.
    """
    images, chosen = dataset / "images.zarr", choose(arrays, at_most)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(
            ThreadPool(threads).map(
                lambda array: preview(images, array, masks.get(array.array, ())), chosen, _READ_SIDE**2
            )
        )
