"""Describe an array of frames: axes, shape, spacing, affine or positions, facts of acquisition, flags."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dicomzarr.dicom import sop_classes
from dicomzarr.dicom.facts import Vector
from dicomzarr.volumes import geometry
from dicomzarr.volumes.acquisition import constant_facts
from dicomzarr.volumes.model import IN_VOLUME, Frame, Place, Volume
from dicomzarr.volumes.slices import Slices, has_geometry


def kind_of_object(frame: Frame) -> str:
    """Return `dose` or `parametric_map` for frames of these objects, whatever their shape; empty for all others.

    Parameters
    ----------
    frame : Frame

    Returns
    -------
    str
    """
    if frame.sop_class_uid == sop_classes.RT_DOSE or frame.modality == "RTDOSE":
        return "dose"
    return "parametric_map" if frame.sop_class_uid == sop_classes.PARAMETRIC_MAP else ""


def array_of(
    grid: Sequence[Sequence[Frame]],
    discriminators: tuple[str, ...],
    kind: str,
    why: str,
    *,
    group: tuple[str, ...] = (),
    split_by: Sequence[str] = (),
    t_axis: Mapping[str, object] | None = None,
    flags: Sequence[str] = (),
) -> Volume:
    """Return the array of a full grid of frames, without the geometry of its slices.

    Parameters
    ----------
    grid : sequence of sequence of Frame
        The frames: `grid[z][t]`.
    discriminators : tuple of str
        Quantised attributes that distinguish it from others of its series.
    kind : str
        See `Volume.kind`.
    why : str
        Why these frames form one array.
    group : tuple of str
        What it shares with the other arrays of its set.
    split_by : sequence of str
        What parts it from them.
    t_axis : mapping, optional
        The attribute `t_axis`; without it the array has no axis `t`.
    flags : sequence of str
        Flags beside those of the frames.

    Returns
    -------
    Volume
    """
    first, slices, times = grid[0][0], len(grid), len(grid[0])
    on_t, on_z = t_axis is not None, slices > 1
    axes = [("t", times)] * on_t + [("c", first.samples)] * (first.samples > 1) + [("z", slices)] * on_z
    axes += [("y", first.rows), ("x", first.columns)]
    places = tuple(
        Place(grid[z][t], t if on_t else None, z if on_z else None) for t in range(times) for z in range(slices)
    )
    frames = [place.frame for place in places]
    spacing = {"y": first.pixel_spacing[0], "x": first.pixel_spacing[1]} if first.pixel_spacing else {}
    all_flags = {*flags, *(flag for frame in frames for flag in frame.flags)}
    with_rescale = sum(frame.rescale is not None for frame in frames)
    all_flags |= {"rescale_incomplete"} if 0 < with_rescale < len(frames) else set()
    all_flags |= {"bits_stored_differs"} if len({frame.bits_stored for frame in frames}) > 1 else set()
    origin = first.position if has_geometry(first) and IN_VOLUME not in all_flags else None
    return Volume(
        discriminators=discriminators,
        kind=kind,
        why=why,
        axes=tuple(name for name, _ in axes),
        shape=tuple(size for _, size in axes),
        places=places,
        spacing_mm=spacing,
        t_axis=t_axis,
        flags=tuple(sorted(all_flags)),
        origin_lps=origin,
        orientation_lps=first.orientation if origin is not None else None,
        acquisition=constant_facts(frames),
        group=group,
        split_by=tuple(sorted(set(split_by))),
    )


def with_slices(volume: Volume, slices: Slices) -> Volume:
    """Return a volume with what follows from the positions of its slices: spacing, affine or positions, and flags.

    Parameters
    ----------
    volume : Volume
        The array, with its spacing within the plane.
    slices : Slices

    Returns
    -------
    Volume
    """
    flags = set(volume.flags)
    flags |= {"gantry_tilt"} if slices.is_tilted and slices.kind != "irregular" else set()
    flags |= {"gap"} if slices.kind == "gap" else {"uneven_spacing"} if slices.kind == "uneven" else set()
    flags |= {"rounded_positions"} if slices.fit else set()
    volume = replace(volume, missing_slices=slices.missing, flags=tuple(sorted(flags)))
    if IN_VOLUME in flags:  # distances hold in these coordinates, and nothing says where the patient is in them
        depths = slices.depths if slices.kind in ("gap", "uneven", "irregular") else None
        spacing = {"z": slices.step_mm} if slices.kind == "uniform" and slices.step_mm is not None else {}
        return replace(volume, positions_mm=depths, spacing_mm={**spacing, **volume.spacing_mm})
    if slices.kind in ("gap", "uneven", "irregular"):
        points = tuple(_vector(point) for point in slices.points.tolist())
        return replace(volume, positions_mm=slices.depths, positions_lps=points if slices.is_tilted else None)
    if slices.kind == "uniform" and slices.step_mm is not None:
        spacing = {"z": slices.step_mm, **volume.spacing_mm}
        residual = round(slices.fit.residual_mm, geometry.DECIMALS) if slices.fit else None
        return replace(volume, spacing_mm=spacing, affine_lps=_affine(volume, slices), affine_residual_mm=residual)
    return volume


def _affine(volume: Volume, slices: Slices) -> geometry.Affine | None:
    """Return the affine of even slices: from the first to the last one, or of the stack beneath rounded positions."""
    first, last = volume.places[0].frame, len(slices.depths) - 1
    if not first.pixel_spacing or not first.orientation:
        return None
    if slices.fit is None:
        ends = _vector(slices.points[0].tolist()), _vector(slices.points[-1].tolist())
        return geometry.affine_lps(first.orientation, first.pixel_spacing, *ends, last + 1)
    origin, step = slices.fit.origin, slices.fit.step
    end = _vector([o + last * s for o, s in zip(origin, step, strict=True)])
    cosines = _unit(first.orientation[:3]) + _unit(first.orientation[3:])
    return geometry.affine_lps(cosines, first.pixel_spacing, origin, end, last + 1)


def _vector(values: Sequence[float]) -> Vector:
    x, y, z = values
    return (x, y, z)


def _unit(values: Sequence[float]) -> tuple[float, ...]:
    length = math.sqrt(geometry.dot(values, values))
    return tuple(value / length for value in values)
