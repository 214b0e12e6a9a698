"""Outlines of masks over the preview of a plane, as paths of an SVG drawing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.arrays.zarr_reader import open_array
from dicomzarr.stages.render_report.masks import Mask

MOST = 8  # masks that are drawn over one preview
LONGEST = 20_000  # characters of a path: the outline of noise has ten times as many
_COLOUR = "#ffffff"  # of a mask whose metadata names none


@dataclass(frozen=True, slots=True)
class Outline:
    """The outline of a mask in one plane.

    Attributes
    ----------
    name : str
        As the page calls the mask.
    colour : str
        ``#rrggbb``, that of its `image-label`, so that viewers show the same.
    path : str
        Path in pixels of the preview; empty if there is none to draw.
    note : str
        Why there is no path, else empty.
    """

    name: str
    colour: str
    path: str
    note: str = ""


def drawable(masks: Sequence[Mask]) -> list[Mask]:
    """Return the masks that can be drawn over their image: those with voxels, on the grid of the image."""
    return [mask for mask in masks if mask.voxels and mask.box and "own_grid" not in mask.flags]


def plane_of(masks: Sequence[Mask], axes: str) -> dict[str, int]:
    """Return the plane that shows most of the masks of an image: the middle of the mask that covers most slices.

    Parameters
    ----------
    masks : sequence of Mask
        As `drawable` returns them.
    axes : str
        Of the image.

    Returns
    -------
    dict
        Index on z and t, where the mask has such axes. Empty without masks.
    """
    if not masks:
        return {}
    largest = max(masks, key=lambda mask: (_depth(mask, axes), mask.voxels, mask.mask))
    return {axis: (low + high - 1) // 2 for axis, (low, high) in _ranges(largest, axes).items() if axis in "tz"}


def _depth(mask: Mask, axes: str) -> int:
    low, high = _ranges(mask, axes).get("z", (0, 1))
    return high - low


def _ranges(mask: Mask, axes: str) -> dict[str, tuple[int, int]]:
    """Return the range of a mask by axis: it has the spatial axes of its image, and t only if it changes along t."""
    spatial = "".join(axis for axis in axes if axis in "zyx")
    return dict(zip(spatial if len(mask.box) == len(spatial) else f"t{spatial}", mask.box, strict=False))


def outlines(image: Path, masks: Sequence[Mask], plane: Mapping[str, int], width: int, height: int) -> list[Outline]:
    """Return the outlines of masks in a plane.

    Parameters
    ----------
    image : Path
        Folder of the image.
    masks : sequence of Mask
        As `drawable` returns them; at most `MOST` are drawn.
    plane : mapping of str to int
        Index on z and t of the plane that is shown.
    width, height : int
        Of the preview, px.
    """
    drawn = []
    for mask in masks[:MOST]:
        folder = image / "labels" / mask.mask
        attributes = json.loads((folder / "zarr.json").read_bytes())["attributes"]
        axes = [axis["name"] for axis in attributes["ome"]["multiscales"][0]["axes"]]
        array = open_array(folder / "0")
        values = array[tuple(slice(plane[axis], plane[axis] + 1) if axis in plane else slice(None) for axis in axes)]
        half = float(attributes["dicomzarr"].get("maximum_fraction") or 1) / 2
        inside = np.asarray(values).reshape(values.shape[-2:]) > half - 1e-9
        path = path_of(_resized(inside, width, height))
        note = "" if path else "not here"
        if len(path) > LONGEST:
            path, note = "", "too fine to draw"
        drawn.append(Outline(mask.shown_name, _colour(attributes["ome"]), path, note))
    return drawn


def _colour(ome: Mapping[str, Any]) -> str:
    try:
        rgba = ome["image-label"]["colors"][0]["rgba"]
        return "#" + "".join(f"{min(255, max(0, int(value))):02x}" for value in rgba[:3])
    except (KeyError, IndexError, TypeError, ValueError):
        return _COLOUR


def _resized(inside: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    """Return a mask in the pixels of a preview; a pixel is inside if any voxel below it is."""
    for axis, size in enumerate((height, width)):
        starts = np.arange(size) * inside.shape[axis] // size
        if size < inside.shape[axis]:
            inside = np.logical_or.reduceat(inside, starts, axis=axis)
        elif size > inside.shape[axis]:
            inside = inside.take(starts, axis=axis)
    return inside


def path_of(inside: NDArray[np.bool_]) -> str:
    """Return the outline of a mask along the edges of its pixels.

    Parameters
    ----------
    inside : ndarray of bool, shape (rows, columns)

    Returns
    -------
    str
        Path of an SVG drawing in pixels: straight lines, first those along rows, then those along columns. Empty for
        an empty mask.
    """
    padded = np.pad(inside, 1)
    lines = []
    for edges, form in (
        (padded[1:, 1:-1] != padded[:-1, 1:-1], "M{start} {place}h{length}"),
        ((padded[1:-1, 1:] != padded[1:-1, :-1]).T, "M{place} {start}v{length}"),
    ):
        ends = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        places, starts = np.nonzero(ends == 1)
        stops = np.nonzero(ends == -1)[1]
        for place, start, stop in zip(places.tolist(), starts.tolist(), stops.tolist(), strict=True):
            lines.append(form.format(place=place, start=start, length=stop - start))
    return "".join(lines)
