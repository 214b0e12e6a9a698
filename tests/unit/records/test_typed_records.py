"""Records survive a round trip through their file; damaged ones and those of another schema are refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_up_records
import pytest
from conftest import ROOT

from dicomzarr.records import digests, record_file, rule_record
from dicomzarr.records.batch_record import BatchRecord, CheckBatchRecord
from dicomzarr.records.check_record import CheckRecord
from dicomzarr.records.export_record import ArrayRow, ExportRecord, FileRow
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.records.series_record import Disagreement, OtherFile, SeriesRecord
from dicomzarr.system import digested_json
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged

COMMON: dict[str, Any] = {
    "rule": "a_rule",
    "params": {"code": "12"},
    "claims": {"dataset/volumes.csv": FileClaim(3, "ab"), "private/x": FileClaim(4, "")},
    "counts": {"series": 1},
    "work": {"read": 2},
    "inputs": {"labels": "cd"},
    "unreadable": ("a.dcm",),
}
SERIES = made_up_records.series(
    disagreement=Disagreement("11", ("aa", "bb")),
    same_uid_elsewhere=(OtherFile("d.dcm", made_up_records.STAT, "14"),),
    plan_digest="plan",
    limits=(5, 6),
    failed=True,
)
EXPORT = ExportRecord(
    made_up_records.SERIES,
    "fingerprint",
    (
        ArrayRow(
            array=made_up_records.ARRAY, modality="CT", axes="yx", shape="4x5", dtype="int16", bits_stored=12,
            photometric="MONOCHROME2", outcome="exported", reason="", files=1, bit_depth=16, offset=None,
            exported_bytes=7, source_bytes=400, stored_bytes=300, pixel_bytes=40,
        ),
    ),
    (FileRow(file="a/image.png", array=made_up_records.ARRAY, z=1, bytes=7, sha256="ab"),),
)  # fmt: skip
RECORDS: list[Any] = [
    SERIES,
    made_up_records.series(volumes=()),
    made_up_records.CHECK,
    EXPORT,
    RuleRecord(**COMMON),
    RuleRecord(),
    BatchRecord(**COMMON, series={made_up_records.SERIES: "fingerprint"}, records_digest="ef"),
    CheckBatchRecord(**COMMON, depth=(made_up_records.DEPTH,), size=(made_up_records.SIZE,)),
]


def kind_of(record: Any) -> str:
    return type(record).__name__


@pytest.mark.parametrize("record", RECORDS, ids=kind_of)
def test_a_record_survives_a_round_trip(tmp_path: Path, record: Any) -> None:
    path = tmp_path / "record.json"
    data, digest = record.to_bytes()
    path.write_bytes(data)
    again = type(record).load(path)
    assert again.to_bytes() == (data, digest) and digested_json.digest_of_record(path) == digest
    for field in dataclasses.fields(record):
        if not field.name.endswith("_rows"):  # those stay JSON values until they are needed
            assert type(getattr(again, field.name)) is type(getattr(record, field.name)), field.name
    if isinstance(record, SeriesRecord):
        assert again.files == record.files and again.files[-1].found == 208
        assert [volume.frames for volume in again.volumes] == [volume.frames for volume in record.volumes]
        assert dataclasses.replace(again, file_rows=again.files).to_bytes() == (data, digest)
        assert SeriesRecord.read(path)[1:] == (len(data), digest)
    else:
        assert again == record


@pytest.mark.parametrize("record", RECORDS, ids=kind_of)
def test_a_record_cannot_be_changed(record: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, dataclasses.fields(record)[0].name, "x")
    assert not hasattr(record, "__dict__")


@pytest.mark.parametrize("record", RECORDS, ids=kind_of)
def test_damage_and_another_schema_are_refused(tmp_path: Path, record: Any) -> None:
    path, load = tmp_path / "record.json", type(record).load
    data = record.to_bytes().data
    for damaged in (b"", data[: len(data) // 2], data[:-1], data.replace(b":", b";", 1), data + b"\n"):
        path.write_bytes(damaged)
        with pytest.raises(Damaged):
            load(path)
    fields = digested_json.parse_record(path, data)[0]
    others: list[Callable[[], dict[str, Any]]] = [
        lambda: {**fields, "schema_version": fields["schema_version"] + 1},
        lambda: {name: value for name, value in fields.items() if name != "schema_version"},
        lambda: {**fields, "unknown": 1},
        lambda: {name: value for name, value in fields.items() if name not in {"files", "file_rows", "size", "claims"}},
    ]
    for other in others:
        path.write_bytes(digested_json.record_json(other()))
        with pytest.raises(Damaged):
            load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere")


def test_a_series_claims_its_files_and_its_group() -> None:
    series, array = made_up_records.SERIES, made_up_records.ARRAY
    ome = json.dumps({"labels": [array.split("/")[1]], "version": "0.5"}, separators=(",", ":"))
    metadata = f'{{"attributes":{{"ome":{ome}}},"node_type":"group","zarr_format":3}}\n'.encode()
    group = FileClaim(len(metadata), hashlib.sha256(metadata).hexdigest())
    assert SERIES.claimed_files() == {
        f"{series}/zarr.json": group,
        f"{array}/zarr.json": FileClaim(100, "cd"),
        f"{array}/0/c/0": FileClaim(200, "ef"),
    }
    assert made_up_records.series(volumes=()).claimed_files() == {}


def test_common_fields_of_any_rule_record_are_read(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for number, record in enumerate(RECORDS[-2:]):
        path = results.records / f"rule/{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record.to_bytes().data)
        assert rule_record.load_common(path) == RuleRecord(**COMMON)
    assert digests.recorded_files(results) == {"volumes.csv": COMMON["claims"]["dataset/volumes.csv"]}


def test_rows_are_read_into_their_types(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(SERIES.to_bytes().data)
    record = SeriesRecord.load(path)
    assert record.files[0].stat == made_up_records.STAT and type(record.files[0].stat) is tuple
    assert record.volumes[0].frames[1] == (1, 0, None, 1, "02") and record.volumes[0].frames[1].digest == "02"
    assert record.volumes[0].files["0/c/0"].size == 200
    (check,) = (RECORDS[2].disk.values(),)
    assert next(iter(check))["zarr.json"].inode == 6
    path.write_bytes(RECORDS[2].to_bytes().data)
    assert CheckRecord.load(path).disk == RECORDS[2].disk


def test_fields_of_a_subclass_include_the_common_ones() -> None:
    assert set(record_file.fields_of(RECORDS[-2])) == {*COMMON, "series", "records_digest", "detector"}


REVOKE = "scripts/dicomzarr/records/revoke.py"
REMOVES = re.compile(r"(\.unlink\(|remove_tree\(|os\.(unlink|remove)\()")
RECORD = re.compile(r"series_record\(|\.records\b|record_of\(|\brecord(_path)?\.unlink|\.sealed\b|remove_tree\(record")


def test_only_revoke_deletes_records() -> None:
    """Otherwise the reason would not be logged. Tests of the stages and of the workflow check the reasons."""
    deletions = []
    for path in {*(ROOT / "scripts").rglob("*.py"), *(ROOT / "rules").glob("*.smk")} - {ROOT / REVOKE}:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if REMOVES.search(line) and RECORD.search(line):
                deletions.append(f"{path.relative_to(ROOT)}:{number}")
    assert sorted(deletions) == []
