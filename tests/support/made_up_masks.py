"""Add made-up masks to a small dataset that `made_up_volumes.write` wrote, for the tests of reading."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from made_up_volumes import frames_of
from numpy.typing import NDArray

from dicomzarr.arrays import shard_writer

COLUMNS = (
    "array", "mask", "kind", "algorithm", "voxels", "volume_ml", "bounding_box", "slices", "outside", "flags",
    "pixel_digest", "name", "form", "maximum_fraction", "shape", "dtype",
)  # fmt: skip


@dataclass
class MadeUpMask:
    """One mask of the image with this number: its values along `axes`, folder and name in the vocabulary."""

    image: int
    folder: str
    values: NDArray[np.uint8]
    axes: str = "zyx"
    name: str = ""
    flags: str = ""
    maximum_fraction: int | None = None
    algorithm: str = "manual"
    every: int = 1  # the foreground index has every k-th voxel
    layout: str = "slice"
    box: str | None = None  # the cell `bounding_box`, instead of the right one


def _box(values: NDArray[np.uint8]) -> str:
    places = np.nonzero(values)
    return " ".join(f"{at.min()}:{at.max() + 1}" for at in places) if values.any() else ""


def _write_mask(image: Path, mask: MadeUpMask) -> None:
    folder = image / "labels" / mask.folder
    folder.mkdir(parents=True)
    is_binary = bool((mask.values <= 1).all())
    grid = shard_writer.chunk_grid(mask.axes, mask.values.shape, "|u1", mask.layout, is_binary=is_binary)
    shard_writer.write_array(folder / "0", grid, "|u1", "balanced", frames_of(mask.axes, mask.values))
    foreground = np.flatnonzero(mask.values)
    if len(foreground):
        shard_writer.write_small_array(folder / "foreground", foreground[:: mask.every].astype("<i8"), ["voxel"])
    facts: dict[str, Any] = {
        "mask": mask.folder,
        "name": mask.name or mask.folder,
        "kind": "SEG",
        "form": "BINARY" if mask.maximum_fraction is None else "OCCUPANCY",
        "voxels": len(foreground),
        "foreground": {"count": len(foreground), "every": mask.every},
        "flags": mask.flags.split(),
    }
    if mask.maximum_fraction is not None:
        facts["maximum_fraction"] = mask.maximum_fraction
    source = {"image": "../../"}
    colours = [{"label-value": 1, "rgba": [255, 0, 0, 255]}]
    attributes = {"ome": {"version": "0.5", "image-label": {"colors": colours, "source": source}}, "dicomzarr": facts}
    _write_group(folder, attributes)


def _write_group(folder: Path, attributes: dict[str, Any]) -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (folder / "zarr.json").write_text(json.dumps(group))


def add_masks(dataset: Path, masks: list[MadeUpMask], absent: dict[int, str] | None = None) -> Path:
    """Write masks into their images, masks.csv, and the columns of volumes.csv; return the dataset folder.

    Parameters
    ----------
    dataset : Path
        As `made_up_volumes.write` returns it.
    masks : list of MadeUpMask
    absent : dict of int to str
        The cell `masks_absent` of images, by their number.
    """
    with open(dataset / "volumes.csv", newline="") as stream:
        volumes = list(csv.DictReader(stream))
    rows = []
    for mask in masks:
        array = volumes[mask.image]["array"]
        _write_mask(dataset / "images.zarr" / array, mask)
        cells = {
            "array": array,
            "mask": mask.folder,
            "name": mask.name or mask.folder,
            "kind": "SEG",
            "algorithm": mask.algorithm,
            "voxels": str(np.count_nonzero(mask.values)),
            "volume_ml": "0.5",
            "bounding_box": _box(mask.values) if mask.box is None else mask.box,
            "slices": "1",
            "outside": "0.0",
            "flags": mask.flags,
            "form": "BINARY",
            "maximum_fraction": "" if mask.maximum_fraction is None else str(mask.maximum_fraction),
            "shape": "x".join(map(str, mask.values.shape)),
            "dtype": "uint8",
        }
        rows.append(dict.fromkeys(COLUMNS, "") | cells)
    for number, volume in enumerate(volumes):
        own = sorted(mask.folder for mask in masks if mask.image == number)
        on_grid = sorted(m.folder for m in masks if m.image == number and "own_grid" not in m.flags.split())
        if own:
            labels = dataset / "images.zarr" / volume["array"] / "labels"
            _write_group(labels, {"ome": {"version": "0.5", "labels": on_grid}})
        volume |= {"masks": " ".join(own), "masks_absent": (absent or {}).get(number, "")}
    _write_table(dataset / "volumes.csv", list(volumes[0]), volumes)
    _write_table(dataset / "masks.csv", list(COLUMNS), sorted(rows, key=lambda row: (row["array"], row["mask"])))
    return dataset


def _write_table(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
