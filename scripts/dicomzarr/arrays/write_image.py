"""Write one image of the dataset: from decoded frames to the files of an OME-Zarr image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from dicomzarr.arrays import ome_metadata, shard_writer
from dicomzarr.arrays.levels import coarser_levels, write_levels
from dicomzarr.arrays.omero import SeenValues
from dicomzarr.system.thread_pool import SERIAL, ThreadPool
from dicomzarr.volumes.model import Volume

Digests = shard_writer.Digests


class Decoded(NamedTuple):
    """Properties of an image that are known once its last frame is decoded.

    Attributes
    ----------
    flags : sequence of str
        All flags of the volume, including those of its geometry.
    pixel_facts : mapping
        See `ome_metadata.facts`.
    """

    flags: Sequence[str]
    pixel_facts: Mapping[str, Any]


def write_image(
    folder: Path,
    volume: Volume,
    frames: Iterable[NDArray[Any]],
    decoded: Callable[[], Decoded],
    *,
    name: str,
    compression: str,
    layout: str,
    levels: int = 1,
    pool: ThreadPool = SERIAL,
) -> Digests:
    """Write an OME-Zarr image: the array ``0``, coarser levels, small arrays for long lists, and the group's metadata.

    Parameters
    ----------
    folder : Path
        The image's folder, made here. If this raises, the caller removes it.
    volume : Volume
        Axes, shape, places and geometry of the array; the dtype is that of its first frame.
    frames : iterable of ndarray, shape (rows, columns) or (rows, columns, 3)
        Stored values of the array's dtype, in array order: `t` slowest, then `z`. A frame is taken once it is needed.
    decoded : callable
        Called once, after the last frame.
    name : str
        Of the array, ``<series_id>/<volume_id>``.
    compression : str
        A key of `shard_writer.PRESETS`.
    layout : str
        ``slice`` (one frame per chunk) or ``brick`` (16 x 32 x 32 voxels).
    levels : int
        At most so many resolution levels; see `levels.coarser_levels`.
    pool : ThreadPool
        Compresses; the bytes do not depend on the number of threads.

    Returns
    -------
    dict
        Size in bytes and SHA-256 of each file, by its path below the image.

    Raises
    ------
    ValueError
        If a frame has another shape or dtype than the array, or there are fewer frames than the array needs.
    """
    folder.mkdir()
    dtype = volume.places[0].frame.dtype
    grid = shard_writer.chunk_grid(volume.axes, volume.shape, dtype, layout)
    seen = SeenValues(len(volume.places))
    written = shard_writer.write_array(folder / "0", grid, dtype, compression, seen.of(frames), pool)
    coarser = coarser_levels(volume.axes, volume.shape, volume.spacing_mm, levels)
    written = {f"0/{name}": digest for name, digest in written.items()}
    written |= write_levels(folder, volume.axes, dtype, coarser, compression=compression, layout=layout, pool=pool)
    flags, pixel_facts = decoded()
    volume = dataclasses.replace(volume, flags=tuple(sorted(flags)))
    group = ome_metadata.write_image_group(folder, volume, pixel_facts, name=name, seen=seen, coarser=coarser)
    return written | group
