"""No text, name or identifier of the source leaves the private folder."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import numpy as np
from blake3 import blake3
from conftest import Launch, Workflow
from dicoms import ct_slice, save, save_series
from encoded_texts import hits
from project_copy import copy_of_the_project, edit
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from scans_with_masks import ScanWithMasks

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records import decisions

CANARIES = {
    "PatientName": "Zyxwolf^Canaria",
    "PatientID": "CANPID7719",
    "AccessionNumber": "CANACC5521",
    "InstitutionName": "Canary Hospital",
    "StudyDescription": "CANSTUDYDESC",
    "SeriesDescription": "CANSERIESDESC",
    "PatientBirthDate": "19370203",
    "StudyDate": "20110417",
    "AcquisitionTime": "071539.4711",
    "ReferringPhysicianName": "Doctor^Canfinch",
    "StudyInstanceUID": "1.2.826.0.1.3680043.777.1.424243",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.777.2.424244",
    "ManufacturerModelName": "CANSCANNER",
    "ImageComments": "CANCOMMENT",
    "ImageType": ["ORIGINAL", "CANIMAGETYPE", "AXIAL"],
    "BodyPartExamined": "CANBODY",
}
FOLDERS = ("Canfolder Wolf Anna", "canfile-19370203.dcm")


def write_canaries(source: Path) -> list[str]:
    """Write a series with canaries, and broken files; return the texts that must not leave `private/`."""
    texts = [*FOLDERS, "CANPRIVATE", "CANNESTED", "CANBROKEN", "CANMODALITY"]
    for value in CANARIES.values():
        texts += value if isinstance(value, list) else [value]
    texts = [text for text in texts if text not in ("ORIGINAL", "AXIAL")]
    for index in range(3):
        dataset = ct_slice("canary", index, **CANARIES)
        texts.append(str(dataset.SOPInstanceUID))
        block = dataset.private_block(0x0099, "CANPRIVATE", create=True)
        block.add_new(0x01, "LO", "CANPRIVATE")
        nested = Dataset()
        nested.PatientName = "CANNESTED"
        dataset.RequestAttributesSequence = Sequence([nested])
        name = FOLDERS[1] if index == 0 else f"{index}.dcm"
        save(dataset, source / FOLDERS[0] / name)
    unsupported = ct_slice(
        "canary odd", 0, PatientName="CANBROKEN", Modality="CANMODALITY", PhotometricInterpretation="CANPHOTO"
    )
    save(unsupported, source / FOLDERS[0] / "odd.dcm")
    cut = save(ct_slice("canary cut", 0, PatientName="CANBROKEN"), source / FOLDERS[0] / "cut.dcm")
    cut.write_bytes(cut.read_bytes()[:-9])
    broken = save(ct_slice("canary broken", 0, PatientName="CANBROKEN"), source / FOLDERS[0] / "broken.dcm")
    broken.write_bytes(broken.read_bytes()[:400])
    return [*texts, "CANPHOTO"]


def test_no_text_of_the_source_leaves_the_private_folder(workflow: Workflow) -> None:
    texts = write_canaries(workflow.source)
    run = workflow.run()
    outside = [p for p in workflow.results.rglob("*") if "private" not in p.relative_to(workflow.results).parts]
    outside += list((workflow.folder / ".snakemake").rglob("*"))
    leaking = {}
    for path in outside:
        texts_of_path = hits(texts, str(path.relative_to(workflow.folder)).encode())
        texts_of_path += hits(texts, path.read_bytes()) if path.is_file() else []
        if texts_of_path:
            leaking[str(path.relative_to(workflow.folder))] = texts_of_path
    assert not leaking
    assert not hits(texts, run.output.encode())
    assert len(outside) > 40

    # The search works: it finds the texts in the private folder.
    private = b"".join(path.read_bytes() for path in (workflow.results / "private").rglob("*.csv"))
    assert set(FOLDERS) <= set(hits(texts, private))
    index = (workflow.results / "private/headers.jsonl").read_bytes()
    assert {"CANPID7719", CANARIES["StudyInstanceUID"]} <= set(hits(texts, index))


def test_ids_differ_between_keys(workflow: Workflow, tmp_path: Path) -> None:
    write_canaries(workflow.source)
    first = workflow.run()
    other = Workflow(tmp_path / "other", {"source": str(workflow.source)}, {"DICOMZARR_KEY": "q" * 40}).run()
    columns = ("series_id", "study_id", "subject_id", "array")
    ids = [{row[c] for row in run.table("dataset/volumes.csv") for c in columns} for run in (first, other)]
    assert ids[0] and not ids[0] & ids[1]
    pixels = [[row["pixel_digest"] for row in run.table("dataset/volumes.csv")] for run in (first, other)]
    assert sorted(pixels[0]) == sorted(pixels[1])


def test_a_lost_or_changed_key_stops_the_run(workflow: Workflow) -> None:
    write_canaries(workflow.source)
    workflow.run()
    workflow.environment = {"DICOMZARR_KEY": "another key, also of 32 characters"}
    run = workflow.run(ok=False)
    assert (
        run.process.returncode != 0
        and "key is not the key of this dataset" in run.output
        and "Traceback" not in run.output
    )
    workflow.environment = {}
    run = workflow.run(ok=False)
    assert run.process.returncode != 0 and "key of this dataset is missing" in run.output
    workflow.environment = {"DICOMZARR_KEY": "short"}
    run = workflow.run(ok=False)
    assert run.process.returncode != 0 and "needed 32 or more" in run.output


def test_a_leak_stops_the_run_before_the_seal(workflow: Workflow, tmp_path: Path) -> None:
    texts = write_canaries(workflow.source)
    workflow.project = copy_of_the_project(tmp_path / "project")
    core = workflow.project / "scripts/dicomzarr"
    correct = 'log.info("series %s extracted", series.series_id)'
    edit(
        core / "stages/extract_batch/batch.py",
        correct,
        'log.info("series %s extracted", series.parse().files[0]["facts"]["PatientID"])',
    )
    run = workflow.run(ok=False)
    assert run.process.returncode != 0
    assert "check_privacy: value_in_file in results/logs/extract_batch/" in run.output
    assert not (workflow.results / "dataset/dataset.json").exists()
    assert not hits(texts, run.output.encode())
    # The same command succeeds once the leak is fixed.
    edit(
        core / "stages/extract_batch/batch.py",
        'log.info("series %s extracted", series.parse().files[0]["facts"]["PatientID"])',
        correct,
    )
    assert workflow.run().sealed["counts"]["arrays"] > 0
    assert workflow.run().nothing_to_do


def test_an_internal_error_of_the_scan_is_reported_without_its_text(workflow: Workflow, tmp_path: Path) -> None:
    write_canaries(workflow.source)
    workflow.project = copy_of_the_project(tmp_path / "project")
    correct = "    rows.sort(key=lambda row: row[0])\n    return rows"
    edit(workflow.project / "scripts/dicomzarr/source/listing.py", correct, "    raise ValueError(rows)")
    run = workflow.run(ok=False)
    assert run.process.returncode == 1 and "Error: internal error, ValueError at listing:" in run.output
    assert "Traceback" not in run.output and not hits([*FOLDERS, "Canfolder"], run.output.encode())


def test_a_label_value_may_be_the_name_of_its_folder(workflow: Workflow) -> None:
    for folder in ("Pneumothorax", "Ponyhof"):
        save_series(workflow.source / folder, folder, 2)
    labels = [{"folder": 1, "name": "finding", "values": ["Pneumothorax", "Ponyhof"]}]
    run = workflow.run(labels=labels, burned_in_reason="Images of Ponyhof are public")
    assert {row["label_finding"] for row in run.table("dataset/volumes.csv")} == {"Pneumothorax", "Ponyhof"}


def test_words_of_the_configuration_are_no_leak_also_after_they_were_taken_back(workflow: Workflow) -> None:
    """Snakemake keeps the params of earlier configurations, and an export shows the words that it was made with."""
    for folder in ("Ponyhof", "Zebrafink"):
        save_series(workflow.source / folder, folder, 2)
    scan = ScanWithMasks("scan")
    scan.save_images(workflow.source / "Ponyhof")
    (workflow.source / "Ponyhof" / "masks.dcm").write_bytes(scan.segmentation())
    labels = [{"folder": 1, "name": "finding", "values": ["Ponyhof", "Zebrafink"]}]
    masks = {"names": {"zebrafink": ["(?i)^Ponyhof$"]}}
    training = {"dataset": "Dataset001_Ponyhof", "modality": "CT", "labels": ["liver"]}
    workflow.run(labels=labels, masks=masks, burned_in_reason="Images of Ponyhof are public")
    assert workflow.run("export_nnunet", nnunet=training).nothing_to_do is False
    workflow.run("export_nnunet", nnunet=training | {"dataset": "Dataset001_Liver"}, masks={})
    assert workflow.run(labels=[], masks={}, nnunet={}, burned_in_reason="as before").sealed
    assert sorted(path.name for path in (workflow.results / "exports/nnunet").glob("Dataset*")) == ["Dataset001_Liver"]


def test_the_seed_of_the_splits_may_be_a_day_of_the_source(workflow: Workflow) -> None:
    """A day is a usual seed. Snakemake notes it, also after another one was chosen."""
    save_series(workflow.source, "alpha", 2, StudyDate="20240131")
    shares = {"fractions": {"train": 0.5, "test": 0.5}}
    assert workflow.run(splits=shares | {"seed": 20240131}).sealed
    assert workflow.run(splits=shares | {"seed": 7}).sealed


def test_the_place_of_the_results_may_have_a_word_of_the_source(workflow: Workflow, launch: Launch) -> None:
    save_series(workflow.source / "Ponyhof", "alpha", 2)
    for results in ("Ponyhof_results", "out/Ponyhof"):
        workflow.write_config(results=results)
        config = workflow.folder / "Ponyhof.yaml"
        config.write_bytes((workflow.folder / "config.yaml").read_bytes())
        done = launch(workflow, "", "--configfile", config.name, "--cores", "2", config=False)
        assert done.returncode == 0, done.stderr


def test_files_written_after_the_last_job_are_searched_too(workflow: Workflow, launch: Launch) -> None:
    save_series(workflow.source, "alpha", 3, PatientName="Zyxwolf^Canaria")
    workflow.write_config()
    assert launch(workflow, "").returncode == 0
    (workflow.folder / ".snakemake" / "log" / "later.log").write_text("finished: zyxwolf canaria")
    done = launch(workflow, "")
    assert done.returncode == 1
    assert "check_privacy: value_in_file in .snakemake/log/later.log, line 1" in done.stderr
    assert "zyxwolf" not in done.stderr.lower()
    (workflow.folder / ".snakemake" / "log" / "later.log").unlink()
    assert launch(workflow, "").returncode == 0


def test_another_level_of_the_privacy_check_changes_no_array(workflow: Workflow) -> None:
    save_series(workflow.source, "alpha", 3)
    first = workflow.run()
    second = workflow.run(check_privacy="full")
    assert (second.jobs("check_privacy"), second.jobs("extract_batch")) == (1, 0)
    assert first.sealed["digest"] == second.sealed["digest"]


def test_the_private_folder_is_readable_by_its_owner_alone_whatever_the_umask(workflow: Workflow) -> None:
    save_series(workflow.source, "alpha", 3)
    home = workflow.folder / "home"
    home.mkdir()
    workflow.environment |= {"HOME": str(home), "TMPDIR": str(home)}
    before = os.umask(0)
    try:
        workflow.run()
    finally:
        os.umask(before)
    private = workflow.results / "private"
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in (private, *private.rglob("*"))}
    assert {path for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == set()
    # Nothing is left in the user's folders but the empty ones of Snakemake's own cache.
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_the_key_is_written_nowhere(workflow: Workflow) -> None:
    save_series(workflow.source, "alpha", 2)
    workflow.environment = {"DICOMZARR_KEY": "a key that only the environment knows, 2024"}
    run = workflow.run()
    assert not (workflow.results / "private/key").exists()
    written = [path for path in workflow.folder.rglob("*") if path.is_file()]
    assert len(written) > 40
    for data in (run.output.encode(), *(path.read_bytes() for path in written)):
        assert b"only the environment knows" not in data
        assert b"a key that only the environment knows".hex().encode() not in data


def test_a_standard_uid_in_a_file_name_is_no_finding(workflow: Workflow) -> None:
    for name in ("s0_1.2.840.10008.1.2.1.dcm", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1/Ponyhofer_1.dcm"):
        save(ct_slice(name, 0, InstitutionName="1.2.840.10008.1.2.1"), workflow.source / name.replace("2.1/", "2.1_/"))
    run = workflow.run()
    assert run.sealed["counts"]["extracted"] == 3
    arrays = workflow.results.glob("dataset/images.zarr/*/*/zarr.json")
    assert all('"1.2.840.10008.1.2.1"' in path.read_text() for path in arrays)
    (workflow.results / "dataset" / "note.txt").write_text("Ponyhofer")
    leak = workflow.run("--forcerun", "check_privacy", ok=False)
    assert leak.process.returncode == 1 and "value_in_file" in leak.output


def test_a_date_in_a_number_of_a_header_is_not_written(workflow: Workflow) -> None:
    """Each series has a date where a number belongs; a second patient's numbers are as they should be."""
    day = 20031117
    series = {
        "counter": [{"InstanceNumber": day + n} for n in range(3)],
        "acquisition": [{"AcquisitionNumber": day, "SeriesNumber": day}] * 3,
        "window": [{"WindowCenter": day, "WindowWidth": 400}] * 3,
        "width": [{"WindowCenter": [40, 50], "WindowWidth": [day, 350]}] * 3,
        "intercept": [{"RescaleIntercept": day}] * 3,
        "slope": [{"RescaleSlope": -day}, {}, {}],
        "id": [{"WindowCenter": 47110815, "WindowWidth": 400, "PatientID": "0047110815"}] * 3,
        "ordinary": [{"WindowCenter": 40, "WindowWidth": 400}] * 3,
    }
    for name, slices in series.items():
        for index, attributes in enumerate(slices):
            attributes = {"StudyDate": str(day), "PatientBirthDate": "19370203", **attributes}
            save(ct_slice(name, index, **attributes), workflow.source / name / f"{index}.dcm")
    run = workflow.run()
    written = [path for path in (workflow.results / "dataset").rglob("*") if path.suffix in (".json", ".csv", ".jsonl")]
    for path in written:
        assert not any(text in path.read_text() for text in ("20031117", "20031118", "47110815", "19370203")), path
    subjects = {Pseudonyms(b"k" * 32).subject_id("", f"patient-{name}"): name for name in series}
    flags: dict[str, set[str]] = {}
    for row in run.table("dataset/volumes.csv"):
        flags.setdefault(subjects.get(row["subject_id"], "id"), set()).update(row["flags"].split())
    dropped = {name for name, of_series in flags.items() if "implausible_number" in of_series}
    assert dropped >= {"window", "width", "intercept", "slope", "id"} and "ordinary" not in dropped
    assert run.sealed["counts"]["frames"] == 3 * len(series)


