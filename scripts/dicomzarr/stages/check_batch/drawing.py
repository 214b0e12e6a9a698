"""Draw the pictures of an array: its planes side by side, and a thumbnail of the first; masks as outlines.

The same voxels and attributes give the same bytes: Pillow resizes and encodes with whole numbers. A JPEG has no
metadata but the tables that it needs for decoding.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicomzarr.arrays.zarr_reader import open_array
from dicomzarr.dicom.photometric import PALETTE
from dicomzarr.pixels.display import coloured, function_of, pair_of, window_ends
from dicomzarr.pixels.modality_lut import looked_up
from dicomzarr.records.series_record import VolumeRecord
from dicomzarr.stages.check_batch.planes import ImagePlanes, Plane
from dicomzarr.system import json_files

SIDE, THUMB_SIDE = 224, 96  # px, the longer side of a plane and of the thumbnail
QUALITY, THUMB_QUALITY = 85, 75
GAP = 8  # px between planes, which begin at multiples of 8: no block of the JPEG has pixels of two
MOST_MASKS = 8
_PERCENTILES = (1, 99)
_DRAWN = (
    "rescale",
    "window",
    "window_function",
    "palette",
    "modality_lut",
    "affine_lps",
)  # attributes that pictures depend on
_MOST_FOR_PERCENTILES = 1 << 15

Bytes = NDArray[np.uint8]
Inside = NDArray[np.bool_]
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Outline:
    """A mask to draw: its name, its colour and its planes, as `MaskPlanes.values`."""

    name: str
    colour: Colour
    planes: Sequence[Inside]

    def text(self) -> str:
        """Return name and colour, such as ``liver=#3182bd``."""
        return f"{self.name}=#" + "".join(f"{part:02x}" for part in self.colour)


@dataclass(frozen=True, slots=True)
class Drawing:
    """The pictures of an array.

    Attributes
    ----------
    planes, thumb : bytes
        JPEG.
    boxes : str
        ``x,y,w,h`` of each plane in px, joined by a space.
    shown : str
        How values became grey: ``window``, ``1–99 %``, ``colour`` or ``palette``.
    outlines : str
        The masks that were drawn, with their colours, joined by a space.
    """

    planes: bytes
    thumb: bytes
    boxes: str
    shown: str
    outlines: str


@dataclass(frozen=True, slots=True)
class _View:
    """How a plane is turned and scaled to a picture."""

    transposed: bool
    flipped_rows: bool
    flipped_columns: bool
    size: tuple[int, int]  # width and height, px

    def turn(self, values: NDArray[Any]) -> NDArray[Any]:
        if self.transposed:
            values = np.swapaxes(values, 0, 1)
        return values[:: -1 if self.flipped_rows else 1, :: -1 if self.flipped_columns else 1]


def facts_of(image: Path) -> dict[str, Any]:
    """Return the attributes of an image that its picture needs; long lists as arrays.

    Parameters
    ----------
    image : Path
        Folder of the image.

    Raises
    ------
    OSError, ValueError, KeyError
        If they cannot be read.
    """
    facts = json_files.loads((image / "zarr.json").read_bytes())["attributes"]["dicomzarr"]
    facts = {name: facts[name] for name in _DRAWN if name in facts}
    for holder in (facts, facts.get("palette", {}), facts.get("modality_lut", {})):
        for name, value in holder.items():
            if isinstance(value, dict) and set(value) == {"array"}:
                holder[name] = open_array(image / value["array"])[(slice(None),)]
    return dict(facts)


def colour_of(mask: Path) -> Colour:
    """Return the colour of a mask, that of its `image-label`, so that viewers show the same.

    Parameters
    ----------
    mask : Path
        Folder of the mask.
    """
    ome = json_files.loads((mask / "zarr.json").read_bytes())["attributes"]["ome"]
    red, green, blue = (min(255, max(0, int(part))) for part in ome["image-label"]["colors"][0]["rgba"][:3])
    return red, green, blue


