"""Copy the project, so that a test can edit its code."""

from __future__ import annotations

import shutil
from pathlib import Path

from conftest import ROOT


def copy_of_the_project(folder: Path) -> Path:
    """Copy what a run needs of the project and return the folder."""
    for name in ("Snakefile", "config.yaml"):
        folder.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in ("rules", "scripts", "schemas", "profiles", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that occurs once in a file."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
