"""Times of files and notes of Snakemake decide nothing: older copies, times ahead of the clock, damaged notes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Workflow, in_ci
from dicoms import ct_slice, save, save_series

FIRST = {"title": "First"}
SECOND = {"title": "Second"}


def flip(source: Path) -> None:
    """Change a pixel of the first file."""
    path = min(source.rglob("*.dcm"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def add(source: Path) -> None:
    save(ct_slice("new", 0), source / "new" / "1.dcm")


def from_scratch(mine: Workflow, **config: object) -> str:
    """Return the list of files of a new folder with the same key."""
    other = mine.results.with_name("scratch")
    shutil.rmtree(other, ignore_errors=True)
    mine.run(results=str(other), **config)
    return (other / "dataset/checksums").read_text()


@pytest.fixture
def mine(workflow: Workflow) -> Workflow:
    """Two series, extracted."""
    for number in range(2):
        save_series(workflow.source / f"folder {number}", f"series-{number}", 2)
    workflow.run(card=FIRST)
    return workflow


def change_everything_later(folder: Path, seconds: float) -> None:
    """Move all times of a folder into the future."""
    later = time.time() + seconds
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (later, later), follow_symlinks=False)


@pytest.mark.parametrize("change", in_ci(1, [add, flip]), ids=lambda change: change.__name__)
def test_a_copy_of_older_results_that_is_put_back_is_brought_up_to_date(
    mine: Workflow, change: Callable[[Path], None]
) -> None:
    shutil.copytree(mine.results, mine.folder / "backup", symlinks=True)
    change(mine.source)
    second = mine.run(card=SECOND)
    after = (mine.results / "dataset/checksums").read_text()
    shutil.rmtree(mine.results)
    (mine.folder / "backup").rename(mine.results)
    early = mine.run("--until", "index_headers", card=SECOND)  # a run that ends early, as by a power cut
    assert early.jobs("index_headers") == 1 and not early.jobs("plan_batches")
    third = mine.run(card=SECOND)
    assert third.sealed["digest"] == second.sealed["digest"]
    assert (mine.results / "dataset/checksums").read_text() == after
    assert mine.run(card=SECOND).nothing_to_do


@pytest.mark.parametrize("change", in_ci(2, [flip, None, add]), ids=in_ci(2, ["flip", "configuration", "add"]))
def test_times_ahead_of_the_clock_hide_no_change(mine: Workflow, change: Callable[[Path], None] | None) -> None:
    change_everything_later(mine.results, 3600)
    change_everything_later(mine.folder / ".snakemake", 3600)
    if change:
        change(mine.source)
    config = {"card": SECOND} if change else {"card": FIRST, "compression": "fast"}
    mine.run(**config)
    after = (mine.results / "dataset/checksums").read_text()
    assert mine.run(**config).nothing_to_do
    assert from_scratch(mine, **config) == after


def test_damaged_notes_of_snakemake_are_missing_ones(mine: Workflow) -> None:
    notes = sorted(path for path in (mine.folder / ".snakemake/metadata").iterdir() if path.is_file())
    for number, path in enumerate(notes):
        if number % 3 == 0:
            path.write_bytes(path.read_bytes() + b"\x9f")
        elif number % 3 == 1:
            path.write_text("[1]")
        else:
            path.unlink()
            (path / "below").mkdir(parents=True)
    assert mine.run(card=FIRST).nothing_to_do
    flip(mine.source)
    mine.run(card=FIRST)
    assert mine.run(card=FIRST).nothing_to_do
