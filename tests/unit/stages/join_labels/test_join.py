"""Label files: reading, refusals and their messages, and the labels that series get."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from pathlib import Path
from typing import Any, Literal

import pytest

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records import plan
from dicomzarr.stages import check_gate
from dicomzarr.stages.join_labels import join as labels
from dicomzarr.stages.join_labels import label_files
from dicomzarr.system import files, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import ConfigProblem
from dicomzarr.workflow import settings

KINDS = {"values": ["benign", "malignant"]}


def source(path: Path, text: str | bytes, by: str = "patient", key: str = "id", **columns: Any) -> dict[str, Any]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return {"file": str(path), "by": by, "key": key, "columns": columns or {"kind": KINDS}}


def row(path: str, patient: str = "p1", series: str = "1.2", study: str = "1", issuer: str = "") -> dict[str, Any]:
    facts = {"PatientID": patient, "SeriesInstanceUID": series, "StudyInstanceUID": study}
    return {"path": path, "facts": facts | ({"IssuerOfPatientID": issuer} if issuer else {})}


def write_plan(results: Results, series: list[dict[str, Any]]) -> None:
    """Write the plan of the only batch."""
    entries = []
    for entry in series:
        ids = {"flags": [], "series_id": entry["series_id"], "study_id": "", "subject_id": ""}
        lines = [json_files.canonical_json(file).strip() for file in entry["files"]]
        entries.append(plan.series_json(lines, [], [], json_files.canonical_json(ids).strip()))
    files.write_atomically(results.plan("0001-0000"), plan.plan_json("0001-0000", entries), private=True)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Four series of which the last has no image in the dataset."""
    folders = Results(tmp_path / "results")
    series = {
        "a" * 16: [row("one/x/1.dcm"), row("one/x/2.dcm")],
        "b" * 16: [row("one/y/1.dcm", "p2", "1.3", "1")],
        "c" * 16: [row("%3Dtwo/z/1.dcm", "p3", "1.4", "2", "hospital")],
        "d" * 16: [row("gone/w/1.dcm", "p4", "1.5", "3")],
    }
    lines = [f"{letter * 16}/12345678\n" for letter in "aabc"]
    files.write_atomically(folders.dataset / "arrays.csv", "".join(["array\n", *lines]).encode())
    write_plan(folders, [{"series_id": name, "files": rows} for name, rows in series.items()])
    return folders


def join(
    results: Results, sources: list[dict[str, Any]], fixed: dict[str, str] | None = None
) -> tuple[dict[str, Any], list[dict[str, str]], list[dict[str, str]]]:
    """Return the joined labels by the first letter of the series id, the report and the private details."""
    files.write_atomically(labels.label_lines_path(results), label_files.content(sources, fixed or {}), private=True)
    outputs = {
        "joined": results.private / "j.json",
        "report": results.root / "r.csv",
        "details": results.root / "d.csv",
    }
    arrays = results.dataset / "arrays.csv"
    labels.join_labels(results, ["0001-0000"], sources, Pseudonyms(b"k" * 32), arrays, outputs)
    joined = {name[0]: entry for name, entry in json.loads(outputs["joined"].read_text()).items()}
    tables = [outputs[name].read_text(encoding="utf-8").splitlines(keepends=True) for name in ("report", "details")]
    return joined, *(list(csv.DictReader(lines)) for lines in tables)


def finding(report: list[dict[str, str]], name: str) -> int:
    return sum(int(line["series"]) for line in report if line["finding"] == name)


