"""Write the masks of an image as OME-Zarr labels, in the folder `labels` of the image."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.arrays import levels, shard_writer
from dicomzarr.arrays.ome_metadata import TYPES
from dicomzarr.masks.model import PlacedMask, bounding_box
from dicomzarr.system import json_files
from dicomzarr.system.thread_pool import SERIAL, ThreadPool

Digests = shard_writer.Digests

LABELS = "labels"
MOST_FOREGROUND = 4096  # voxels that the index of a mask holds
# Colours of labels in viewers: red, green, blue of masks 1, 2, ..., well apart on grey images.
COLOURS = (
    *((230, 85, 13), (49, 130, 189), (49, 163, 84), (222, 203, 33), (158, 80, 190)),
    *((23, 190, 207), (214, 96, 142), (140, 109, 49)),
)


class WrittenMask(NamedTuple):
    """A mask that was written, but for its metadata.

    Attributes
    ----------
    placed : PlacedMask
        Its values are dropped.
    shape : tuple of int
    voxels : int
        Values that are not 0.
    total : int
        Sum of the values.
    largest : int
        Largest value.
    box : tuple of (int, int)
        Half-open range along each axis; empty without voxels.
    slices : int
        Slices (indices of z, or 1) with voxels.
    levels : tuple of str
        Its coarser levels, as from `levels.coarser_levels`.
    foreground_step : int
        The index holds each k-th foreground voxel; 0 without voxels.
    pixel_digest : str
        BLAKE3 of the digests of its planes.
    files : dict
        Size in bytes and SHA-256 of each file, by its path below the mask's folder.
    """

    placed: PlacedMask
    shape: tuple[int, ...]
    voxels: int
    total: int
    largest: int
    box: tuple[tuple[int, int], ...]
    slices: int
    levels: tuple[str, ...]
    foreground_step: int
    pixel_digest: str
    files: Digests


def planes_of(values: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield the planes of a mask in array order.

    Parameters
    ----------
    values : ndarray of uint8, shape (..., rows, columns)

    Yields
    ------
    ndarray, shape (rows, columns)
    """
    yield from values.reshape(-1, *values.shape[-2:])


def digest_of_planes(digests: Sequence[bytes]) -> str:
    """Return the digest of a mask.

    Parameters
    ----------
    digests : sequence of bytes
        BLAKE3 of each plane, in array order.

    Returns
    -------
    str
        BLAKE3 of them, hex.
    """
    return blake3(b"".join(digests)).hexdigest()