def test_no_plain_digest_of_a_private_file_is_noted(workflow: Workflow) -> None:
    """Some hold little but paths: whoever has `.snakemake/` could try names until the digest is the same."""
    (image,) = save_series(workflow.source, "Huckebein_Traugott_19570312", 1)
    workflow.run()
    private = workflow.results / "private"
    decisions.write(decisions.path_in(private), {blake3(image.read_bytes()).hexdigest(): "set_aside"})
    assert workflow.run().jobs("extract_batch") == 1
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in private.rglob("*") if path.is_file()}
    noted = b"".join(path.read_bytes() for path in (workflow.folder / ".snakemake").rglob("*") if path.is_file())
    assert b"sha256:" in noted
    assert not [digest for digest in digests if digest.encode() in noted]
    assert workflow.run().nothing_to_do


def test_ordinary_numbers_and_names_are_no_leak(workflow: Workflow) -> None:
    """A folder named like a shape, a dose in a text, decimals of an implicit syntax, files named like frames."""
    dose = Dataset()
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = "370000000", "6586.2"
    rows, columns = ct_slice("z0000", 0).pixel_array.shape
    folder = workflow.source / f"3x{rows}x{columns}"
    pet = {"Modality": "PT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Units": "BQML"}
    pet |= {"RadiopharmaceuticalInformationSequence": Sequence([dose]), "ImageComments": "FDG, dose 370000000 Bq"}
    save_series(folder, "z0000", 3, ProtocolName="SPECIALS", **pet)
    for number, path in enumerate(sorted(folder.rglob("*.dcm"))):
        path.rename(path.with_name(f"z000{number}.dcm"))
    workflow.run()
    workflow.run("export_png")


def test_values_that_stand_for_others_are_no_leak(workflow: Workflow) -> None:
    """De-identified files have such values, and what the workflow writes has the same characters for other reasons."""
    values = ("0123456789", "9876543210", "XXXXXXXX", "aaaaaaaa", "00000000", "99999999", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    for number, value in enumerate(values):
        texts = {"PatientID": value, "PatientName": value, "StudyDescription": value, "StudyDate": "99991231"}
        save_series(workflow.source, f"series {number}", 62, PatientComments="9999-12-31", **texts)
    workflow.run()


def test_bytes_that_a_file_lacks_are_no_accession_number(workflow: Workflow) -> None:
    """Their number is in the log: among millions of accession numbers, one is the same by chance."""
    large = ct_slice("large", 0, pixels=np.zeros((3600, 3500), np.uint16), AccessionNumber="25200000")
    path = save(large, workflow.source / "large.dcm")
    path.write_bytes(path.read_bytes()[:-1000])
    workflow.run()
    logs = [path.read_text() for path in (workflow.results / "logs" / "extract_batch").iterdir()]
    assert any("truncated_pixel_data, found 25199000, needed 25200000" in log for log in logs)