@pytest.mark.parametrize(
    ("by", "text", "expected"),
    [
        ("patient", "id,kind\np1,benign\np2,malignant\n", {"a": "benign", "b": "malignant"}),
        ("series", "id,kind\n1.3,benign\n", {"b": "benign"}),
        ("study", "id,kind\n2,malignant\n", {"c": "malignant"}),
        ("path", "id,kind\none/x/2.dcm,benign\n=two/z/1.dcm,malignant\n", {"a": "benign", "c": "malignant"}),
        ("folder", "id,kind\none,benign\n./=two/z/,malignant\n", {"a": "benign", "b": "benign", "c": "malignant"}),
    ],
)
def test_each_key_finds_its_series(
    results: Results, tmp_path: Path, by: str, text: str, expected: dict[str, str]
) -> None:
    joined, report, _ = join(results, [source(tmp_path / "l.csv", text, by)])
    assert {name: entry["labels"]["kind"] for name, entry in joined.items()} == expected
    assert finding(report, "matched") == len(expected)
    assert finding(report, "images_unlabelled") == 3 - len(expected)
    assert finding(report, "labels_unmatched") == finding(report, "label_conflicts") == 0


def test_a_patient_of_another_issuer_is_another_patient(results: Results, tmp_path: Path) -> None:
    text = "id,issuer,kind\np3,elsewhere,benign\n"
    assert join(results, [source(tmp_path / "l.csv", text) | {"issuer": "issuer"}])[0] == {}
    right = text.replace("elsewhere", "hospital")
    assert set(join(results, [source(tmp_path / "l.csv", right) | {"issuer": "issuer"}])[0]) == {"c"}


@pytest.mark.parametrize(
    ("by", "key", "cell"),
    [
        ("patient", "=1+1", "%3D1+1"),
        ("patient", "-7;@x", "%2D7;%40x"),
        ("series", "+1", "%2B1"),
        ("path", "=a%20b/1.dcm", "%3Da%2520b/1.dcm"),  # as in the manifest, and not encoded twice
    ],
)
def test_identifiers_of_the_details_are_no_formulas(
    results: Results, tmp_path: Path, by: str, key: str, cell: str
) -> None:
    _, _, details = join(results, [source(tmp_path / "l.csv", f"id,kind\n{key},benign\n", by)])
    assert [line["key"] for line in details if line["finding"] == "labels_unmatched"] == [cell]


def test_a_label_of_a_series_without_an_image_is_unmatched(results: Results, tmp_path: Path) -> None:
    """No file of series d was extracted: it counts neither as matched nor as unlabelled."""
    text = "id,kind\np1,benign\np2,benign\np3,benign\np4,malignant\n"
    joined, report, details = join(results, [source(tmp_path / "l.csv", text)])
    assert set(joined) == {"a", "b", "c"}
    assert [tuple(line.values()) for line in report] == [
        ("kind", "images_unlabelled", "", "0"),
        ("kind", "label_conflicts", "", "0"),
        ("kind", "labels_unmatched", "", "1"),
        ("kind", "matched", "benign", "3"),
    ]
    assert [(line["line"], line["key"], line["series_id"]) for line in details] == [("5", "p4", "d" * 16)]


def test_a_label_without_an_identifier_is_reported_as_unmatched(results: Results, tmp_path: Path) -> None:
    plan_content = json.loads(results.plan("0001-0000").read_text())
    plan_content["series"][1]["files"][0]["facts"]["PatientID"] = ""  # must not match an empty cell
    write_plan(results, plan_content["series"])
    joined, report, details = join(results, [source(tmp_path / "l.csv", "id,kind\n,benign\np1,benign\n")])
    assert set(joined) == {"a"} and finding(report, "labels_unmatched") == 1
    assert ("2", "") in [(line["line"], line["key"]) for line in details]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_of_spreadsheets(results: Results, tmp_path: Path, separator: str) -> None:
    text = "id,kind\np1,benign\n".replace(",", separator)
    assert set(join(results, [source(tmp_path / "l.csv", text)])[0]) == {"a"}


