"""Which exports a command line asks for, and which series an exported file belongs to."""

from __future__ import annotations

import pytest

from dicomzarr.records import export_record
from dicomzarr.records.export_record import MONAI, NIFTI, NNUNET, NPZ, PNG, PREVIEW, Kind

SERIES = "0123456789abcdef"


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        ([], []),
        (["all", "--cores", "2"], []),
        (["export_nifti"], [NIFTI]),
        (["export_preview", "export_png"], [PNG, PREVIEW]),  # in the order of the kinds
        (["--until=export_nnunet"], [NNUNET]),
        (["export_monai"], [NNUNET, MONAI]),  # whose lists name files of nnU-Net
    ],
)
def test_a_command_line_names_the_exports_that_it_needs(arguments: list[str], kinds: list[Kind]) -> None:
    assert export_record.requested_kinds(arguments) == kinds


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        (NPZ, f"{SERIES}.npz"),
        (PNG, f"{SERIES}/01234567/t0000_z0001.png"),
        (NNUNET, f"Dataset001_a/imagesTr/{SERIES}_01234567_0000.nii.gz"),
        (NNUNET, f"Dataset001_a/labelsTr/{SERIES}_01234567.nii.gz"),
    ],
)
def test_the_name_of_an_exported_file_tells_its_series(kind: Kind, file: str) -> None:
    assert export_record.series_of(kind, file) == SERIES
