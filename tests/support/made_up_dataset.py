"""Write a small dataset folder whose pixels and numbers are all known, for the tests of the report."""

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
    """One array: its pixels and its values in the tables."""

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


def _write_image(images: Path, array: Made) -> None:
    folder = images / array.array
    group = zarr.open_group(str(folder), mode="w", zarr_format=3)
    kinds = {"t": "time", "c": "channel"}
    axes = []
    for name in array.axes:
        axis = {"name": name, "type": kinds.get(name, "space")}
        if name in array.spacing:
            axis["unit"] = "millimeter"
        axes.append(axis)
    scale = [array.spacing.get(name, 1.0) for name in array.axes]
    transformations = [{"type": "scale", "scale": scale}]
    multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transformations}]}
    group.attrs.update({"ome": {"version": "0.5", "multiscales": [multiscale]}, "dicomzarr": array.facts})
    write(folder / "0", array.axes, array.pixels)


def _table(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_dataset(folder: Path, arrays: list[Made], outcomes: list[tuple[str, str, int]]) -> Path:
    """Write a dataset folder and return it.

    Parameters
    ----------
    folder : Path
    arrays : list of Made
    outcomes : list of (str, str, int)
        Rows of `outcomes.csv`: outcome, reason, number of files.
    """
    volumes, depth, size = [], [], []
    (folder / "images.zarr").mkdir(parents=True)
    for array in arrays:
        if array.on_disk:
            _write_image(folder / "images.zarr", array)
        series = array.array.split("/")[0]
        shape = dict(zip(array.axes, array.pixels.shape, strict=True))
        frames = shape.get("t", 1) * shape.get("z", 1)
        is_integer = array.pixels.dtype.kind in "iu" and array.pixels.size
        low, high = (array.pixels.min(), array.pixels.max()) if array.pixels.size else ("", "")
        common = {
            "array": array.array,
            "dtype": array.pixels.dtype.name,
            "bits_stored": "" if array.bits is None else array.bits,
            "photometric": array.facts.get("photometric", "MONOCHROME2"),
            "flags": array.flags,
        }
        volumes.append(
            common
            | {
                "series_id": series,
                "study_id": "beef" + series[4:],
                "subject_id": array.subject,
                "split": array.split,
                "modality": array.modality,
                "axes": array.axes,
                "shape": "x".join(map(str, array.pixels.shape)),
                "spacing_mm": "x".join(str(array.spacing.get(axis, "")) for axis in array.axes if axis in "zyx")
                if array.spacing
                else "",
                "frames": frames,
                "source_bytes": array.source_bytes,
                "stored_bytes": array.stored_bytes,
                "pixel_digest": "00",
            }
            | {f"label_{name}": value for name, value in array.labels.items()}
        )
        depth.append(
            common
            | {
                "bits_allocated": 8 * array.pixels.dtype.itemsize,
                "signed": str(array.pixels.dtype.kind == "i").lower(),
                "observed_min": low,
                "observed_max": high,
                "bits_used": int(high).bit_length() if is_integer else "",
                "read_back": array.read_back,
                "verdict": array.depth_verdict,
            }
        )
        size.append(
            {
                "array": array.array,
                "frames_expected": frames,
                "frames_written": frames,
                "rows": shape["y"],
                "columns": shape["x"],
                "expected_bytes": array.pixels.nbytes,
                "source_bytes": array.source_bytes,
                "stored_bytes": array.stored_bytes,
                "ratio": array.stored_bytes / array.source_bytes if array.source_bytes else "",
                "files": 3,
                "missing_slices": array.missing_slices,
                "verdict": array.size_verdict,
                "flags": array.flags,
            }
        )
    labels = sorted({f"label_{name}" for array in arrays for name in array.labels})
    _table(folder / "volumes.csv", [*VOLUMES, *labels], volumes)
    _table(folder / "reports" / "depth.csv", DEPTH, depth)
    _table(folder / "reports" / "size.csv", SIZE, size)
    rows = [{"outcome": outcome, "reason": reason, "files": files} for outcome, reason, files in outcomes]
    _table(folder / "reports" / "outcomes.csv", ["outcome", "reason", "files"], rows)
    _table(folder / "reports" / "policy.csv", ["policy", "kind", "files"], [])
    (folder / "images.zarr" / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group"}))
    return folder


def ramp(*shape: int, dtype: str = "uint16", step: int = 1) -> NDArray[Any]:
    """Return an array of increasing values."""
    return (np.arange(int(np.prod(shape))).reshape(shape) * step).astype(dtype)


def some_arrays() -> list[Made]:
    """Return arrays of every kind that the workflow writes."""
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
