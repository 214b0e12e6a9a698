"""NIfTI of mosaics: the same as of the slices, had the scanner written them as images of their own."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from cases_of_frames import csa_header
from conftest import Workflow
from dicoms import ct_slice, save
from forks import Forks
from pydicom import Dataset

TIMES, SLICES, ROWS, COLUMNS, ACROSS = 2, 7, 4, 8, 3
SPACING, GAP = (0.5, 0.75), 2.5
ORIENTATION = [0.8, 0.6, 0.0, 0.0, 0.0, -1.0]
NORMAL = np.cross(ORIENTATION[:3], ORIENTATION[3:])
FIRST = np.array([-10.0, 20.0, 5.0])
VOXELS = np.random.default_rng(8).integers(1, 4000, (TIMES, SLICES, ROWS, COLUMNS)).astype("<u2")

Fill = Callable[[Dataset], None]


def header(time: int, **more: Any) -> dict[str, Any]:
    facts = {"Modality": "MR", "PixelSpacing": list(SPACING), "ImageOrientationPatient": ORIENTATION}
    facts |= {
        "SpacingBetweenSlices": GAP,
        "AcquisitionTime": f"1000{3 * time:02}",
        "RescaleSlope": 0.5,
        "BitsStored": 12,
    }
    return facts | {"HighBit": 11, "PixelRepresentation": 0, "RescaleIntercept": -1} | more


def save_slices(source: Path) -> None:
    for time in range(TIMES):
        for z in range(SLICES):
            place = [float(each) for each in FIRST + z * GAP * NORMAL]
            facts = header(time, ImagePositionPatient=place, ImageType=["ORIGINAL", "PRIMARY", "M"])
            save(ct_slice("slices", 100 * time + z, pixels=VOXELS[time, z], **facts), source / f"slices/{time}-{z}.dcm")


def save_sheets(source: Path, name: str, down: int, kind: str, fill: Fill, behind: int = 0) -> None:
    """Write a mosaic for each time; `behind` is a value of the last tile, which holds no slice."""
    sheets = np.zeros((TIMES, down * ROWS, ACROSS * COLUMNS), "<u2")
    for z in range(SLICES):
        row, column = z // ACROSS * ROWS, z % ACROSS * COLUMNS
        sheets[:, row : row + ROWS, column : column + COLUMNS] = VOXELS[:, z]
    sheets[:, -1, -1] = behind
    # PS3.3 has no mosaics: Siemens writes the corner that a slice as large as the sheet would have, around one centre.
    wider, higher = (ACROSS - 1) * COLUMNS / 2 * SPACING[1], (down - 1) * ROWS / 2 * SPACING[0]
    corner = FIRST - wider * np.array(ORIENTATION[:3]) - higher * np.array(ORIENTATION[3:])
    for time in range(TIMES):
        facts = header(time, ImageType=["ORIGINAL", "PRIMARY", "M", kind])
        dataset = ct_slice(
            name, time, pixels=sheets[time], ImagePositionPatient=[float(f"{x:.6f}") for x in corner], **facts
        )
        fill(dataset)
        save(dataset, source / f"{name}/{time}.dcm")


def siemens(dataset: Dataset) -> None:
    dataset.Manufacturer = "SIEMENS"
    normal = [f"{part:.8f}" for part in NORMAL]
    data = csa_header(NumberOfImagesInMosaic=[str(SLICES)], SliceNormalVector=normal)
    dataset.private_block(0x29, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", data)


def uih(places: list[list[float]]) -> Fill:
    def fill(dataset: Dataset) -> None:
        dataset.Manufacturer = "UIH"
        items = []
        for place in places:
            item = Dataset()
            item.ImagePositionPatient = place
            items.append(item)
        block = dataset.private_block(0x65, "Image Private Header", create=True)
        block.add_new(0x50, "DS", str(SLICES))
        block.add_new(0x51, "SQ", items)

    return fill


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> Workflow:
    workflow = Workflow(tmp_path_factory.mktemp("mosaics"), environment={"DICOMZARR_KEY": "k" * 32}, forks=warm)
    save_slices(workflow.source)
    places = [[round(float(each), 6) for each in FIRST + z * GAP * NORMAL] for z in range(SLICES)]
    save_sheets(workflow.source, "siemens", 3, "MOSAIC", siemens)
    save_sheets(workflow.source, "values behind", 3, "MOSAIC", siemens, behind=7)
    save_sheets(workflow.source, "uih", 3, "VFRAME", uih(places))
    uneven = [*places[:-1], [part + 1 for part in places[-1]]]
    save_sheets(workflow.source, "uneven", 3, "VFRAME", uih(uneven))
    save_sheets(workflow.source, "no tiles", 3, "MOSAIC", lambda dataset: None)
    workflow.run("--show-failed-logs", "export_nifti")
    return workflow


def reports(workflow: Workflow) -> dict[str, dict[str, str]]:
    """Return the row of the export's report by name of the series."""
    with open(workflow.results / "private/frames.csv", newline="") as stream:
        names = {row["array"]: row["path"].split("/")[0] for row in csv.DictReader(stream)}
    with open(workflow.results / "exports/nifti/report.csv", newline="") as stream:
        return {names[row["array"]].replace("%20", " "): row for row in csv.DictReader(stream)}


@pytest.mark.parametrize("name", ["siemens", "uih"])
def test_a_mosaic_is_the_volume_of_its_slices(exported: Workflow, name: str) -> None:
    rows, folder = reports(exported), exported.results / "exports/nifti"
    mosaic, slices = (nibabel.load(folder / f"{rows[key]['array']}.nii.gz") for key in (name, "slices"))
    assert mosaic.shape == slices.shape == (COLUMNS, ROWS, SLICES, TIMES)
    assert np.array_equal(np.asarray(mosaic.dataobj.get_unscaled()), VOXELS.T)
    assert np.array_equal(np.asarray(mosaic.dataobj), np.asarray(slices.dataobj))
    assert np.allclose(mosaic.affine, slices.affine, atol=1e-4)
    expected = np.diag([-1, -1, 1]) @ (FIRST + 3 * SPACING[1] * np.array(ORIENTATION[:3]) + 5 * GAP * NORMAL)
    assert np.allclose(mosaic.affine @ [3, 0, 5, 1], [*expected, 1], atol=1e-4)
    assert np.allclose(mosaic.header.get_zooms(), [SPACING[1], SPACING[0], GAP, 3.0], atol=1e-4)
    assert mosaic.header.get_xyzt_units() == ("mm", "sec")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("values behind", "tiles_uncertain"), ("uneven", "no_regular_geometry"), ("no tiles", "no_regular_geometry")],
)
def test_a_mosaic_of_uncertain_slices_is_refused(exported: Workflow, name: str, reason: str) -> None:
    row = reports(exported)[name]
    assert (row["outcome"], row["reason"]) == ("refused", reason)
    assert not (exported.results / "exports/nifti" / f"{row['array']}.nii.gz").exists()
