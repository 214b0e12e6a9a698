"""Read the arrays of a series for export, block by block; compare each frame with its digest from decoding."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.dataset import Volume
from dicomzarr.records.batch_record import CHECK, EXTRACT
from dicomzarr.records.check_record import CheckRecord, DepthRow
from dicomzarr.records.mask_record import MaskRecord
from dicomzarr.records.series_record import SeriesRecord, VolumeRecord
from dicomzarr.system.results_folder import Results

BLOCK = 32 << 20  # bytes read at once; at least one chunk


class DamagedArray(Exception):
    """The bytes of an array do not match its record."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was decoded.

    Attributes
    ----------
    t, z : int or None
        Its indices in the array, None where the array has no such axis.
    digest : str
        BLAKE3 of its values, C order, little-endian.
    pixels : ndarray, shape (rows, columns) or (rows, columns, 3)
        Stored values in the array's own type.
    """

    t: int | None
    z: int | None
    digest: str
    pixels: NDArray[Any]


@dataclass(frozen=True)
class Array:
    """One array of the dataset, with its record and its row of `depth.csv`.

    Attributes
    ----------
    record : VolumeRecord
    depth : DepthRow
        Its row of `depth.csv`.
    masks : tuple of MaskRecord
        Those of this image.
    """

    results: Results
    record: VolumeRecord
    depth: DepthRow
    masks: tuple[MaskRecord, ...] = ()

    @property
    def name(self) -> str:
        """Path inside `images.zarr`."""
        return self.record.array

    @property
    def volume_id(self) -> str:
        """The last part of the name."""
        return self.name.split("/")[1]

    @property
    def axes(self) -> str:
        """The axes, such as ``tzyx``."""
        return self.record.axes

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.record.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the stored values, little-endian."""
        dtype: np.dtype[Any] = np.dtype(self.record.dtype)
        return dtype

    @property
    def observed(self) -> tuple[int, int]:
        """The smallest and the largest stored value of an integer array."""
        low, high = self.depth.observed_min, self.depth.observed_max
        if low is None or high is None:  # it could not be read back
            raise DamagedArray(self.name)
        return int(low), int(high)

    @cached_property
    def volume(self) -> Volume:
        """The opened array."""
        try:
            return Volume(self.results.images / self.name)
        except (OSError, ValueError, KeyError) as error:
            raise DamagedArray(self.name) from error

    @property
    def facts(self) -> Mapping[str, Any]:
        """The attribute `dicomzarr`, with lists that are stored as arrays beside the image."""
        return self.volume.facts

    @cached_property
    def ome(self) -> Mapping[str, Any]:
        """The attribute `ome`."""
        attributes = json.loads((self.results.images / self.name / "zarr.json").read_bytes())["attributes"]
        ome: Mapping[str, Any] = attributes["ome"]
        return ome

    def blocks(self) -> Iterator[tuple[NDArray[Any], list[Frame]]]:
        """Yield blocks of the array in C order, each with its frames.

        Raises
        ------
        DamagedArray
            If a block cannot be read, or a frame does not have the digest from decoding.
        """
        size = dict(zip(self.axes, self.shape, strict=True))
        digests = {(frame.t or 0, frame.z or 0): frame.digest for frame in self.record.frames}
        for region in self._regions(size):
            try:
                block = self.volume.read(tuple(region.get(axis, slice(0, size[axis])) for axis in self.axes))
            except (OSError, ValueError) as error:
                raise DamagedArray(self.name) from error
            frames = []
            for t in range(*region.get("t", slice(0, 1)).indices(size.get("t", 1))):
                for z in range(*region.get("z", slice(0, 1)).indices(size.get("z", 1))):
                    start = {axis: part.start for axis, part in region.items()}
                    at = {"t": t - start.get("t", 0), "z": z - start.get("z", 0)}
                    plane = block[tuple(at.get(axis, slice(None)) for axis in self.axes)]
                    pixels = np.ascontiguousarray(np.moveaxis(plane, 0, -1) if "c" in self.axes else plane)
                    digest = blake3(pixels.data.cast("B")).hexdigest()
                    if digest != digests.get((t, z)):
                        raise DamagedArray(self.name)
                    frames.append(Frame(t if "t" in size else None, z if "z" in size else None, digest, pixels))
            yield block, frames

    def frames(self) -> Iterator[Frame]:
        """Yield every frame in array order; raises `DamagedArray` as `blocks`."""
        for _, frames in self.blocks():
            yield from frames

    def _regions(self, size: Mapping[str, int]) -> Iterator[dict[str, slice]]:
        """Yield the ranges of `t` and `z` to read at once: whole chunks, in C order of the array."""
        chunk = dict(zip(self.axes, self.volume.chunk, strict=True))
        frame = int(np.prod([size[axis] for axis in self.axes if axis in "cyx"])) * self.dtype.itemsize
        if "z" in size:  # `c` comes before `z`, so that a colour volume is one block
            step = size["z"] if "c" in size else _step(BLOCK // max(frame, 1), chunk["z"])
            for t in range(size.get("t", 1)):
                for z in range(0, size["z"], step):
                    region = {"z": slice(z, min(z + step, size["z"]))}
                    yield region | ({"t": slice(t, t + 1)} if "t" in size else {})
        elif "t" in size:
            step = _step(BLOCK // max(frame, 1), chunk["t"])
            for t in range(0, size["t"], step):
                yield {"t": slice(t, min(t + step, size["t"]))}
        else:
            yield {}


def _step(most: int, chunk: int) -> int:
    """Return the number of indices to read at once: as many whole chunks as fit, at least one."""
    return max(most // chunk, 1) * chunk


def as_json(value: Any) -> Any:
    """Return attributes as values of strict JSON: lists in place of arrays, None in place of NaN, which JSON lacks.

    Parameters
    ----------
    value : object
        Attributes of an image or a mask. In a long list, which is an array, NaN means that a frame has no number.
    """
    if isinstance(value, np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def of_series(results: Results, series_id: str) -> list[Array]:
    """Return the arrays of a series, sorted by name."""
    record = SeriesRecord.load(results.series_record(EXTRACT, series_id), must_exist=True)
    if not record.volumes:
        return []
    checked = CheckRecord.load(results.series_record(CHECK, series_id), must_exist=True)
    depth = {row.array: row for row in checked.depth}
    volumes = sorted(record.volumes, key=lambda volume: volume.array)
    return [
        Array(results, volume, depth[volume.array], tuple(record.masks.of_array(volume.array))) for volume in volumes
    ]
