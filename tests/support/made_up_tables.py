"""Write the tables of a made-up dataset, without arrays, in which every column has its documented form."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VOLUMES = (
    "array,series_id,study_id,subject_id,split,modality,axes,shape,dtype,bits_stored,photometric,spacing_mm,frames,"
    "source_bytes,stored_bytes,pixel_digest,flags,masks,masks_absent,label_kind,label_score"
)
MASKS = (
    "array,mask,kind,algorithm,voxels,volume_ml,bounding_box,slices,outside,flags,pixel_digest,name,form,"
    "maximum_fraction,shape,dtype,observed_max,contours,unused_contours,stored_bytes,files,read_back,verdict"
)
DEPTH = (
    "array,dtype,bits_allocated,bits_stored,signed,photometric,declared_min,declared_max,observed_min,observed_max,"
    "bits_used,padding_value,unpadded_min,unpadded_max,read_back,verdict,flags"
)
SIZE = (
    "array,frames_expected,frames_written,rows,columns,expected_bytes,source_bytes,stored_bytes,ratio,files,"
    "missing_slices,verdict,flags"
)
REPORTS = {
    "outcomes": "outcome,reason,files\nextracted,,30\nignored,not_dicom,2\n",
    "policy": "policy,kind,files\nburned_in,ultrasound,1\n",
    "mask_files": "kind,outcome,reason,files,masks,failed\nRTSTRUCT,not_placed,mask_without_image,1,0,2\n"
    "SEG,placed,,1,2,0\n",
    "labels": "label,finding,value,series\nkind,images_unlabelled,,1\nkind,matched,benign,6\n"
    "splits.fixed,matched,test,1\n",
    "pictures": "array,planes,boxes,shown,histogram,outlines,trouble\n00000000c0ffee00/2d957980,z:1/2 y:16/32 x:16/32,"
    '"0,0,32,32 40,0,32,5",window,_a91,liver=#e6550d,\n',
}
LABELS = {"kind": {"values": ["benign", "malignant"]}, "score": {"range": [0, 6]}}
SPLITS = ["test", "train"]


@dataclass
class Row:
    """An array: the cells of it that differ between rows."""

    subject: int
    modality: str = "CT"
    split: str = "train"
    kind: str = "benign"
    score: str = "3"
    flags: str = ""
    masks: str = ""

    def array(self, number: int) -> str:
        """Return its path."""
        return f"{number:08d}c0ffee00/2d957980"


def six_and_two() -> list[Row]:
    """Return six subjects with CT, two of them with the rare kind, and two with MR."""
    kinds = ["benign"] * 4 + ["malignant"] * 2
    rows = [Row(number, kind=kind, score="" if number else "0.5") for number, kind in enumerate(kinds)]
    rows[0].masks, rows[0].flags = "liver tumour_2", "face_risk gap"
    return [*rows, Row(6, "MR", "test"), Row(7, "MR", "test", kind="")]


def write_tables(folder: Path, rows: list[Row]) -> Path:
    """Write the tables of a dataset and return its folder."""
    (folder / "reports").mkdir(parents=True)
    volumes, masks, depth, size = [], [], [], []
    for number, row in enumerate(rows):
        array = row.array(number)
        common = {"array": array, "dtype": "uint16", "bits_stored": 12, "photometric": "MONOCHROME2", "verdict": "pass"}
        study, subject = f"beef{row.subject:012d}", f"{row.subject:08d}beefbeef"
        ids = {"series_id": array[:16], "study_id": study, "subject_id": subject}
        sizes = {"source_bytes": 4096, "stored_bytes": 1024}
        volumes.append(
            {**common, **ids, **sizes, "split": row.split, "modality": row.modality, "axes": "zyx", "shape": "2x32x32"}
            | {"spacing_mm": "2.5x0.5x0.5", "frames": 2, "pixel_digest": f"{number:064x}", "flags": row.flags}
            | {"masks": row.masks, "label_kind": row.kind, "label_score": row.score}
        )
        for mask in row.masks.split():
            masks.append(
                {"array": array, "mask": mask, "kind": "SEG", "algorithm": "manual", "voxels": 9, "volume_ml": 0.5}
                | {
                    "bounding_box": "0:2 3:9 3:9",
                    "slices": 2,
                    "outside": 0.0,
                    "pixel_digest": "ab" * 32,
                    "shape": "2x32x32",
                }
                | {"name": mask.removesuffix("_2"), "form": "BINARY", "dtype": "uint8", "observed_max": 1, "files": 5}
                | {"stored_bytes": 99, "read_back": "exact", "verdict": "pass"}
            )
        depth.append(
            {
                **common,
                "bits_allocated": 16,
                "signed": "false",
                "observed_min": 0,
                "observed_max": "inf",
                "bits_used": 11,
            }
            | {"read_back": "exact"}
        )
        size.append(
            {**common, **sizes, "frames_expected": 2, "frames_written": 2, "rows": 32, "columns": 32, "files": 3}
            | {"expected_bytes": 4096, "ratio": 4.0, "missing_slices": 0}
        )
    _write(folder / "volumes.csv", VOLUMES, volumes)
    _write(folder / "masks.csv", MASKS, masks)
    _write(folder / "reports" / "depth.csv", DEPTH, depth)
    _write(folder / "reports" / "size.csv", SIZE, size)
    for name, text in REPORTS.items():
        head = text.split("\n")[0] + "\n"
        (folder / "reports" / f"{name}.csv").write_text(text if rows else head)
    return folder


def _write(path: Path, head: str, rows: list[dict[str, Any]]) -> None:
    columns = head.split(",")
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
