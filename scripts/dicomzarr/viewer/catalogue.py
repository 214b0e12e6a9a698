"""The images of a dataset folder, from its tables."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dicomzarr.vocabulary.errors import DamagedTable, UserError

Row = TypeVar("Row")
IMAGES = "images.zarr"
TABLES = ("volumes.csv", "masks.csv")
# Types of voxels that the client cannot read; the server sends them as float32.
CONVERTED = frozenset({"float64", "int64", "uint64"})


@dataclass(frozen=True, slots=True)
class Mask:
    """A row of masks.csv.

    Attributes
    ----------
    name : str
        Its folder below `labels`.
    own_grid : bool
        It lies on a grid of its own, not on that of its image.
    box : tuple of (int, int)
        Half-open range of its voxels along each of its axes; empty without voxels.
    voxels : int
    """

    name: str
    own_grid: bool
    box: tuple[tuple[int, int], ...]
    voxels: int


@dataclass(frozen=True, slots=True)
class Image:
    """A row of volumes.csv, and its masks.

    Attributes
    ----------
    array : str
        Path inside `images.zarr`.
    modality, axes, shape, dtype, photometric, spacing : str
        As in the table.
    flags : tuple of str
    masks : tuple of Mask
    """

    array: str
    modality: str
    axes: str
    shape: str
    dtype: str
    photometric: str
    spacing: str
    flags: tuple[str, ...]
    masks: tuple[Mask, ...]


class NoDataset(UserError):
    """There is no finished dataset at a path."""


def dataset_folder(path: Path) -> Path:
    """Return the dataset folder at a path: the dataset itself, or a results folder.

    Raises
    ------
    NoDataset
        If there is no finished dataset.
    UserError
        If its images are a link.
    """
    for folder in (path, path / "dataset"):
        if (folder / IMAGES).is_dir() and (folder / "volumes.csv").is_file():
            if (folder / IMAGES).is_symlink():
                raise UserError(
                    f"{folder / IMAGES} is a link, which the viewer does not follow: name the folder itself"
                )
            return folder.resolve()
    raise NoDataset(
        f"no finished dataset in {str(path)!r}: it needs {IMAGES} and volumes.csv. Name a results or dataset "
        "folder with --dataset; if there is none yet, run the workflow first: ./run --configfile my.yaml"
    )


def read_images(dataset: Path) -> list[Image]:
    """Return the images of a dataset in the order of volumes.csv.

    Raises
    ------
    DamagedTable
        If a table is damaged.
    """
    masks: dict[str, list[Mask]] = {}
    for array, mask in _read(dataset / "masks.csv", _mask):
        masks.setdefault(array, []).append(mask)
    return [replace(image, masks=tuple(masks.get(image.array, ()))) for image in _read(dataset / "volumes.csv", _image)]


def _mask(row: dict[str, str]) -> tuple[str, Mask]:
    """Return a row of masks.csv, and the array of its image."""
    return row["array"], Mask(row["mask"], "own_grid" in row["flags"].split(), _ranges(row), int(row["voxels"] or 0))


def _image(row: dict[str, str]) -> Image:
    """Return a row of volumes.csv, without masks."""
    return Image(
        array=row["array"],
        modality=row["modality"],
        axes=row["axes"],
        shape=row["shape"],
        dtype=row["dtype"],
        photometric=row["photometric"],
        spacing=row["spacing_mm"],
        flags=tuple(row["flags"].split()),
        masks=(),
    )


class Tables:
    """The images of a dataset folder as its tables have them now: a run may replace them while the viewer is open.

    Parameters
    ----------
    dataset : Path
    """

    def __init__(self, dataset: Path) -> None:
        self._dataset = dataset
        self._state: list[tuple[int, int, int]] = []
        self._images: dict[str, Image] = {}

    def images(self) -> dict[str, Image]:
        """Return the images by their id; those that were read last if a table cannot be read now."""
        with contextlib.suppress(OSError, DamagedTable):
            self.refresh()
        return self._images

    def refresh(self) -> None:
        """Read the tables if they have changed.

        Raises
        ------
        DamagedTable, OSError
            If one cannot be read.
        """
        status = [os.stat(self._dataset / name) for name in TABLES if (self._dataset / name).is_file()]
        state = [(each.st_ino, each.st_mtime_ns, each.st_size) for each in status]
        if state and state != self._state:
            self._images = {image.array: image for image in read_images(self._dataset)}
            self._state = state


def notes(image: Image) -> list[str]:
    """Return what the viewer cannot show of an image as it is stored; empty if nothing."""
    found = []
    if image.dtype in CONVERTED:
        found.append(f"{image.dtype} is shown as float32")
    if {"gap", "uneven_spacing", "irregular_origins"} & set(image.flags):
        found.append("slices are drawn evenly spaced")
    return found


def _ranges(row: dict[str, str]) -> tuple[tuple[int, int], ...]:
    """Return the column bounding_box, such as ``0:24 10:86``."""
    ends = [part.partition(":") for part in row["bounding_box"].split()]
    return tuple((int(low), int(high)) for low, _, high in ends)


def _read(table: Path, read: Callable[[dict[str, str]], Row]) -> list[Row]:
    """Return what the rows of a table are read as; none if it is not there: older datasets have no masks.csv."""
    if not table.is_file():
        return []
    try:
        with open(table, newline="", encoding="utf-8") as stream:
            rows = csv.DictReader(stream)
            if not rows.fieldnames:
                raise ValueError
            return [read(row) for row in rows]
    except (ValueError, KeyError, AttributeError, TypeError, csv.Error):  # other columns, or a row that is cut off
        raise DamagedTable(table) from None
