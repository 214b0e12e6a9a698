"""The digest of code: prose does not count, behaviour does, and only what is reached."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "scripts"


def digest(scripts: Path, script: str, python: str = sys.executable) -> str:
    code = f"from dicomzarr.workflow.code_digest import code_digest; print(code_digest({script!r}))"
    return subprocess.run([python, "-c", code], cwd=scripts, capture_output=True, text=True, check=True).stdout.strip()


def test_prose_does_not_count(scripts: Path) -> None:
    before = digest(scripts, "check_batch.py")
    path = scripts / "dicomzarr" / "stages" / "check_batch" / "read_back.py"
    lines = path.read_text().splitlines()
    path.write_text("\n\n# a comment\n" + "\n".join(["'''Another docstring.'''", *lines[1:], "# the end", ""]))
    assert digest(scripts, "check_batch.py") == before


@pytest.mark.parametrize(
    ("module", "script", "changes"),
    [
        ("stages/check_batch/read_back.py", "check_batch.py", True),
        ("system/files.py", "check_batch.py", True),
        ("stages/check_batch/read_back.py", "extract_batch.py", False),
        ("workflow/prepare.py", "extract_batch.py", False),
        ("workflow/prepare.py", "discover_files.py", False),
        ("stages/render_report/page.py", "render_report.py", True),
        ("stages/render_report/style.css", "render_report.py", True),
        ("stages/render_report/page.py", "check_batch.py", False),
        ("pixels/decoders.py", "extract_batch.py", True),
        ("pixels/decoders.py", "check_batch.py", False),
    ],
)
def test_behaviour_counts_where_it_is_reached(scripts: Path, module: str, script: str, changes: bool) -> None:
    before = digest(scripts, script)
    with (scripts / "dicomzarr" / module).open("a") as stream:
        stream.write("\nNEW_BEHAVIOUR = 1\n" if module.endswith(".py") else "\nb { color: red }\n")
    assert (digest(scripts, script) != before) is changes


def test_the_digest_does_not_depend_on_the_python(scripts: Path) -> None:
    others = [found for name in ("python3.12", "python3.13", "python3.14") if (found := _works(name))]
    if not others:
        pytest.skip("no other Python is installed")
    for script in ("extract_batch.py", "render_report.py", "index_headers.py"):
        assert {digest(scripts, script, python) for python in others} == {digest(scripts, script)}


def _works(name: str) -> str:
    path = shutil.which(name)
    if path and subprocess.run([path, "-c", "pass"], capture_output=True, check=False).returncode == 0:
        return path
    return ""


def test_what_was_read_before_is_not_read_again(scripts: Path) -> None:
    before = digest(scripts, "check_batch.py")
    notes = scripts / "dicomzarr" / "workflow" / "__pycache__" / "code_digest.json"
    whole = notes.read_bytes()
    (scripts / "dicomzarr" / "stages" / "check_batch" / "read_back.py").touch()
    assert (digest(scripts, "check_batch.py"), notes.read_bytes()) == (before, whole)
    with (scripts / "dicomzarr" / "stages" / "check_batch" / "read_back.py").open("a") as stream:
        stream.write("\nNEW_BEHAVIOUR = 1\n")
    assert digest(scripts, "check_batch.py") != before


@pytest.mark.parametrize("damage", [b"", b"{}", b"no JSON", None])
def test_damaged_notes_count_for_nothing(scripts: Path, damage: bytes | None) -> None:
    before = digest(scripts, "check_batch.py")
    notes = scripts / "dicomzarr" / "workflow" / "__pycache__" / "code_digest.json"
    whole = notes.read_bytes()
    digits = whole.index(b'["') + 2  # of the digest of the first module
    flipped = whole[:digits] + (b"1" if whole[digits : digits + 1] == b"0" else b"0") + whole[digits + 1 :]
    notes.write_bytes(flipped if damage is None else damage)
    assert digest(scripts, "check_batch.py") == before
    assert notes.read_bytes() == whole


def test_notes_of_another_reader_count_for_nothing(scripts: Path) -> None:
    before = digest(scripts, "check_batch.py")
    path = scripts / "dicomzarr" / "workflow" / "code_digest.py"
    path.write_text(path.read_text().replace('add("(")', 'add("<")'))
    assert digest(scripts, "check_batch.py") != before


def test_a_folder_that_cannot_be_written_does_no_harm(scripts: Path) -> None:
    before = digest(scripts, "check_batch.py")
    shutil.rmtree(scripts / "dicomzarr" / "workflow" / "__pycache__")
    (scripts / "dicomzarr" / "workflow" / "__pycache__").write_text("no folder")
    assert digest(scripts, "check_batch.py") == before
