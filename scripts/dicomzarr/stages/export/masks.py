"""The masks of an image, read for export: those on its grid, and those kept on a grid of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.dataset import Volume
from dicomzarr.records.mask_record import MaskRecord
from dicomzarr.stages.export.verified_arrays import BLOCK, Array, DamagedArray, as_json
from dicomzarr.vocabulary.flags import NOT_ABSENT

Region = tuple[slice, ...]


@dataclass(frozen=True)
class Mask:
    """One mask of an image.

    Attributes
    ----------
    image : Array
    record : MaskRecord
    """

    image: Array
    record: MaskRecord

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
    def folder(self) -> str:
        """Name of its folder below `labels`, such as ``tumour_2``."""
        return self.record.mask

    @property
    def name(self) -> str:
        """The name of the vocabulary, such as ``tumour``; empty if it has none."""
        return self.record.name

    @property
    def axes(self) -> str:
        """The axes, such as ``zyx``."""
        return self.record.axes

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.record.shape

    @property
    def has_own_grid(self) -> bool:
        """Whether its voxels are not those of the image."""
        return "own_grid" in self.record.flags

    @property
    def is_lost(self) -> bool:
        """Whether it has no voxel although the structure was drawn."""
        return not self.record.voxels and not NOT_ABSENT.isdisjoint(self.record.flags)

    @property
    def threshold(self) -> int:
        """The smallest value that counts as the structure: half of a fractional mask's maximum, rounded up; else 1."""
        return ((self.record.maximum_fraction or 1) + 1) // 2

    @property
    def stem(self) -> str:
        """How it is named beside the image: the name of its folder, and whether it has a grid of its own."""
        return f"{self.image.volume_id}__{self.folder}{'_own_grid' if self.has_own_grid else ''}"

    def blocks(self, parts: Sequence[Region] | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yield its values by regions that make up the array in C order.

        Parameters
        ----------
        parts : sequence of tuple of slice, optional
            The regions; as large as is good to read by default.

        Raises
        ------
        DamagedArray
            If it cannot be read, or does not have the digest with which it was written: before the last block.
        """
        parts = list(regions(self.axes, self.shape, self.volume.chunk)) if parts is None else parts
        digests = []
        for number, part in enumerate(parts):
            try:
                values = self.volume.read(part)
            except (OSError, ValueError) as error:
                raise DamagedArray(self.image.name) from error
            planes = values.reshape(-1, *values.shape[-2:])
            digests += [blake3(np.ascontiguousarray(plane).data.cast("B")).digest() for plane in planes]
            if number == len(parts) - 1 and blake3(b"".join(digests)).hexdigest() != self.record.pixel_digest:
                raise DamagedArray(self.image.name)
            yield values

    def attributes(self) -> dict[str, Any]:
        """Return the attribute `dicomzarr` as JSON values, with the axes."""
        attributes: dict[str, Any] = as_json(self.facts)
        return attributes | {"axes": self.axes}


def regions(axes: str, shape: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[Region]:
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
    return [Mask(array, record) for record in sorted(array.masks, key=lambda record: record.mask)]
