"""Write a small dataset of made-up volumes with the workflow's own shard writer, for the tests of reading."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.arrays import shard_writer
from dicomzarr.system import csv_tables

LABEL = "label_finding"


@dataclass
class MadeUp:
    """One volume: voxels, attributes, and cells of its row in volumes.csv."""

    axes: str
    voxels: NDArray[Any]
    facts: dict[str, Any] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    layout: str = "slice"
    compression: str = "balanced"
    beside: dict[str, NDArray[Any]] = field(default_factory=dict)


def frames_of(axes: str, voxels: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the frames in array order, shape (rows, columns) or (rows, columns, samples)."""
    if "c" in axes:
        voxels = np.moveaxis(voxels, axes.index("c"), -1)
    return list(voxels.reshape(-1, *voxels.shape[-3 if "c" in axes else -2 :]))


def write(dataset: Path, volumes: list[MadeUp]) -> Path:
    """Write the volumes as a dataset folder and return it."""
    rows = []
    for number, volume in enumerate(volumes):
        array = f"{number:016x}/{number:08x}"
        folder = dataset / "images.zarr" / array
        folder.mkdir(parents=True)
        dtype = volume.voxels.dtype.newbyteorder("<").str
        grid = shard_writer.chunk_grid(volume.axes, volume.voxels.shape, dtype, volume.layout)
        shard_writer.write_array(folder / "0", grid, dtype, volume.compression, frames_of(volume.axes, volume.voxels))
        for name, values in volume.beside.items():
            shard_writer.write_small_array(folder / name, values, ["index", "component"][: values.ndim])
        facts = {"photometric": "MONOCHROME2", "bits_stored": 8 * volume.voxels.itemsize, **volume.facts}
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"dicomzarr": facts}}
        (folder / "zarr.json").write_text(json.dumps(group))
        shape = "x".join(map(str, volume.voxels.shape))
        cells = {"array": array, "axes": volume.axes, "shape": shape, "dtype": volume.voxels.dtype.name}
        rows.append(dict.fromkeys([*csv_tables.VOLUMES, LABEL], "") | cells | volume.cells)
    with open(dataset / "volumes.csv", "w", newline="") as stream:
        writer_of_rows = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer_of_rows.writeheader()
        writer_of_rows.writerows(rows)
    return dataset
