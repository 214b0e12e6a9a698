"""Copies of images that arrive later, and images that are lost, in the real workflow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conftest import Run, Workflow
from dicoms import ct_slice, save, slice_pixels, uid
from forks import Forks


def bytes_of(results: Path) -> dict[str, bytes]:
    paths = [path for path in (results / "dataset").rglob("*") if path.is_file()]
    paths += [results / "private" / name for name in ("files.csv", "frames.csv")]
    return {str(path.relative_to(results)): path.read_bytes() for path in paths}


def sizes(run: Run) -> list[tuple[str, str, str, str]]:
    """Return frames expected and written, the verdict on the size, and the flags of each array."""
    flags = {row["array"]: row["flags"] for row in run.table("dataset/volumes.csv")}
    return sorted(
        (row["frames_expected"], row["frames_written"], row["verdict"], flags[row["array"]])
        for row in run.table("dataset/reports/size.csv")
    )


def test_a_copy_that_arrives_later_gives_the_dataset_of_a_run_from_scratch(
    workflow: Workflow, tmp_path: Path, warm: Forks | None
) -> None:
    workflow.forks = warm
    workflow.environment["DICOMZARR_KEY"] = "k" * 32
    for index in range(8):
        save(ct_slice("alpha", index), workflow.source / f"s{index}.dcm")
    air = np.full((16, 12), -1000, "<i2")
    for number in range(6):  # two times of three slices, one of them empty: no copies
        pixels = air if number % 3 == 0 else slice_pixels("beta", number)
        time = ct_slice("beta", number % 3, pixels=pixels, SOPInstanceUID=uid("t", number), InstanceNumber=number)
        save(time, workflow.source / f"t{number}.dcm")
    before = sizes(workflow.run())

    # The smaller instance number stays: once that of the old file, once that of the new one.
    for index, number in ((4, 2000), (6, 1)):
        copy = ct_slice("alpha", index, SOPInstanceUID=uid("again", index), InstanceNumber=number)
        save(copy, workflow.source / f"again{index}.dcm")
    run = workflow.run()
    not_extracted = {path: outcome for path, outcome in run.outcome().items() if outcome[0] != "extracted"}
    assert not_extracted == dict.fromkeys(("again4.dcm", "s6.dcm"), ("skipped", "duplicate"))
    assert sizes(run) == before and ("8", "8", "pass", "") in before
    assert sorted(row["path"] for row in run.table("private/files.csv")) == sorted(run.outcome())
    scratch = Workflow(
        tmp_path / "scratch",
        {**workflow.config, "source": str(workflow.source)},
        workflow.environment,
        forks=workflow.forks,
    )
    assert bytes_of(scratch.run().results) == bytes_of(run.results)

    # A copy takes the place of its original when that leaves.
    (workflow.source / "s4.dcm").unlink()
    run = workflow.run()
    assert run.outcome()["again4.dcm"] == ("extracted", "") and ("8", "8", "pass", "") in sizes(run)


def test_a_scan_under_two_identities_stays_whole(workflow: Workflow, warm: Forks | None) -> None:
    """Another patient, or another series, with the same SOP Instance UIDs and pixels: never half of each."""
    workflow.forks = warm
    for scan in range(6):
        other = {"PatientID": f"corrected {scan}"} if scan % 2 else {"SeriesInstanceUID": uid("renumbered", scan)}
        for index in range(6):
            save(ct_slice(f"scan {scan}", index), workflow.source / f"{scan}/a/{index}.dcm")
            save(ct_slice(f"scan {scan}", index, **other), workflow.source / f"{scan}/b/{index}.dcm")
    for index in range(6):  # the copies overlap in two slices
        if index < 4:
            save(ct_slice("overlap", index), workflow.source / f"overlap/a/{index}.dcm")
        if index > 1:
            again = ct_slice("overlap", index, SeriesInstanceUID=uid("renumbered"))
            save(again, workflow.source / f"overlap/b/{index}.dcm")
    run = workflow.run()
    extracted = [path for path, outcome in run.outcome().items() if outcome == ("extracted", "")]
    assert set(run.outcome().values()) == {("extracted", ""), ("skipped", "duplicate")}
    for scan in range(6):
        of_scan = {path.split("/")[1] for path in extracted if path.startswith(f"{scan}/")}
        assert len(of_scan) == 1, f"slices of both copies in scan {scan}"
        assert len([path for path in extracted if path.startswith(f"{scan}/")]) == 6
    flags = sorted((row["shape"].split("x")[0], row["flags"]) for row in run.table("dataset/volumes.csv"))
    assert [flag for frames, flag in flags if frames == "2"] == ["images_elsewhere"]
    assert not any("images_elsewhere" in flag for frames, flag in flags if frames != "2")


def test_lost_images_are_expected_and_the_report_names_their_arrays(workflow: Workflow, warm: Forks | None) -> None:
    workflow.forks = warm
    source = workflow.source
    for series in ("twins", "cut", "wholly", "whole"):
        for index in range(6):
            save(ct_slice(series, index), source / series / f"{index}.dcm")
    save(ct_slice("twins", 5, pixels=slice_pixels("other", 5)), source / "twins" / "twin.dcm")
    data = (source / "cut" / "5.dcm").read_bytes()
    (source / "cut" / "5.dcm").write_bytes(data[: data.index(b"\x28\x00\x10\x00US") + 7])  # inside Rows (0028,0010)
    plane = {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    localizer = save(ct_slice("wholly", 50, **plane), source / "wholly" / "localizer.dcm")
    localizer.write_bytes(localizer.read_bytes()[:-9])
    run = workflow.run()
    assert sizes(run) == [
        ("6", "5", "warn", "incomplete"),
        ("6", "5", "warn", "incomplete"),
        ("6", "6", "pass", ""),
        ("6", "6", "pass", "series_incomplete"),
    ]
    assert run.outcome()["twins/5.dcm"] == run.outcome()["twins/twin.dcm"] == ("quarantined", "conflicting_instance")
    rows = {row["path"]: row for row in run.table("private/files.csv")}
    assert rows["cut/5.dcm"]["reason"] == "truncated_header"
    assert rows["cut/5.dcm"]["series_id"] == rows["cut/0.dcm"]["series_id"] != ""
    page = " ".join((run.results / "dataset" / "reports" / "report.html").read_text().split())
    assert "2 arrays lack frames that were not extracted" in page
    assert "1 array belongs to a series that lost other images" in page