@pytest.mark.parametrize(
    ("allowed", "cell", "value"),
    [
        ({"values": [0, 1]}, "1.0", "1"),  # as pandas writes whole numbers of a column with empty cells
        ({"values": [0, 1]}, "01", "1"),
        ({"values": [0, 1]}, "1.5", None),
        ({"values": ["0", "1"]}, "1.0", None),
        ({"values": ["1.0", 2]}, "1.0", "1.0"),
        ({"values": ["001"]}, "001", "001"),
        ({"values": ["001"]}, "1", None),
        ({"range": [-1, 6]}, "+3.00", "3"),
        ({"range": [-1, 6]}, "-0.0", "0"),
        ({"range": [-1, 6]}, "6.0000001", None),
        ({"range": [0, 1e30]}, "9007199254740993", "9007199254740993"),  # more than a double holds
        ({"range": [0, 9]}, "0_1.0", None),
        ({"range": [0, 1]}, "inf", None),
        ({"range": [0, 1]}, "9" * 400, None),
        ({"range": [0, 1]}, "0,5", None),
    ],
)
def test_numbers_have_one_form(tmp_path: Path, allowed: dict[str, Any], cell: str, value: str | None) -> None:
    label_source = source(tmp_path / "l.csv", f'id,kind\np1,"{cell}"\n', kind=allowed)
    if value is None:
        with pytest.raises(ConfigProblem, match="line 2, column 'kind'"):
            label_files.read_sources([label_source])
    else:
        assert [line.values for line in label_files.read_sources([label_source])] == [{"kind": value}]


def test_leading_zeros_are_part_of_an_identifier(results: Results, tmp_path: Path) -> None:
    plan_content = json.loads(results.plan("0001-0000").read_text())
    for number, name in ((0, "007"), (1, "7"), (2, "7.0")):
        for file in plan_content["series"][number]["files"]:
            file["facts"]["PatientID"] = name
    write_plan(results, plan_content["series"])
    assert set(join(results, [source(tmp_path / "l.csv", "id,kind\n007,benign\n")])[0]) == {"a"}
    assert set(join(results, [source(tmp_path / "l.csv", "id,kind\n7,benign\n")])[0]) == {"b"}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_identifiers_with_umlauts_match(results: Results, tmp_path: Path, encoding: str) -> None:
    plan_content = json.loads(results.plan("0001-0000").read_text())
    for file in plan_content["series"][0]["files"]:
        file["facts"]["PatientID"] = "Mü-1".encode(encoding).decode("latin-1")  # as the header index stores bytes
    write_plan(results, plan_content["series"])
    assert set(join(results, [source(tmp_path / "l.csv", "id,kind\nMü-1,benign\n")])[0]) == {"a"}


@pytest.mark.parametrize(
    ("cell", "key"),
    [
        ("one/50% off/ä.dcm", "one/50%25 off/ä.dcm"),  # plain
        ("one/50%25 off/ä.dcm", "one/50%25 off/ä.dcm"),  # as in the manifest
        ("a%20b", "a%2520b"),  # the manifest has no %20: plain
        ("=two/z", "%3Dtwo/z"),
        ("%3Dtwo/z", "%3Dtwo/z"),
        ("=a.zip!/=x!/ä,1.dcm", "%3Da.zip!/=x%21/ä,1.dcm"),  # of an archive, plain
        ("%3Da.zip!/=x%21/1.dcm", "%3Da.zip!/=x%21/1.dcm"),
        ("folder!/1.dcm", "folder%21/1.dcm"),
    ],
)
def test_paths_are_plain_or_as_in_the_manifest(tmp_path: Path, cell: str, key: str) -> None:
    label_source = source(tmp_path / "l.csv", f'id,kind\n"{cell}",benign\n', "path")
    assert [line.key for line in label_files.read_sources([label_source])] == [(key,)]


@pytest.mark.parametrize("cell", ["export.zip", "export.zip!/", "./export.zip!", "export.zip!/in", "export.zip!/in/"])
def test_an_archive_is_a_folder_and_so_are_those_in_it(results: Results, tmp_path: Path, cell: str) -> None:
    series = {
        "a" * 16: [row("export.zip!/in/1.dcm")],
        "b" * 16: [row("real%21/1.dcm", "p2", "1.3")],
        "c" * 16: [row("two/z.tgz!/1.dcm", "p3", "1.4")],
    }
    write_plan(results, [{"series_id": name, "files": rows} for name, rows in series.items()])
    of_archive = source(tmp_path / "l.csv", f"id,kind\n{cell},benign\nreal!/,malignant\n", "folder")
    joined, report, _ = join(results, [of_archive])
    assert {name: entry["labels"]["kind"] for name, entry in joined.items()} == {"a": "benign", "b": "malignant"}
    joined, _, _ = join(results, [{"folder": 2, "name": "organ", "values": ["in", "z.tgz"]}])
    assert {name: entry["labels"]["organ"] for name, entry in joined.items()} == {"a": "in", "c": "z.tgz"}