def foreground_step(voxels: int) -> int:
    """Return which voxels of a mask its index holds: every k-th.

    Parameters
    ----------
    voxels : int
        Of the mask.

    Returns
    -------
    int
        1 or more.
    """
    return max(1, -(-voxels // MOST_FOREGROUND))


def levels_of_masks(image: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the coarser levels that the masks of an image get: its own.

    Parameters
    ----------
    image : mapping
        Attributes of the group of the image.

    Returns
    -------
    tuple of str
        As from `levels.coarser_levels`.
    """
    return levels.levels_of(image["ome"]["multiscales"][0])


def write_mask(
    folder: Path,
    placed: PlacedMask,
    *,
    compression: str,
    layout: str,
    coarser: Sequence[str] = (),
    pool: ThreadPool = SERIAL,
) -> WrittenMask:
    """Write the array of a mask, its coarser levels and the index of its foreground.

    Parameters
    ----------
    folder : Path
        The mask's folder, made here.
    placed : PlacedMask
    compression : str
        A key of `shard_writer.PRESETS`.
    layout : str
        ``slice`` or ``brick``.
    coarser : sequence of str
        The coarser levels of its image; a mask on a grid of its own gets as many.
    pool : ThreadPool
        Compresses.

    Returns
    -------
    WrittenMask
    """
    folder.mkdir(parents=True)
    values = np.ascontiguousarray(placed.values)
    is_binary = bool(values.max(initial=0) <= 1)
    grid = shard_writer.chunk_grid(placed.axes, values.shape, "|u1", layout, is_binary=is_binary)
    digests: list[bytes] = []

    def planes() -> Iterator[NDArray[Any]]:
        for plane in planes_of(values):
            digests.append(blake3(plane.data.cast("B")).digest())
            yield plane

    written = shard_writer.write_array(folder / "0", grid, "|u1", compression, planes(), pool)
    found = {f"0/{name}": digest for name, digest in written.items()}
    if coarser and "own_grid" in placed.flags:
        steps = _own_spacing(placed)
        coarser = levels.coarser_levels(placed.axes, values.shape, steps, len(coarser) + 1, smallest=1)
    level = values
    for number, halved in enumerate(coarser, 1):
        level = levels.every_second(level, placed.axes, halved)
        grid = shard_writer.chunk_grid(placed.axes, level.shape, "|u1", layout, is_binary=is_binary)
        written = shard_writer.write_array(folder / str(number), grid, "|u1", compression, planes_of(level), pool)
        found |= {f"{number}/{name}": digest for name, digest in written.items()}
    flat = np.flatnonzero(values)
    step = foreground_step(len(flat))
    if len(flat):
        index = shard_writer.write_small_array(folder / "foreground", flat[::step].astype(np.int64), ["index"])
        found |= {f"foreground/{name}": digest for name, digest in index.items()}
    return WrittenMask(
        placed=dataclasses.replace(placed, values=np.zeros((0,) * values.ndim, np.uint8)),
        shape=values.shape,
        voxels=len(flat),
        total=int(values.sum(dtype=np.int64)),
        largest=int(values.max(initial=0)),
        box=bounding_box(values),
        slices=_slices(values, placed.axes),
        levels=tuple(coarser),
        foreground_step=step if len(flat) else 0,
        pixel_digest=digest_of_planes(digests),
        files=found,
    )


def _slices(values: NDArray[np.uint8], axes: str) -> int:
    """Return the number of slices with voxels, at any t."""
    others = tuple(number for number, axis in enumerate(axes) if axis != "z")
    return int(np.count_nonzero(values.any(axis=others)))


def write_mask_group(
    folder: Path,
    mask: WrittenMask,
    *,
    name: str,
    number: int,
    code: tuple[str, str] | None,
    image: Mapping[str, Any],
) -> Digests:
    """Write the metadata of a mask.

    Parameters
    ----------
    folder : Path
        The mask's folder, named as the mask.
    mask : WrittenMask
    name : str
        Name of the vocabulary; ``unnamed`` with a number if it has none.
    number : int
        Number of the mask on its image, from 0: chooses the colour.
    code : tuple of str, optional
        Scheme and value of a code of the built-in table.
    image : mapping
        Attributes of the group of the image: `ome` and `dicomzarr`.

    Returns
    -------
    dict
        Size in bytes and SHA-256 of each file written, by its path below the mask's folder.

    References
    ----------
    OME-Zarr 0.5, `labels` and `image-label`.
    """
    placed = mask.placed
    facts: dict[str, Any] = {"mask": folder.name, "name": name, "kind": placed.description.kind, "form": placed.form}
    optional = {
        "algorithm": placed.description.algorithm or None,
        "maximum_fraction": placed.maximum_fraction,
        "code": {"scheme": code[0], "value": code[1]} if code else None,
        "affine_lps": _affine(placed, image),
        "foreground": {"count": mask.voxels, "every": mask.foreground_step} if mask.voxels else None,
        "counts": dict(placed.counts) or None,
    }
    facts |= {key: value for key, value in optional.items() if value is not None}
    facts |= {"voxels": mask.voxels, "outside": placed.outside, "flags": list(placed.flags)}
    red, green, blue = COLOURS[number % len(COLOURS)]
    inside = placed.maximum_fraction or 1
    ome = {
        "version": "0.5",
        "multiscales": [{"name": folder.name, **_multiscale(mask, image)}],
        "image-label": {
            "colors": [{"label-value": inside, "rgba": [red, green, blue, 160]}],
            "properties": [{"label-value": inside, "name": name or folder.name}],
            "source": {"image": "../../"},
        },
    }
    metadata = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, "dicomzarr": facts}}
    return {"zarr.json": shard_writer.write_file(folder / "zarr.json", json_files.canonical_json(metadata))}


def _affine(placed: PlacedMask, image: Mapping[str, Any]) -> Any:
    """Return the affine of a mask: of its own grid, or that of its image; None if it has none."""
    if placed.own_affine_lps:
        return [list(row) for row in placed.own_affine_lps]
    return None if "own_grid" in placed.flags else image["dicomzarr"].get("affine_lps")


def _own_spacing(placed: PlacedMask) -> dict[str, float]:
    """Return the spacing of a mask's own grid, mm, by axis; empty if it is unknown."""
    rows = placed.own_affine_lps[:3] if placed.own_affine_lps else ()
    return {name: math.sqrt(sum(row[column] ** 2 for row in rows)) for column, name in enumerate("xyz") if rows}


def _multiscale(mask: WrittenMask, image: Mapping[str, Any]) -> dict[str, Any]:
    """Return axes, scale and levels of a mask: those of its image, or of its own grid."""
    placed = mask.placed
    source = image["ome"]["multiscales"][0]
    described = {axis["name"]: axis for axis in source["axes"]}
    scales = source["datasets"][0]["coordinateTransformations"][0]["scale"]
    scale = dict(zip(described, scales, strict=True))
    axes = [described.get(name, {"name": name, "type": TYPES[name]}) for name in placed.axes]
    if "own_grid" in placed.flags:
        axes = [{"name": name, "type": TYPES[name]} for name in placed.axes]
        scale = _own_spacing(placed)
        if scale:
            axes = [axis | ({"unit": "millimeter"} if axis["name"] in "xyz" else {}) for axis in axes]
    factors = [float(scale.get(name, 1.0)) for name in placed.axes]
    datasets = levels.datasets(placed.axes, factors, mask.levels)
    return {"axes": axes, "datasets": datasets, **levels.method(mask.levels)}


def write_labels_group(folder: Path, names: Sequence[str]) -> Digests:
    """Write the metadata of the group `labels` of an image.

    Parameters
    ----------
    folder : Path
        ``<image>/labels``.
    names : sequence of str
        Masks on the grid of the image.

    Returns
    -------
    dict
        Size in bytes and SHA-256 of the file, by its path below `folder`.
    """
    attributes = {"ome": {"version": "0.5", "labels": sorted(names)}}
    metadata = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    return {"zarr.json": shard_writer.write_file(folder / "zarr.json", json_files.canonical_json(metadata))}
