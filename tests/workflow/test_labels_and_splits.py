"""Labels and splits: they change tables but no array, and only label values leave `private/`."""

from __future__ import annotations

import csv
import os
import warnings
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import Launch, Run, Workflow
from dicoms import save_series
from forks import Forks

PATIENTS = 4
FRACTIONS = {"train": 0.5, "test": 0.5}


@pytest.fixture
def labelled(workflow: Workflow, warm: Forks | None) -> Workflow:
    workflow.forks = warm
    for number in range(PATIENTS):
        save_series(workflow.source / f"ward {number % 2}", f"series-{number}", 2, StudyDescription="Zyxwolfdesc")
        for path in (workflow.source / f"ward {number % 2}").glob("*.dcm"):
            path.rename(path.with_name(f"s{number}-{path.name}"))
    write(workflow, "p,kind,note\npatient-series-0,benign,Zyxwolfnote\npatient-series-1,malignant,\n")
    kinds = {"kind": {"values": ["benign", "malignant"]}}
    workflow.config = {
        "labels": [
            {"file": "labels.csv", "by": "patient", "key": "p", "columns": kinds},
            {"folder": 1, "name": "ward", "values": ["ward 0", "ward 1"]},
        ],
        "splits": {"fractions": FRACTIONS, "seed": 4},
    }
    return workflow


def write(workflow: Workflow, text: str) -> Path:
    path = workflow.folder / "labels.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def kinds(run: Run) -> list[str]:
    return sorted(row["label_kind"] for row in run.table("dataset/volumes.csv"))


def arrays(workflow: Workflow) -> dict[str, tuple[int, int]]:
    paths = [path for path in (workflow.results / "dataset/images.zarr").glob("*/**/*") if path.is_file()]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def test_labels_and_splits_change_no_array(labelled: Workflow, launch: Launch, tmp_path: Path) -> None:
    first = labelled.run()
    before, digest = arrays(labelled), first.sealed["digest"]
    rows = first.table("dataset/volumes.csv")
    assert kinds(first) == ["", "", "benign", "malignant"]
    assert sorted(row["label_ward"] for row in rows) == ["ward 0", "ward 0", "ward 1", "ward 1"]
    assert {row["split"] for row in rows} <= set(FRACTIONS)
    assert labelled.run().nothing_to_do

    def work(run: Run) -> dict[str, int]:
        return {rule: run.jobs(rule) for rule in ("index_headers", "extract_batch", "check_batch", "seal_dataset")}

    nothing = {"index_headers": 0, "extract_batch": 0, "check_batch": 0, "seal_dataset": 1}
    # Another label, in a file that is older than before.
    path = write(labelled, "p,kind,note\npatient-series-0,malignant,\npatient-series-1,malignant,\n")
    os.utime(path, (1, 1))
    second = labelled.run()
    assert work(second) == nothing and kinds(second) == ["", "", "malignant", "malignant"]
    assert second.sealed["digest"] != digest
    assert [row["split"] for row in second.table("dataset/volumes.csv")] == [row["split"] for row in rows]
    # A note that is no label changes nothing.
    write(labelled, "p,kind,note\npatient-series-0,malignant,other\npatient-series-1,malignant,\n")
    assert labelled.run().nothing_to_do
    # Another seed, and a list that gives a patient a split.
    (labelled.folder / "test.csv").write_text("PatientID\npatient-series-3\n")
    third = labelled.run(splits={"fractions": FRACTIONS, "seed": 4, "fixed": {"holdout": "test.csv"}})
    assert work(third) == nothing
    assert [row["split"] for row in third.table("dataset/volumes.csv")].count("holdout") == 1
    assert arrays(labelled) == before
    # A run from scratch gives the same; without labels nothing of them remains.
    other = Workflow(
        tmp_path / "other",
        {**labelled.config, "source": str(labelled.source)},
        labelled.environment,
        forks=labelled.forks,
    )
    write(other, (labelled.folder / "labels.csv").read_text())
    assert other.run().sealed["seal"] == labelled.run().sealed["seal"]
    without_labels = labelled.run(labels=[], splits={})
    assert not (labelled.results / "dataset/reports/labels.csv").exists()
    assert {row["split"] for row in without_labels.table("dataset/volumes.csv")} == {""}
    assert without_labels.jobs("extract_batch") == 0
    assert launch(labelled, "verify").returncode == 0
    assert arrays(labelled) == before


def test_only_label_values_leave_the_private_folder_and_findings_can_be_gated(labelled: Workflow) -> None:
    write(labelled, "p,kind,note\npatient-series-0,benign,Zyxwolfnote\nZyxwolfid,malignant,\n")
    run = labelled.run(ok=False, gate={"labels_unmatched": 0, "label_conflicts": 0})
    assert run.process.returncode != 0 and "gate.labels_unmatched: found 1, allowed 0" in run.output
    series_count = {
        (row["label"], row["finding"]): int(row["series"]) for row in run.table("dataset/reports/labels.csv")
    }
    assert series_count["kind", "labels_unmatched"] == 1 and series_count["kind", "images_unlabelled"] == 3
    assert series_count["ward", "images_unlabelled"] == 0
    assert "Zyxwolfid" in (labelled.results / "private/labels/details.csv").read_text()
    outside = [p for p in labelled.results.rglob("*") if "private" not in p.relative_to(labelled.results).parts]
    outside += list((labelled.folder / ".snakemake").rglob("*"))
    for path in outside:
        assert not path.is_file() or b"zyxwolf" not in path.read_bytes().lower(), path
    assert "zyxwolf" not in run.output.lower()
    page = (labelled.results / "dataset/reports/report.html").read_text()
    assert "Subjects by split" in page and ">benign<" not in page  # one subject: fewer than small_cells
    (labelled.folder / "patients-of-anna.csv").write_text("PatientID\npatient-series-3\n")
    (labelled.folder / "labels.csv").rename(labelled.folder / "labels-of-anna.csv")
    of_file, of_folder = labelled.config["labels"]
    changed = {
        "labels": [of_file | {"file": "labels-of-anna.csv"}, of_folder],
        "splits": {"fractions": FRACTIONS, "fixed": {"holdout": "patients-of-anna.csv"}},
    }
    page = labelled.run("--skip-script-cleanup", small_cells=1, **changed).results / "dataset/reports/report.html"
    assert ">benign<" in page.read_text()
    # As after a kill, scripts stay: they hold the configuration of jobs, without paths.
    scripts = [path.read_bytes() for path in (labelled.folder / ".snakemake" / "scripts").glob("*.py")]
    assert len(scripts) > 3 and not any(b"of-anna" in text for text in scripts)


