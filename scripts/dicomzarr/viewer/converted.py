"""Arrays in types that the client cannot read, as arrays of float32 that exist only in the answers of the server."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from dicomzarr.dataset import Volume

LARGEST = 128 << 20  # bytes of a chunk that the server is ready to convert


def metadata(array: dict[str, Any]) -> dict[str, Any]:
    """Return the `zarr.json` of an array as float32: one file a chunk, not compressed.

    Parameters
    ----------
    array : dict
        Content of the `zarr.json` of the stored array.
    """
    inner = array["codecs"][0]["configuration"]["chunk_shape"]
    return array | {
        "data_type": "float32",
        "fill_value": 0.0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": inner}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }


def chunk(image: Path, place: list[int]) -> bytes | None:
    """Return a chunk of an image as float32, little-endian; None if there is no such chunk.

    Parameters
    ----------
    image : Path
        Folder of the image.
    place : list of int
        Indices of the chunk along the axes of the array.
    """
    volume = Volume(image)
    if len(place) != len(volume.shape) or math.prod(volume.chunk) * 4 > LARGEST:
        return None
    starts = [number * edge for number, edge in zip(place, volume.chunk, strict=True)]
    if any(start >= n for start, n in zip(starts, volume.shape, strict=True)):
        return None
    region = tuple(
        slice(start, min(n, start + edge)) for start, edge, n in zip(starts, volume.chunk, volume.shape, strict=True)
    )
    whole = np.zeros(volume.chunk, "<f4")
    values = volume.read(region)
    with np.errstate(over="ignore"):  # beyond float32: infinite
        whole[tuple(slice(0, n) for n in values.shape)] = values
    return whole.tobytes()


def group(image: dict[str, Any]) -> dict[str, Any]:
    """Return the `zarr.json` of an image group with its full resolution alone."""
    changed: dict[str, Any] = json.loads(json.dumps(image))
    for multiscale in changed["attributes"]["ome"]["multiscales"]:
        multiscale["datasets"] = multiscale["datasets"][:1]
    return changed
