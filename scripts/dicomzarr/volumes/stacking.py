"""Stack the frames of a series into volumes: which frames form one array, in what order, with what geometry.

A series is not a volume. Single images in patient space are grouped by orientation, matrix, sample type, spacing and
kind of image, and stacked by position along the normal. Several frames at one position become the axis `t` if the
header distinguishes them. Each multi-frame file is treated separately. Frames that cannot be placed become arrays of
their own and are flagged; nothing is guessed. Every frame ends in exactly one place, and no array has holes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dicom import sop_classes
from dicomzarr.dicom.facts import Cosines, Vector
from dicomzarr.volumes import geometry
from dicomzarr.volumes.image_type import KindOfImage, kind_of_image
from dicomzarr.volumes.model import Frame, Place, Volume
from dicomzarr.volumes.t_axis import FullGrid, GridWithHoles, Key, axis_values, sort_along_t

# Cosines that differ by at most this are the same orientation: 0.02 mm at 100 mm from the origin.
ORIENTATION_TOLERANCE: Final = 2e-4
# Pixel spacings with at most this relative difference are the same.
PIXEL_SPACING_TOLERANCE: Final = 1e-4
# Largest distance of slice origins from their common line, in pixels, or in mm where the pixel spacing is unknown.
IN_PLANE_PIXELS: Final = 0.01
IN_PLANE_MM: Final = 0.01

# Projections: never stacked, even where the header gives a position (PS3.3 C.8.1, C.8.7, C.8.11).
PROJECTIONS: Final = frozenset(
    {"CR", "DX", "MG", "PX", "IO", "XA", "RF", "RG", "ES", "XC", "GM", "OP", "DG", "TG", "RTIMAGE"}
)
CINE: Final = frozenset({"US", "IVUS", "XA", "RF", "ES", "XC", "GM", "OP", "ECG", "BMD"})


def lay_out(frames: Sequence[Frame], *, tolerance: float = geometry.SPACING_TOLERANCE) -> list[Volume]:
    """Arrange the frames of one series into volumes.

    Parameters
    ----------
    frames : sequence of Frame
        All frames of one series of one patient, in any order.
    tolerance : float
        Largest departure of slices from a regular grid, relative to their spacing.

    Returns
    -------
    list of Volume
        Every frame has exactly one place; the result does not depend on the order of `frames`.
    """
    ordered = sorted(frames, key=_identity)
    files: dict[int, list[Frame]] = {}
    stackable: list[Frame] = []
    single: list[Frame] = []
    for frame in ordered:
        if frame.frames_in_file > 1 or _is_segmentation(frame) or "row_offset" in frame.causes:
            files.setdefault(frame.source, []).append(frame)
        elif _has_geometry(frame) and frame.modality not in PROJECTIONS:
            stackable.append(frame)
        else:
            single.append(frame)
    volumes = [_single(frame) for frame in single]
    volumes += _stacks(stackable, (), tolerance)
    for members in files.values():
        volumes += _of_file(members, tolerance)
    volumes = _with_unique_discriminators(volumes)
    placed = Counter(id(place.frame) for volume in volumes for place in volume.places)
    if placed != Counter(map(id, ordered)):
        raise AssertionError("lay_out lost or duplicated a frame")  # a defect of this module, never of the data
    return sorted(volumes, key=lambda volume: volume.discriminators)


def _identity(frame: Frame) -> tuple[str, str, int, int]:
    """Return the sort key of a frame: the data alone; the index of the file decides between equal files only."""
    return (frame.sop_instance_uid, frame.content, frame.number, frame.source)


def _has_geometry(frame: Frame) -> bool:
    return frame.position is not None and geometry.is_plane(frame.orientation)


def _is_segmentation(frame: Frame) -> bool:
    return frame.modality == "SEG" or frame.sop_class_uid in sop_classes.SEGMENTATIONS


def _kind_of_object(frame: Frame) -> str:
    """Return `dose` or `parametric_map` for frames of these objects, whatever their shape; empty for all others."""
    if frame.sop_class_uid == sop_classes.RT_DOSE or frame.modality == "RTDOSE":
        return "dose"
    return "parametric_map" if frame.sop_class_uid == sop_classes.PARAMETRIC_MAP else ""


def _name_of(frame: Frame) -> str:
    return f"instance={frame.sop_instance_uid or frame.content}"


# ------------------------------------------------------------------------------------------- one file, one image


def _single(frame: Frame) -> Volume:
    """Return the array of a single image that is not stacked."""
    projection = "a projection" if frame.modality in PROJECTIONS else "an image without orientation and position"
    kind = _kind_of_object(frame) or "image"
    return _volume([[frame]], (_name_of(frame),), kind, f"{projection}, by itself")


def _of_file(frames: list[Frame], tolerance: float) -> list[Volume]:
    """Return the arrays of one multi-frame file."""
    first, name = frames[0], (_name_of(frames[0]),)
    count = len(frames)
    if all("row_offset" in frame.causes for frame in frames):
        means = [key for key in _TILE_MEANS if all(key in frame.causes for frame in frames)]
        values = [tuple(frame.causes[key] for key in means) for frame in frames]
        return [_on_t(frames, name, "tiles", means, values, f"{count} tiles of one whole slide image, as stored")]
    if _is_segmentation(first):
        return [_segmentation(frames, name)]
    if all(_has_geometry(frame) for frame in frames):
        return _stacks(frames, name, tolerance)
    flags = ("unplaced_tiles",) if first.modality == "SM" else ()
    kind = "tiles" if flags else "cine" if first.modality in CINE or "frame_time_s" in first.causes else "frames"
    kind = _kind_of_object(first) or kind
    means = ["frame_time_s"] if all("frame_time_s" in frame.causes for frame in frames) else ["frame"]
    values = [(frame.causes["frame_time_s"] if means == ["frame_time_s"] else frame.number,) for frame in frames]
    why = f"{count} frames of one file without positions, in stored order"
    return [_on_t(frames, name, kind, means, values, why, flags)]


_TILE_MEANS: Final = ("segment_number", "row_offset", "column_offset", "focal_plane", "optical_path")


def _segmentation(frames: list[Frame], name: tuple[str, ...]) -> Volume:
    """Return a segmentation as stored, each frame with its segment and its depth along its own normal."""
    means = []
    columns: list[list[float]] = []
    if all("segment_number" in frame.causes for frame in frames):
        means.append("segment_number")
        columns.append([frame.causes["segment_number"] for frame in frames])
    if all(_has_geometry(frame) for frame in frames):
        means.append("position_mm")
        columns.append([_depth(frame) for frame in frames])
    if not means:
        means.append("frame")
        columns.append([float(frame.number) for frame in frames])
    values = list(zip(*columns, strict=True))
    why = f"{len(frames)} frames of one segmentation, in stored order"
    if "segment_number" in means:
        why += f", of {_count(len(set(columns[0])), 'segment')}"
    return _on_t(frames, name, "segmentation", means, values, why)


def _depth(frame: Frame) -> float:
    if frame.orientation is None or frame.position is None:
        raise ValueError("a frame without geometry has no depth")
    return round(geometry.dot(frame.position, _normal(frame.orientation)), 6) + 0.0


@lru_cache(maxsize=4096)
def _normal(orientation: Cosines) -> Vector:
    """Return the unit normal, for depths only: 0.0 and -0.0 share a cache entry, so the sign of a zero may vary."""
    return geometry.slice_normal(orientation)


def _on_t(
    frames: list[Frame],
    discriminators: tuple[str, ...],
    kind: str,
    means: list[str],
    values: Sequence[Key],
    why: str,
    flags: Sequence[str] = (),
) -> Volume:
    volume = _volume([frames], discriminators, kind, why, t_axis=axis_values(means, values), flags=flags)
    return replace(volume, origin_lps=None, orientation_lps=None)


# --------------------------------------------------------------------------------------------------------- stacks


@dataclass(frozen=True, slots=True)
class _Group:
    """Frames that may form one stack: same kind, matrix, samples, orientation and pixel spacing."""

    frames: list[Frame]
    discriminators: tuple[str, ...]
    kind: KindOfImage


def _stacks(frames: list[Frame], prefix: tuple[str, ...], tolerance: float) -> list[Volume]:
    """Group frames with geometry and stack each group."""
    if not frames:
        return []
    orientations = geometry.cluster([frame.orientation or () for frame in frames], ORIENTATION_TOLERANCE)
    # Relative differences of spacings are absolute differences of their logarithms.
    sized = [frame.pixel_spacing for frame in frames if frame.pixel_spacing]
    logs = [tuple(float(x) for x in np.log(pair)) for pair in sorted(set(sized))]
    size_of = dict(zip(sorted(set(sized)), geometry.cluster(logs, PIXEL_SPACING_TOLERANCE), strict=True))
    members: dict[tuple[object, ...], list[Frame]] = {}
    kinds: dict[tuple[object, ...], KindOfImage] = {}
    for frame, orientation in zip(frames, orientations, strict=True):
        size = size_of[frame.pixel_spacing] if frame.pixel_spacing else -1
        kind = kind_of_image(frame.image_type, frame.sop_class_uid)
        array = (frame.rows, frame.columns, frame.samples, frame.dtype, frame.photometric)
        key: tuple[object, ...] = (orientation, size, kind, *array, frame.causes.get("stack", -1.0))
        members.setdefault(key, []).append(frame)
        kinds[key] = kind
    differences = _differences(list(members))
    volumes = []
    for key, group in members.items():
        facts = (*prefix, *_facts(group[0], kinds[key]))
        for volume in _stack(_Group(group, facts, kinds[key]), tolerance):
            volumes.append(replace(volume, why=volume.why + differences))
    return volumes


_CRITERIA: Final = (
    ("orientation", (0,)),
    ("pixel spacing", (1,)),
    ("kind of image", (2,)),
    ("matrix size", (3, 4)),
    ("sample layout", (5, 6, 7)),
    ("stack of the file", (8,)),
)


def _differences(keys: list[tuple[object, ...]]) -> str:
    """Return the criteria in which the groups of a series differ: fixed words with numbers."""
    counts = [(words, len({tuple(key[i] for i in which) for key in keys})) for words, which in _CRITERIA]
    differing = [_count(number, words) for words, number in counts if number > 1]
    return f"; apart from other frames of the series by {', '.join(differing)}" if differing else ""


def _facts(frame: Frame, kind: KindOfImage) -> tuple[str, ...]:
    """Return the quantised attributes that the frames of a group share, read from the first frame."""
    facts = [
        f"matrix={frame.rows}x{frame.columns}x{frame.samples}",
        f"dtype={frame.dtype}",
        f"photometric={frame.photometric}",
        f"kind={'/'.join(kind)}",
        "orientation=" + ",".join(f"{round(c, 3) + 0.0:.3f}" for c in frame.orientation or ()),
    ]
    if frame.pixel_spacing:
        facts.append("spacing=" + ",".join(f"{x:.4g}" for x in frame.pixel_spacing))
    if "stack" in frame.causes:
        facts.append(f"stack={frame.causes['stack']:g}")
    return tuple(facts)


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Frames by depth, with their coordinates along rows, columns and normal, mm."""

    frames: list[Frame]
    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    depths: NDArray[np.float64]


