"""Label maps: the masks of an image become one array of whole numbers, as nnU-Net and MONAI expect.

Without overlaps the n-th label is the number n. With overlaps each label is a bit, so that a number says which masks a
voxel belongs to: 1 the first, 2 the second, 3 both, 4 the third. No voxel of a mask is lost either way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.stages.export.masks import Mask, regions
from dicomzarr.stages.export.refusals import Refused
from dicomzarr.stages.export.verified_arrays import Array


@dataclass(frozen=True, slots=True)
class Labels:
    """Which masks are which numbers.

    Attributes
    ----------
    names : tuple of str
        Names of the masks, in order.
    overlaps : str
        ``refuse``, ``regions``, or ``nested``: each mask is expected inside of those before it.
    """

    names: tuple[str, ...]
    overlaps: str = "refuse"

    @property
    def has_regions(self) -> bool:
        """Whether masks may share voxels."""
        return self.overlaps != "refuse" and len(self.names) > 1

    @property
    def values(self) -> tuple[int, ...]:
        """The number that each mask adds to its voxels."""
        return tuple(1 << n if self.has_regions else n + 1 for n in range(len(self.names)))

    def numbers(self) -> dict[str, int | list[int]]:
        """Return `labels` of nnU-Net: the number of each label, or all numbers of which its region consists."""
        numbers: dict[str, int | list[int]] = {"background": 0}
        for name, value in zip(self.names, self.values, strict=True):
            every = range(1, 1 << len(self.names)) if self.has_regions else ()
            numbers[name] = [number for number in every if number & value] or value
        return numbers

    def class_order(self) -> list[int] | None:
        """Return `regions_class_order` of nnU-Net: the number that a predicted region becomes, later ones on top."""
        if not self.has_regions:
            return None
        return [2 * value - 1 for value in self.values] if self.overlaps == "nested" else [*self.values]


def select(masks: Sequence[Mask], labels: Labels, absent: Collection[str]) -> list[list[Mask]]:
    """Return the masks of each label; none where the label was examined and is absent.

    Parameters
    ----------
    masks : sequence of Mask
        Those of the image.
    labels : Labels
    absent : collection of str
        Names that were looked for and not found: `masks_absent` of `volumes.csv`.

    Raises
    ------
    Refused
        If a label was not examined, lies on another grid, or was drawn and nothing of it is left.
    """
    chosen = [[mask for mask in masks if mask.name == name] for name in labels.names]
    if any(not found and name not in absent for name, found in zip(labels.names, chosen, strict=True)):
        raise Refused("mask_missing")
    if any(any(mask.is_lost for mask in found) and not any(mask.record.voxels for mask in found) for found in chosen):
        raise Refused("mask_lost")
    if any(mask.has_own_grid or mask.axes != "zyx" for found in chosen for mask in found):
        raise Refused("mask_on_own_grid")
    return chosen


def blocks(array: Array, chosen: Sequence[Sequence[Mask]], labels: Labels) -> Iterator[NDArray[Any]]:
    """Yield the label map of an image in C order, uint8.

    Parameters
    ----------
    array : Array
        With the axes z, y and x.
    chosen : sequence of sequence of Mask
        Of each label, as `select` returns them.
    labels : Labels

    Raises
    ------
    Refused
        If masks of two labels share a voxel, and `overlaps` refuses that.
    """
    parts = list(regions(array.axes, array.shape, array.volume.chunk))
    values = [[(mask.threshold, mask.blocks(parts)) for mask in found] for found in chosen]
    for part in parts:
        shape = [axis.stop - axis.start for axis in part]
        numbers, taken = np.zeros(shape, np.uint8), np.zeros(shape, np.bool_)
        for value, found in zip(labels.values, values, strict=True):
            inside = np.zeros(shape, np.bool_)
            for threshold, blocks_of_mask in found:
                inside |= next(blocks_of_mask) >= threshold
            if not labels.has_regions:
                if (taken & inside).any():
                    raise Refused("masks_overlap")
                taken |= inside
            numbers += inside * np.uint8(value)
        yield numbers
