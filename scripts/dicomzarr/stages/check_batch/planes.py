"""Collect the planes of a picture, and a sample of the voxels, while an array streams by.

Nothing is read a second time. Memory is bounded: long axes are subsampled, so that a plane has fewer than 900 x 900
voxels. What is collected depends on the array alone: blocks may come in any size and order, from several threads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.records.mask_record import MaskRecord

MOST = 448  # an axis of twice as many voxels is subsampled: two for each pixel of a picture
SAMPLE = 1 << 15  # voxels of the histogram, about


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane through an array: the axis that it is across (empty without z), its index there, and its two axes."""

    across: str
    index: int
    rows: str
    columns: str


@dataclass(frozen=True, slots=True)
class Cut:
    """The planes of one picture, through one point of an array.

    Attributes
    ----------
    lengths : mapping of str to int
        Of the axes of the array.
    place : mapping of str to int
        The point: an index for each of its axes t, z, y and x.
    planes : tuple of Plane
        Across z, y and x, or the single plane of an array without depth; none if the array has no voxel.
    """

    lengths: Mapping[str, int]
    place: Mapping[str, int]
    planes: tuple[Plane, ...]

    @property
    def first_frame(self) -> int:
        """Number of the first frame of the t that is shown."""
        return self.place.get("t", 0) * self.lengths.get("z", 1)

    def step(self, axis: str) -> int:
        """Return of how many voxels along an axis one is collected."""
        return max(1, self.lengths.get(axis, 1) // MOST)

    def words(self) -> str:
        """Return the planes as words, such as ``t:1/3 z:5/10 y:64/128 x:64/128``."""
        of_t = [f"t:{self.place['t']}/{self.lengths['t']}"] if "t" in self.place else []
        across = [
            plane.across and f"{plane.across}:{plane.index}/{self.lengths[plane.across]}" for plane in self.planes
        ]
        return " ".join([*of_t, *(word or "xy" for word in across)])


def drawable(masks: Sequence[MaskRecord], axes: str, shape: Sequence[int]) -> list[MaskRecord]:
    """Return the masks that can be drawn over their image: those with voxels, on its grid; the one to cut first.

    Parameters
    ----------
    masks : sequence of MaskRecord
        Of the image, by name.
    axes : str
    shape : sequence of int
        Of the image.
    """
    lengths = dict(zip(axes, shape, strict=True))
    fitting = [
        mask
        for mask in masks
        if mask.voxels
        and "own_grid" not in mask.flags
        and len(mask.bounding_box) == len(mask.axes)
        and mask.axes.removeprefix("t") == "".join(axis for axis in axes if axis in "zyx")
        and all(lengths.get(axis) == length for axis, length in zip(mask.axes, mask.shape, strict=True))
    ]
    if not fitting:
        return []
    first = max(fitting, key=lambda mask: (_depth(mask), mask.voxels, mask.mask))
    return [first, *(mask for mask in fitting if mask is not first)]


def _depth(mask: MaskRecord) -> int:
    low, high = dict(zip(mask.axes, mask.bounding_box, strict=True)).get("z", (0, 1))
    return high - low


def cut(axes: str, shape: Sequence[int], mask: MaskRecord | None = None) -> Cut:
    """Return the planes through the middle of an array, or of a mask on it.

    Parameters
    ----------
    axes : str
        Of the array, such as ``tzyx``.
    shape : sequence of int
    mask : MaskRecord, optional
        The first of those that `drawable` returns.
    """
    lengths = dict(zip(axes, shape, strict=True))
    place = {axis: length // 2 for axis, length in lengths.items() if axis in "tzyx"}
    for axis, (low, high) in zip(mask.axes, mask.bounding_box, strict=True) if mask else ():
        place[axis] = (low + high - 1) // 2
    planes: tuple[Plane, ...] = ()
    if all(lengths.values()) and "z" not in lengths:
        planes = (Plane("", 0, "y", "x"),)
    elif all(lengths.values()):
        planes = (Plane("z", place["z"], "y", "x"),)
        if lengths["z"] > 1:
            planes += (Plane("y", place["y"], "z", "x"), Plane("x", place["x"], "z", "y"))
    return Cut(lengths, place, planes)


class _Planes:
    """Arrays that receive the voxels of the planes of a cut."""

    def __init__(self, cut: Cut, first_frame: int, dtype: Any) -> None:
        self.cut, self._first_frame = cut, first_frame
        colours = (cut.lengths["c"],) if "c" in cut.lengths and dtype != np.bool_ else ()
        shapes = [
            tuple(-(-cut.lengths[axis] // cut.step(axis)) for axis in (plane.rows, plane.columns))
            for plane in cut.planes
        ]
        self.values: list[NDArray[Any]] = [np.zeros(shape + colours, dtype) for shape in shapes]

    def _part(self, first: int, frames: NDArray[Any]) -> tuple[int, NDArray[Any]]:
        """Return the frames that belong to the t that is shown, and the z of the first of them."""
        start = max(first, self._first_frame)
        stop = min(first + len(frames), self._first_frame + self.cut.lengths.get("z", 1))
        return start - self._first_frame, frames[start - first : max(start, stop) - first]


class ImagePlanes(_Planes):
    """The planes of an image, and a sample of its voxels.

    Parameters
    ----------
    cut : Cut
    dtype : numpy dtype
        Of the array.

    Attributes
    ----------
    values : list of ndarray, shape (rows, columns) or (rows, columns, 3)
        One for each plane; of long axes each k-th voxel, from the first.
    sample : ndarray
        Each k-th voxel of the array in array order; empty for colour. k is prime to the number of voxels in a frame,
        so that no column and no row is favoured.
    """

    def __init__(self, cut: Cut, dtype: Any) -> None:
        super().__init__(cut, cut.first_frame, dtype)
        lengths = cut.lengths
        self._frame = lengths["y"] * lengths["x"]
        voxels = self._frame * lengths.get("z", 1) * lengths.get("t", 1) * ("c" not in lengths)
        self._every = max(1, -(-voxels // SAMPLE))
        while self._every > 1 and math.gcd(self._every, self._frame) > 1:
            self._every += 1
        self.sample: NDArray[Any] = np.zeros(-(-voxels // self._every), dtype)

    def add(self, first: int, frames: NDArray[Any]) -> None:
        """Take what belongs to the planes and to the sample from frames in array order.

        Parameters
        ----------
        first : int
            Number of the first frame in array order.
        frames : ndarray, shape (frames, rows, columns) or (frames, rows, columns, 3)
        """
        if len(self.sample):
            before = first * self._frame
            every = frames.reshape(-1)[-before % self._every :: self._every]
            start = -(-before // self._every)
            self.sample[start : start + len(every)] = every
        z, part = self._part(first, frames)
        step_z, rows, columns = self.cut.step("z"), self.cut.step("y"), self.cut.step("x")
        lines, at = part[-z % step_z :: step_z], -(-z // step_z)
        for plane, values in zip(self.cut.planes, self.values, strict=True):
            if plane.across == "y":
                values[at : at + len(lines)] = lines[:, plane.index, ::columns]
            elif plane.across == "x":
                values[at : at + len(lines)] = lines[:, ::rows, plane.index]
            elif z <= plane.index < z + len(part):
                values[...] = part[plane.index - z, ::rows, ::columns]


class MaskPlanes(_Planes):
    """The planes of a mask, where its image is cut; inside is a voxel by at least half.

    Parameters
    ----------
    cut : Cut
        Of the image.
    mask : MaskRecord
        A mask on the grid of the image.

    Attributes
    ----------
    values : list of ndarray of bool, shape (rows, columns)
        Shapes as those of `ImagePlanes`; a place is inside if any of its voxels is.
    """

    def __init__(self, cut: Cut, mask: MaskRecord) -> None:
        super().__init__(cut, cut.first_frame if "t" in mask.axes else 0, np.bool_)
        self._half = (mask.maximum_fraction or 1) / 2 - 1e-9

    def any(self) -> bool:
        """Return whether the planes have a voxel of the mask."""
        return any(plane.any() for plane in self.values)

    def add(self, first: int, frames: NDArray[Any]) -> None:
        """Take what belongs to the planes from planes of a mask; parameters as for `ImagePlanes.add`."""
        z, part = self._part(first, frames)
        step_z, rows, columns = self.cut.step("z"), self.cut.step("y"), self.cut.step("x")
        for plane, values in zip(self.cut.planes, self.values, strict=True):
            if plane.across in ("y", "x"):
                lines = part[:, plane.index] if plane.across == "y" else part[:, :, plane.index]
                inside = _any(lines > self._half, 1, columns if plane.across == "y" else rows)
                if step_z == 1:
                    values[z : z + len(part)] = inside
                else:
                    np.logical_or.at(values, np.arange(z, z + len(part)) // step_z, inside)
            elif z <= plane.index < z + len(part):
                values[...] = _any(_any(part[plane.index - z] > self._half, 0, rows), 1, columns)


def _any(inside: NDArray[np.bool_], axis: int, step: int) -> NDArray[np.bool_]:
    """Return whether any of `step` neighbours along an axis is inside."""
    if step == 1 or not inside.size:
        return inside
    return np.logical_or.reduceat(inside, np.arange(0, inside.shape[axis], step), axis=axis)
