"""Masks on the arrays of a made-up dataset, with their tables, for the tests of the report."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from made_up_dataset import Made, ramp
from numpy.typing import NDArray
from written_arrays import write

from dicomzarr.system.csv_tables import MASKS

ORANGE = (230, 85, 13)


@dataclass
class MadeMask:
    """A mask on an array and its row in masks.csv."""

    array: str
    mask: str
    values: NDArray[Any]
    name: str = ""
    kind: str = "SEG"
    algorithm: str = "manual"
    volume_ml: str = ""
    flags: str = ""
    maximum_fraction: int | None = None
    verdict: str = "pass"
    read_back: str = "exact"
    axes: str = "zyx"


def write_masks(folder: Path, masks: list[MadeMask], files: Sequence[tuple[Any, ...]] = ()) -> Path:
    """Add masks to a dataset, and the tables of masks and of their files; return its folder."""
    rows = []
    for mask in masks:
        label = folder / "images.zarr" / mask.array / "labels" / mask.mask
        axes = [{"name": axis, "type": "space"} for axis in mask.axes]
        colours = [{"label-value": 1, "rgba": [*ORANGE, 160]}]
        ome = {"version": "0.5", "multiscales": [{"axes": axes}], "image-label": {"colors": colours}}
        facts = {"maximum_fraction": mask.maximum_fraction} if mask.maximum_fraction else {}
        label.mkdir(parents=True)
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, "dicomzarr": facts}}
        (label / "zarr.json").write_text(json.dumps(group))
        write(label / "0", mask.axes, mask.values.astype("uint8"))
        found = np.nonzero(mask.values)
        rows.append(
            {name: getattr(mask, name) for name in ("array", "mask", "kind", "algorithm", "volume_ml", "flags", "name")}
            | {
                "voxels": len(found[0]),
                "bounding_box": " ".join(f"{a.min()}:{a.max() + 1}" for a in found) if len(found[0]) else "",
                "slices": len(np.unique(found[0])),
                "outside": 0.0,
                "read_back": mask.read_back,
                "verdict": mask.verdict,
            }
        )
    tables = {"masks.csv": (MASKS, rows)}
    columns = ("kind", "outcome", "reason", "files", "masks", "failed")
    tables["reports/mask_files.csv"] = (columns, [dict(zip(columns, row, strict=False)) for row in files])
    for name, (header, lines) in tables.items():
        with open(folder / name, "w", newline="") as stream:
            writer = csv.DictWriter(stream, header, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
    return folder


def box(shape: tuple[int, ...], *ranges: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a mask of a box, from a start to an end on each axis; empty without any."""
    values = np.zeros(shape, "uint8")
    if ranges:
        values[tuple(slice(*each) for each in ranges)] = 1
    return values


def array(number: int, subject: int = 1, shape: tuple[int, ...] = (9, 16, 20)) -> Made:
    """Return an array of a series and a subject."""
    return Made(f"{number:016x}/00000001", "zyx", ramp(*shape), subject=f"feed{subject:012d}")
