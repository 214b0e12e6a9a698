"""OME-Zarr 0.5 metadata of a volume, built from numbers and closed vocabularies only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.arrays import levels, shard_writer
from dicomzarr.arrays.omero import SeenValues, omero
from dicomzarr.system import json_files
from dicomzarr.volumes.model import Frame, Volume

TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
ALIGNED = 1 - 1e-6  # cosine between an axis and the body's: about a twelfth of a degree
DIRECTIONS = (
    ("right-to-left", "left-to-right"),
    ("anterior-to-posterior", "posterior-to-anterior"),
    ("inferior-to-superior", "superior-to-inferior"),
)
# Causes of `t` that are time, and what divides their values to give seconds. An echo or inversion time is a setting.
TIMES = {
    **dict.fromkeys(("frame_time_s", "frame_reference_time_s", "acquisition_time_s", "reference_time_s"), 1.0),
    **dict.fromkeys(("content_time_s", "temporal_offset_s"), 1.0),
    "trigger_time_ms": 1000.0,
}
# Causes of `t` that number the times beside them.
NUMBERS = frozenset({"temporal_position", "acquisition_number", "frame_acquisition_number", "instance_number", "frame"})
MANY = 512  # entries; longer lists are stored as a small array beside the image, not in its attributes


def axes(volume: Volume) -> list[dict[str, Any]]:
    """Return the OME-Zarr axes; a unit only where the spacing is known.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    list of dict
        One per axis of the array, in its order.

    References
    ----------
    OME-Zarr 0.5, `axes`; RFC-4, `orientation`.
    """
    described = []
    for name in volume.axes:
        axis: dict[str, Any] = {"name": name, "type": TYPES[name]}
        if name in volume.spacing_mm:
            axis["unit"] = "millimeter"
        elif name == "t" and time_step(volume) is not None:
            axis["unit"] = "second"
        direction = anatomical(volume, name)
        described.append(axis | ({"orientation": {"type": "anatomical", "value": direction}} if direction else {}))
    return described


def anatomical(volume: Volume, axis: str) -> str | None:
    """Return the anatomical direction in which an index of an axis grows.

    Parameters
    ----------
    volume : Volume
    axis : str
        Name of an axis of the array.

    Returns
    -------
    str or None
        One of `DIRECTIONS`; None if the axis is not spatial, or not aligned with the axes of the body.

    References
    ----------
    OME-Zarr RFC-4. LPS: the first coordinate grows to the left, the second to posterior, the third to superior
    (PS3.3 C.7.6.2.1.1).
    """
    column = {"x": 0, "y": 1, "z": 2}.get(axis)
    if volume.affine_lps is None or column is None:
        return None
    vector = np.array([row[column] for row in volume.affine_lps[:3]], float)
    length = float(np.linalg.norm(vector))
    main = int(np.argmax(np.abs(vector)))
    if not length or abs(vector[main]) / length < ALIGNED:
        return None
    return DIRECTIONS[main][0 if vector[main] > 0 else 1]


def time_step(volume: Volume) -> float | None:
    """Return the time from one index of `t` to the next.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    float or None
        Seconds; None if `t` is not time alone, or its steps differ by more than a thousandth. Numbers of the times may
        stand beside them; several times must have one step.
    """
    axis = volume.t_axis or {}
    means, values = axis.get("means"), axis.get("values")
    if not isinstance(means, (list, tuple)) or not isinstance(values, (list, tuple)) or len(values) < 2:
        return None
    if not set(means) <= TIMES.keys() | NUMBERS:
        return None
    columns = np.array(values, float).reshape(len(values), len(means)).T  # null is NaN
    steps = [np.diff(column) / TIMES[name] for name, column in zip(means, columns, strict=True) if name in TIMES]
    step = float(np.mean(steps[0])) if steps else 0.0
    return step if step > 0 and bool(np.all(np.abs(np.array(steps) - step) <= 1e-3 * step)) else None


def scale(volume: Volume) -> list[float]:
    """Return the OME-Zarr `scale` transformation of an array.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    list of float
        By axis of the array: mm or s where known, else 1 without a unit.
    """
    steps = dict(volume.spacing_mm)
    step = time_step(volume)
    if step is not None:
        steps["t"] = step
    return [float(steps.get(name, 1.0)) for name in volume.axes]


def pairs(values: Sequence[tuple[float, float] | None]) -> Any:
    """Reduce a pair of numbers of each frame to one pair if all frames have the same.

    Parameters
    ----------
    values : sequence of tuple of 2 float, or None
        One per frame, in array order.

    Returns
    -------
    list or None
        The common pair; else a pair for each frame, of two None where it has none; None if no frame has one.
    """
    if all(value is None for value in values):
        return None
    listed = [[None, None] if value is None else list(value) for value in values]
    return listed[0] if all(value == listed[0] for value in listed) else listed


def facts(volume: Volume, pixel_facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `dicomzarr` attributes of a volume.

    Parameters
    ----------
    volume : Volume
    pixel_facts : mapping
        Attributes known from decoding: modality, photometric, photometric_source, bits_allocated, bits_stored,
        transfer_syntax, decoder, lossy, and palette where there is one. Text values come from closed vocabularies.

    Returns
    -------
    dict
        JSON values; see docs/outputs.md. Unknown attributes are left out.
    """
    frames = [place.frame for place in volume.places]
    attributes: dict[str, Any] = dict(pixel_facts)
    attributes["kind"] = volume.kind
    attributes["flags"] = list(volume.flags)
    optional = {
        "acquisition": dict(volume.acquisition) or None,
        "group": volume.group_id or None,
        "split_by": list(volume.split_by) or None,
        "rescale": pairs([frame.rescale for frame in frames]),
        "real_world_value": pairs([frame.real_world for frame in frames]),
        "window": pairs([frame.window[0] if frame.window else None for frame in frames]),
        "window_function": _window_function(frames),
        "affine_lps": [list(row) for row in volume.affine_lps] if volume.affine_lps else None,
        "origin_lps": list(volume.origin_lps) if volume.origin_lps else None,
        "orientation_lps": list(volume.orientation_lps) if volume.orientation_lps else None,
        "affine_residual_mm": volume.affine_residual_mm,
        "positions_mm": list(volume.positions_mm) if volume.positions_mm else None,
        "positions_lps": [list(point) for point in volume.positions_lps] if volume.positions_lps else None,
        "spacing_source": frames[0].spacing_source or None,
        "unreadable_numbers": sorted({name for frame in frames for name in frame.unreadable_numbers}) or None,
        "t_axis": dict(volume.t_axis) if volume.t_axis else None,
        "missing_slices": volume.missing_slices or None,
        "mosaic": _mosaic(frames) if "mosaic" in volume.flags else None,
        "one_file": _one_file(frames),
    }
    attributes.update({key: value for key, value in optional.items() if value is not None})
    return attributes