def draw(
    volume: VolumeRecord, facts: Mapping[str, Any], collected: ImagePlanes, masks: Sequence[Outline] = ()
) -> Drawing:
    """Draw an array.

    Parameters
    ----------
    volume : VolumeRecord
    facts : mapping
        What `facts_of` returns.
    collected : ImagePlanes
        At least one plane.
    masks : sequence of Outline
        The first of those that have a voxel in the planes are drawn, up to `MOST_MASKS`.

    Returns
    -------
    Drawing
    """
    with np.errstate(all="ignore"):  # NaN and infinite values
        pixels, shown = _eight_bits(volume, facts, collected)
    views = [_view(plane, volume, facts, SIDE) for plane in collected.cut.planes]
    scaled = [_scaled(values, view) for values, view in zip(pixels, views, strict=True)]
    drawn = [mask for mask in masks if any(plane.any() for plane in mask.planes)][:MOST_MASKS]
    boxes, at = [], 0
    for picture in scaled:
        height, width = picture.shape[:2]
        boxes.append((at, 0, width, height))
        at = -(-(at + width + GAP) // GAP) * GAP
    width, height = boxes[-1][0] + boxes[-1][2], max(box[3] for box in boxes)
    sheet = np.zeros((height, width) + ((3,) if drawn or scaled[0].ndim == 3 else ()), np.uint8)
    for number, ((x, y, w, h), picture, view) in enumerate(zip(boxes, scaled, views, strict=True)):
        sheet[y : y + h, x : x + w] = _outlined(picture, drawn, number, view)
    planes = thumb = _jpeg(sheet, QUALITY)
    small = _view(collected.cut.planes[0], volume, facts, THUMB_SIDE)
    if len(scaled) > 1 or small.size != views[0].size:  # else the picture is as small as its thumbnail
        thumb = _jpeg(_outlined(_resized(scaled[0], small.size), drawn, 0, small), THUMB_QUALITY)
    return Drawing(
        planes=planes,
        thumb=thumb,
        boxes=" ".join(",".join(map(str, box)) for box in boxes),
        shown=shown,
        outlines=" ".join(mask.text() for mask in drawn),
    )


# ---- values to grey or colour


def _eight_bits(
    volume: VolumeRecord, facts: Mapping[str, Any], collected: ImagePlanes
) -> tuple[list[NDArray[Any]], str]:
    """Return the planes as grey (rows, columns) or colour (rows, columns, 3), uint8, and how they were converted."""
    if "c" in volume.axes:
        return [_colours(values, volume.bits_stored) for values in collected.values], "colour"
    if volume.photometric == PALETTE and isinstance(facts.get("palette"), Mapping):
        return [coloured(values, facts["palette"]) for values in collected.values], "palette"
    values = collected.values
    if isinstance(facts.get("modality_lut"), Mapping) and "rescale" not in facts and values[0].dtype.kind in "iu":
        values = [looked_up(plane, facts["modality_lut"]) for plane in values]
    rescales = [_rescale(facts.get("rescale"), plane, collected) for plane in collected.cut.planes]
    frame = collected.cut.first_frame + collected.cut.place.get("z", 0)
    window = pair_of(facts.get("window"), frame)
    is_inverted = volume.photometric == "MONOCHROME1"
    black, white = window_ends(*window, function_of(facts.get("window_function"), frame)) if window else (0.0, 0.0)
    if math.isfinite(black) and math.isfinite(white) and white > black:  # a width of 1 leaves black and white alone
        greys = _greys(values, rescales, black, white)
        if greys[0].min() != greys[0].max():  # else this plane lies outside of the window
            return [255 - grey if is_inverted else grey for grey in greys], "window"
    greys = _greys(values, rescales, *_range(values, rescales))
    return [255 - grey if is_inverted else grey for grey in greys], "1–99 %"


def _colours(values: NDArray[Any], bits: int) -> Bytes:
    colour = values[..., :3] if values.shape[-1] >= 3 else np.repeat(values[..., :1], 3, axis=-1)
    if bits == 8 and colour.dtype == np.uint8:
        return colour
    return np.clip(np.rint(colour.astype(np.float64) * (255 / ((1 << bits) - 1))), 0, 255).astype(np.uint8)


Rescale = tuple[Any, Any]  # slope and intercept: numbers, or columns of one for each row of the plane


def _rescale(values: Any, plane: Plane, collected: ImagePlanes) -> Rescale:
    """Return the rescale of a plane: each slice has its own where they differ; without one, values are as stored."""
    cut = collected.cut
    frames = [cut.first_frame + plane.index]
    if plane.rows == "z":
        frames = [*range(cut.first_frame, cut.first_frame + cut.lengths["z"], cut.step("z"))]
    pairs = _pairs(values)[frames] if _is_each(values) else _pairs([(1.0, 0.0) if values is None else values])
    pairs[~np.isfinite(pairs).all(axis=1)] = (1.0, 0.0)
    if (pairs == pairs[0]).all():
        return float(pairs[0, 0]), float(pairs[0, 1])
    return pairs[:, :1], pairs[:, 1:]


def _is_each(values: Any) -> bool:
    """Return whether there is a pair of numbers for each frame, not one for all."""
    return values is not None and any(pair is None or np.ndim(pair) for pair in values)


def _pairs(values: Any) -> NDArray[np.float64]:
    """Return pairs as an array, shape (pairs, 2); NaN for those that are unknown."""
    return np.array([(None, None) if pair is None else pair for pair in values], np.float64)


def _greys(planes: Sequence[NDArray[Any]], rescales: Sequence[Rescale], low: float, high: float) -> list[Bytes]:
    """Return planes as bytes: `low` is black, `high` white; all mid grey where that is no range."""
    if not (high > low and math.isfinite(high - low)):
        return [np.full(values.shape, 128, np.uint8) for values in planes]
    scale = 255 / (high - low)
    greys = []
    for values, (slope, intercept) in zip(planes, rescales, strict=True):
        grey = values * np.float64(slope * scale) if np.ndim(slope) == 0 else values * (slope * scale)
        grey += (intercept - low) * scale + 0.5  # so that cutting off the fraction rounds
        np.clip(grey, 0, 255.5, out=grey)
        greys.append((np.nan_to_num(grey) if values.dtype.kind == "f" else grey).astype(np.uint8))
    return greys


def _range(planes: Sequence[NDArray[Any]], rescales: Sequence[Rescale]) -> tuple[float, float]:
    """Return the 1st and the 99th percentile of the finite values; the extremes where these are equal."""
    every = max(1, math.isqrt(sum(values.size for values in planes) // _MOST_FOR_PERCENTILES))
    parts = []
    for values, rescale in zip(planes, rescales, strict=True):
        slope, intercept = (part[::every] if np.ndim(part) else np.float64(part) for part in rescale)
        parts.append((values[::every, ::every] * slope + intercept).ravel())
    flat = np.concatenate(parts)
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        return 0.0, 0.0
    low, high = (float(value) for value in np.percentile(flat, _PERCENTILES))
    return (low, high) if low < high else (float(flat.min()), float(flat.max()))


# ---- proportions and directions


def _view(plane: Plane, volume: VolumeRecord, facts: Mapping[str, Any], side: int) -> _View:
    """Return how a plane is shown: the plane of a frame as stored, others head up, or front up; right is at the left.

    Directions are those of the affine; without one, z runs downwards. Proportions are those in mm; where a spacing is
    unknown, voxels are square. Small planes are not enlarged.
    """
    rows, columns, transposed, flips = plane.rows, plane.columns, False, (False, False)
    affine = facts.get("affine_lps")
    if plane.across in ("y", "x") and affine is not None:
        of_rows, of_columns = _direction(affine, rows), _direction(affine, columns)
        if of_rows[0] < of_columns[0]:  # head-foot is vertical; without it, front-back
            transposed = True
            rows, columns, of_rows, of_columns = columns, rows, of_columns, of_rows
        flips = _is_flipped(*of_rows), _is_flipped(*of_columns)
    lengths = dict(zip(volume.axes, volume.shape, strict=True))
    spacing = [volume.spacing_mm.get(axis, 0.0) for axis in (rows, columns)]
    if not all(math.isfinite(step) and step > 0 for step in spacing):
        spacing = [1.0, 1.0]
    height, width = lengths[rows] * spacing[0], lengths[columns] * spacing[1]
    per_mm = min(side / max(height, width), 1 / min(spacing))
    size = max(1, round(width * per_mm)), max(1, round(height * per_mm))
    return _View(transposed, *flips, size)


def _direction(affine: Sequence[Sequence[float]], axis: str) -> tuple[int, float]:
    """Return along which axis of the body (0: right-left, 1: front-back, 2: foot-head) an index grows, and its sign."""
    vector = [row["xyz".index(axis)] for row in affine[:3]]
    main = max(range(3), key=lambda number: abs(vector[number]))
    return main, vector[main]


def _is_flipped(main: int, sign: float) -> bool:
    """Return whether an axis runs against the picture: LPS from left to right and top to bottom, but head up."""
    return (sign > 0) if main == 2 else (sign < 0)


# ---- pictures


def _scaled(values: NDArray[Any], view: _View) -> Bytes:
    return _resized(np.ascontiguousarray(view.turn(values)), view.size)


def _resized(pixels: NDArray[Any], size: tuple[int, int]) -> Bytes:
    """Return a picture of another size; each pixel is a mean of those it covers."""
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def _outlined(picture: Bytes, masks: Sequence[Outline], number: int, view: _View) -> Bytes:
    """Return a picture with the outlines of masks in a plane; the first mask is drawn last, over the others."""
    if not masks:
        return picture
    picture = np.repeat(picture[..., np.newaxis], 3, axis=-1) if picture.ndim == 2 else picture.copy()
    for mask in reversed(masks):
        if mask.planes[number].any():
            picture[_edge(_covered(view.turn(mask.planes[number]), view.size))] = mask.colour
    return picture


def _covered(inside: Inside, size: tuple[int, int]) -> Inside:
    """Return a mask in the pixels of a picture; a pixel is inside if any voxel below it is."""
    for axis, length in enumerate(size[::-1]):
        starts = np.arange(length) * inside.shape[axis] // length
        if length < inside.shape[axis]:
            inside = np.logical_or.reduceat(inside, starts, axis=axis)
        elif length > inside.shape[axis]:
            inside = inside.take(starts, axis=axis)
    return inside


def _edge(inside: Inside) -> Inside:
    """Return the pixels inside that have a neighbour outside, above, below, left or right."""
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside & ~core


def _jpeg(pixels: Bytes, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=0, optimize=True)
    return stream.getvalue()
