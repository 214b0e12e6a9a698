"""Which image of a series each region of a structure set belongs to."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from dicomzarr.masks.extent import is_within
from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.model import MaskProblem
from dicomzarr.masks.planes import TILT, SlicePlanes, slice_planes
from dicomzarr.masks.structure_set import Contour, Roi, StructureSet


def regions_by_grid(
    structures: StructureSet, grids: Sequence[ImageGrid], instances: Collection[str] = ()
) -> Iterator[tuple[Roi, ImageGrid | str]]:
    """Yield each region with its image, or with the code of a problem; a region with contours on two images twice.

    Contours belong to the image that holds the frame they refer to; of several such images, to those on whose slices
    they lie. Those that refer to no frame of these images belong to the image of the other contours of their region, or
    to the only image in their frame of reference that has slices parallel to them, or on whose slices they all lie. A
    contour, or a whole region, that refers to images elsewhere alone belongs to another series if the structure set has
    a contour that refers to this one, or lists images of both: the contour is marked, the region not placed. Nor is a
    region without contours if no other one was drawn here, and one of its frame of reference on another series.

    Parameters
    ----------
    structures : StructureSet
    grids : sequence of ImageGrid
        The images of a series.
    instances : collection of str
        SOP Instance UIDs of all files of the series, also of those whose frames are in no image: copies, and files that
        could not be read.

    Yields
    ------
    roi : Roi
        With the contours of that image alone.
    grid : ImageGrid or str
        ``ambiguous_volume`` if several images may be meant, ``no_position`` if none has a position in space,
        ``other_space`` if the region lies in another frame of reference, ``no_image`` if it was drawn on another
        series; its own problem.
    """
    located = [grid for grid in grids if grid.origins is not None]
    references = _References(structures, located, instances)
    drawn = {
        number: [*_images_of(roi, located, references)] for number, roi in enumerate(structures.rois) if roi.contours
    }
    # Where nothing was drawn, the image was examined on which the other regions were drawn.
    references.used.update(grid.array for found in drawn.values() for _, grid in found if not isinstance(grid, str))
    for number, roi in enumerate(structures.rois):
        yield from drawn[number] if number in drawn else _images_of(roi, located, references)


def _images_of(
    roi: Roi, located: Sequence[ImageGrid], references: _References
) -> Iterator[tuple[Roi, ImageGrid | str]]:
    """Yield a region with its images, or with the code of a problem."""
    if roi.problem:
        yield roi, roi.problem
        return
    if not roi.contours and roi.frame_of_reference in references.spaces_elsewhere and not references.used:
        yield roi, "no_image"
        return
    parts, unassigned = references.by_array(roi)
    if unassigned or not roi.contours:
        near = [grid for grid in located if _may_share_space(roi, grid)]
        if len(near) > 1 and not parts:
            fits = [
                grid
                for grid in near
                if _is_parallel(unassigned, grid) and (roi.contours or grid.array in references.used)
            ]
            near = fits or near
        if len(near) > 1 and not parts and roi.contours:
            holding = [grid for grid in near if any(references.lies_on(contour, grid) for contour in unassigned)]
            is_only = len(holding) == 1 and all(references.lies_on(contour, holding[0]) for contour in unassigned)
            near = holding if is_only else near
        only = next(iter(parts), None) if len(parts) == 1 else near[0].array if len(near) == 1 else None
        referring = [contour for contour in unassigned if contour.images]
        all_elsewhere = bool(referring) and all(contour.is_elsewhere for contour in referring)
        if located and not parts and (all_elsewhere or not near):
            yield roi, "no_image" if all_elsewhere else "other_space"
            return
        if only is None:
            yield roi, "ambiguous_volume" if located else "no_position"
            if not parts:
                return
        else:
            parts.setdefault(only, []).extend(unassigned)
    for grid in located:
        if grid.array in parts:
            yield dataclasses.replace(roi, contours=tuple(parts[grid.array])), grid


class _References:
    """The images of a series that contours refer to.

    Parameters
    ----------
    structures : StructureSet
    located : sequence of ImageGrid
        Images with a position.
    instances : collection of str
        As for `regions_by_grid`.

    Attributes
    ----------
    used : set of str
        Arrays that any contour refers to, and those on which other regions were placed.
    spaces_elsewhere : set of str
        Frames of reference of regions with contours that belong to other series.
    """

    def __init__(self, structures: StructureSet, located: Sequence[ImageGrid], instances: Collection[str]) -> None:
        self._located = located
        self._planes: dict[str, SlicePlanes | None] = {}
        self._by_frame = {frame: grid.array for grid in located for frame in grid.frames}
        self._by_instance: dict[str, set[str]] = {}
        for (uid, _), array in self._by_frame.items():
            self._by_instance.setdefault(uid, set()).add(array)
        self._here = {*instances, *self._by_instance}
        contours = [contour for roi in structures.rois for contour in roi.contours]
        self.used = {array for contour in contours for array in self._arrays_of(contour)}
        self._is_series_named = any(uid in self._here for contour in contours for uid, _ in contour.images)
        own = frozenset[str]().union(*(listed for listed in structures.series if not listed.isdisjoint(self._here)))
        self._of_others = frozenset[str]().union(*structures.series) - own if own else frozenset[str]()
        self.spaces_elsewhere = {
            roi.frame_of_reference for roi in structures.rois if any(map(self._is_elsewhere, roi.contours))
        }

    def _arrays_of(self, contour: Contour) -> set[str]:
        arrays = set[str]()
        for uid, number in contour.images:
            arrays |= self._by_instance.get(uid, set()) if number is None else {self._by_frame.get((uid, number), "")}
        return arrays - {""}

    def _is_elsewhere(self, contour: Contour) -> bool:
        refers_elsewhere = bool(contour.images) and all(uid not in self._here for uid, _ in contour.images)
        is_listed = all(uid in self._of_others for uid, _ in contour.images)
        return refers_elsewhere and (self._is_series_named or is_listed)

    def lies_on(self, contour: Contour, grid: ImageGrid) -> bool:
        """Return whether a contour lies on a slice of an image."""
        if grid.array not in self._planes:
            try:
                self._planes[grid.array] = slice_planes(grid)
            except MaskProblem:
                self._planes[grid.array] = None
        planes = self._planes[grid.array]
        if planes is None:
            return False
        depths = planes.depths_of(contour.points)
        layer = planes.layer_at(float(depths.min() + depths.max()) / 2)
        is_inside = layer is not None and 0 <= layer < len(planes.layers)
        return is_inside and float(np.ptp(depths)) <= TILT * planes.thickness(layer or 0)

    def by_array(self, roi: Roi) -> tuple[dict[str, list[Contour]], list[Contour]]:
        """Return the contours of a region by the array that each refers to, and those that refer to none.

        A contour that refers to several is on those on whose slices it lies; without such slices it refers to none.
        """
        parts: dict[str, list[Contour]] = {}
        unassigned: list[Contour] = []
        for contour in roi.contours:
            arrays = self._arrays_of(contour)
            if len(arrays) > 1:
                arrays = {grid.array for grid in self._located if grid.array in arrays and self.lies_on(contour, grid)}
            for array in sorted(arrays):
                parts.setdefault(array, []).append(contour)
            if not arrays:
                unassigned.append(dataclasses.replace(contour, is_elsewhere=self._is_elsewhere(contour)))
        return parts, unassigned


def check_within(placed: Sequence[tuple[Roi, ImageGrid | str]], thickness_mm: float = 0.0) -> None:
    """Check that all contours lie within their image: a file that names no image is placed where it is contained.

    Parameters
    ----------
    placed : sequence of (Roi, ImageGrid or str)
        As `regions_by_grid` yields them.
    thickness_mm : float
        Slice Thickness (0018,0050) of the image, where it is known.

    Raises
    ------
    MaskProblem
        ``no_image`` if a contour lies outside, farther than rounding explains.
    """
    planes = {grid.array: slice_planes(grid) for _, grid in placed if not isinstance(grid, str)}
    within = [
        _is_within(contour, grid, planes[grid.array], thickness_mm)
        for roi, grid in placed
        if not isinstance(grid, str)
        for contour in roi.contours
    ]
    if not all(within):
        raise MaskProblem("no_image", found=sum(within), needed=len(within))


def _is_within(contour: Contour, grid: ImageGrid, planes: SlicePlanes, thickness_mm: float) -> bool:
    depths = planes.depths_of(contour.points)
    low = min(planes.bounds[0], planes.depths[0] - thickness_mm / 2)
    high = max(planes.bounds[-1], planes.depths[-1] + thickness_mm / 2)
    layer = int(np.abs(np.asarray(planes.depths) - depths.mean()).argmin())
    steps = np.linalg.norm([grid.across, grid.down], axis=1)  # mm
    first = (planes.in_voxels(contour.points, planes.origin_of(layer)) + 0.5) * steps
    size = np.array([grid.size("x"), grid.size("y")]) * steps
    extent = ((*first.min(axis=0), depths.min()), (*first.max(axis=0), depths.max()))
    return is_within(extent, (0.0, 0.0, low), (*size, high))


def _is_parallel(contours: Sequence[Contour], grid: ImageGrid) -> bool:
    """Return whether contours lie in planes parallel to the slices of an image, such as not to those of a scout."""
    try:
        planes = slice_planes(grid)
    except MaskProblem:
        return False
    return all(planes.tilt_of(contour.points) <= TILT * planes.thickness(0) for contour in contours)


def _may_share_space(roi: Roi, grid: ImageGrid) -> bool:
    """Return whether nothing says that a region and an image have different frames of reference."""
    return (
        not roi.frame_of_reference or not grid.frame_of_reference or roi.frame_of_reference == grid.frame_of_reference
    )