def test_a_value_that_is_not_allowed_stops_the_run_before_any_work(labelled: Workflow) -> None:
    write(labelled, "p,kind,note\npatient-series-0,Zyxwolf,\n")
    run = labelled.run(ok=False)
    assert run.process.returncode != 0
    assert "config key 'labels.0': line 2, column 'kind'" in run.output
    assert "Zyxwolf" not in run.output and "Traceback" not in run.output
    assert not (labelled.results / "dataset").exists()


def headers(source: Path) -> dict[str, tuple[str, ...]]:
    """Return path, folder, series, study and patient of each file of the corpus, read with pydicom."""
    import pydicom

    rows = {}
    for path in sorted(entry for entry in source.rglob("*") if entry.is_file()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            except Exception:  # a file that it cannot read has no identifiers
                header = pydicom.Dataset()
        name = path.relative_to(source).as_posix()
        keys = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID")
        rows[name] = (name, name.rpartition("/")[0], *(str(header.get(key) or "") for key in keys))
    return rows


def test_the_corpus_with_a_made_up_label_file_of_each_kind(workflow: Workflow, corpus: Path) -> None:
    """Compare every label and every count of the report with those computed from headers read with pydicom."""
    headers_of, kinds = headers(corpus / "dicom"), ("path", "folder", "series", "study", "patient")
    value_of: dict[str, dict[str, str]] = {}
    for column, kind in enumerate(kinds):
        keys = sorted({entry[column] for entry in headers_of.values() if entry[column]})[
            :: 1 if kind == "folder" else 2
        ]
        keys.append(f"no such {kind}")
        value_of[kind] = {key: f"v{number % 2}" for number, key in enumerate(keys)}
        with open(workflow.folder / f"{kind}.csv", "w", newline="", encoding="utf-8-sig") as stream:
            csv.writer(stream, delimiter=";").writerows([("key", "value"), *value_of[kind].items()])
    files = [
        {
            "file": f"{kind}.csv",
            "by": kind,
            "key": "key",
            "columns": {kind: {"column": "value", "values": ["v0", "v1"]}},
        }
        for kind in kinds
    ]
    top_folders = ["media", "pydicom", "charset"]
    labels = [*files, {"folder": 1, "name": "top", "values": top_folders}]
    run = workflow.run(source=str(corpus / "dicom"), labels=labels, burned_in="skip", splits={"fractions": {"all": 1}})
    rows, members = run.table("dataset/volumes.csv"), defaultdict(set)
    for row in run.table("private/files.csv"):
        members[row["series_id"]].add(unquote(row["path"]))
    present_keys: dict[str, set[str]] = defaultdict(set)  # by kind, the keys that some image has
    counts: dict[tuple[str, str], int] = defaultdict(int)
    expected: dict[str, dict[str, str]] = {}
    for series in {row["series_id"] for row in rows}:
        expected[series] = {}
        for column, kind in enumerate((*kinds, "top")):
            keys = {headers_of[path][column] for path in members[series]} if kind != "top" else set()
            if kind == "folder":
                keys |= {"/".join(key.split("/")[:end]) for key in keys for end in range(1, key.count("/") + 1)}
            values = {value_of[kind][key] for key in keys & set(value_of[kind])} if kind != "top" else set()
            values |= {path.split("/")[0] for path in members[series]} & set(top_folders) if kind == "top" else set()
            present_keys[kind] |= keys
            expected[series][f"label_{kind}"] = values.pop() if len(values) == 1 else ""
            finding = "images_unlabelled" if not values else "label_conflicts"
            counts[kind, "matched" if expected[series][f"label_{kind}"] else finding] += 1
    for row in rows:
        assert expected[row["series_id"]].items() <= row.items()
    series_count: dict[tuple[str, str], int] = defaultdict(int)
    for row in run.table("dataset/reports/labels.csv"):
        series_count[row["label"], row["finding"]] += int(row["series"])
    for kind in kinds:
        counts[kind, "labels_unmatched"] = len(set(value_of[kind]) - present_keys[kind])
        assert counts[kind, "labels_unmatched"] > 1  # keys of no file, and keys of files that were not extracted
    assert {key: number for key, number in series_count.items() if number} == {k: n for k, n in counts.items() if n}
    assert counts["folder", "label_conflicts"] > 0 and counts["top", "images_unlabelled"] > 0
    page = (run.results / "dataset/reports/report.html").read_text()
    assert "Labels and splits" in page and "label_conflicts" not in page
