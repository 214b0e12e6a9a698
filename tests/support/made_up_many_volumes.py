"""Write the tables and pictures of a dataset of many arrays, without the arrays themselves, in a second or two."""

from __future__ import annotations

import csv
import os
import random
from pathlib import Path

import numpy as np
from made_up_dataset import DEPTH, SIZE, VOLUMES
from PIL import Image

MODALITIES = ("CT", "MR", "PT", "US", "CR")
PICTURES = ("array", "planes", "boxes", "shown", "histogram", "outlines", "trouble")
_LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"


def array_of(number: int) -> str:
    """Return the path of an array."""
    return f"{number * 2_654_435_761 % (1 << 64):016x}/{number:08x}"


def write_many(folder: Path, number: int, *, picture_files: bool = True) -> Path:
    """Write a dataset folder of `number` arrays and return it; one in fifty has a warning.

    Parameters
    ----------
    folder : Path
    number : int
    picture_files : bool
        Write the pictures: hard links to thirty different ones of noise, which compress as badly as real ones.
    """
    chance = random.Random(7)
    reports = folder / "reports"
    (reports / "pictures").mkdir(parents=True)
    tables = {
        folder / "volumes.csv": ([*VOLUMES, "kind", "why"], []),
        reports / "depth.csv": (DEPTH, []),
        reports / "size.csv": (SIZE, []),
        reports / "pictures.csv": (PICTURES, []),
        reports / "outcomes.csv": (("outcome", "reason", "files"), [{"outcome": "extracted", "files": 40 * number}]),
        reports / "policy.csv": (("policy", "kind", "files"), []),
    }
    volumes, depth, size, pictures = (rows for _, rows in list(tables.values())[:4])
    for index in range(number):
        array, slices = array_of(index), chance.randint(20, 200)
        stored = chance.randint(10**6, 10**8)
        verdict = "pass" if index % 50 else "warn"
        common = {"array": array, "dtype": "int16", "bits_stored": 12, "photometric": "MONOCHROME2"}
        volumes.append(
            common
            | {
                "series_id": array[:16], "study_id": f"{index // 3:016x}", "subject_id": f"{index // 5:016x}",
                "split": ("train", "val", "test")[index // 5 % 3], "modality": MODALITIES[index // 5 % len(MODALITIES)],
                "axes": "zyx", "shape": f"{slices}x512x512", "spacing_mm": f"{chance.randint(10, 50) / 10}x0.7x0.7",
                "frames": slices, "source_bytes": 2 * stored, "stored_bytes": stored, "pixel_digest": "00",
                "flags": "gap" if index % 50 == 0 else "face_risk" if index % 3 == 0 else "", "kind": "volume",
                "why": f"{slices} frames at {slices} positions 2.5 mm apart",
            }
        )  # fmt: skip
        high = chance.randint(1000, 4095)
        depth.append(
            common | {"observed_min": 0, "observed_max": high, "bits_used": 12, "read_back": "exact", "verdict": "pass"}
        )
        size.append(
            {"array": array, "frames_expected": slices, "frames_written": slices, "source_bytes": 2 * stored,
             "stored_bytes": stored, "missing_slices": int(verdict == "warn"), "verdict": verdict}
        )  # fmt: skip
        pictures.append(
            {"array": array, "planes": f"z:{slices // 2}/{slices} y:256/512 x:256/512", "shown": "window",
             "boxes": "0,0,224,224 228,0,224,100 456,0,224,100",
             "histogram": "".join(chance.choices(_LEVELS, k=48))}
        )  # fmt: skip
    for path, (columns, rows) in tables.items():
        with open(path, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted(rows, key=lambda row: str(row.get("array", ""))))
    if picture_files:
        _write_pictures(reports / "pictures", number)
    return folder


def _write_pictures(folder: Path, number: int) -> None:
    noise = np.random.default_rng(7)
    masters = []
    for each in range(30):
        for end, shape, quality in ((".thumb.jpg", (96, 96), 20), (".jpg", (224, 680), 60)):
            smooth = noise.integers(0, 256, (shape[0] // 8, shape[1] // 8), dtype="uint8")
            path = folder / f"master{each}{end}"
            Image.fromarray(smooth).resize(shape[::-1]).save(path, quality=quality)
        masters.append(folder / f"master{each}")
    for index in range(number):
        array, master = array_of(index), masters[index % len(masters)]
        (folder / array).parent.mkdir(exist_ok=True)
        for end in (".thumb.jpg", ".jpg"):
            os.link(f"{master}{end}", folder / f"{array}{end}")
    for master in masters:
        for end in (".thumb.jpg", ".jpg"):
            os.unlink(f"{master}{end}")