def test_the_name_of_a_folder_is_a_class(results: Results) -> None:
    joined, report, details = join(results, [{"folder": 2, "name": "organ", "values": ["x", "liver"]}])
    assert {name: entry["labels"]["organ"] for name, entry in joined.items()} == {"a": "x"}
    assert finding(report, "images_unlabelled") == 2
    unlabelled = [(line["series_id"][0], line["source"], line["key"]) for line in details]
    assert unlabelled == [("b", "0", "y"), ("c", "0", "z")], "the folder that `values` lacks is named"


def test_a_series_in_the_folders_of_two_classes_is_a_conflict(results: Results) -> None:
    plan_content = json.loads(results.plan("0001-0000").read_text())
    plan_content["series"][0]["files"][1]["path"] = "one/y/2.dcm"
    write_plan(results, plan_content["series"])
    joined, report, details = join(results, [{"folder": 2, "name": "organ", "values": ["x", "y"]}])
    assert set(joined) == {"b"} and finding(report, "label_conflicts") == 1
    assert [(line["key"], line["series_id"][0]) for line in details if line["finding"] == "label_conflicts"] == [
        ("x", "a"),
        ("y", "a"),
    ]


def test_lines_that_differ_are_a_conflict_and_equal_ones_are_not(results: Results, tmp_path: Path) -> None:
    text = "id,kind\np1,benign\np1,malignant\np2,benign\np2,benign\nnobody,benign\np3,\n"
    joined, report, details = join(results, [source(tmp_path / "l.csv", text)])
    assert {name: entry["labels"] for name, entry in joined.items()} == {"b": {"kind": "benign"}}
    assert finding(report, "label_conflicts") == 1
    assert [(line["line"], line["key"]) for line in details if line["finding"] == "label_conflicts"] == [
        ("2", "p1"),
        ("3", "p1"),
    ]
    assert finding(report, "labels_unmatched") == 1
    assert finding(report, "images_unlabelled") == 1
    assert {"label": "kind", "finding": "labels_unmatched", "source": "0", "line": "6", "key": "nobody"}.items() <= (
        next(line for line in details if line["finding"] == "labels_unmatched").items()
    )


def test_csv_as_spreadsheets_write_it_is_read(results: Results, tmp_path: Path) -> None:
    text = b'\xef\xbb\xbfid , note,score\r\n"p1","a, ""quoted""\r\nnote", 3 \r\np2,,2.50\r\n,,\r\n'
    joined, _, _ = join(results, [source(tmp_path / "l.csv", text, score={"range": [0, 6]})])
    assert {name: entry["labels"] for name, entry in joined.items()} == {"a": {"score": "3"}, "b": {"score": "2.5"}}


