"""A small made-up dataset folder whose every pixel and figure is known, for the tests of the report."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from written_arrays import write

VOLUMES = [
    "array",
    "series_id",
    "study_id",
    "subject_id",
    "split",
    "modality",
    "axes",
    "shape",
    "dtype",
    "bits_stored",
    "photometric",
    "spacing_mm",
    "frames",
    "source_bytes",
    "stored_bytes",
    "pixel_digest",
    "flags",
]
DEPTH = [
    "array",
    "dtype",
    "bits_allocated",
    "bits_stored",
    "signed",
    "photometric",
    "declared_min",
    "declared_max",
    "observed_min",
    "observed_max",
    "bits_used",
    "read_back",
    "verdict",
    "flags",
]
SIZE = [
    "array",
    "frames_expected",
    "frames_written",
    "rows",
    "columns",
    "expected_bytes",
    "source_bytes",
    "stored_bytes",
    "ratio",
    "files",
    "missing_slices",
    "verdict",
    "flags",
]
MILLIMETRE = {"z": 2.5, "y": 0.5, "x": 0.5}


@dataclass
class Made:
    """One array to be made: its pixels and what the tables shall say of it."""

    array: str
    axes: str
    pixels: NDArray[Any]
    modality: str = "CT"
    facts: dict[str, Any] = field(default_factory=dict)
    spacing: dict[str, float] = field(default_factory=lambda: dict(MILLIMETRE))
    bits: int | None = 12
    subject: str = "feed000000000001"
    split: str = "train"
    labels: dict[str, str] = field(default_factory=dict)
    flags: str = ""
    depth_verdict: str = "pass"
    size_verdict: str = "pass"
    read_back: str = "exact"
    missing_slices: int = 0
    source_bytes: int = 2000
    stored_bytes: int = 1000
    on_disk: bool = True


def _write_image(images: Path, made: Made) -> None:
    folder = images / made.array
    group = zarr.open_group(str(folder), mode="w", zarr_format=3)
    kinds = {"t": "time", "c": "channel"}
    axes = []
    for name in made.axes:
        axis = {"name": name, "type": kinds.get(name, "space")}
        if name in made.spacing:
            axis["unit"] = "millimeter"
        axes.append(axis)
    scale = [made.spacing.get(name, 1.0) for name in made.axes]
    transformations = [{"type": "scale", "scale": scale}]
    multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transformations}]}
    group.attrs.update({"ome": {"version": "0.5", "multiscales": [multiscale]}, "dicomzarr": made.facts})
    write(folder / "0", made.axes, made.pixels)


def _table(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_dataset(folder: Path, arrays: list[Made], outcomes: list[tuple[str, str, int]]) -> Path:
    """Write a dataset folder with these arrays and outcomes; return it."""
    volumes, depth, size = [], [], []
    (folder / "images.zarr").mkdir(parents=True)
    for made in arrays:
        if made.on_disk:
            _write_image(folder / "images.zarr", made)
        series = made.array.split("/")[0]
        shape = dict(zip(made.axes, made.pixels.shape, strict=True))
        frames = shape.get("t", 1) * shape.get("z", 1)
        whole = made.pixels.dtype.kind in "iu" and made.pixels.size
        low, high = (made.pixels.min(), made.pixels.max()) if made.pixels.size else ("", "")
        common = {
            "array": made.array,
            "dtype": made.pixels.dtype.name,
            "bits_stored": "" if made.bits is None else made.bits,
            "photometric": made.facts.get("photometric", "MONOCHROME2"),
            "flags": made.flags,
        }
        volumes.append(
            common
            | {
                "series_id": series,
                "study_id": "beef" + series[4:],
                "subject_id": made.subject,
                "split": made.split,
                "modality": made.modality,
                "axes": made.axes,
                "shape": "x".join(map(str, made.pixels.shape)),
                "spacing_mm": "x".join(str(made.spacing[axis]) for axis in made.axes if axis in made.spacing),
                "frames": frames,
                "source_bytes": made.source_bytes,
                "stored_bytes": made.stored_bytes,
                "pixel_digest": "00",
            }
            | {f"label_{name}": value for name, value in made.labels.items()}
        )
        depth.append(
            common
            | {
                "bits_allocated": 8 * made.pixels.dtype.itemsize,
                "signed": str(made.pixels.dtype.kind == "i").lower(),
                "observed_min": low,
                "observed_max": high,
                "bits_used": int(high).bit_length() if whole else "",
                "read_back": made.read_back,
                "verdict": made.depth_verdict,
            }
        )
        size.append(
            {
                "array": made.array,
                "frames_expected": frames,
                "frames_written": frames,
                "rows": shape["y"],
                "columns": shape["x"],
                "expected_bytes": made.pixels.nbytes,
                "source_bytes": made.source_bytes,
                "stored_bytes": made.stored_bytes,
                "ratio": made.stored_bytes / made.source_bytes if made.source_bytes else "",
                "files": 3,
                "missing_slices": made.missing_slices,
                "verdict": made.size_verdict,
                "flags": made.flags,
            }
        )
    labels = sorted({f"label_{name}" for made in arrays for name in made.labels})
    _table(folder / "volumes.csv", [*VOLUMES, *labels], volumes)
    _table(folder / "reports" / "depth.csv", DEPTH, depth)
    _table(folder / "reports" / "size.csv", SIZE, size)
    rows = [{"outcome": outcome, "reason": reason, "files": files} for outcome, reason, files in outcomes]
    _table(folder / "reports" / "outcomes.csv", ["outcome", "reason", "files"], rows)
    _table(folder / "reports" / "policy.csv", ["policy", "kind", "files"], [])
    (folder / "images.zarr" / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group"}))
    return folder


def ramp(*shape: int, dtype: str = "uint16", step: int = 1) -> NDArray[Any]:
    """Return an array that counts up, so that every pixel is known."""
    return (np.arange(int(np.prod(shape))).reshape(shape) * step).astype(dtype)


def some_arrays() -> list[Made]:
    """Return arrays of every kind that the flow may write."""
    palette = {"first": 0, "bits": 16, "red": [0, 65535], "green": [65535, 0], "blue": [0, 0]}
    colour = np.zeros((3, 8, 12), "uint8")
    colour[0] = 255
    windowed = {"photometric": "MONOCHROME2", "rescale": [2.0, -1000.0], "window": [40.0, 400.0]}
    return [
        Made("aaaa000000000001/00000001", "zyx", ramp(5, 16, 16), facts=windowed),
        Made("aaaa000000000002/00000001", "yx", ramp(20, 10), "CR", {"photometric": "MONOCHROME1"}, flags="odd_one"),
        Made("aaaa000000000003/00000001", "cyx", colour, "US", {"photometric": "RGB", "bits_stored": 8}, {}, 8),
        Made("aaaa000000000004/00000001", "tzyx", ramp(3, 4, 6, 6, dtype="int16"), "MR", subject="feed000000000002"),
        Made("aaaa000000000004/00000002", "yx", ramp(1, 2), "US", {"palette": palette, "photometric": "PALETTE COLOR"}),
        Made(
            "aaaa000000000005/00000001",
            "zyx",
            np.linspace(0, 1, 300, dtype="float32").reshape(3, 10, 10),
            "NM",
            bits=None,
        ),
        Made("aaaa000000000006/00000001", "yx", np.zeros((4, 4), "uint8"), "SEG", {}, {}, 1, size_verdict="warn"),
        Made(
            "aaaa000000000007/00000001",
            "yx",
            ramp(8, 8),
            "CT",
            on_disk=False,
            depth_verdict="fail",
            read_back="mismatch",
        ),
    ]


OUTCOMES = [
    ("extracted", "", 12),
    ("ignored", "not_dicom", 3),
    ("quarantined", "truncated_header", 2),
    ("skipped", "dicomdir", 1),
]
