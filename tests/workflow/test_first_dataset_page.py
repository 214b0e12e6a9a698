"""The configuration, commands and snippets of docs/first-dataset.md, in their order, on a small source."""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from dicoms import ct_slice, save

PAGE = (ROOT / "docs" / "first-dataset.md").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the page, and a source of twelve patients; one of them has no label."""
    random = np.random.default_rng(0)
    for patient in range(12):
        for z in range(16):
            pixels = random.integers(-100, 900, (32, 32), dtype="<i2")
            path = tmp_path / "data/pacs-export" / ("part" if patient < 2 else "other") / f"{patient}-{z}.dcm"
            save(ct_slice(f"{patient}", z, pixels=pixels, PatientID=f"{patient:04d}"), path)
    my, small = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
    (tmp_path / "my.yaml").write_text(here(my, tmp_path))
    (tmp_path / "try.yaml").write_text(here(small, tmp_path))
    (lines,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.M | re.S)
    more = "".join(f"{patient:04d},{('benign', 'malignant')[patient % 2]}\n" for patient in range(3, 12))
    (tmp_path / "diagnoses.csv").write_text(lines + more)
    (tmp_path / "data/prepared/private").mkdir(0o700, parents=True)
    (tmp_path / "data/prepared/private/key").write_text("8" * 64)  # with another one a split might be empty
    (tmp_path / "data/prepared/private/key").chmod(0o600)
    run = tmp_path / "run"
    run.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "run"} "$@"\n')
    run.chmod(0o755)
    return tmp_path


def here(text: str, folder: Path) -> str:
    return text.replace("/data/", f"{folder}/data/")


def test_the_commands_and_snippets_of_the_page_work(folder: Path, environment: Path) -> None:
    variables = {**os.environ, "DICOMZARR_VENV": str(environment), "PYTHONPATH": str(ROOT / "scripts")}
    variables.pop("DICOMZARR_KEY", None)
    printed = ""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", here(PAGE, folder), re.M | re.S):
        for command in block.splitlines() if not language else ():
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=variables, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            printed += done.stdout
    assert not (folder / "data/try").exists() and (folder / "safe-place").exists()
    assert "diagnosis,images_unlabelled,,1\n" in printed and "diagnosis,labels_unmatched,,0\n" in printed

    snippets = [here(code, folder) for code in re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)]
    script = "".join(code for code in snippets if "torch" not in code or importlib.util.find_spec("torch"))
    script += "\nassert len(weights) == len(train)"
    script += "\nprint(len(train), len(validation), *train[0][0].shape, train[0][0].dtype, {t for _, t in train})\n"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with open(folder / "data/prepared/dataset/volumes.csv", newline="") as stream:
        labelled = [row["split"] for row in csv.DictReader(stream) if row["label_diagnosis"]]
    assert len(labelled) == 11
    lengths = [4 * labelled.count("train"), 4 * labelled.count("val")]
    assert all(lengths)
    assert done.stdout.splitlines()[-1].startswith(f"{lengths[0]} {lengths[1]} 1 16 32 32 float32 {{")
