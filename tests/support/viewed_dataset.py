"""A small dataset to look at, whose voxels and places are known, and `./run view` on it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from made_up_results import OBLIQUE, MadeUpCase, MadeUpMask, array_of, write_results
from numpy.typing import NDArray
from written_arrays import write

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
BLOCK = {"z": (6, 14), "y": (12, 28), "x": (20, 40)}  # of the CT: 1000 HU, in 0 HU; half-open
CT = array_of(1)
# A grid of other steps and directions that covers the block: its axes are those of the body.
OWN = np.array([[1.0, 0, 0, -60], [0, 1.0, 0, 0], [0, 0, 1.0, 80], [0, 0, 0, 1]])
# Type, least and largest value of the window, compression, layout: four quarters of the plane are 0, 85, 170 and 255.
KINDS = [
    ("uint8", 0, 255, "balanced", "slice"),
    ("int8", -128, 127, "fast", "slice"),
    ("uint16", 0, 65535, "small", "brick"),
    ("int16", -1500, 3000, "none", "brick"),
    ("int16", -1500, 3000, "fast", "brick"),
    ("uint32", 0, 3 << 29, "none", "slice"),
    ("int32", -(3 << 28), 3 << 28, "small", "slice"),
    ("float32", -1.5, 1.5, "balanced", "brick"),
    ("float64", -1000, 1000, "balanced", "slice"),
    ("int64", -3000, 3000, "fast", "brick"),
]
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]  # of the quarters of RGB and PALETTE


def index(shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the index (x, y, z) in the CT of each voxel of a grid, shape (3, z, y, x)."""
    z, y, x = np.indices(shape)
    points = np.stack([x, y, z, np.ones(shape)]).reshape(4, -1)
    return (np.linalg.inv(OBLIQUE) @ affine @ points)[:3].reshape(3, *shape)


def inside(shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which voxels of a grid lie in the block."""
    places = dict(zip("xyz", index(shape, affine), strict=True))
    within = [(low - 0.5 <= places[axis]) & (places[axis] < high - 0.5) for axis, (low, high) in BLOCK.items()]
    return within[0] & within[1] & within[2]


def quarters(low: float, high: float, dtype: str, edge: int = 140) -> NDArray[Any]:
    """Return a plane of four values, evenly from `low` to `high`."""
    values = np.array([low + (high - low) * step / 3 for step in range(4)]).astype(dtype).reshape(2, 2)
    return values.repeat(edge // 2, 0).repeat(edge // 2, 1)


NOWHERE = 40  # number of an image without an affine


def write_viewed(root: Path) -> Path:
    """Write a results folder and return its dataset: a CT with three masks, an image of each of `KINDS`, others."""
    shape = (20, 40, 60)
    block = inside(shape, OBLIQUE)
    voxels = np.where(block, 2024, 1024).astype("int16")
    half = block.copy()
    half[:, 20:] = False
    masks = {
        "liver": MadeUpMask(half.astype("uint8")),
        "likely": MadeUpMask(np.where(block & ~half, 128, 0).astype("uint8"), maximum_fraction=255),
        "elsewhere": MadeUpMask(inside((70, 50, 80), OWN).astype("uint8"), own_affine=OWN),
    }
    cases = {1: MadeUpCase(voxels, masks, rescale=(1.0, -1024.0))}
    for number, (dtype, low, high, _, _) in enumerate(KINDS, 10):
        plane = quarters(low, high, dtype)
        cases[number] = MadeUpCase(np.repeat(plane[np.newaxis], 3, 0), affine=np.diag([1.0, 1, 2, 1]), modality="MR")
    fourth, plane = quarters(0, 3, "uint8"), quarters(0, 3000, "uint16")
    rgb = np.moveaxis(np.array(COLOURS, "uint8")[fourth], -1, 0)
    others = {"RGB": ("cyx", rgb), "PALETTE COLOR": ("yx", fourth), "MONOCHROME1": ("yx", plane)}
    others |= {"t": ("tyx", np.stack([plane, 3000 - plane])), "wide": ("yx", plane)}
    for number, (axes, values) in enumerate(others.values(), 30):
        cases[number] = MadeUpCase(values, axes=axes, affine=np.eye(4), modality="OT")
    cases[NOWHERE] = MadeUpCase(plane, axes="yx", affine=None, modality="OT")
    dataset = write_results(root, cases).dataset
    for number, name in enumerate(others, 30):
        photometric = name if name.isupper() else "MONOCHROME2"
        _set(dataset, array_of(number), photometric=photometric, window=[1500.5, 3001])
    entries = {
        name: [colour[channel] * 257 for colour in COLOURS] for channel, name in enumerate(("red", "green", "blue"))
    }
    _set(dataset, array_of(31), palette={"first": 0, "bits": 16, **entries})
    _set(dataset, array_of(34), window=[0.5, 6001])  # black at -3000, which uint16 does not have
    _set(dataset, CT, photometric="MONOCHROME2", window=[500.0, 2000.0])
    for number, (_, low, high, compression, layout) in enumerate(KINDS, 10):
        _set(dataset, array_of(number), photometric="MONOCHROME2", window=[(low + high) / 2 + 0.5, high - low + 1])
        folder = dataset / "images.zarr" / array_of(number) / "0"
        shutil.rmtree(folder)
        write(folder, "zyx", cases[number].voxels, compression, layout)
    (dataset / "images.zarr" / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group"}))
    with open(dataset / "masks.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, ["array", "mask", "voxels", "bounding_box", "flags"], lineterminator="\n")
        writer.writeheader()
        box = " ".join(f"{low}:{high}" for low, high in BLOCK.values())
        for name, mask in masks.items():
            flags = "own_grid" if mask.own_affine is not None else ""
            row = {"array": CT, "mask": name, "bounding_box": box, "flags": flags}
            writer.writerow(row | {"voxels": np.count_nonzero(mask.values)})
    return dataset


def _set(dataset: Path, array: str, **facts: Any) -> None:
    """Set attributes of an image."""
    path = dataset / "images.zarr" / array / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["attributes"]["dicomzarr"] |= facts
    path.write_text(json.dumps(metadata))


@dataclass
class Viewer:
    """A running `./run view` or `./run review`."""

    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        return int(self.address.split("/")[2].partition(":")[2])

    @property
    def path(self) -> str:
        """The path of the address, with the token, without a slash at its end."""
        return "/" + "/".join(self.address.split("/")[3:]).rstrip("/")


def start(command: str, *arguments: str, folder: Path) -> Viewer:
    """Start `./run view` or `./run review` in a folder, as the launcher does; return when it answers."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "dicomzarr.commands", command, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS), "DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    address = process.stdout.readline().strip()
    if not address:
        raise AssertionError(process.communicate()[1])
    process.stdout.readline()
    return Viewer(process, address)


@contextmanager
def viewing(*arguments: str, folder: Path) -> Iterator[Viewer]:
    """Run `./run view` for the time of a block."""
    viewer = start("view", *arguments, folder=folder)
    try:
        yield viewer
    finally:
        viewer.process.kill()
        viewer.process.communicate()
