"""Place the segments of a segmentation on the voxels of their images, bit for bit; nothing is resampled.

The rules are in docs/masks.md, the reasons in decision 0070.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomzarr.masks.belonging import belongs_to, plane_of
from dicomzarr.masks.frame_places import FrameLocation
from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.lattice import Place
from dicomzarr.masks.model import Description, Elsewhere, MaskProblem, PlacedMask
from dicomzarr.masks.own_grid import OwnGrid, own_grid_of
from dicomzarr.masks.segmentation import MAX_SEGMENTS, Segmentation

# Voxels of one mask, which is held in memory: 2 GiB.
MAX_VOXELS: Final = 1 << 31
# Compressed frames of a label map that are kept, bytes: its frames are read once for all segments if they fit.
_KEPT: Final = 128 << 20

ReadFrame = Callable[[int], NDArray[Any]]


def masks_of_segmentation(
    segmentation: Segmentation,
    grids: Sequence[ImageGrid],
    read_frame: ReadFrame,
    *,
    by_frame_of_reference: bool = False,
    instances: Mapping[str, bool] = {},
) -> Iterator[tuple[ImageGrid, PlacedMask] | Elsewhere]:
    """Yield the masks of a segmentation, by image, then by segment; one is held in memory at a time.

    A segment has one mask on each image to which frames of it belong, a second one where some of its frames lie on
    another grid. A segment that no frame names has an empty mask on each image that any frame belongs to, unless frames
    name a segment of which nothing is said: it may be this one. A segment all of whose frames belong to another series
    has none; where some of them do, the mask counts them.

    Parameters
    ----------
    segmentation : Segmentation
    grids : sequence of ImageGrid
        Images that may be meant, such as the arrays of one series.
    read_frame : callable
        Returns the stored values of a frame, by its 0-based number: shape (rows, columns), integers.
    by_frame_of_reference : bool
        The file refers to none of the images; see `belongs_to`.
    instances : mapping of str to bool
        SOP Instance UIDs of the series; see `belongs_to`.

    Yields
    ------
    (ImageGrid, PlacedMask) or Elsewhere
        Segments without a mask come last.

    Raises
    ------
    MaskProblem
        Before the first mask: ``no_image``, ``ambiguous_volume`` or ``no_position``; ``too_large``, if there are too
        many segments. With a mask: ``too_large``; ``invalid_attribute``, if a frame has another shape, or values that
        its form cannot have.
    """
    members = belongs_to(segmentation, grids, by_frame_of_reference=by_frame_of_reference, instances=instances)
    frames = _Frames(segmentation, read_frame)
    by_segment: dict[int, list[int]] = {}
    for index in range(len(segmentation.frames)):
        for number in frames.segments_of(index):
            by_segment.setdefault(number, []).append(index)
        if len(by_segment) > MAX_SEGMENTS:
            raise MaskProblem("too_large", found=len(by_segment), needed=MAX_SEGMENTS)
    described = {segment.number: segment for segment in segmentation.segments}
    described |= {number: Description("SEG", number) for number in by_segment.keys() - described.keys()}
    if len(described) > MAX_SEGMENTS:
        raise MaskProblem("too_large", found=len(described), needed=MAX_SEGMENTS)
    has_unknown = any(described[number] == Description("SEG", number) for number in by_segment)
    here_or_there = frozenset[int]().union(*members)
    elsewhere = {number: sum(i not in here_or_there for i in indices) for number, indices in by_segment.items()}
    for grid, locations in zip(grids, members, strict=True):
        if not locations:
            continue
        image = _Image(segmentation, grid, locations, frames)
        for number in sorted(described):
            indices = by_segment.get(number, [])
            here = [index for index in indices if index in locations]
            # A segment without a frame in one part of a concatenation may have frames in another.
            if here or not (indices or segmentation.part or has_unknown):
                for mask in image.masks(described[number], here):
                    flags = {"by_frame_of_reference"} if by_frame_of_reference else set()
                    counts = {"frames_elsewhere": elsewhere[number]} if elsewhere.get(number) else {}
                    flags |= counts.keys()
                    flags = flags.union(mask.flags)
                    counts = {**mask.counts, **counts}
                    yield (
                        grid,
                        replace(mask, flags=tuple(sorted(flags)), counts=counts, part=segmentation.part),
                    )
    for number in sorted(described):
        if number in by_segment:
            if elsewhere[number] == len(by_segment[number]):
                yield Elsewhere(described[number])
        elif has_unknown or segmentation.part:
            yield Elsewhere(described[number], is_drawn=segmentation.part is None)


class _Frames:
    """Frames as masks of segments, each decoded once where memory allows.

    Parameters
    ----------
    segmentation : Segmentation
    read_frame : callable
    """

    def __init__(self, segmentation: Segmentation, read_frame: ReadFrame) -> None:
        self._segmentation, self._read_frame = segmentation, read_frame
        self._kept: dict[int, bytes] = {}
        self._size = 0

    def _read(self, index: int) -> NDArray[Any]:
        pixels = np.asarray(self._read_frame(index))
        size = (self._segmentation.rows, self._segmentation.columns)
        if pixels.shape != size or pixels.dtype.kind not in "uib":
            raise MaskProblem("invalid_attribute")
        return pixels

    def segments_of(self, index: int) -> list[int]:
        """Return the segments of which a frame may have pixels; those of a label map are found in its pixels."""
        segment = self._segmentation.frames[index].segment
        if segment is not None:
            return [segment]
        pixels = self._read(index)
        if pixels.min() < 0 or pixels.max() > 0xFFFF:
            raise MaskProblem("invalid_attribute")
        pixels = pixels.astype(np.uint8 if pixels.max() < 256 else np.uint16)
        if self._size < _KEPT:
            # Large areas of one number: a hundredth of the size, in a millisecond.
            self._kept[index] = bytes([pixels.itemsize]) + zlib.compress(pixels.tobytes(), 1)
            self._size += len(self._kept[index])
        numbers: list[int] = np.flatnonzero(np.bincount(pixels.ravel())).tolist()
        return [number for number in numbers if number not in self._segmentation.background]

    def mask(self, index: int, number: int) -> NDArray[np.uint8]:
        """Return the part of a frame that belongs to a segment."""
        form = self._segmentation.form
        if form == "LABELMAP":
            return np.asarray(self._label_map(index) == number, np.uint8)
        pixels = self._read(index)
        if form == "BINARY":
            return np.asarray(pixels != 0, np.uint8)
        if pixels.min() < 0 or pixels.max() > 255:
            raise MaskProblem("invalid_attribute", found=int(pixels.max()), needed=255)
        return np.asarray(pixels, np.uint8)

    def _label_map(self, index: int) -> NDArray[Any]:
        kept = self._kept.get(index)
        if kept is None:
            return self._read(index)
        size = (self._segmentation.rows, self._segmentation.columns)
        return np.frombuffer(zlib.decompress(kept[1:]), np.uint8 if kept[0] == 1 else np.uint16).reshape(size)


@dataclass(frozen=True, slots=True)
class _Times:
    """Where the frames of a segment lie on t.

    Attributes
    ----------
    has_axis : bool
    flags : frozenset of str
    only : int, optional
        The one t that all frames refer to, where the mask has no t.
    lost : frozenset of int
        Frames that refer to no t while others refer to several: they are not drawn.
    """

    has_axis: bool = False
    flags: frozenset[str] = frozenset()
    only: int | None = None
    lost: frozenset[int] = frozenset()


class _Image:
    """The masks of one segmentation on one image.

    Parameters
    ----------
    segmentation : Segmentation
    grid : ImageGrid
    locations : mapping of int to FrameLocation
        The frames that belong to the image.
    frames : _Frames
    """

    def __init__(
        self, segmentation: Segmentation, grid: ImageGrid, locations: Mapping[int, FrameLocation], frames: _Frames
    ) -> None:
        self._segmentation, self._grid, self._locations, self._frames = segmentation, grid, locations, frames
        self._shape = (grid.size("z"), grid.size("y"), grid.size("x"))
        self._own: dict[Hashable, OwnGrid] = {}

    def masks(self, segment: Description, indices: Sequence[int]) -> Iterator[PlacedMask]:
        """Yield the masks of a segment: one, and one more for each stack of its frames that lies on another grid."""
        stacks: dict[Hashable, list[int]] = {}
        for index in indices:
            stacks.setdefault(plane_of(self._segmentation.frames[index]), []).append(index)
        own = [plane for plane, stack in stacks.items() if self._is_own(stack)]
        on_image = sorted(index for plane, stack in stacks.items() if plane not in own for index in stack)
        if on_image or not own:
            yield self._on_image(segment, on_image)
        for plane in own:
            yield self._on_own_grid(segment, stacks[plane], plane)

    def _is_own(self, stack: Sequence[int]) -> bool:
        """Return whether frames are kept on their own grid: one lies on another, or all lie outside of the image."""
        locations = [self._locations[index] for index in stack]
        return any(place.has_own_grid for place in locations) or all(place.is_outside for place in locations)

    def _times(self, indices: Sequence[int], *, is_own: bool) -> _Times:
        """Return whether a mask has the axis t; see decision 0070."""
        if self._grid.tile_offsets:
            return _Times(has_axis=not is_own)
        if "t" not in self._grid.axes or not indices:
            return _Times()
        every = self._grid.size("t")
        of_frames = [self._locations[index].times for index in indices]
        flags = frozenset() if all(of_frames) else frozenset({"no_t_reference"})
        single = {t for times in of_frames if len(times) < every for t in times}
        if not single:
            return _Times(flags=flags)
        if len(single) == 1 and "z" in self._grid.axes and all(len(times) < every for times in of_frames):
            return _Times(flags=flags | {"one_t"}, only=single.pop())
        lost = frozenset(index for index in indices if not self._locations[index].times)
        return _Times(has_axis=True, flags=frozenset({"frames_without_t"} if lost else ()), lost=lost)

    def _on_image(self, segment: Description, indices: Sequence[int]) -> PlacedMask:
        times = self._times(indices, is_own=False)
        axes = "".join(axis for axis in self._grid.axes if axis in ("tzyx" if times.has_axis else "zyx"))
        targets = [(index, self._locations[index].places) for index in indices if index not in times.lost]
        mask = self._painted(segment, targets, self._shape, times, axes)
        return mask if "z" in axes else replace(mask, values=mask.values[..., 0, :, :])

    def _on_own_grid(self, segment: Description, indices: Sequence[int], plane: Hashable) -> PlacedMask:
        if plane not in self._own:
            stack = [index for index in self._locations if plane_of(self._segmentation.frames[index]) == plane]
            self._own[plane] = own_grid_of(self._segmentation, stack)
        grid = self._own[plane]
        times = self._times(indices, is_own=True)
        times = times if grid.has_depth else _Times()
        axes = ("t" if times.has_axis else "") + ("zyx" if grid.has_depth else "tyx")
        targets = [
            (index, ((self._locations[index].times, grid.places[index]),))
            for index in indices
            if index not in times.lost
        ]
        mask = self._painted(segment, targets, grid.shape, times, axes)
        return replace(mask, flags=tuple(sorted({*mask.flags, "own_grid"})), own_affine_lps=grid.affine_lps)

    def _painted(
        self,
        segment: Description,
        targets: Sequence[tuple[int, Sequence[tuple[tuple[int, ...], Place]]]],
        shape: tuple[int, int, int],
        times: _Times,
        axes: str,
    ) -> PlacedMask:
        """Return a mask whose values have the axes z, y, x, and t in front of them where `times` says so."""
        every = range(self._grid.size("t")) if times.has_axis else range(1)
        if len(every) * math.prod(shape) > MAX_VOXELS:
            raise MaskProblem("too_large", found=len(every) * math.prod(shape), needed=MAX_VOXELS)
        values = np.zeros((len(every), *shape), np.uint8)
        flags = set(times.flags)
        taken: set[tuple[int, ...]] = set()
        structure = outside = frames_outside = 0
        for index, places in targets:
            pixels = self._frames.mask(index, segment.number)
            for of_place, place in places:
                for t in (of_place or every) if times.has_axis else (0,):
                    if (t, *place.key) in taken and not place.is_outside:
                        flags.add("duplicate_frames")
                    taken.add((t, *place.key))
                    place.paint(values[t], pixels)
            count = int(np.count_nonzero(pixels))
            structure += count
            if len(places) != 1 or not places[0][1].is_inside:
                covered = np.zeros(pixels.shape, bool)
                for _, place in places:
                    covered |= place.covered()
                outside += count - int(np.count_nonzero(pixels[covered]))
                frames_outside += not covered.any()
        flags |= (
            {"references_differ"} if any(self._locations[index].references_differ for index, _ in targets) else set()
        )
        flags |= {"outside_image"} if outside else set()
        maximum = self._segmentation.maximum_fraction
        flags |= {"beyond_maximum"} if maximum is not None and values.max(initial=0) > maximum else set()
        flags |= {"empty_mask"} if not values.any() else set()
        counts = {"frames": len(targets)}
        if frames_outside:
            counts["frames_outside"] = frames_outside
        if times.lost:
            counts["frames_without_t"] = len(times.lost)
        if times.only is not None:
            counts["t"] = times.only
        return PlacedMask(
            segment,
            values if times.has_axis else values[0],
            axes,
            self._segmentation.form,
            self._segmentation.maximum_fraction,
            outside / structure if structure else 0.0,
            tuple(sorted(flags)),
            counts,
        )
