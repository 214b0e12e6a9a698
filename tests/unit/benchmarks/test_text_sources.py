"""What the samples are made of is fetched by exact version, and the README names all of it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from conftest import ROOT

FOLDER = ROOT / "benchmarks" / "text_network"
SCRIPT = (FOLDER / "fetch.sh").read_text(encoding="utf-8")
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_the_version_of_each_package() -> None:
    rows = dict(re.findall(r"^\| ([\w.-]+) \| (\S+) \| (?:npm|PyPI|Debian 12) \|", README, flags=re.MULTILINE))
    fetched = dict(re.findall(r"([\w.-]+)(?:==|=|@)(\d[\w.+-]*)", SCRIPT))
    assert len(rows) == 9 and rows == fetched
    unpacked = re.findall(r"^(?:wheel|tarball|debian) (\S+) [0-9a-f]{64} ", SCRIPT, flags=re.MULTILINE)
    assert sorted(unpacked) == sorted(rows)


def test_fonts_have_exact_versions() -> None:
    lines = (FOLDER / "fonts.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 20 and lines == sorted(lines)
    assert all(re.fullmatch(r"fonts-[\w-]+=\S+", line) for line in lines)


def test_the_script_passes_shellcheck() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("no shellcheck")
    subprocess.run(["shellcheck", str(FOLDER / "fetch.sh")], check=True)