def _sorted(frames: list[Frame]) -> _Sorted:
    points = np.array([frame.position for frame in frames], dtype=np.float64)
    orientation = frames[0].orientation or ()
    order = geometry.stack_order(points, orientation)
    points = points[order.indices]
    return _Sorted(
        [frames[i] for i in order.indices.tolist()],
        geometry.along(points, orientation[:3]),
        geometry.along(points, orientation[3:]),
        order.depths,
    )


def _stack(group: _Group, tolerance: float) -> list[Volume]:
    """Stack frames of one orientation; if their origins do not lie on one line, split them by origin first."""
    ordered = _sorted(group.frames)
    spacing = group.frames[0].pixel_spacing
    near = max(IN_PLANE_PIXELS * min(spacing), geometry.SAME_POSITION_MM) if spacing else IN_PLANE_MM
    shear = geometry.shear(ordered.rows, ordered.columns, ordered.depths, near)
    if shear is None:
        origins = list(zip(ordered.rows.tolist(), ordered.columns.tolist(), strict=True))
        numbers = geometry.cluster(origins, near)
        if len(set(numbers)) > 1:
            return _by_origin(group, ordered, numbers, origins, tolerance)
        shear = geometry.Shear((0.0, 0.0), 0.0)
    cells: list[list[Frame]] = []
    last = float("-inf")
    for frame, depth in zip(ordered.frames, ordered.depths.tolist(), strict=True):
        if depth - last > geometry.SAME_POSITION_MM:
            cells.append([])
        cells[-1].append(frame)
        last = depth
    cells = [sorted(cell, key=_identity) for cell in cells]
    if group.kind.mosaic:
        return [
            volume
            for cell in cells
            for volume in _cells([cell], (*group.discriminators, *_where(cell, cells)), group, 0.0, tolerance)
        ]
    return _cells(cells, group.discriminators, group, shear.angle_deg, tolerance)


