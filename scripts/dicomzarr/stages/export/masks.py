"""The masks of an image, read for export: those on its grid, and those kept on a grid of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dataset import Volume
from dicomzarr.stages.export.verified_arrays import BLOCK, Array, DamagedArray

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Mask:
    """One mask of an image.

    Attributes
    ----------
    image : Array
    folder : str
        Name of its folder below `labels/`, such as ``tumour_2``.
    """

    image: Array
    folder: str

    @cached_property
    def volume(self) -> Volume:
        """The opened array."""
        try:
            return Volume(self.image.results.images / self.image.name / "labels" / self.folder)
        except (OSError, ValueError, KeyError) as error:
            raise DamagedArray(self.image.name) from error

    @property
    def facts(self) -> Mapping[str, Any]:
        """The attribute `dicomzarr`."""
        return self.volume.facts

    @property
    def name(self) -> str:
        """The name of the vocabulary, such as ``tumour``."""
        return str(self.facts["name"])

    @property
    def axes(self) -> str:
        """The axes, such as ``zyx``."""
        return self.volume.axes

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.volume.shape

    @property
    def has_own_grid(self) -> bool:
        """Whether its voxels are not those of the image."""
        return "own_grid" in self.facts.get("flags", ())

    @property
    def maximum_fraction(self) -> int | None:
        """The value that stands for 1 in a fractional mask (0062,000E); None of others, whose foreground is 1."""
        value = self.facts.get("maximum_fraction")
        return None if value is None else int(value)

    @property
    def threshold(self) -> int:
        """The smallest value that counts as the structure: half of a fractional mask's maximum, rounded up; else 1."""
        return 1 if self.maximum_fraction is None else (self.maximum_fraction + 1) // 2

    @property
    def stem(self) -> str:
        """How it is named beside the image: the name of its folder, and whether it has a grid of its own."""
        return f"{self.image.volume_id}__{self.folder}{'_own_grid' if self.has_own_grid else ''}"

    def read(self, region: tuple[slice, ...]) -> NDArray[np.uint8]:
        """Return the values of a region.

        Parameters
        ----------
        region : tuple of slice
            One for each axis.

        Raises
        ------
        DamagedArray
            If it cannot be read.
        """
        try:
            return self.volume.read(region)
        except (OSError, ValueError) as error:
            raise DamagedArray(self.image.name) from error

    def foreground(self, region: tuple[slice, ...]) -> NDArray[np.bool_]:
        """Return which voxels of a region belong to the structure: of a fractional mask, those of a half and more.

        Parameters
        ----------
        region : tuple of slice
            One for each axis.
        """
        return self.read(region) >= self.threshold

    def blocks(self) -> Iterator[NDArray[np.uint8]]:
        """Yield its values in C order."""
        for region in regions(self.axes, self.shape, self.volume.chunk):
            yield self.read(region)

    def attributes(self) -> dict[str, Any]:
        """Return the attribute `dicomzarr` as JSON values, with the axes."""
        plain = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in self.facts.items()}
        return plain | {"axes": self.axes}


def regions(axes: str, shape: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Yield regions that make up an array in C order, of whole chunks along z where that is possible.

    Parameters
    ----------
    axes : str
        With z, y and x last.
    shape, chunk : tuple of int
        Of the array, and of its chunks, along the axes.
    """
    if "z" not in axes:
        yield tuple(slice(0, n) for n in shape)
        return
    at = axes.index("z")
    frame = int(np.prod(shape[at + 1 :]))
    step = max(BLOCK // max(frame, 1) // chunk[at], 1) * chunk[at]
    whole = tuple(slice(0, n) for n in shape[at + 1 :])
    for outer in np.ndindex(*shape[:at]):
        for z in range(0, shape[at], step):
            yield (*(slice(n, n + 1) for n in outer), slice(z, min(z + step, shape[at])), *whole)


def of_array(array: Array) -> list[Mask]:
    """Return the masks of an image, sorted by folder.

    Parameters
    ----------
    array : Array
    """
    folder = array.results.images / array.name / "labels"
    names = sorted(path.parent.name for path in folder.glob("*/zarr.json"))
    return [Mask(array, name) for name in names if _NAME.fullmatch(name)]
