"""Where the frames of a segmentation lie in one image of the dataset."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dicomzarr.masks.grid import FramePlace, ImageGrid
from dicomzarr.masks.lattice import Lattice, Place, shifted, whole
from dicomzarr.masks.segmentation import Segmentation, SegmentFrame


@dataclass(frozen=True, slots=True)
class Found:
    """Where a frame lies.

    Attributes
    ----------
    places : tuple of (tuple of int, Place)
        Of a slide: the t of the tiles at one offset, and the part of the frame that lies on them. Else one place, with
        `times`.
    times : tuple of int
        The t of the images that it refers to; empty if it names none.
    has_own_grid : bool
        Its pixels are not voxels of the image; there are no places.
    references_differ : bool
        The images that it refers to lie elsewhere.
    is_unknown : bool
        Nothing says where it lies.
    """

    places: tuple[tuple[tuple[int, ...], Place], ...] = ()
    times: tuple[int, ...] = ()
    has_own_grid: bool = False
    references_differ: bool = False
    is_unknown: bool = False

    @property
    def is_outside(self) -> bool:
        """Whether it lies on the grid of the image, but no pixel of it in the image."""
        return not (self.has_own_grid or self.is_unknown) and all(place.is_outside for _, place in self.places)

    @property
    def touches(self) -> bool:
        """Whether pixels of it are voxels of the image."""
        return any(not place.is_outside for _, place in self.places)

    @property
    def is_inside(self) -> bool:
        """Whether all of its pixels are voxels of the image."""
        if len(self.places) == 1:
            return self.places[0][1].is_inside
        return bool(self.places) and bool(np.any([place.covered() for _, place in self.places], axis=0).all())


class FramesOfImage:
    """Finds frames of one segmentation in one image.

    Parameters
    ----------
    segmentation : Segmentation
    grid : ImageGrid
    """

    def __init__(self, segmentation: Segmentation, grid: ImageGrid) -> None:
        self.segmentation, self.grid = segmentation, grid
        self._size = (segmentation.rows, segmentation.columns)
        self._by_file: dict[str, dict[int, FramePlace]] = {}
        for (uid, number), place in grid.frames.items():
            self._by_file.setdefault(uid, {})[number] = place
        self._lattice = Lattice(grid)
        self._places: dict[Hashable, Place | None] = {}
        self.same_space = not (
            grid.frame_of_reference
            and segmentation.frame_of_reference
            and grid.frame_of_reference != segmentation.frame_of_reference
        )

    def named(self, frame: SegmentFrame) -> list[FramePlace]:
        """Return t and z of the frames of the image that a frame refers to.

        Parameters
        ----------
        frame : SegmentFrame

        Returns
        -------
        list of (int or None, int or None)
        """
        found: list[FramePlace] = []
        for uid, number in frame.sources:
            frames = self._by_file.get(uid, {})
            if number is None:
                found += frames.values()
            elif number in frames:
                found.append(frames[number])
        return found

    def holds_instances(self) -> bool:
        """Return whether the segmentation, as a whole, refers to files of which the image has frames.

        Returns
        -------
        bool
        """
        return any(uid in self._by_file for uid in self.segmentation.instances)

    def find(self, frame: SegmentFrame) -> Found:
        """Return where a frame lies.

        Parameters
        ----------
        frame : SegmentFrame

        Returns
        -------
        Found
        """
        named = self.named(frame)
        if self.grid.tile_offsets:
            return self._on_tiles(frame, named)
        times = tuple(sorted({t for t, _ in named if t is not None}))
        if not (frame.has_geometry and self._lattice.is_known):
            return self._by_reference(frame, named, times)
        place = self._place(frame)
        if not self.same_space:
            # Positions in two spaces cannot be compared; where they agree with the references, they are right.
            agrees = place is not None and place.fixed in {z or 0 for _, z in named} and place.down + place.across == 3
            if not agrees:
                return self._by_reference(frame, named, times)
        differ = self._differ(frame, named)
        if place is None:
            return Found(times=times, has_own_grid=True, references_differ=differ)
        return Found(((times, place),), times, references_differ=differ)

    def _place(self, frame: SegmentFrame) -> Place | None:
        key = (frame.position, frame.orientation, frame.spacing)
        if key not in self._places:
            self._places[key] = self._lattice.place(frame, *self._size)
        return self._places[key]

    def _differ(self, frame: SegmentFrame, named: Sequence[FramePlace]) -> bool:
        """Return whether a frame lies farther than half a slice from all slices that it refers to."""
        if not named:
            return False
        depth = self._lattice.depth(frame, *self._size)
        depths = self._lattice.depths[sorted({z or 0 for _, z in named})]
        return depth is not None and bool(np.min(np.abs(depths - depth)) > self._lattice.step / 2)

    def _by_reference(self, frame: SegmentFrame, named: Sequence[FramePlace], times: tuple[int, ...]) -> Found:
        """Return the place of a frame that is as large as the slice that it refers to."""
        if not named and len(self.grid.frames) == 1 and self.holds_instances():
            named = list(self.grid.frames.values())
        slices = {z or 0 for _, z in named}
        if len(slices) == 1 and self._size == (self.grid.size("y"), self.grid.size("x")):
            return Found(((times, whole(*self._size, slices.pop())),), times)
        return Found(times=times, has_own_grid=True) if frame.has_geometry else Found(is_unknown=True)

    # ------------------------------------------------------------------------------------------------------- slides

    @cached_property
    def _offsets(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.asarray(self.grid.tile_offsets, np.int64).reshape(-1, 2)

    @cached_property
    def _is_same_matrix(self) -> bool:
        """Whether the total pixel matrices of segmentation and slide are of one size."""
        total = self.segmentation.total_matrix
        if total is None or not self.same_space:
            return False
        last = self._offsets.max(axis=0)
        tile = (self.grid.size("y"), self.grid.size("x"))
        return all(last[axis] < total[axis] <= last[axis] + tile[axis] for axis in (0, 1))

    def _on_tiles(self, frame: SegmentFrame, named: Sequence[FramePlace]) -> Found:
        times = {t for t, _ in named if t is not None}
        if frame.tile is not None and self._is_same_matrix and self._is_same_spacing(frame):
            tile = (self.grid.size("y"), self.grid.size("x"))
            overlaps = [
                (self._offsets[:, axis] < frame.tile[axis] + self._size[axis])
                & (self._offsets[:, axis] + tile[axis] > frame.tile[axis])
                for axis in (0, 1)
            ]
            by_offset: dict[tuple[int, int], list[int]] = {}
            for t in np.flatnonzero(overlaps[0] & overlaps[1]).tolist():
                row, column = self._offsets[t].tolist()
                by_offset.setdefault((row, column), []).append(t)
            places = []
            for (row, column), here in by_offset.items():
                # Several focal planes or optical paths: those that the frame refers to, or all.
                chosen = tuple(t for t in here if t in times) or tuple(here)
                rows = shifted(self._size[0], frame.tile[0] - row, tile[0])
                places.append((chosen, Place(1, 2, rows, shifted(self._size[1], frame.tile[1] - column, tile[1]), 0)))
            overlapping = {t for here in by_offset.values() for t in here}
            return Found(tuple(places), references_differ=bool(times) and not times & overlapping)
        if times and self._size == (self.grid.size("y"), self.grid.size("x")):
            return Found(((tuple(sorted(times)), whole(*self._size, 0)),))
        return Found(has_own_grid=True)

    def _is_same_spacing(self, frame: SegmentFrame) -> bool:
        spacing = self.grid.spacing_mm
        if frame.spacing is None or "y" not in spacing or "x" not in spacing:
            return True
        return bool(np.allclose(frame.spacing, (spacing["y"], spacing["x"]), rtol=1e-3, atol=0))
