"""The digest of code: independent of prose and of code that is not reached, changed by reached code."""

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


def digest(scripts: Path, script: str, python: str = sys.executable, without: str = "") -> str:
    code = f"from dicomzarr.workflow.code_digest import code_digest; print(code_digest({script!r}, {without!r}))"
    return subprocess.run([python, "-c", code], cwd=scripts, capture_output=True, text=True, check=True).stdout.strip()


def test_comments_and_docstrings_do_not_change_the_digest(scripts: Path) -> None:
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
        ("stages/render_report/explorer.js", "render_report.py", True),
        ("stages/render_report/page.py", "check_batch.py", False),
        ("pixels/decoders.py", "extract_batch.py", True),
        ("pixels/decoders.py", "check_batch.py", False),
    ],
)
def test_an_edit_changes_the_digests_of_its_scripts(scripts: Path, module: str, script: str, changes: bool) -> None:
    before = digest(scripts, script)
    with (scripts / "dicomzarr" / module).open("a") as stream:
        stream.write("\nb { color: red }\n" if module.endswith(".css") else "\nNEW_BEHAVIOUR = 1\n")
    assert (digest(scripts, script) != before) is changes


@pytest.mark.parametrize(
    ("name", "of_arrays", "of_detector"),
    [
        ("burned_in/scan.py", False, True),
        ("burned_in/weights.onnx", False, True),
        ("stages/extract_batch/look_for_text.py", True, False),
        ("burned_in_other.py", False, False),
    ],
)
def test_the_detector_has_a_digest_of_its_own(scripts: Path, name: str, of_arrays: bool, of_detector: bool) -> None:
    def digests() -> list[str]:
        arrays = digest(scripts, "extract_batch.py", without="dicomzarr.burned_in")
        return [arrays, digest(scripts, "dicomzarr/burned_in/scan.py")]

    before = digests()
    assert before[0] != digest(scripts, "extract_batch.py")
    with (scripts / "dicomzarr" / name).open("a") as stream:
        stream.write("\nNEW_BEHAVIOUR = 1\n")
    assert [old != new for old, new in zip(before, digests(), strict=True)] == [of_arrays, of_detector]


def test_the_digest_does_not_depend_on_the_python(scripts: Path) -> None:
    others = [path for name in ("python3.12", "python3.13", "python3.14") if (path := _path_of(name))]
    if not others:
        pytest.skip("no other Python is installed")
    for script in ("extract_batch.py", "render_report.py", "index_headers.py"):
        assert {digest(scripts, script, python) for python in others} == {digest(scripts, script)}


def _path_of(name: str) -> str:
    path = shutil.which(name)
    if path and subprocess.run([path, "-c", "pass"], capture_output=True, check=False).returncode == 0:
        return path
    return ""


def test_digests_of_unchanged_modules_are_cached(scripts: Path) -> None:
    before = digest(scripts, "check_batch.py")
    cache = scripts / "dicomzarr" / "workflow" / "__pycache__" / "code_digest.json"
    content = cache.read_bytes()
    (scripts / "dicomzarr" / "stages" / "check_batch" / "read_back.py").touch()
    assert (digest(scripts, "check_batch.py"), cache.read_bytes()) == (before, content)
    with (scripts / "dicomzarr" / "stages" / "check_batch" / "read_back.py").open("a") as stream:
        stream.write("\nNEW_BEHAVIOUR = 1\n")
    assert digest(scripts, "check_batch.py") != before


@pytest.mark.parametrize("damage", [b"", b"{}", b"no JSON", None])
def test_a_damaged_cache_is_ignored(scripts: Path, damage: bytes | None) -> None:
    before = digest(scripts, "check_batch.py")
    cache = scripts / "dicomzarr" / "workflow" / "__pycache__" / "code_digest.json"
    content = cache.read_bytes()
    digits = content.index(b'["') + 2  # of the digest of the first module
    flipped = content[:digits] + (b"1" if content[digits : digits + 1] == b"0" else b"0") + content[digits + 1 :]
    cache.write_bytes(flipped if damage is None else damage)
    assert digest(scripts, "check_batch.py") == before
    assert cache.read_bytes() == content


def test_the_cache_of_another_reader_is_ignored(scripts: Path) -> None:
    before = digest(scripts, "check_batch.py")
    path = scripts / "dicomzarr" / "workflow" / "code_digest.py"
    path.write_text(path.read_text().replace('add("(")', 'add("<")'))
    assert digest(scripts, "check_batch.py") != before


def test_the_cache_folder_may_be_read_only(scripts: Path) -> None:
    before = digest(scripts, "check_batch.py")
    shutil.rmtree(scripts / "dicomzarr" / "workflow" / "__pycache__")
    (scripts / "dicomzarr" / "workflow" / "__pycache__").write_text("no folder")
    assert digest(scripts, "check_batch.py") == before