@pytest.mark.parametrize("form", ["NFC", "NFD"])  # a Mac may write a letter and its accent as two
def test_names_of_columns_are_compared_in_one_form(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    label_source = source(tmp_path / "l.csv", unicodedata.normalize(form, "Schlüssel;Größe\np1;3\n"))
    other = "NFD" if form == "NFC" else "NFC"
    columns = {"size": {"column": unicodedata.normalize(other, "Größe"), "range": [0, 6]}}
    label_source |= {"key": unicodedata.normalize(other, "Schlüssel"), "columns": columns}
    assert [line.values for line in label_files.read_sources([label_source])] == [{"size": "3"}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,kind\np1,Doe^Jane\n", ("labels.0", "line 2", "column 'kind'", "one of the 2 values")),
        ("id,kind,score\np1,benign,seven\n", ("line 2", "column 'score'", "a number from 0 to 6")),
        ("id,kind,score\np1,benign,nan\n", ("line 2", "column 'score'")),
        ("id,kind,score\np1,benign,7\n", ("line 2", "column 'score'")),
        ("id,kind,score\np1,benign\n", ("line 2", "first line, 3; found 2")),
        ("id|kind|score\np1|benign|1\n", ("no column 'id'", "commas, semicolons or tabs")),
        ("p1,benign,1\n", ("no column 'id'; needed",)),
        ("ID;kind;score\n", ("no column 'id', but 'ID'; needed is one",)),
        ("I_D,kind,score\n", ("no column 'id', but 'I_D'; needed is one",)),
        ("id,kind,score\np1,Benign,1\np1,benign,1_0\n", ("line 2, column 'kind'", "line 3 column 'score'")),
        ("id,kind,score\np1,BENIGN,1\n", ("an empty cell; small and capital letters must be those of the config",)),
        ("id;kind;score\np1;benign;1,5\n", ("an empty cell; write numbers with a point as the decimal mark",)),
        ("id;kind;score\np1;BENIGN;1,5\n", ("; small and capital letters ", "; write numbers with a point")),
        ("id,kind,score\n" + "p1,Doe,seven\n" * 9, ("line 2, column 'kind'", "line 3 column 'score'", "13 more")),
        ("", ("no column 'id'",)),
        ("id,kind,kind,score\n", ("several columns 'kind'",)),
        (b"id,kind,score\np1,benign,1\n\xe4,benign,1\n", ("line 3", "not UTF-8")),
        ("id,kind,score\n".encode("utf-16-le"), ("line 1", "not UTF-8, but maybe UTF-16 without its mark")),
        (b"PK\x03\x04\x14\x00", ("'", "l.csv' is a workbook of a spreadsheet; save the file as CSV in UTF-8")),
        ('id,kind,score\n"p1,benign,1\n', ("not valid CSV",)),
    ],
)
def test_cells_that_are_not_allowed_are_refused_and_never_quoted(
    tmp_path: Path, text: str | bytes, words: tuple[str, ...]
) -> None:
    label_source = source(tmp_path / "l.csv", text, kind=KINDS, score={"range": [0, 6]})
    if isinstance(text, str) and text and "score" not in text.splitlines()[0]:
        label_source["columns"].pop("score")
    with pytest.raises(ConfigProblem) as caught:
        label_files.read_sources([label_source])
    for word in words:
        assert word in str(caught.value)
    for secret in ("Doe", "seven", "p1", "Benign", "BENIGN", "1_0", "1,5"):
        assert secret not in str(caught.value)


def test_what_is_no_slip_of_spreadsheets_gets_no_advice(tmp_path: Path) -> None:
    label_source = source(tmp_path / "l.csv", "id;kind;score\np1;malign;9,5\n", kind=KINDS, score={"range": [0, 6]})
    with pytest.raises(ConfigProblem, match="an empty cell; the same holds for line 2 column 'score'$"):
        label_files.read_sources([label_source])


def test_text_of_a_spreadsheet_in_utf_16_is_read(tmp_path: Path) -> None:
    """As Excel's "Unicode Text": with a mark, tabs and CRLF."""
    text = "id\tkind\r\nMüller\tbenign\r\n".encode("utf-16")
    lines = label_files.read_sources([source(tmp_path / "l.csv", text, kind=KINDS)])
    assert [(line.line, line.key, line.values) for line in lines] == [(2, ("Müller", ""), {"kind": "benign"})]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sep=;\r\nid;kind\r\n0001;benign\r\n", 3),
        ('\ufeff"SEP=;";\r\nid;kind\r\n0001;benign\r\n', 3),
        ("sep=\t\nid\tkind\n0001\tbenign\n", 3),
        ("sep=|\rid|kind\r0001|benign\r", 3),
        ('id;kind\n="0001";="benign"\n', 2),
        ('id,kind\n"=""0001""",benign\n', 2),
        ("id;kind;;\n0001;benign\n;;;;\n".replace("benign", "benign;;"), 2),
        ("id;kind\n;;;\n0001;benign;;;\n", 3),
        ("\ufeff\u200eid,kind\n\u202a0001\u202c,benign\u00a0\n", 2),
    ],
)
def test_what_spreadsheets_put_around_cells_is_no_part_of_them(tmp_path: Path, text: str, line: int) -> None:
    """The line that names the separator, the form of a number that stays a text, empty columns, unseen characters."""
    lines = label_files.read_sources([source(tmp_path / "l.csv", text, kind=KINDS)])
    assert [(each.line, each.key, each.values) for each in lines] == [(line, ("0001", ""), {"kind": "benign"})]
    (tmp_path / "t.csv").write_text(text.replace("id", "PatientID"), newline="")
    assert [each.key for each in label_files.read_fixed({"test": str(tmp_path / "t.csv")})] == [("0001", "")]


