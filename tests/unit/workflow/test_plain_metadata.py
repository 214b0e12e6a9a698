"""Snakemake's metadata without SQLModel: files and databases hold what they hold with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

pytestmark = pytest.mark.snakemake

SNAKEFILE = """
rule all:
    input: "b.txt"
rule first:
    output: "a.txt"
    params: number=3, words=["x", "y"], none=None
    log: "a.log"
    shell: "echo {params.number} > {output} 2> {log}"
rule second:
    input: "a.txt"
    output: "b.txt"
    shell: "cp {input} {output}"
"""
START = """
import sys
sys.path.insert(0, {scripts!r})
from dicomzarr.workflow.snakemake_quirks import plain_metadata, tested_versions
tested_versions.TESTED = {tried!r}
if {plain}:
    plain_metadata.use_plain_metadata()
"""
RECORDS = """
import json
from snakemake.persistence import MetadataRecord
found = []
some = dict(rule="a", input=["b"], params=["1"], starttime=1.5, unknown=1)
for values in ({}, some, dict(input_checksums=dict(x="y"))):
    record = MetadataRecord.model_validate(values)
    record.endtime = 2.5
    found += [dict(record.items()), list(record.keys()), record.get("rule"), record.get("none", 7), record["log"]]
    try:
        record["none"]
    except KeyError:
        found.append("no such attribute")
one, other = MetadataRecord(), MetadataRecord()
one.input_checksums["a"] = "b"
found += [one.input_checksums, other.input_checksums]
imported = sorted({"sqlmodel", "sqlalchemy", "pydantic"} & sys.modules.keys())
import sqlalchemy, sqlmodel
print(json.dumps([found, imported, sqlmodel.SQLModel.__module__, hasattr(sqlalchemy, "create_engine")]))
"""
PACKAGES = ["pydantic", "sqlalchemy", "sqlmodel"]


def python(program: str, folder: Path, *arguments: str, plain: bool = True, tried: str = "9.27.1") -> str:
    """Run a program after Snakemake was told to use plain metadata, or not; return what it prints."""
    start = START.format(scripts=str(ROOT / "scripts"), tried=(tried,), plain=plain)
    command = [sys.executable, "-c", start + program, *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def test_records_are_alike_and_the_packages_are_there_for_others(tmp_path: Path) -> None:
    plain = json.loads(python(RECORDS, tmp_path))
    usual = json.loads(python(RECORDS, tmp_path, plain=False))
    assert plain[0] == usual[0] and plain[2:] == usual[2:] == ["sqlmodel.main", True]
    assert plain[1] == []
    assert usual[1] == PACKAGES  # if this fails, Snakemake imports less by itself


def test_another_version_imports_what_it_likes(tmp_path: Path) -> None:
    assert json.loads(python(RECORDS, tmp_path, tried="9.0.0"))[1] == PACKAGES


def snakemake(folder: Path, *arguments: str, plain: bool = True) -> str:
    (folder / "Snakefile").write_text(SNAKEFILE)
    return python("from snakemake import cli\ncli.main()", folder, "--cores", "1", *arguments, plain=plain)


def metadata(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what Snakemake knows of each output, without its times and the address of an object."""
    found = {}
    for path in (folder / ".snakemake/metadata").rglob("*"):
        if path.is_file():
            record = json.loads(path.read_text())
            assert record.pop("starttime") <= record.pop("endtime") and record.pop("job_hash")
            found[path.name] = record
    return found


def test_files_are_alike_and_either_way_reads_them(tmp_path: Path) -> None:
    found = {}
    for plain in (True, False):
        folder = tmp_path / str(plain)
        folder.mkdir()
        assert "2 of 2 steps" in snakemake(folder, "b.txt", plain=plain)
        assert "Nothing to be done" in snakemake(folder, "b.txt", plain=not plain)
        found[plain] = metadata(folder)
    assert found[True] == found[False] and len(found[True]) == 2


def test_a_database_is_used_if_it_is_asked_for(tmp_path: Path) -> None:
    for number, expected in enumerate(("2 of 2 steps", "Nothing to be done", "Nothing to be done")):
        assert expected in snakemake(tmp_path, "b.txt", "--persistence-backend", "db", plain=number < 2)
    assert (tmp_path / ".snakemake/metadata.db").is_file() and not metadata(tmp_path)