def _where(cell: list[Frame], cells: list[list[Frame]]) -> tuple[str, ...]:
    return (f"depth={_depth(cell[0]):.2f}",) if len(cells) > 1 else ()


def _by_origin(
    group: _Group, ordered: _Sorted, numbers: list[int], origins: list[tuple[float, float]], tolerance: float
) -> list[Volume]:
    """Split frames whose origins lie on no common line by their origin within the plane."""
    parts: dict[int, list[Frame]] = {}
    origin: dict[int, tuple[float, float]] = {}
    for frame, number, where in zip(ordered.frames, numbers, origins, strict=True):
        parts.setdefault(number, []).append(frame)
        origin.setdefault(number, where)
    split_reason = f"; {len(parts)} origins within the plane lie on no common line"
    # Stacks side by side have many slices per origin. If most origins occur once, the positions are inconsistent.
    extra_flags = ("ambiguous_stack",) if 2 * len(parts) > len(ordered.frames) else ()
    volumes = []
    for number, frames in parts.items():
        place = ",".join(f"{round(x, 2) + 0.0:.2f}" for x in origin[number])
        part = _Group(sorted(frames, key=_identity), (*group.discriminators, f"origin={place}"), group.kind)
        for volume in _stack(part, tolerance):
            flags = tuple(sorted({*volume.flags, *extra_flags}))
            volumes.append(replace(volume, why=volume.why + split_reason, flags=flags))
    return volumes


