"""Compare the sizes of the same images as DICOM, lossless PNG, 8-bit PNG and Zarr, from the reports of the exports.

    ./run export_png export_preview --configfile my.yaml
    python -m benchmarks.exports RESULTS

Only grey images of 9 to 16 bits are counted, from uncompressed DICOM files and with at least 64 x 64 pixels, since
headers dominate smaller files. Prints a table in Markdown.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path

NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
SMALLEST = 64  # rows and columns


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "report.csv", newline="", encoding="utf-8") as stream:
        return {row["array"]: row for row in csv.DictReader(stream)}


def is_counted(results: Path, row: dict[str, str]) -> bool:
    attributes = json.loads((results / "dataset/images.zarr" / row["array"] / "zarr.json").read_bytes())["attributes"]
    sizes = dict(zip(row["axes"], map(int, row["shape"].split("x")), strict=True))
    native = set(attributes["dicomzarr"]["transfer_syntax"]) <= NATIVE
    return native and row["bit_depth"] == "16" and "c" not in row["axes"] and min(sizes["y"], sizes["x"]) >= SMALLEST


def table(results: Path) -> str:
    png, preview = (rows(results / "exports" / folder) for folder in ("png", "preview_lossy"))
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * 6)
    for array, row in png.items():
        if is_counted(results, row):
            sizes = (row["source_bytes"], row["pixel_bytes"], row["exported_bytes"])
            sizes += (preview[array]["exported_bytes"], row["stored_bytes"])
            for key in (row["modality"], "all"):
                sums[key] = [a + b for a, b in zip(sums[key], [int(row["files"]), *map(int, sizes)], strict=True)]
    lines = ["| | images | DICOM | pixels | PNG, 16 bits | PNG, 8 bits | Zarr |", "|---|---|---|---|---|---|---|"]
    for key in sorted(sums, key=lambda key: (key == "all", key)):
        images, dicom, *others = sums[key]
        cells = " | ".join(f"{size:,} ({size / dicom:.0%})" for size in others)
        lines.append(f"| {key} | {images} | {dicom:,} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
