"""`./run files` and `./run report`: from any folder, without starting Snakemake, and without changing anything."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from launched_project import Project

from dicomzarr.commands.files import printable
from dicomzarr.commands.launcher.json_forms import FORMS
from dicomzarr.system import locks
from dicomzarr.system.path_text import encode_path

SERIES, OTHER = "0123456789abcdef", "fedcba9876543210"
# Path on disk, outcome, reason, and the array of its frames.
ENTRIES: list[tuple[bytes, str, str, str]] = [
    (b"a/1.dcm", "extracted", "", f"{SERIES}/01234567"),
    (b"a/2.dcm", "extracted", "", f"{SERIES}/89abcdef"),
    (b"b/50 %.dcm", "extracted", "", f"{OTHER}/01234567"),
    (b"c/a, \"b\".dcm", "quarantined", "truncated_header", ""),
    (b"c/line\nbreak", "quarantined", "truncated_header", ""),
    ("c/Müller\u3000.dcm".encode(), "skipped", "duplicate", ""),
    (b"c/\xff\xe9.dcm", "skipped", "duplicate", ""),
    (b"c/x,skipped,duplicate,", "ignored", "not_dicom", ""),
    (b"d/=1+1", "skipped", "burned_in_risk", ""),
]  # fmt: skip
BY_NAME = {name: {raw for raw, *columns, _ in ENTRIES if name in columns} for name in ("duplicate", "truncated_header")}


def cell(raw: bytes) -> str:
    text = encode_path(raw)
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("files")).with_environment()
    private, dataset = (project.elsewhere / "kept" / name for name in ("private", "dataset"))
    private.mkdir(parents=True, mode=0o700)
    (dataset / "reports").mkdir(parents=True)
    (dataset / "dataset.json").write_text("{}")
    (dataset / "reports" / "report.html").write_text("<p>")
    files = [f"{cell(raw)},{outcome},{reason},{array[:16]}\n" for raw, outcome, reason, array in ENTRIES]
    (private / "files.csv").write_text("path,outcome,reason,series_id\n" + "".join(files))
    frames = [f"{cell(raw)},{n},{array},{n},\n" for raw, *_, array in ENTRIES if array for n in range(3)]
    (private / "frames.csv").write_text("path,frame,array,t,z\n" + "".join(frames))
    (private / "inventory.jsonl").write_text('{"roots":{"":"/data/50%25"}}\n')
    (project.elsewhere / "my.yaml").write_text("source: x\nresults: kept\n")
    return project


def lines(project: Project, *arguments: str) -> list[str]:
    done = project.run("files", "--configfile", "my.yaml", *arguments, cwd=project.elsewhere)
    assert done.returncode == 0
    assert done.stderr.startswith("These paths may identify patients")
    return done.stdout.splitlines()


def test_without_options_outcomes_and_reasons_are_counted(project: Project) -> None:
    done = project.run("files", "--results", "kept", cwd=project.elsewhere)
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["3", "extracted"],
        ["2", "skipped", "duplicate"],
        ["1", "skipped", "burned_in_risk"],
        ["2", "quarantined", "truncated_header"],
        ["1", "ignored", "not_dicom"],
        ["9", "in", "all"],
    ]
    counted = json.loads(project.run("files", "--results=kept", "--json", cwd=project.elsewhere).stdout)
    assert counted["files"] == 9 and len(counted["outcomes"]) == 5


def test_paths_are_printed_one_a_line_as_they_are_on_disk(project: Project) -> None:
    assert lines(project, "--reason", "truncated_header") == ['c/a, "b".dcm', r"c/line\nbreak"]
    assert lines(project, "--reason", "duplicate") == ["c/Müller\u3000.dcm", r"c/\xff\xe9.dcm"]
    assert lines(project, "--outcome", "ignored") == ["c/x,skipped,duplicate,"]
    assert lines(project, "--outcome", "extracted", "--cores", "2") == ["a/1.dcm", "a/2.dcm", "b/50 %.dcm"]
    assert lines(project, "--outcome=extracted", "--full")[2] == "/data/50%/b/50 %.dcm"
    assert lines(project, "--reason", "no_pixel_data") == []
    assert lines(project, "--outcome", "skipped", "--reason", "truncated_header") == []


def test_paths_of_an_array_or_a_series(project: Project) -> None:
    assert lines(project, "--array", SERIES) == ["a/1.dcm", "a/2.dcm"]
    assert lines(project, "--array", f"{SERIES}/89abcdef") == ["a/2.dcm"]
    assert lines(project, "--array", f"images.zarr/{OTHER}/01234567/") == ["b/50 %.dcm"]
    assert lines(project, "--array", SERIES, "--outcome", "skipped") == []
    assert lines(project, "--array", "0123") == ["a/1.dcm", "a/2.dcm"]  # the beginning of an id
    assert lines(project, "--array", "89abcdef") == ["a/2.dcm"]  # the part after the slash


@pytest.mark.parametrize("reason", ["duplicate", "truncated_header"])
def test_nul_separated_paths_have_their_exact_bytes(project: Project, reason: str) -> None:
    command = project.command("files", "--reason", reason, "-0", "--results", str(project.elsewhere / "kept"))
    done = subprocess.run(command, env=project.environment(LC_ALL="C"), capture_output=True, check=True)
    assert done.stdout.endswith(b"\0") and set(done.stdout.split(b"\0")[:-1]) == BY_NAME[reason]


def test_json_has_the_documented_fields_and_the_paths_of_the_table(project: Project) -> None:
    done = project.run("files", "--outcome", "quarantined", "--json", "--results", "kept", cwd=project.elsewhere)
    printed = json.loads(done.stdout)
    assert [entry["path"] for entry in printed["paths"]] == [encode_path(raw) for raw, *_ in ENTRIES[3:5]]
    assert printed["outcomes"] == [{"outcome": "quarantined", "reason": "truncated_header", "files": 2}]
    assert printed["files"] == 2
    assert {name.split("[")[0] for name, _ in FORMS["files"]} == {*printed}
    assert {f"paths[].{name}" for name in printed["paths"][0]} == {n for n, _ in FORMS["files"] if n[:6] == "paths["}


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--reason", "burned_in"], 2, "no reason 'burned_in'; the closest is 'burned_in_risk'. In this dataset: dupl"),
        (["--reason", "burned_in"], 2, "duplicate 2, burned_in_risk 1, truncated_header 2, not_dicom 1"),
        (
            ["--outcome", "skip"],
            2,
            "--outcome: found 'skip', needed is one of extracted, skipped, quarantined, ",
        ),
        (["--array", "0" * 16], 2, "no array '0000000000000000' in this dataset"),
        (["--array", "01234567"], 2, "--array: '01234567' names arrays of 2 series; give more of the id"),
        (["--array", "0.*"], 2, "--array: found '0.*', needed is an array, such as "),
        (
            ["--results", "none"],
            1,
            "there is no folder 'none' yet, and so no private/files.csv; run the workflow",
        ),
        (["--results", "."], 1, "there is no private/files.csv in '.' yet; run the workflow first"),
    ],
)
def test_what_is_not_there_is_named(project: Project, arguments: list[str], status: int, says: str) -> None:
    done = project.run("files", "--configfile", "my.yaml", *arguments, cwd=project.elsewhere)
    assert (done.returncode, done.stdout) == (status, "")
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_a_table_of_a_million_rows_is_counted_and_searched_in_about_a_second(project: Project) -> None:
    results = project.elsewhere / "large"
    (results / "private").mkdir(parents=True)
    rows = (f"folder/{n:07d}.dcm,{'skipped,duplicate' if n % 9 else 'extracted,'},{SERIES}\n" for n in range(1_000_000))
    (results / "private" / "files.csv").write_text("path,outcome,reason,series_id\n" + "".join(rows))
    for arguments, says in (([], "888,888"), (["--reason", "not_dicom"], "")):
        began = os.times()
        done = project.run("files", "--results", str(results), *arguments)
        ended = os.times()
        taken = ended.children_user - began.children_user + ended.children_system - began.children_system
        assert done.returncode == 0 and says in done.stdout
        assert taken < 2, taken  # s of processor time; 0.5 on a quiet machine


def test_printable_text_is_kept_and_the_rest_escaped() -> None:
    assert printable("Müller 日本\u3000.dcm".encode()) == "Müller 日本\u3000.dcm"
    assert printable(b"a\x1b[31m\xc2\x9b\xff") == r"a\x1b[31m\xc2\x9b\xff"


def test_whole_paths_with_several_sources(project: Project, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private/files.csv").write_text("path,outcome,reason,series_id\none/a/b,skipped,duplicate,\n")
    (tmp_path / "private/inventory.jsonl").write_text('{"roots":{"one":"/data/first","two":"/data/second"}}\n')
    done = project.run("files", "--results", str(tmp_path), "--reason", "duplicate", "--full")
    assert done.stdout == "/data/first/a/b\n"
    assert done.stderr.startswith("note: the last run did not finish")


# ---- report


@pytest.mark.parametrize("arguments", [["--configfile", "my.yaml"], ["--results", "kept"]])
def test_the_report_is_opened_in_the_browser(project: Project, tmp_path: Path, arguments: list[str]) -> None:
    page = project.elsewhere / "kept/dataset/reports/report.html"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    done = project.run("report", *arguments, cwd=project.elsewhere, BROWSER=f"{browser} %s", DISPLAY=":9")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{page}\nfile://{page}\n"
    assert (tmp_path / "opened").read_text() == f"file://{page}\n"
    (tmp_path / "opened").unlink()
    closed = project.run("report", *arguments, "--no-open", cwd=project.elsewhere, BROWSER=f"{browser} %s")
    assert (closed.stdout, closed.stderr) == (done.stdout, "") and not (tmp_path / "opened").exists()


def test_without_a_display_or_a_report_the_next_step_is_named(project: Project) -> None:
    nowhere = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": ""}
    done = project.run("report", "--results", "kept", cwd=project.elsewhere, **nowhere)
    assert done.returncode == 0 and done.stdout.startswith(str(project.elsewhere))
    assert done.stderr.startswith("No browser was opened.")
    done = project.run("report", "--results", "kept/dataset", "--no-open", cwd=project.elsewhere)  # as a copy is
    assert (done.returncode, done.stderr) == (0, "") and "kept/dataset/reports/report.html" in done.stdout
    done = project.run("report", cwd=project.elsewhere)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "there is no folder 'results' yet, and so no report; name its configuration" in done.stderr


def test_while_a_run_is_going_it_is_named(project: Project, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    lock = locks.lock_run(tmp_path / "private", "2026-11-29 12:00:00+00:00")
    going = f"a run is going (process {os.getpid()} since 2026-11-29 12:00:00+00:00)"
    for command in (["report"], ["files"], ["explain", SERIES]):
        done = project.run(*command, "--results", str(tmp_path))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), command
        assert f"yet: {going} and writes it towards its end; its terminal, or the files in " in done.stderr, command
    (tmp_path / "private/files.csv").write_text("path,outcome,reason,series_id\none/a/b,skipped,duplicate,\n")
    assert project.run("files", "--results", str(tmp_path)).stderr.startswith(f"note: {going}, so these may be ")
    os.close(lock)
    assert project.run("files", "--results", str(tmp_path)).stderr.startswith("note: the last run did not finish")
    assert "run the workflow first" in project.run("report", "--results", str(tmp_path)).stderr
