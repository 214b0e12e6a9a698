"""The grids of images that were written: where their voxels lie and where their source frames went, for masks."""

from __future__ import annotations

import json
from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from dicomzarr.arrays.zarr_reader import open_array
from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.header_values import cosines_of, vector
from dicomzarr.masks.grid import FrameKey, FramePlace, ImageGrid
from dicomzarr.records.plan import SeriesPlan
from dicomzarr.records.series_record import VolumeRecord
from dicomzarr.volumes.duplicates import OF_WRITING
from dicomzarr.volumes.file_facts import of_all_frames
from dicomzarr.volumes.frame_attributes import Defects


class WrittenImage(NamedTuple):
    """An image of the series, with the attributes of its group."""

    grid: ImageGrid
    attributes: Mapping[str, Any]


def originals(plan: SeriesPlan, copies: Collection[str], kept: Collection[str]) -> dict[str, str]:
    """Return the image that is in the dataset instead of each copy, so that a mask may refer to either.

    A copy has the place and the facts of its image. Where several images have them, such as repeated times, nothing
    is said; nor of files of several frames.

    Parameters
    ----------
    plan : SeriesPlan
    copies : collection of str
        SOP Instance UIDs of files that are duplicates of others.
    kept : collection of str
        Those of the files of the dataset.

    Returns
    -------
    dict of str to str
        SOP Instance UID of the copy to that of the image.
    """
    if not copies:
        return {}
    of_place: dict[Hashable, dict[str, set[str]]] = {}
    for row in plan.files:
        uid = row["facts"].get("SOPInstanceUID", "")
        place = _place_of(row["facts"])
        if uid and place is not None:
            of_place.setdefault(place, {}).setdefault("kept" if uid in kept else "copies", set()).add(uid)
    return {
        uid: next(iter(of["kept"]))
        for of in of_place.values()
        if len(of.get("kept", ())) == 1
        for uid in of.get("copies", set()).intersection(copies)
    }


def _place_of(facts: ImageFacts) -> Hashable:
    """Return what an image of one frame and its copies have in common, as the index has it; None without a place."""
    position, cosines = vector(facts.get("ImagePositionPatient")), cosines_of(facts.get("ImageOrientationPatient"))
    if position is None or cosines is None or facts.get("has_functional_groups") or facts.get("NumberOfFrames", 1) != 1:
        return None
    causes = of_all_frames(facts, Defects()).causes.items()
    return (
        tuple(round(value, 2) + 0.0 for value in position),
        tuple(round(value, 3) + 0.0 for value in cosines),
        tuple(map(str, facts.get("ImageType", ()))),
        frozenset(cause for cause in causes if cause[0] not in OF_WRITING),
    )


def image_of(
    plan: SeriesPlan,
    store: Path,
    volume: VolumeRecord,
    instances: Sequence[str],
    copied: Mapping[str, str] = MappingProxyType({}),
) -> WrittenImage:
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
    copied : mapping of str to str
        What `originals` returns: frames of copies are where those of their images are.
    """
    folder = store / volume.array.split("/")[1]
    attributes = json.loads((folder / "zarr.json").read_bytes())["attributes"]
    frames: dict[FrameKey, FramePlace] = {
        (instances[frame.source], frame.number): (frame.t, frame.z)
        for frame in volume.frames
        if instances[frame.source]
    }
    frames |= {(copy, 0): frames[uid, 0] for copy, uid in copied.items() if (uid, 0) in frames}
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
