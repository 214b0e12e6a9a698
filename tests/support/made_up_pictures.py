"""Write `reports/pictures.csv` and the pictures that it names, from planes that are given: as `check_batch` does."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLUMNS = ("array", "planes", "boxes", "shown", "histogram", "outlines", "trouble")
RAMP = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"  # 48 levels, rising


@dataclass
class MadePicture:
    """The planes of one array, 8-bit, and its row in the table."""

    array: str
    images: Sequence[NDArray[Any]] = ()
    planes: str = "xy"
    histogram: str = RAMP
    outlines: str = ""
    trouble: str = ""
    shown: str = "window"


def write_pictures(folder: Path, pictures: Sequence[MadePicture]) -> Path:
    """Write the table and the JPEG files of a dataset, and return its folder."""
    rows = []
    for made in sorted(pictures, key=lambda made: made.array):
        boxes: list[str] = []
        if not made.trouble:
            boxes = _draw(folder / "reports" / "pictures" / made.array, made.images)
        cells = [made.array, made.planes, " ".join(boxes), made.shown, made.histogram, made.outlines, made.trouble]
        rows.append(
            dict(zip(COLUMNS, cells if not made.trouble else [made.array, *[""] * 5, made.trouble], strict=True))
        )
    with open(folder / "reports" / "pictures.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def _draw(path: Path, images: Sequence[NDArray[Any]]) -> list[str]:
    """Write the picture and its small form; return the box of each plane."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = max(image.shape[0] for image in images), sum(image.shape[1] for image in images)
    sheet = Image.new("RGB", (width, height))
    boxes, left = [], 0
    for image in images:
        sheet.paste(Image.fromarray(np.asarray(image, "uint8")).convert("RGB"), (left, 0))
        boxes.append(f"{left},0,{image.shape[1]},{image.shape[0]}")
        left += image.shape[1]
    sheet.save(path.with_name(f"{path.name}.jpg"), quality=80)
    small = Image.fromarray(np.asarray(images[0], "uint8")).convert("RGB")
    small.thumbnail((96, 96))
    small.save(path.with_name(f"{path.name}.thumb.jpg"), quality=70)
    return boxes
