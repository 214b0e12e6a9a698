"""People in the texts of masks: they stay private, and `./run status` shows labels without a name."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from canaries import leaks
from conftest import Launch, Workflow
from dicoms import uid
from folders import state_of
from made_up_segmentations import as_bytes
from made_up_structure_sets import code_item, file_of
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence
from scans_with_masks import ScanWithMasks

MASK_FILES = "dataset/reports/mask_files.csv"
NAMES = {"masks": {"names": {"tumour": ["(?i)^gtv"]}, "expected": ["tumour"]}}
# People without a mark: each of these words alone would give one away.
PEOPLE = ("Ziegenhirt", "Klabautermann", "Hupfdohle")


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def by(what: str) -> str:
    """Return a text that names a person, another one for each attribute."""
    return f"Qzxwvkcanary {what}"


def code(what: str, value: str = "80891009", scheme: str = "SCT") -> Dataset:
    return code_item(scheme, value, by(f"meaning {what}"))


def segmentation(made: ScanWithMasks) -> Dataset:
    """Return the segmentation of a scan with people in all texts of its segments and of its content."""
    dataset: Dataset = dcmread(io.BytesIO(made.segmentation()))
    first, second = dataset.SegmentSequence
    first.SegmentLabel, first.SegmentDescription = f"{PEOPLE[0]} {by('label')}", by("description")
    first.TrackingID, first.TrackingUID = by("tracking"), "1.2.826.0.1.3680043.90210.77.5"
    kind = code("type", by("value")[:16], by("scheme")[:16])
    kind.SegmentedPropertyTypeModifierCodeSequence = Sequence([code("modifier", "7771000")])
    region = code("region", "98765")
    region.AnatomicRegionModifierSequence = Sequence([code("modifier of the region", "7771000")])
    first.SegmentedPropertyTypeCodeSequence = Sequence([kind])
    first.AnatomicRegionSequence = Sequence([region])
    first.SegmentedPropertyCategoryCodeSequence = Sequence([code("category", "85756007")])
    second.SegmentLabel, second.SegmentAlgorithmName = f"GTV {PEOPLE[1]}", by("algorithm")
    second.SegmentedPropertyTypeCodeSequence = Sequence([code("of the second type", "1", "99Qzxwvkcanary")])
    dataset.ContentLabel, dataset.ContentDescription = "QZXWVKCANARY", by("content")
    dataset.ContentCreatorName, dataset.SeriesDescription = "Qzxwvkcanary^Creator", by("series")
    return dataset


def structures(made: ScanWithMasks) -> Dataset:
    """Return the structure set of a scan with people in all texts of its regions."""
    dataset: Dataset = dcmread(io.BytesIO(made.structures()))
    dataset.StructureSetLabel, dataset.StructureSetName = by("set")[:16], by("name of the set")
    dataset.StructureSetDescription, dataset.ReviewerName = by("text of the set"), "Qzxwvkcanary^Reviewer"
    region, observation = dataset.StructureSetROISequence[0], dataset.RTROIObservationsSequence[0]
    region.ROIName, region.ROIDescription = f"{PEOPLE[2]} {by('ROI')}", by("text of the ROI")
    region.ROIGenerationDescription = by("generation")
    observation.ROIObservationLabel, observation.ROIObservationDescription = by("eye"), by("text of the eye")
    observation.ROIInterpreter = "Qzxwvkcanary^Interpreter"
    observation.RTROIIdentificationCodeSequence = Sequence([code("ROI", "4711", "99Qzxwvkcanary")])
    return dataset


def broken(made: ScanWithMasks) -> list[bytes]:
    """Return files with people that cannot be read as masks, each for another reason."""
    files: list[Any] = []
    for defect in ("type", "number", "frames"):
        dataset = segmentation(made)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("broken", defect)
        if defect == "type":
            dataset.SegmentationType = "QZXWVKCANARY"
        elif defect == "number":
            del dataset.SegmentSequence[0].SegmentNumber
        else:
            dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:1]
        files.append(as_bytes(dataset))
    dataset = structures(made)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("broken", "set")
    del dataset.ROIContourSequence
    return [*files, file_of(dataset)]


def write(source: Path) -> None:
    """Write a scan with masks, the masks of a scan that is not there, and broken ones."""
    made, other = ScanWithMasks("one"), ScanWithMasks("two")
    folder = source / by("folder")
    made.save_images(folder)
    for number, (seg, rt) in enumerate(
        ((segmentation(made), structures(made)), (segmentation(other), structures(other)))
    ):
        (folder / f"{by('seg')} {number}.dcm").write_bytes(as_bytes(seg))
        (folder / f"{by('rt')} {number}.dcm").write_bytes(file_of(rt))
    for number, data in enumerate(broken(made)):
        (folder / f"{by('broken')} {number}.dcm").write_bytes(data)


def test_no_person_in_a_text_of_masks_leaves_the_private_folder(workflow: Workflow, launch: Launch) -> None:
    write(workflow.source)
    nnunet = {"nnunet": {"dataset": "Dataset001_Made", "modality": "CT", "labels": ["tumour"]}}
    workflow.write_config(**NAMES, **nnunet)
    done = launch(workflow, "export_nifti", "export_npz", "export_nnunet")
    assert done.returncode == 0, done.stderr[-3000:]
    again = launch(workflow, "verify")
    assert again.returncode == 0, again.stdout
    private = workflow.results / "private"
    assert leaks([workflow.results, workflow.folder / ".snakemake"], private, PEOPLE) == {}
    printed = "".join(output for run in (done, again) for output in (run.stdout, run.stderr))
    assert not [word for word in ("Qzxwvkcanary", *PEOPLE) if word.lower() in printed.lower()]

    # They were read, and are where they belong.
    named = {row["mask"]: row for row in table(private / "mask_names.csv")}
    assert set(named) == {"tumour", "unnamed_1", "unnamed_2"}
    texts = (private / "mask_names.csv").read_text()
    planted = [*PEOPLE, by("label"), by("description"), by("ROI"), by("eye"), "99Qzxwvkcanary:4711"]
    assert [text for text in planted if text not in texts] == []
    outcomes = {(row["kind"], row["reason"]): int(row["files"]) for row in table(workflow.results / MASK_FILES)}
    assert outcomes == {
        ("RTSTRUCT", ""): 1,
        ("RTSTRUCT", "mask_unreadable"): 1,
        ("RTSTRUCT", "mask_without_image"): 1,
        ("SEG", ""): 1,
        ("SEG", "mask_unreadable"): 3,
        ("SEG", "mask_without_image"): 1,
    }


def test_status_proposes_unmatched_names_and_changes_nothing(workflow: Workflow, launch: Launch) -> None:
    for name, roi in (("one", "Kidney_L"), ("two", "Kidney_L"), ("three", "drawn by Qzxwvkcanary")):
        ScanWithMasks(name, labels=("Liver", "GTV"), roi=roi).save(workflow.source / name)
    workflow.run(**NAMES)
    names = workflow.results / "private/mask_names.csv"
    before = state_of(workflow.results)
    plain, as_json = launch(workflow, "status"), launch(workflow, "status", "--json")
    assert (plain.returncode, as_json.returncode) == (0, 0), plain.stdout + plain.stderr
    said, counted, advice, *lines = plain.stdout.splitlines()
    assert said == "Nothing to do" and advice.startswith("masks: to name them, ")
    shown = names.relative_to(workflow.folder)
    assert (
        counted.startswith("masks unnamed in the last run: 3, of 2 labels in ")
        and f"{shown}; they may identify" in counted
    )
    assert lines == [
        '    left_kidney: ["(?i)^Kidney_L$"] # 2 masks',
        '    name_2: ["(?i)^drawn by Qzxwvkcanary$"] # 1 mask',
    ]
    answer = json.loads(as_json.stdout)
    assert answer["pending"] is False
    assert answer["unnamed_masks"] == {
        "masks": 3,
        "labels": 2,
        "proposals": [
            {"label": "Kidney_L", "name": "left_kidney", "pattern": "(?i)^Kidney_L$", "masks": 2},
            {
                "label": "drawn by Qzxwvkcanary",
                "name": "",
                "pattern": "(?i)^drawn by Qzxwvkcanary$",
                "masks": 1,
            },
        ],
    }
    assert state_of(workflow.results) == before
    # Nor does what status prints stay in Snakemake's own folder.
    assert not leaks([workflow.folder / ".snakemake"], workflow.results / "private")

    # The proposal, merged into the configuration, names the masks.
    merged = {"tumour": ["(?i)^gtv"], "left_kidney": ["(?i)^Kidney_L$"]}
    workflow.run(masks={"names": merged, "expected": ["tumour"]})
    assert sorted(row["name"] for row in table(names)) == ["", *["left_kidney"] * 2, *["liver"] * 3, *["tumour"] * 3]
    after = launch(workflow, "status").stdout
    assert "masks unnamed in the last run: 1, of 1 label in" in after and "Kidney_L" not in after
