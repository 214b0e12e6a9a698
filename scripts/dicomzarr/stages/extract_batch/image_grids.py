"""The grids of images that were written: where their voxels lie and where their source frames went, for masks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dicomzarr.arrays.zarr_reader import open_array
from dicomzarr.masks.grid import FrameKey, FramePlace, ImageGrid
from dicomzarr.records.plan import SeriesPlan
from dicomzarr.records.series_record import VolumeRecord


class WrittenImage(NamedTuple):
    """An image of the series, with the attributes of its group."""

    grid: ImageGrid
    attributes: Mapping[str, Any]


def image_of(plan: SeriesPlan, store: Path, volume: VolumeRecord, instances: Sequence[str]) -> WrittenImage:
    """Return an image that was written, with its grid.

    Parameters
    ----------
    plan : SeriesPlan
        Of its series.
    store : Path
        Folder of the series with the image.
    volume : VolumeRecord
        The image.
    instances : sequence of str
        SOP Instance UID (0008,0018) of each file of the series, in the order to which `FrameRow.source` refers.
    """
    folder = store / volume.array.split("/")[1]
    attributes = json.loads((folder / "zarr.json").read_bytes())["attributes"]
    frames: dict[FrameKey, FramePlace] = {
        (instances[frame.source], frame.number): (frame.t, frame.z)
        for frame in volume.frames
        if instances[frame.source]
    }
    stated: dict[str, set[str]] = {}
    for row in plan.files:
        facts_of_file = row["facts"]
        frame_of_reference = facts_of_file.get("FrameOfReferenceUID", "")
        stated.setdefault(facts_of_file.get("SOPInstanceUID", ""), set()).add(frame_of_reference)
    spaces = set[str]().union(*(stated[instances[source]] for source in {frame.source for frame in volume.frames}))
    facts = attributes["dicomzarr"]
    origins, across, down = _places(folder, facts, volume)
    grid = ImageGrid(
        array=volume.array,
        axes=volume.axes,
        shape=volume.shape,
        spacing_mm=volume.spacing_mm,
        frame_of_reference=spaces.pop() if len(spaces) == 1 else "",
        origins=origins,
        across=across,
        down=down,
        frames=frames,
        tile_offsets=_tile_offsets(folder, facts),
        residual_mm=float(facts.get("affine_residual_mm") or 0.0),
    )
    return WrittenImage(grid, attributes)


_Step = tuple[float, float, float]


def _places(
    folder: Path, facts: Mapping[str, Any], volume: VolumeRecord
) -> tuple[np.ndarray[Any, Any] | None, _Step, _Step]:
    """Return the first voxel of each slice, and the steps along a row and along a column; see `ImageGrid`."""
    none: _Step = (0.0, 0.0, 0.0)
    slices = dict(zip(volume.axes, volume.shape, strict=True)).get("z", 1)
    if "affine_lps" in facts:
        affine = np.array(facts["affine_lps"], float)
        origins = affine[:3, 3] + np.arange(slices)[:, np.newaxis] * affine[:3, 2]
        return origins, _step(affine[:3, 0]), _step(affine[:3, 1])
    if "origin_lps" not in facts or "orientation_lps" not in facts or not {"x", "y"} <= volume.spacing_mm.keys():
        return None, none, none
    cosines = np.array(facts["orientation_lps"], float)
    across, down = cosines[:3] * volume.spacing_mm["x"], cosines[3:] * volume.spacing_mm["y"]
    if (points := _numbers(folder, facts, "positions_lps")) is not None:
        origins = points.reshape(-1, 3)
    elif (depths := _numbers(folder, facts, "positions_mm")) is not None:
        normal = np.cross(cosines[:3], cosines[3:])
        origins = np.array(facts["origin_lps"], float) + (depths - depths[0])[:, np.newaxis] * normal
    else:
        origins = np.array([facts["origin_lps"]], float)
    return (origins, _step(across), _step(down)) if len(origins) == slices else (None, none, none)


def _tile_offsets(folder: Path, facts: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """Return the row and column of the first pixel of each tile, for a whole slide image alone."""
    axis = facts.get("t_axis", {})
    means = axis.get("means", [])
    if not {"row_offset", "column_offset"} <= set(means):
        return ()
    rows = _numbers(folder, axis, "values")
    if rows is None or not np.isfinite(rows).all():
        return ()
    columns = [means.index("row_offset"), means.index("column_offset")]
    return tuple((int(row), int(column)) for row, column in rows.reshape(len(rows), -1)[:, columns].tolist())


def _step(vector: np.ndarray[Any, Any]) -> _Step:
    x, y, z = vector.tolist()
    return (x, y, z)


def _numbers(folder: Path, facts: Mapping[str, Any], name: str) -> np.ndarray[Any, Any] | None:
    """Return a list of numbers of an image's attributes, which may lie in an array beside the image."""
    values = facts.get(name)
    if isinstance(values, dict):
        values = open_array(folder / values["array"])[...]  # type: ignore[index]
    return None if values is None else np.asarray(values, float)
