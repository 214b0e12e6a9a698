"""Label files: what is read, what is refused and how, and who gets which label."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from dicomzarr import configuration, labels, storage
from dicomzarr.configuration import ConfigProblem
from dicomzarr.identity import Pseudonyms
from dicomzarr.paths import Results

KINDS = {"values": ["benign", "malignant"]}


def source(path: Path, text: str | bytes, by: str = "patient", key: str = "id", **columns: Any) -> dict[str, Any]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return {"file": str(path), "by": by, "key": key, "columns": columns or {"kind": KINDS}}


def row(path: str, patient: str = "p1", series: str = "1.2", study: str = "1", issuer: str = "") -> dict[str, Any]:
    facts = {"PatientID": patient, "SeriesInstanceUID": series, "StudyInstanceUID": study}
    return {"path": path, "facts": facts | ({"IssuerOfPatientID": issuer} if issuer else {})}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    found = Results(tmp_path / "results")
    series = {
        "a" * 16: [row("one/x/1.dcm"), row("one/x/2.dcm")],
        "b" * 16: [row("one/y/1.dcm", "p2", "1.3", "1")],
        "c" * 16: [row("%3Dtwo/z/1.dcm", "p3", "1.4", "2", "hospital")],
    }
    entries = [{"series_id": name, "files": rows} for name, rows in series.items()]
    storage.write_atomically(found.plan("0001-0000"), storage.canonical_json({"series": entries}), private=True)
    return found


def join(
    results: Results, sources: list[dict[str, Any]], fixed: dict[str, str] | None = None
) -> tuple[dict[str, Any], list[dict[str, str]], list[dict[str, str]]]:
    """Return what each series got, by the first letter of its id, the report and the private details."""
    labels.keep(results, sources, fixed or {})
    outputs = {
        "joined": results.private / "j.json",
        "report": results.root / "r.csv",
        "details": results.root / "d.csv",
    }
    labels.join_labels(results, ["0001-0000"], sources, Pseudonyms(b"k" * 32), outputs)
    joined = {name[0]: said for name, said in json.loads(outputs["joined"].read_text()).items()}
    tables = [list(csv.DictReader(outputs[name].open(newline=""))) for name in ("report", "details")]
    return joined, tables[0], tables[1]


def finding(report: list[dict[str, str]], name: str) -> int:
    return sum(int(line["series"]) for line in report if line["finding"] == name)


@pytest.mark.parametrize(
    ("by", "text", "expected"),
    [
        ("patient", "id,kind\np1,benign\np2,malignant\n", {"a": "benign", "b": "malignant"}),
        ("series", "id,kind\n1.3,benign\n", {"b": "benign"}),
        ("study", "id,kind\n1,malignant\n", {"a": "malignant", "b": "malignant"}),
        ("path", "id,kind\none/x/2.dcm,benign\n=two/z/1.dcm,malignant\n", {"a": "benign", "c": "malignant"}),
        ("folder", "id,kind\none,benign\n./=two/z/,malignant\n", {"a": "benign", "b": "benign", "c": "malignant"}),
    ],
)
def test_each_key_finds_its_series(
    results: Results, tmp_path: Path, by: str, text: str, expected: dict[str, str]
) -> None:
    joined, report, _ = join(results, [source(tmp_path / "l.csv", text, by)])
    assert {name: said["labels"]["kind"] for name, said in joined.items()} == expected
    assert finding(report, "matched") == len(expected)
    assert finding(report, "images_unlabelled") == 3 - len(expected)
    assert finding(report, "labels_unmatched") == finding(report, "label_conflicts") == 0


def test_a_patient_of_another_issuer_is_another_patient(results: Results, tmp_path: Path) -> None:
    text = "id,issuer,kind\np3,elsewhere,benign\n"
    assert join(results, [source(tmp_path / "l.csv", text) | {"issuer": "issuer"}])[0] == {}
    right = text.replace("elsewhere", "hospital")
    assert set(join(results, [source(tmp_path / "l.csv", right) | {"issuer": "issuer"}])[0]) == {"c"}


def test_the_name_of_a_folder_is_a_class(results: Results) -> None:
    joined, report, _ = join(results, [{"folder": 2, "name": "organ", "values": ["x", "y", "liver"]}])
    assert {name: said["labels"]["organ"] for name, said in joined.items()} == {"a": "x", "b": "y"}
    assert finding(report, "images_unlabelled") == 1


def test_lines_that_differ_are_a_conflict_and_equal_ones_are_not(results: Results, tmp_path: Path) -> None:
    text = "id,kind\np1,benign\np1,malignant\np2,benign\np2,benign\nnobody,benign\np3,\n"
    joined, report, details = join(results, [source(tmp_path / "l.csv", text)])
    assert {name: said["labels"] for name, said in joined.items()} == {"b": {"kind": "benign"}}
    assert finding(report, "label_conflicts") == 1
    assert finding(report, "labels_unmatched") == 1
    assert finding(report, "images_unlabelled") == 1
    assert {"label": "kind", "finding": "labels_unmatched", "source": "0", "line": "6", "key": "nobody"}.items() <= (
        next(line for line in details if line["finding"] == "labels_unmatched").items()
    )


def test_what_a_spreadsheet_writes_is_read(results: Results, tmp_path: Path) -> None:
    text = b'\xef\xbb\xbfid , note,score\r\n"p1","a, ""quoted""\r\nnote", 3 \r\np2,,2.50\r\n,,\r\n'
    joined, _, _ = join(results, [source(tmp_path / "l.csv", text, score={"range": [0, 6]})])
    assert {name: said["labels"] for name, said in joined.items()} == {"a": {"score": "3"}, "b": {"score": "2.5"}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,kind\np1,Doe^Jane\n", ("labels.0", "line 2", "column 'kind'", "one of the 2 values")),
        ("id,kind,score\np1,benign,seven\n", ("line 2", "column 'score'", "a number from 0 to 6")),
        ("id,kind,score\np1,benign,nan\n", ("line 2", "column 'score'")),
        ("id,kind,score\np1,benign,7\n", ("line 2", "column 'score'")),
        ("id,kind,score\np1,benign\n", ("line 2", "found 2 cells, needed 3")),
        ("id;kind;score\np1;benign;1\n", ("no column 'id'", "separated by commas")),
        ("id,kind,kind,score\n", ("several columns 'kind'",)),
        (b"id,kind,score\n\xe4,benign,1\n", ("not UTF-8",)),
        ('id,kind,score\n"p1,benign,1\n', ("no CSV",)),
    ],
)
def test_what_is_not_allowed_is_refused_and_never_quoted(
    tmp_path: Path, text: str | bytes, words: tuple[str, ...]
) -> None:
    one = source(tmp_path / "l.csv", text, kind=KINDS, score={"range": [0, 6]})
    if isinstance(text, str) and "score" not in text.splitlines()[0]:
        one["columns"].pop("score")
    with pytest.raises(ConfigProblem) as caught:
        labels.read_sources([one])
    for word in words:
        assert word in str(caught.value)
    for secret in ("Doe", "seven", "p1"):
        assert secret not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    one = source(tmp_path / "l.csv", "id,kind\n") | {"file": "nowhere.csv"}
    with pytest.raises(ConfigProblem, match=r"'labels.0'.*'nowhere.csv' cannot be read: No such file"):
        labels.read_sources([one])


def test_lists_give_patients_their_split(results: Results, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("PatientID\np1\nnobody\n")
    (tmp_path / "v.csv").write_text("PatientID,IssuerOfPatientID\np3,hospital\n")
    joined, _, details = join(results, [], {"test": str(tmp_path / "t.csv"), "val": str(tmp_path / "v.csv")})
    assert {name: said["split"] for name, said in joined.items()} == {"a": "test", "c": "val"}
    assert [(line["label"], line["key"]) for line in details] == [("split", "nobody")]
    (tmp_path / "v.csv").write_text("PatientID\np1\n")
    with pytest.raises(ConfigProblem, match="names a patient that another list names too") as caught:
        labels.keep(results, [], {"test": str(tmp_path / "t.csv"), "val": str(tmp_path / "v.csv")})
    assert "p1" not in str(caught.value)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"labels": [{"by": "patient"}]}, "'labels.0.folder' is missing"),
    ({"labels": [{"file": "a", "by": "patient", "columns": {"x": KINDS}}]}, "'labels.0.key' is missing"),
    ({"labels": [{"file": "a", "by": "name", "key": "i", "columns": {"x": KINDS}}]}, "'labels.0.by'"),
    ({"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"x": {}}}]}, "one of 'values' and 'range'"),
    ({"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"Bad name": KINDS}}]}, "Bad name"),
    ({"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"x": {"range": [2, 1]}}}]}, "range"),
    ({"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"x": {"values": ["a\nb"]}}}]}, "values"),
    ({"labels": [{"folder": 0, "name": "x", "values": ["a"]}]}, "'labels.0.folder'"),
    ({"labels": [{"folder": 1, "name": "x", "values": ["a"], "key": "y"}]}, "'labels.0.key' does not go with 'folder'"),
    ({"splits": {"fractions": {"train": 0.5, "val": 0.4}}}, "add up to 0.9, needed is 1"),
    ({"splits": {"seed": 3}}, "'splits.fractions' is missing"),
    ({"splits": {"fractions": {"train": 1.0}, "stratify": "sex"}}, "'splits.stratify'"),
    ({"splits": {"fractions": {"train": 2}}}, "'splits.fractions.train'"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_a_wrong_configuration_is_refused(wrong: dict[str, Any], words: str) -> None:
    import yaml
    from conftest import ROOT

    defaults = yaml.safe_load((ROOT / "config.yaml").read_text())
    with pytest.raises(ConfigProblem, match="config key") as caught:
        configuration.check_keys(defaults | wrong)
    assert words in str(caught.value)