def _cells(
    cells: list[list[Frame]], discriminators: tuple[str, ...], group: _Group, tilt: float, tolerance: float
) -> list[Volume]:
    """Return the arrays of a stack from its frames by position."""
    most = max(len(cell) for cell in cells)
    if most == 1:
        return [_slab(cells, discriminators, group, tilt, tolerance)]
    grid = sort_along_t(cells)
    if isinstance(grid, FullGrid):
        flags = ("t_order_only",) if grid.weak else ()
        each = "distinguished" if len(cells) == 1 else f"{most} at each position, distinguished"
        how = f", {each} by {' x '.join(grid.means)}"
        axis = axis_values(grid.means, grid.values)
        return [_slab(grid.grid, discriminators, group, tilt, tolerance, how, axis, flags)]
    if isinstance(grid, GridWithHoles):
        return _incomplete(grid, discriminators, group, tilt, tolerance)
    if len(cells) == 1:
        axis = axis_values(["unexplained"], [(float(i),) for i in range(most)])
        how = ", which nothing in the header distinguishes"
        return [_slab(cells, discriminators, group, tilt, tolerance, how, axis, ("ambiguous_stack",))]
    frames = [frame for cell in cells for frame in cell]
    how = f": one of {len(frames)} at {_count(len(cells), 'position')}, which nothing in the header distinguishes"
    return [
        _slab([[frame]], (*discriminators, _frame_name(frame)), group, 0.0, tolerance, how, None, ("ambiguous_stack",))
        for frame in frames
    ]


def _frame_name(frame: Frame) -> str:
    return f"{_name_of(frame)}#{frame.number}"


def _incomplete(
    grid: GridWithHoles, discriminators: tuple[str, ...], group: _Group, tilt: float, tolerance: float
) -> list[Volume]:
    """Return one array for each value of a grid with holes."""
    flags = ("incomplete_grid", "t_order_only") if grid.weak else ("incomplete_grid",)
    how = f": one of {len(grid.parts)} values of {' x '.join(grid.means)} that do not fill a grid"
    volumes = []
    for key, frames in grid.parts.items():
        label = tuple(f"{name}={value:g}" for name, value in zip(grid.means, key, strict=True))
        cells = [[frame] for frame in _sorted(sorted(frames, key=_identity)).frames]
        volumes.append(_slab(cells, (*discriminators, *label), group, tilt, tolerance, how, None, flags))
    return volumes


