"""What was drawn and is not in a mask: never taken for an absent structure, never mixed with another one."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REASON
from dicoms import save, uid
from from_scratch import digest_from_scratch
from made_up_scans import scan
from made_up_structure_sets import MadeUpContour, MadeUpRoi, file_of, square, structure_set
from pydicom import Dataset
from scans_with_masks import read_mask

CONFIG = {"masks": {"names": {"liver": ["liver"], "tumour": ["tumour"]}, "expected": ["liver", "tumour"]}}
TUMOUR = square(-9, -19, -4, -14, 35)
BETWEEN = square(-9.9, -19.9, -9.5, -19.6, 35)  # no voxel centre is inside


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def built(folder: Path, images: list[Dataset], structures: Dataset) -> Path:
    for number, image in enumerate(images):
        save(image, folder / "source" / f"{number}.dcm")
    (folder / "source" / "rt.dcm").write_bytes(file_of(structures))
    config = {**CONFIG, "source": str(folder / "source"), "burned_in": "keep", "burned_in_reason": REASON}
    digest_from_scratch(config, folder / "results")
    return folder / "results"


def structures_of(image: Dataset, rois: list[MadeUpRoi], **attributes: Any) -> Dataset:
    return structure_set(
        rois,
        frame_of_reference=str(image.FrameOfReferenceUID),
        series=str(image.SeriesInstanceUID),
        study=str(image.StudyInstanceUID),
        PatientID=str(image.PatientID),
        **attributes,
    )


@pytest.mark.parametrize(
    ("tumour", "absent"),
    [
        (MadeUpRoi("tumour"), "tumour"),
        (MadeUpRoi("tumour", [square(-9, -19, -4, -14, 500)]), "tumour"),  # not in this part of the body
        (MadeUpRoi("tumour", [BETWEEN]), ""),
        (MadeUpRoi("tumour", [MadeUpContour(TUMOUR, kind="OPEN_PLANAR")]), ""),
        (MadeUpRoi("tumour", [MadeUpContour(TUMOUR[:1], kind="POINT")]), ""),
        (MadeUpRoi("tumour", [MadeUpContour("1\\2\\nan")]), ""),
        (MadeUpRoi("tumour", [TUMOUR], frame_of_reference="1.2.3"), ""),
        (MadeUpRoi("tumour", [TUMOUR]), ""),
    ],
)
def test_a_structure_that_was_drawn_is_not_absent(tmp_path: Path, tumour: MadeUpRoi, absent: str) -> None:
    images = scan("one")
    results = built(tmp_path, images, structures_of(images[0], [MadeUpRoi("liver", [TUMOUR]), tumour]))
    (row,) = table(results / "dataset/volumes.csv")
    assert row["masks_absent"] == absent


def test_contours_on_another_series_are_not_mixed_with_those_on_this_one(tmp_path: Path) -> None:
    ct, pet = scan("one"), scan("two", series="one")
    for image in pet:
        image.SeriesInstanceUID, image.Modality = uid("series", "two"), "PT"
    on_ct = MadeUpContour(TUMOUR, images=[str(ct[2].SOPInstanceUID)])
    on_pet = MadeUpContour(TUMOUR + [1.5, 1.5, 0], images=[str(pet[2].SOPInstanceUID)])
    alone = read_of(built(tmp_path / "alone", ct, structures_of(ct[0], [MadeUpRoi("tumour", [on_ct])])))
    both = read_of(built(tmp_path / "both", ct, structures_of(ct[0], [MadeUpRoi("tumour", [on_ct, on_pet])])))
    assert both[1]["flags"] == "contours_elsewhere" and both[1]["verdict"] == "warn"
    assert alone[0].any() and np.array_equal(both[0], alone[0])


def read_of(results: Path) -> tuple[Any, dict[str, str]]:
    (row,) = table(results / "dataset/masks.csv")
    return read_mask(results, row), row