def _window_function(frames: Sequence[Frame]) -> Any:
    """Return the function of the windows, or one for each frame where they differ; None if all are linear."""
    functions = [(frame.window_function or "LINEAR") if frame.window else None for frame in frames]
    known = {function for function in functions if function}
    if known <= {"LINEAR"}:
        return None
    return functions if len(known) > 1 else known.pop()


def _one_file(frames: Sequence[Frame]) -> Any:
    """Return True if the frames are all those of one multi-frame file in stored order; else their numbers, or None."""
    numbers = [frame.number for frame in frames]
    if len(frames) < 2 or len(frames) != frames[0].frames_in_file or len({frame.source for frame in frames}) > 1:
        return None
    return numbers == sorted(numbers) or numbers


def _mosaic(frames: Sequence[Frame]) -> Any:
    """Return the properties of the tiles that all frames share, or True if they share none."""
    first = frames[0].mosaic or {}
    return {key: v for key, v in first.items() if all((f.mosaic or {}).get(key) == v for f in frames)} or True


def _write_long_lists(folder: Path, attributes: dict[str, Any]) -> shard_writer.Digests:
    """Move long lists of numbers into small arrays beside the image; the attribute then names the array."""
    digests: shard_writer.Digests = {}
    lists = ("rescale", "real_world_value", "window", "positions_mm", "positions_lps", "one_file")
    holders = [(attributes, key) for key in lists]
    if "t_axis" in attributes:
        holders.append((attributes["t_axis"], "values"))
    for table in ("palette", "modality_lut"):
        if table in attributes:
            holders += [(attributes[table], key) for key in ("red", "green", "blue", "values")]
    for holder, key in holders:
        values = holder.get(key)
        if not isinstance(values, list) or len(values) <= MANY:
            continue
        name = _array_name(attributes, holder, key)
        array = _array_of(values)
        for path, size_and_digest in shard_writer.write_small_array(folder / name, array, _names(array.ndim)).items():
            digests[f"{name}/{path}"] = size_and_digest
        holder[key] = {"array": name}
    return digests


def _array_of(values: list[Any]) -> NDArray[Any]:
    """Return a list of numbers, or of lists of numbers, as an array; NaN in place of None."""
    rows = [value if isinstance(value, list) else [value] for value in values]
    if not any(None in row for row in rows):
        return np.asarray(values)
    array = np.array([[math.nan if number is None else number for number in row] for row in rows], np.float64)
    return array if isinstance(values[0], list) else array[:, 0]


def _array_name(attributes: Mapping[str, Any], holder: Mapping[str, Any], key: str) -> str:
    """Return the name of the array beside the image that receives the list `key` of `holder`."""
    for table, name in (("palette", f"palette_{key}"), ("modality_lut", "modality_lut"), ("t_axis", "t_values")):
        if holder is attributes.get(table):
            return name
    return key


def _names(dimensions: int) -> list[str]:
    return ["index", "component"][:dimensions]


def write_image_group(
    folder: Path,
    volume: Volume,
    pixel_facts: Mapping[str, Any],
    *,
    name: str = "",
    seen: SeenValues | None = None,
    coarser: Sequence[str] = (),
) -> shard_writer.Digests:
    """Write the `zarr.json` of an image group, and long lists as small arrays beside it.

    Parameters
    ----------
    folder : Path
        The group's folder, which exists.
    volume : Volume
    pixel_facts : mapping
        See `facts`.
    name : str
        Of the array, ``<series_id>/<volume_id>``.
    seen : SeenValues, optional
        The values of the array, for `omero`.
    coarser : sequence of str
        The coarser levels, as from `levels.coarser_levels`.

    Returns
    -------
    dict
        Size in bytes and SHA-256 of each file written, by its path below the volume.

    References
    ----------
    OME-Zarr 0.5, `multiscales` and `omero`.
    """
    attributes = facts(volume, pixel_facts)
    digests = _write_long_lists(folder, attributes)
    multiscale = {
        **({"name": name} if name else {}),
        "axes": axes(volume),
        "datasets": levels.datasets(volume.axes, scale(volume), coarser),
        **levels.method(coarser),
    }
    ome = {"version": "0.5", "multiscales": [multiscale], "omero": omero(volume, pixel_facts, seen)}
    metadata = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, "dicomzarr": attributes}}
    digests["zarr.json"] = shard_writer.write_file(folder / "zarr.json", json_files.canonical_json(metadata))
    return digests
