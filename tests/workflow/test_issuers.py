"""A series in which some files state the issuer of the patient's id and others do not: one subject, in any order."""

from __future__ import annotations

import pytest
from conftest import Run, Workflow
from dicoms import ct_slice, save, slice_pixels
from forks import Forks

from dicomzarr.privacy.pseudonyms import Pseudonyms

SLICES = 4
KEY = Pseudonyms(b"k" * 32)


def arrive(workflow: Workflow, index: int, issuer: str, series: str = "one", rows: int = 16) -> None:
    dataset = ct_slice(series, index, PatientID="P1", pixels=slice_pixels(series, index, rows))
    if issuer:
        dataset.IssuerOfPatientID = issuer
    save(dataset, workflow.source / f"{series}-{index}-{issuer or 'none'}.dcm")


def subjects(run: Run) -> list[tuple[str, str]]:
    """Return subject and shape of each volume."""
    return sorted((row["subject_id"], row["shape"]) for row in run.table("dataset/volumes.csv"))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_a_series_is_of_the_issuer_that_some_of_its_files_state_in_any_order(
    workflow: Workflow, warm: Forks | None, order: tuple[int, ...]
) -> None:
    """File 2 alone states the issuer; two files arrive, then one, then one."""
    workflow.forks = warm
    arrive(workflow, 0, "", "other", rows=9)
    other = (KEY.subject_id("", "P1"), "9x12")
    for number, index in enumerate(order, 1):
        arrive(workflow, index, "HOSPITAL" if index == 2 else "")
        if number == 1:
            continue
        run = workflow.run()
        is_stated = 2 in order[:number]
        found = [row for row in subjects(run) if row != other]
        assert {subject for subject, _ in found} == {KEY.subject_id("HOSPITAL" if is_stated else "", "P1")}
    assert subjects(run) == sorted([other, (KEY.subject_id("HOSPITAL", "P1"), "4x16x12")])
    series = {row["series_id"] for row in run.table("private/files.csv")}
    folders = {path.name for path in (workflow.results / "dataset/images.zarr").iterdir() if path.is_dir()}
    assert folders == series  # the series without the issuer is retired
    fresh = Workflow(workflow.folder / "fresh", {"source": str(workflow.source)}, workflow.environment, forks=warm)
    assert fresh.run().sealed["digest"] == run.sealed["digest"]


def test_the_issuer_leaves_with_its_file_and_a_second_one_divides_the_series(
    workflow: Workflow, warm: Forks | None
) -> None:
    workflow.forks = warm
    for index in range(SLICES):
        arrive(workflow, index, "HOSPITAL" if index == 0 else "")
    without, first, second = (KEY.subject_id(issuer, "P1") for issuer in ("", "HOSPITAL", "CLINIC"))
    assert subjects(workflow.run()) == [(first, "4x16x12")]
    arrive(workflow, 7, "CLINIC")  # files without an issuer may now be of either
    run = workflow.run()
    assert {subject for subject, _ in subjects(run)} == {without, first, second}
    assert all("shared_series_uid" in row["flags"] for row in run.table("dataset/volumes.csv"))
    (workflow.source / "one-0-HOSPITAL.dcm").unlink()
    run = workflow.run()
    assert {subject for subject, _ in subjects(run)} == {second}
    (workflow.source / "one-7-CLINIC.dcm").unlink()
    assert subjects(workflow.run()) == [(without, "3x16x12")]