def _slab(
    grid: list[list[Frame]],
    discriminators: tuple[str, ...],
    group: _Group,
    tilt: float,
    tolerance: float,
    how: str = "",
    t_axis: Mapping[str, object] | None = None,
    flags: Sequence[str] = (),
) -> Volume:
    """Return the array of a full grid of frames, `grid[z][t]`, with its geometry."""
    first, last, slices, times = grid[0][0], grid[-1][0], len(grid), len(grid[0])
    depths = [_depth(row[0]) for row in grid]
    regular = geometry.regularity(depths, tolerance)
    all_flags = set(flags)
    all_flags |= {"gantry_tilt"} if slices > 1 and tilt > geometry.TILT_FLOOR_DEG else set()
    all_flags |= {"gap"} if regular.kind == "gap" else {"uneven_spacing"} if regular.kind == "uneven" else set()
    all_flags |= {"mosaic"} if group.kind.mosaic else set()
    where = {
        "single": "at one position",
        "uniform": f"at {slices} positions {_mm(regular.step)} mm apart",
        "gap": f"at {slices} positions in steps of {_mm(regular.step)} mm with {regular.missing} missing",
        "uneven": f"at {slices} positions unevenly apart",
    }[regular.kind]
    kind = "volume" if slices > 1 else "frames" if times > 1 else "image"
    kind = "mosaic" if group.kind.mosaic else _kind_of_object(first) or kind
    affine = None
    if regular.kind == "uniform" and first.pixel_spacing and first.orientation and first.position and last.position:
        affine = geometry.affine_lps(first.orientation, first.pixel_spacing, first.position, last.position, slices)
    volume = _volume(
        grid,
        discriminators,
        kind,
        f"{_count(slices * times, 'frame')} {where}{how}",
        step=regular.step if regular.kind == "uniform" else None,
        t_axis=t_axis,
        flags=sorted(all_flags),
    )
    return replace(
        volume,
        # Image Position (Patient) of a mosaic belongs to the sheet, not to a slice; `mosaic` places the tiles.
        origin_lps=None if group.kind.mosaic else volume.origin_lps,
        affine_lps=affine,
        positions_mm=tuple(depths) if regular.kind in ("gap", "uneven") else None,
        missing_slices=regular.missing,
    )


def _volume(
    grid: list[list[Frame]],
    discriminators: tuple[str, ...],
    kind: str,
    why: str,
    *,
    step: float | None = None,
    t_axis: Mapping[str, object] | None = None,
    flags: Sequence[str] = (),
) -> Volume:
    """Return the array of a full grid of frames, `grid[z][t]`."""
    first, slices, times = grid[0][0], len(grid), len(grid[0])
    on_t, on_z = t_axis is not None, slices > 1
    axes = [("t", times)] * on_t + [("c", first.samples)] * (first.samples > 1) + [("z", slices)] * on_z
    axes += [("y", first.rows), ("x", first.columns)]
    places = tuple(
        Place(grid[z][t], t if on_t else None, z if on_z else None) for t in range(times) for z in range(slices)
    )
    spacing = {"z": step} if step is not None else {}
    if first.pixel_spacing:
        spacing |= {"y": first.pixel_spacing[0], "x": first.pixel_spacing[1]}
    origin: Vector | None = first.position if _has_geometry(first) else None
    return Volume(
        discriminators=discriminators,
        kind=kind,
        why=why,
        axes=tuple(name for name, _ in axes),
        shape=tuple(size for _, size in axes),
        places=places,
        spacing_mm=spacing,
        t_axis=t_axis,
        flags=tuple(sorted({*flags, *(flag for row in grid for frame in row for flag in frame.flags)})),
        origin_lps=origin,
        orientation_lps=first.orientation if origin is not None else None,
    )


def _with_unique_discriminators(volumes: list[Volume]) -> list[Volume]:
    """Add to equal discriminators the name of the first frame, and a number if they are still equal."""
    for name in (lambda v: _frame_name(min((p.frame for p in v.places), key=_identity)), None):
        shared = {key for key, number in Counter(v.discriminators for v in volumes).items() if number > 1}
        if not shared:
            return volumes
        copies: Counter[tuple[str, ...]] = Counter()
        unique = []
        for volume in volumes:
            key = volume.discriminators
            if key in shared:
                copies[key] += 1
                volume = replace(volume, discriminators=(*key, name(volume) if name else f"copy={copies[key]}"))
            unique.append(volume)
        volumes = unique
    return volumes


def _mm(value: float | None) -> str:
    return "?" if value is None else f"{value:.6g}"


def _count(number: int, words: str) -> str:
    plural = words + ("es" if words.endswith("x") else "s")
    return f"{number} {words if number == 1 else plural}"