@pytest.mark.parametrize("end", [";", "\t", ","])
@pytest.mark.parametrize("first", ["PatientID", "PatientID{}"])
def test_a_separator_behind_a_single_column_is_no_part_of_it(tmp_path: Path, first: str, end: str) -> None:
    (tmp_path / "t.csv").write_text(f"{first.format(end)}\n0001{end}\n\n0002{end} \n")
    assert [each.key[0] for each in label_files.read_fixed({"test": str(tmp_path / "t.csv")})] == ["0001", "0002"]
    (tmp_path / "t.csv").write_text("PatientID\n0001;\n0;2\n")  # no separator: an identifier may hold a semicolon
    assert [each.key[0] for each in label_files.read_fixed({"test": str(tmp_path / "t.csv")})] == ["0001;", "0;2"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sep=;\nid,kind\n1,benign\n", "no column 'id'"),  # another separator than it says
        ("sep=;\nid;kind\n1;x\n", "line 3, column 'kind'"),
        ('sep=;\nid;kind\n"1;benign\n', "line 3 of .* is not valid CSV"),
        ("id;kind\n1;benign;2\n", "line 2 of .* 2; found 3"),
    ],
)
def test_what_a_spreadsheet_would_not_write_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigProblem, match=words):
        label_files.read_sources([source(tmp_path / "l.csv", text, kind=KINDS)])


def test_a_missing_label_file_is_reported(tmp_path: Path) -> None:
    label_source = source(tmp_path / "l.csv", "id,kind\n") | {"file": "nowhere.csv"}
    os.mkfifo(tmp_path / "pipe.csv")  # as `<(...)` of a shell: it would wait for ever, or be empty the second time
    with pytest.raises(ConfigProblem, match=r"'labels.0'.*pipe.csv' is a pipe or device; save its lines in a file"):
        label_files.read_sources([label_source | {"file": str(tmp_path / "pipe.csv")}])
    with pytest.raises(ConfigProblem, match=r"'labels.0'.*'nowhere.csv' cannot be read: No such file"):
        label_files.read_sources([label_source])


