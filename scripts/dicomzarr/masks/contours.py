"""Make a mask of the contours of a region of interest, by one rule.

A voxel belongs to the mask if its centre is inside an odd number of the contours of its slice, or on the outline of the
area that is. `planes` finds the contours of a slice, `fill` the centres inside; docs/masks.md shows both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomzarr.masks.fill import Budget, Ring, Window, fill, window_of
from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.model import MaskProblem, PlacedMask
from dicomzarr.masks.planes import TILT, SlicePlanes, slice_planes
from dicomzarr.masks.repeats import Outlines
from dicomzarr.masks.structure_set import Contour, Roi

MAX_VOXELS: Final = 1 << 31
# Contours that are as deep as each other within this share of the slice distance, or within 0.02 mm, are one plane.
_ONE_PLANE: Final = 0.01
_ONE_PLANE_MM: Final = 0.02
# The same for contours that all refer to this slice: coordinates of one decimal.
_ONE_REFERENCE: Final = 0.1
_SAMPLES: Final = 1 << 20  # lattice points of a slice by which the part outside of the image is measured

_STATED: Final = ("contours", "unused_contours", "t")  # counts that are stated even if they are zero
# Names of counts, which are flags where a contour is not used for that reason.
_UNUSED: Final = (
    "contours_between_slices",
    "contours_elsewhere",
    "contours_without_t",
    "open_contours",
    "point_contours",
    "repeated_contours",
    "tilted_contours",
    "unreadable_contours",
)
# The same of contours that are used, or are not there.
_USED: Final = ("contours_cancel", "points_differ", "references_differ", "slices_without_contour")


@dataclass(frozen=True, slots=True, eq=False)
class _Closed:
    """A closed contour parallel to the slices: its index among those of the region, depth (mm) and layer.

    `is_named`: it refers to slices of this layer alone.
    """

    index: int
    points: NDArray[np.float64]
    depth: float
    layer: int
    may_repeat: bool
    is_elsewhere: bool = False
    is_named: bool = False


@dataclass(slots=True)
class _Found:
    """What was found: why contours are not used, by index; layers without contours, and those whose contours cancel.

    `close` has the indices of contours that lie on another one.
    """

    unused: dict[int, str] = field(default_factory=dict)
    empty_layers: set[int] = field(default_factory=set)
    close: set[int] = field(default_factory=set)
    cancelled_layers: set[int] = field(default_factory=set)


def mask_of_contours(roi: Roi, grid: ImageGrid) -> PlacedMask:
    """Return the mask of a region of interest on the grid of an image.

    Parameters
    ----------
    roi : Roi
    grid : ImageGrid

    Returns
    -------
    PlacedMask
        Along the spatial axes of the image; with t in front if the image has t and its contours refer to several t, or
        if it has no z. Contours that all refer to one t hold for all of them: see decision 0070.

    Raises
    ------
    MaskProblem
        ``no_position`` if the image does not say where it lies, ``too_large`` beyond the limits on work and memory.
    """
    planes = slice_planes(grid)
    found, budget = _Found(), Budget()
    closed = [
        usable for index, contour in enumerate(roi.contours) if (usable := _closed(index, contour, planes, found))
    ]
    references = _References(roi, grid)
    closed = _here(closed, planes, found)
    closed = [replace(contour, is_named=references.is_layer(contour, planes)) for contour in closed]
    closed = _with_time(closed, references, grid, found)
    groups, only = _by_time(closed, references, grid)
    times = grid.size("t") if len(groups) > 1 else 1
    space = tuple(grid.size(axis) for axis in "zyx")
    if times * int(np.prod(space, dtype=np.float64)) > MAX_VOXELS:
        raise MaskProblem("too_large", found=times * int(np.prod(space, dtype=np.float64)), needed=MAX_VOXELS)
    values = np.zeros((times, *space), np.uint8)
    outside = 0.0
    for members, indices in groups:
        outside += _draw(members, planes, values[indices[0]], found, budget) * len(indices[:times])
        for other in indices[1:times]:
            values[other] = values[indices[0]]
    filled = int(np.count_nonzero(values))
    axes = ("t" if times > 1 else "") + grid.mask_axes
    counts = Counter({"contours": len(roi.contours) + roi.unreadable, "unreadable_contours": roi.unreadable})
    counts.update(found.unused.values())
    counts["unused_contours"] = roi.unreadable + len(found.unused)
    counts["slices_without_contour"] = len(found.empty_layers)
    counts["contours_cancel"] = len(found.cancelled_layers)
    counts["references_differ"] = references.differing(closed, planes)
    counts["points_differ"] = sum(not roi.contours[contour.index].is_as_stated for contour in closed)
    flags = {name for name in (*_UNUSED, *_USED) if counts[name]}
    flags |= {"no_t_reference"} if grid.size("t") > 1 and closed and references.is_any_timeless(closed) else set()
    flags |= {"one_t"} if only is not None else set()
    counts.update({} if only is None else {"t": only})
    flags |= {"empty_mask"} if not filled else set()
    lost = counts["unused_contours"] - counts["contours_outside"] - counts["point_contours"]
    used = counts["contours"] - counts["unused_contours"]
    flags |= {"nothing_left"} if not filled and (lost or used and not outside) else set()
    flags |= {"outside_image"} if outside or counts["contours_outside"] else set()
    return PlacedMask(
        description=roi.description,
        values=values.reshape([times if axis == "t" else grid.size(axis) for axis in axes]),
        axes=axes,
        form="CLOSED_PLANAR",
        outside=outside / (outside + filled) if outside else 0.0,
        flags=tuple(sorted(flags)),
        counts={name: counts[name] for name in sorted(counts) if counts[name] or name in _STATED},
    )


def _closed(index: int, contour: Contour, planes: SlicePlanes, found: _Found) -> _Closed | None:
    """Return a contour that encloses an area of a slice; else None, with the reason."""
    points = contour.points
    if contour.kind in ("OPEN_PLANAR", "OPEN_NONPLANAR"):
        found.unused[index] = "open_contours"
        return None
    if len(points) > 1 and np.array_equal(points[0], points[-1]):
        points = points[:-1]
    if contour.kind == "POINT" or len(points) < 3:
        found.unused[index] = "point_contours"
        return None
    depths = planes.depths_of(points)
    low, high = float(depths.min()), float(depths.max())
    layer = planes.layer_at((low + high) / 2)
    if high - low > TILT * planes.thickness(0 if layer is None else layer):
        found.unused[index] = "tilted_contours"
    elif layer is None:
        found.unused[index] = "contours_between_slices"
    else:
        may_repeat = contour.kind == "CLOSED_PLANAR"
        return _Closed(index, points, (low + high) / 2, layer, may_repeat, contour.is_elsewhere)
    return None


def _here(closed: Sequence[_Closed], planes: SlicePlanes, found: _Found) -> list[_Closed]:
    """Return the contours that do not belong to another series; note the others as not used.

    Images that are nowhere in this series may be lost ones of it where all contours that refer to such images lie
    beyond its ends. If one lies where the image has slices, they are those of another series, which may be longer.
    """
    is_overlapping = any(contour.is_elsewhere and 0 <= contour.layer < len(planes.layers) for contour in closed)
    others = {contour.index for contour in closed if contour.is_elsewhere and is_overlapping}
    found.unused.update(dict.fromkeys(others, "contours_elsewhere"))
    return [contour for contour in closed if contour.index not in others]


def _with_time(closed: Sequence[_Closed], references: _References, grid: ImageGrid, found: _Found) -> list[_Closed]:
    """Return the contours of which it is known to which t they belong, if that of others is; note the rest as not used.

    Where all others refer to one t, so does a contour without any reference.
    """
    every = grid.size("t")
    held = {contour.index: references.times(contour.index) for contour in closed}
    single = {t for only in held.values() if len(only) < every for t in only}
    if every == 1 or not single:
        return [*closed]
    is_one = len(single) == 1 and "z" in grid.axes and all(len(only) < every for only in held.values())
    lost = {index for index, only in held.items() if not only and not (is_one and references.is_silent(index))}
    found.unused.update(dict.fromkeys(lost, "contours_without_t"))
    return [contour for contour in closed if contour.index not in lost]


class _References:
    """The frames of the image that the contours of a region refer to."""

    def __init__(self, roi: Roi, grid: ImageGrid) -> None:
        self._contours = roi.contours
        self._instances: dict[str, set[tuple[int | None, int | None]]] = {}
        self._frames = grid.frames
        wanted = {uid for contour in roi.contours for uid, frame in contour.images if frame is None}
        for (uid, _), place in grid.frames.items():
            if uid in wanted:
                self._instances.setdefault(uid, set()).add(place)

    def _places(self, index: int) -> set[tuple[int | None, int | None]]:
        """Return the indices on t and z of the frames that a contour refers to; empty if it refers to none of them."""
        places: set[tuple[int | None, int | None]] = set()
        for uid, frame in self._contours[index].images:
            if frame is None:
                places |= self._instances.get(uid, set())
            elif (uid, frame) in self._frames:
                places.add(self._frames[uid, frame])
        return places

    def times(self, index: int) -> frozenset[int]:
        """Return the indices on t for which a contour holds; empty for all of them."""
        return frozenset(t for t, _ in self._places(index) if t is not None)

    def is_silent(self, index: int) -> bool:
        """Return whether a contour refers to no image at all, also not to one that is not here."""
        return not self._contours[index].images

    def is_any_timeless(self, closed: Sequence[_Closed]) -> bool:
        """Return whether a contour refers to no t."""
        return any(not self.times(contour.index) for contour in closed)

    def is_layer(self, contour: _Closed, planes: SlicePlanes) -> bool:
        """Return whether a contour refers to slices of the layer that it belongs to, and to no other."""
        slices = {z or 0 for _, z in self._places(contour.index)}
        return 0 <= contour.layer < len(planes.layers) and bool(slices) and slices <= set(planes.layers[contour.layer])

    def differing(self, closed: Sequence[_Closed], planes: SlicePlanes) -> int:
        """Return the number of contours that refer to slices of the image, but lie in another one."""
        count = 0
        for contour in closed:
            slices = {z or 0 for _, z in self._places(contour.index)}
            inside = 0 <= contour.layer < len(planes.layers)
            count += bool(slices) and not (inside and slices & set(planes.layers[contour.layer]))
        return count


def _by_time(
    closed: Sequence[_Closed], references: _References, grid: ImageGrid
) -> tuple[list[tuple[list[_Closed], list[int]]], int | None]:
    """Return the contours of each t, with the indices on t that have the same ones; and the only t, if it is one."""
    every = grid.size("t")
    held = [references.times(contour.index) for contour in closed]
    single = {t for only in held if len(only) < every for t in only}
    if every == 1 or not single:
        return [(list(closed), list(range(every)))], None
    if len(single) == 1 and "z" in grid.axes and all(len(only) < every for only in held):
        return [(list(closed), list(range(every)))], single.pop()
    groups: dict[tuple[int, ...], list[int]] = {}
    for t in range(every):
        groups.setdefault(tuple(n for n, only in enumerate(held) if not only or t in only), []).append(t)
    return [([closed[n] for n in members], indices) for members, indices in groups.items()], None


def _draw(
    closed: Sequence[_Closed], planes: SlicePlanes, values: NDArray[np.uint8], found: _Found, budget: Budget
) -> float:
    """Fill the contours of one t into an array of zeros along z, y and x; return the voxels outside of the image."""
    outside = 0.0
    layers: dict[int, list[_Closed]] = {}
    for contour in closed:
        layers.setdefault(contour.layer, []).append(contour)
    whole = Window(0, values.shape[1], 0, values.shape[2])
    inner = sorted(layer for layer in layers if 0 <= layer < len(planes.layers))
    if inner:
        found.empty_layers |= set(range(inner[0], inner[-1])) - set(inner)
    for layer, members in sorted(layers.items()):
        is_inside = 0 <= layer < len(planes.layers)
        reason = "contours_between_slices" if is_inside else "contours_outside"
        chosen = list(_nearest_plane(members, planes, found, reason, budget))
        if not is_inside:
            found.unused.update((contour.index, "contours_outside") for contour in chosen)
            rings = _rings(chosen, planes, planes.origin_of(layer))
            outside += _outside(rings, Window(0, 0, 0, 0), budget)
            continue
        for z in planes.layers[layer]:
            rings = _rings(chosen, planes, planes.origins[z])
            reached = _united(rings)
            part = reached.cut(whole)
            if part.size:
                lines, columns = slice(part.top, part.bottom), slice(part.left, part.right)
                values[z, lines, columns] = fill(rings, part, budget)
                doubtful = [ring for one, ring in zip(chosen, rings, strict=True) if one.index in found.close]
                doubtful = doubtful if values[z].any() else rings
                if len(rings) > 1 and any(fill([ring], part, budget).any() for ring in doubtful):
                    found.cancelled_layers.add(layer)
            if part != reached and reached.size:
                outside += _outside(rings, whole, budget)
    return outside


def _nearest_plane(
    members: Sequence[_Closed], planes: SlicePlanes, found: _Found, reason: str, budget: Budget
) -> Iterator[_Closed]:
    """Yield the contours of the plane nearest to a slice, each once; note the others as not used."""
    layer = members[0].layer
    center = planes.depth_of(layer)
    nearest = min(members, key=lambda contour: (abs(contour.depth - center), contour.depth))
    tolerances = {
        is_named: max(_ONE_PLANE_MM, share * planes.thickness(layer))
        for is_named, share in ((False, _ONE_PLANE), (True, _ONE_REFERENCE))
    }
    voxel = np.array([1 / float(np.linalg.norm(step)) for step in (planes.to_column, planes.to_row)])
    outlines = Outlines(float(voxel.min()), budget)
    for contour in members:
        if abs(contour.depth - nearest.depth) > tolerances[contour.is_named and nearest.is_named]:
            found.unused[contour.index] = reason
            continue
        if contour.may_repeat and len(members) > 1:
            # Seen along the normal: the second one may lie a little above the first.
            comparison = outlines.compare(planes.in_voxels(contour.points, planes.origins[0]) * voxel)
            if comparison == "repeated":
                found.unused[contour.index] = "repeated_contours"
                continue
            if comparison == "close":
                found.close.add(contour.index)
        yield contour


def _rings(closed: Sequence[_Closed], planes: SlicePlanes, origin: NDArray[np.float64]) -> list[Ring]:
    return [planes.in_voxels(contour.points, origin) for contour in closed]


def _united(rings: Sequence[Ring]) -> Window:
    """Return the smallest window that has all lattice points which may lie inside of the polygons."""
    windows = [window_of(ring) for ring in rings]
    return Window(
        min(window.top for window in windows),
        max(window.bottom for window in windows),
        min(window.left for window in windows),
        max(window.right for window in windows),
    )


def _outside(rings: Sequence[Ring], image: Window, budget: Budget) -> float:
    """Return how many voxels polygons would fill outside of the image; of large ones, an estimate by every n-th."""
    if not rings:
        return 0.0
    reached = _united(rings)
    window = reached
    while window.size > _SAMPLES:
        window = window._replace(step=window.step + max(1, window.step // 2))
    filled = fill(rings, window, budget)
    rows = np.arange(window.top, window.bottom, window.step)
    columns = np.arange(window.left, window.right, window.step)
    in_rows = (rows >= image.top) & (rows < image.bottom)
    in_columns = (columns >= image.left) & (columns < image.right)
    filled &= ~(in_rows[:, None] & in_columns[None, :])
    return float(np.count_nonzero(filled)) * reached.size / max(1, window.size)
