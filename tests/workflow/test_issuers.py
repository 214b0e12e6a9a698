"""A series in which some files state the issuer of the patient's id and others do not: one subject, in any order."""

from __future__ import annotations

import pytest
from conftest import Run, Workflow, in_ci
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


@pytest.mark.parametrize("order", in_ci(1, [(3, 2, 1, 0), (0, 1, 2, 3), (1, 3, 0, 2)]))
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


STUDY = "1.2.826.0.1.3680043.10.1"


def arrive_in_study(workflow: Workflow, series: str, issuer: str, patient: str = "P1", study: str = STUDY) -> None:
    for index in range(2):
        dataset = ct_slice(series, index, PatientID=patient, StudyInstanceUID=study)
        if issuer:
            dataset.IssuerOfPatientID = issuer
        save(dataset, workflow.source / f"{series}-{index}.dcm")


def test_a_study_is_of_the_issuer_that_a_later_series_states(workflow: Workflow, warm: Forks | None) -> None:
    """A list of splits that names the issuer covers all of it, also the file without a Series Instance UID."""
    workflow.forks = warm
    (workflow.folder / "test.csv").write_text("PatientID,IssuerOfPatientID\nP1,HOSPITAL\n")
    splits = {"fractions": {"train": 1.0}, "fixed": {"test": str(workflow.folder / "test.csv")}}
    arrive_in_study(workflow, "without", "")
    arrive_in_study(workflow, "elsewhere", "", study=f"{STUDY}.1")  # nothing says that it is the same patient
    nameless = ct_slice("nameless", 0, PatientID="P1", StudyInstanceUID=STUDY, SeriesInstanceUID=None)
    save(nameless, workflow.source / "nameless.dcm")
    with_issuer, without = KEY.subject_id("HOSPITAL", "P1"), KEY.subject_id("", "P1")
    run = workflow.run(splits=splits)
    assert {(row["subject_id"], row["split"]) for row in run.table("dataset/volumes.csv")} == {(without, "train")}
    arrive_in_study(workflow, "with", "HOSPITAL")
    run = workflow.run(splits=splits)
    found = sorted((row["subject_id"], row["split"], row["shape"]) for row in run.table("dataset/volumes.csv"))
    of_study = [(with_issuer, "test", "16x12"), *[(with_issuer, "test", "2x16x12")] * 2]
    assert found == sorted([*of_study, (without, "train", "2x16x12")])
    assert not any("shared_study_uid" in row["flags"] for row in run.table("dataset/volumes.csv"))
    fresh = Workflow(workflow.folder / "fresh", {"source": str(workflow.source)}, workflow.environment, forks=warm)
    assert fresh.run(splits=splits).sealed["digest"] == run.sealed["digest"]


def test_a_study_of_two_patient_ids_is_flagged_and_may_fail_the_run(workflow: Workflow, warm: Forks | None) -> None:
    """A provisional number and a final one: which is known to nobody; fixed splits put them together."""
    workflow.forks = warm
    arrive_in_study(workflow, "alone", "", patient="P0", study=f"{STUDY}.2")
    arrive_in_study(workflow, "first", "", patient="TMP1")
    assert not any("shared_study_uid" in row["flags"] for row in workflow.run().table("dataset/volumes.csv"))
    arrive_in_study(workflow, "second", "", patient="P1")
    for name, patient in {"train": "TMP1", "test": "P1"}.items():
        (workflow.folder / f"{name}.csv").write_text(f"PatientID\n{patient}\n")
    lists = {name: str(workflow.folder / f"{name}.csv") for name in ("train", "test")}
    gate = {"studies_across_splits": 0}
    failed = workflow.run(ok=False, gate=gate, splits={"fractions": {"train": 1.0}, "fixed": lists})
    assert "gate.studies_across_splits: found" in failed.output and "Traceback" not in failed.output
    (workflow.folder / "test.csv").write_text("PatientID\nP1\nTMP1\n")
    run = workflow.run(gate=gate, splits={"fractions": {"train": 1.0}, "fixed": {"test": lists["test"]}})
    flagged = [row["subject_id"] for row in run.table("dataset/volumes.csv") if "shared_study_uid" in row["flags"]]
    assert sorted(flagged) == sorted([KEY.subject_id("", "TMP1"), KEY.subject_id("", "P1")])


def test_one_number_in_several_character_sets_is_one_patient(workflow: Workflow, warm: Forks | None) -> None:
    """Latin-1, UTF-8, and UTF-8 with the accent as a character of its own; so in a list of splits."""
    workflow.forks = warm
    texts = {
        "latin": ("ISO_IR 100", "M\u00fcller1"),
        "utf": ("ISO_IR 192", "M\u00fcller1"),
        "apart": ("ISO_IR 192", "Mu\u0308ller1"),
    }
    for series, (character_set, patient) in texts.items():
        facts = {"SpecificCharacterSet": character_set, "PatientID": patient}
        save(ct_slice(series, 0, **facts), workflow.source / f"{series}.dcm")
    (workflow.folder / "test.csv").write_text("PatientID\nMu\u0308ller1\n", "utf-8")
    run = workflow.run(splits={"fractions": {"train": 1.0}, "fixed": {"test": str(workflow.folder / "test.csv")}})
    found = {(row["subject_id"], row["split"]) for row in run.table("dataset/volumes.csv")}
    assert found == {(KEY.subject_id("", "M\u00fcller1"), "test")}
