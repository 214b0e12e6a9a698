"""Where the frames of a segmentation lie in one image of the dataset."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dicomzarr.masks.grid import FramePlace, ImageGrid
from dicomzarr.masks.lattice import Lattice, Place, X, Y, shifted, whole
from dicomzarr.masks.segmentation import Segmentation, SegmentFrame, Source


@dataclass(frozen=True, slots=True)
class FrameLocation:
    """Where a frame lies.

    Attributes
    ----------
    places : tuple of (tuple of int, Place)
        Of a slide: the t of the tiles at one offset, and the part of the frame that lies on them. Else one place, with
        `times`.
    times : tuple of int
        The t of the images that it refers to; empty if it refers to none.
    has_own_grid : bool
        Its pixels are not voxels of the image; there are no places.
    references_differ : bool
        The images that it refers to lie elsewhere.
    is_unknown : bool
        Neither a position nor a reference places it.
    is_turned : bool
        It begins at a corner of the image and has as many rows as that has columns, and as many columns as rows.
    """

    places: tuple[tuple[tuple[int, ...], Place], ...] = ()
    times: tuple[int, ...] = ()
    has_own_grid: bool = False
    references_differ: bool = False
    is_unknown: bool = False
    is_turned: bool = False

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


class ReferencedFrames(NamedTuple):
    """The frames of an image that a frame of a segmentation refers to: how many, and all their indices on t and z.

    An image without z has one slice, 0.
    """

    number: int
    times: tuple[int, ...]
    slices: tuple[int, ...]


class FramesOfImage:
    """Locates the frames of one segmentation in one image.

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
        self._references: dict[tuple[Source, ...], ReferencedFrames] = {}
        self.same_space = not (
            grid.frame_of_reference
            and segmentation.frame_of_reference
            and grid.frame_of_reference != segmentation.frame_of_reference
        )

    def references(self, frame: SegmentFrame) -> ReferencedFrames:
        """Return which frames of the image a frame refers to.

        Parameters
        ----------
        frame : SegmentFrame

        Returns
        -------
        ReferencedFrames
        """
        if frame.sources not in self._references:
            places: list[FramePlace] = []
            for uid, number in frame.sources:
                frames = self._by_file.get(uid, {})
                if number is None:
                    places += frames.values()
                elif number in frames:
                    places.append(frames[number])
            self._references[frame.sources] = _references_to(places)
        return self._references[frame.sources]

    def holds_instances(self) -> bool:
        """Return whether the segmentation, as a whole, refers to files of which the image has frames.

        Returns
        -------
        bool
        """
        return any(uid in self._by_file for uid in self.segmentation.instances)

    def locate(self, frame: SegmentFrame) -> FrameLocation:
        """Return where a frame lies.

        Parameters
        ----------
        frame : SegmentFrame

        Returns
        -------
        FrameLocation
        """
        references = self.references(frame)
        if self.grid.tile_offsets:
            return self._on_tiles(frame, references)
        if not (frame.has_geometry and self._lattice.is_known):
            return self._by_reference(frame, references)
        place = self._place(frame)
        # Positions in two spaces cannot be compared; where they agree with the references, they are right.
        is_certain = self.same_space or (
            place is not None and place.down + place.across == Y + X and place.fixed in references.slices
        )
        if not is_certain and references.number and place is not None and not place.is_outside:
            # Voxels of this image are where it says, but others than those that it refers to.
            return FrameLocation(times=references.times, has_own_grid=True, references_differ=True)
        if not is_certain:
            return self._by_reference(frame, references)
        differ = self._references_differ(frame, references)
        if place is None:
            return FrameLocation(times=references.times, has_own_grid=True, references_differ=differ)
        is_turned = place.is_turned((self.grid.size("z"), self.grid.size("y"), self.grid.size("x")))
        return FrameLocation(
            ((references.times, place),), references.times, references_differ=differ, is_turned=is_turned
        )

    def _place(self, frame: SegmentFrame) -> Place | None:
        key = (frame.position, frame.orientation, frame.spacing)
        if key not in self._places:
            self._places[key] = self._lattice.place(frame, *self._size)
        return self._places[key]

    def _references_differ(self, frame: SegmentFrame, references: ReferencedFrames) -> bool:
        """Return whether a frame lies farther than half a slice from all slices that it refers to."""
        if not references.number:
            return False
        depth = self._lattice.depth(frame, *self._size)
        distances = None if depth is None else np.abs(self._lattice.depths[list(references.slices)] - depth)
        return distances is not None and bool(distances.min() > self._lattice.step / 2)

    def _by_reference(self, frame: SegmentFrame, references: ReferencedFrames) -> FrameLocation:
        """Return the location of a frame that is as large as the one slice that it refers to, and may lie on it."""
        if not references.number and len(set(self.grid.frames.values())) == 1 and self.holds_instances():
            references = _references_to(list(self.grid.frames.values()))
        is_one = len(references.slices) == 1 and self._size == (self.grid.size("y"), self.grid.size("x"))
        place = self._place_on(frame, references.slices[0]) if is_one else None
        if place is not None:
            return FrameLocation(((references.times, place),), references.times)
        return FrameLocation(times=references.times, has_own_grid=frame.has_geometry, is_unknown=not frame.has_geometry)

    def _place_on(self, frame: SegmentFrame, z: int) -> Place | None:
        """Return the place of a frame that is a slice of the image; None if what it states of its geometry differs.

        What it does not state is taken from the slice. So is a position in another space, unless voxels of the image
        are there.
        """
        if not self._lattice.is_known:
            return whole(*self._size, z)
        origin, cosines, spacing = self._lattice.slice_geometry(z)
        stated = replace(
            frame,
            position=frame.position or origin,
            orientation=frame.orientation or cosines,
            spacing=frame.spacing or spacing,
        )
        place = self._place(stated)
        if not self.same_space and (place is None or place.is_outside):
            place = self._place(replace(stated, position=origin))
        is_slice = place is not None and place.down + place.across == Y + X and place.fixed == z and place.is_inside
        return place if is_slice else None

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

    def _on_tiles(self, frame: SegmentFrame, references: ReferencedFrames) -> FrameLocation:
        times = set(references.times)
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
                places.append((chosen, Place(Y, X, rows, shifted(self._size[1], frame.tile[1] - column, tile[1]), 0)))
            overlapping = {t for here in by_offset.values() for t in here}
            return FrameLocation(tuple(places), references_differ=bool(times) and not times & overlapping)
        if times and self._size == (self.grid.size("y"), self.grid.size("x")):
            return FrameLocation(((references.times, whole(*self._size, 0)),))
        return FrameLocation(has_own_grid=True)

    def _is_same_spacing(self, frame: SegmentFrame) -> bool:
        spacing = self.grid.spacing_mm
        if frame.spacing is None or "y" not in spacing or "x" not in spacing:
            return True
        return bool(np.allclose(frame.spacing, (spacing["y"], spacing["x"]), rtol=1e-3, atol=0))


def _references_to(places: Sequence[FramePlace]) -> ReferencedFrames:
    times = {t for t, _ in places if t is not None}
    return ReferencedFrames(len(places), tuple(sorted(times)), tuple(sorted({z or 0 for _, z in places})))