def test_lists_fix_the_split_of_patients(results: Results, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("PatientID\np1\nnobody\n")
    (tmp_path / "v.csv").write_text("PatientID,IssuerOfPatientID\np3,hospital\n")
    joined, report, details = join(results, [], {"test": str(tmp_path / "t.csv"), "val": str(tmp_path / "v.csv")})
    assert {name: entry["split"] for name, entry in joined.items()} == {"a": "test", "c": "val"}
    assert [(line["label"], line["finding"], line["key"]) for line in details] == [
        ("splits.fixed", "fixed_unmatched", "nobody")
    ]
    assert [tuple(line.values()) for line in report] == [
        ("splits.fixed", "fixed_unmatched", "", "1"),
        ("splits.fixed", "matched", "test", "1"),
        ("splits.fixed", "matched", "val", "1"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("PatientID\np1\n", "PatientID\np1\n", True),
        ("PatientID,IssuerOfPatientID\np3,hospital\n", "PatientID\np3\n", True),  # p3 of whatever issuer
        ("PatientID\np3\n", "PatientID,IssuerOfPatientID\np3,hospital\n", True),
        ("PatientID,IssuerOfPatientID\np3,hospital\n", "PatientID,IssuerOfPatientID\np3,elsewhere\n", False),
    ],
)
def test_a_patient_in_two_lists_is_refused(tmp_path: Path, first: str, second: str, refused: bool) -> None:
    files = {"test": str(tmp_path / "t.csv"), "val": str(tmp_path / "v.csv")}
    (tmp_path / "t.csv").write_text(first)
    (tmp_path / "v.csv").write_text(second)
    if not refused:
        assert len(label_files.read_fixed(files)) == 2
        return
    with pytest.raises(ConfigProblem, match="names a patient that another list names too") as caught:
        label_files.read_fixed(files)
    assert "p1" not in str(caught.value) and "p3" not in str(caught.value)


@pytest.mark.parametrize("text", ["PatientID\n", "PatientID,x\n,1\n"])
def test_a_list_that_names_nobody_is_refused(tmp_path: Path, text: str) -> None:
    """Its patients would get a split by chance, such as training."""
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ConfigProblem, match=r"'splits\.fixed\.test': '.*t\.csv' names no patient"):
        label_files.read_fixed({"test": str(tmp_path / "t.csv")})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"labels": [{"by": "patient"}]}, "'labels.0.folder' is missing"),
    ({"labels": [{"file": "a", "by": "patient", "columns": {"x": KINDS}}]}, "'labels.0.key' is missing"),
    ({"labels": [{"file": "a", "by": "name", "key": "i", "columns": {"x": KINDS}}]}, "'labels.0.by'"),
    ({"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"x": {}}}]}, "one of 'values' and 'range'"),
    ({"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"Bad name": KINDS}}]}, "Bad name"),
    ({"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"x": {"range": [2, 1]}}}]}, "range"),
    ({"labels": [{"file": "a", "by": "path", "key": "i", "columns": {"x": {"values": ["a\nb"]}}}]}, "values"),
    ({"labels": [{"folder": 1, "name": "x", "values": [True]}]}, "in quotes"),  # YAML's yes
    ({"labels": [{"folder": 0, "name": "x", "values": ["a"]}]}, "'labels.0.folder'"),
    ({"labels": [{"folder": 1, "name": "x", "values": ["a", 1, "a"]}]}, "found 'a' (text) twice, allowed is a list of"),
    ({"labels": [{"folder": 1, "name": "x", "values": []}]}, "found a list of 0 entries, allowed is a list of 1 to"),
    ({"labels": [{"folder": 1, "name": "x", "values": ["groß"]}]}, "a word of up to 64 letters (a to z, A to Z)"),
    (
        {"labels": [{"folder": 1, "name": "x", "values": ["a"], "key": "y"}]},
        "'labels.0.key' is not possible with 'folder'",
    ),
    ({"splits": {"fractions": {"train": 0.5, "val": 0.4}}}, "add up to 0.9, needed is 1"),
    ({"splits": {"fractions": {"train": float("nan")}}}, "needed is a number"),
    ({"splits": {"seed": 3}}, "'splits.fractions' is missing"),
    (
        {"splits": {"fixed": {"test": "t.csv"}}},
        "or beside lists {unlisted: 1}",
    ),
    ({"splits": {"kfold": 5}}, "'splits.kfold' is not known; known keys: fixed, fractions, seed, stratify"),
    ({"splits": {"fractions": {"train": 1.0}, "stratify": "sex"}}, "'splits.stratify'"),
    ({"splits": {"fractions": {"train": 2}}}, "'splits.fractions.train'"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_a_wrong_configuration_is_refused(change: dict[str, Any], words: str) -> None:
    import yaml
    from conftest import ROOT

    defaults = yaml.safe_load((ROOT / "config.yaml").read_text())
    with pytest.raises(ConfigProblem, match="config key") as caught:
        settings.check_keys(defaults | change)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["labels_unmatched", "images_unlabelled", "label_conflicts", "fixed_unmatched"])
def test_each_finding_can_be_gated(results: Results, tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text("PatientID\nnobody\n")
    text = "id,kind\np1,benign\np1,malignant\np2,benign\nnobody,benign\n"
    join(results, [source(tmp_path / "l.csv", text)], {"test": str(tmp_path / "t.csv")})
    reports = results.dataset / "reports"
    reports.mkdir()
    (results.root / "r.csv").rename(reports / "labels.csv")
    for table in ("outcomes", "depth", "size"):
        (reports / f"{table}.csv").write_text("outcome,reason,files,verdict\n")
    (results.dataset / "volumes.csv").write_text("array,split,pixel_digest,flags\n")
    settings._check_gate({name: 0})
    assert check_gate.check_gate(results, {name: 1}) == {name: 1}
    with pytest.raises(check_gate.GateClosed, match=f"gate.{name}: found 1, allowed 0"):
        check_gate.check_gate(results, {name: 0})


@pytest.mark.parametrize("second", ["hospital b", "hospital a", ""])
def test_a_number_that_several_issuers_gave_labels_nobody(tmp_path: Path, second: str) -> None:
    results = Results(tmp_path / "results")
    issuers = {"a" * 16: "hospital a", "b" * 16: second}
    files.write_atomically(
        results.dataset / "arrays.csv", "".join(["array\n", *(f"{name}/12345678\n" for name in issuers)]).encode()
    )
    series = [
        {"series_id": name, "files": [row(f"{name[0]}/1.dcm", "42", f"1.{number}", issuer=issuer)]}
        for number, (name, issuer) in enumerate(issuers.items())
    ]
    write_plan(results, series)
    joined, report, details = join(results, [source(tmp_path / "l.csv", "id,kind\n42,malignant\n")])
    if second == "hospital b":
        assert joined == {}
        assert (finding(report, "label_conflicts"), finding(report, "matched")) == (2, 0)
        assert {(line["label"], line["line"], line["key"]) for line in details} == {("kind", "2", "42")}
        text = "id,from,kind\n42,hospital a,malignant\n42,hospital b,benign\n"
        joined, report, _ = join(results, [source(tmp_path / "m.csv", text) | {"issuer": "from"}])
    assert finding(report, "label_conflicts") == 0
    assert finding(report, "matched") == 2


@pytest.mark.parametrize("by", ["series", "study"])
@pytest.mark.parametrize(
    ("first", "second", "is_conflict"),
    [
        (("p1", ""), ("p2", ""), True),
        (("p1", "hospital a"), ("p1", "hospital b"), True),
        (("p1", "hospital a"), ("p1", ""), False),
        (("p1", ""), ("p1", ""), False),
        (("p1", ""), ("", ""), False),  # an image without a patient names no other one
    ],
)
def test_a_uid_of_several_patients_labels_nobody(
    tmp_path: Path, by: str, first: tuple[str, str], second: tuple[str, str], is_conflict: bool
) -> None:
    results = Results(tmp_path / "results")
    table = "".join(["array\n", *(f"{letter * 16}/12345678\n" for letter in "abc")])
    files.write_atomically(results.dataset / "arrays.csv", table.encode())
    series = [
        {"series_id": letter * 16, "files": [row(f"{letter}/1.dcm", patient, "1.7", "8", issuer)]}
        for letter, (patient, issuer) in zip("ab", (first, second), strict=True)
    ]
    series.append({"series_id": "c" * 16, "files": [row("c/1.dcm", "p3", "1.9", "9")]})
    write_plan(results, series)
    text = {"series": "id,kind\n1.7,malignant\n1.9,benign\n", "study": "id,kind\n8,malignant\n9,benign\n"}[by]
    joined, report, details = join(results, [source(tmp_path / "l.csv", text, by)])
    assert set(joined) == ({"c"} if is_conflict else {"a", "b", "c"})
    assert finding(report, "label_conflicts") == len(details) == (2 if is_conflict else 0)
    assert {line["key"] for line in details} <= {"1.7", "8"}
