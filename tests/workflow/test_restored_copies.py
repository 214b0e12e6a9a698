"""A source that was copied back costs a sample; whatever else changed in it is noticed all the same."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Launch, Workflow, in_ci
from dicoms import ct_slice, save, save_series
from folders import state_of
from terminals import run_on_terminal

NOTE = "note: this looks like a remount or a restored copy: config key 'source': all files have the size and time"


def copy_back(folder: Path) -> None:
    """Do what `cp -a` and `mv` do: the same bytes, sizes and modification times, other inodes and change times."""
    shutil.copytree(folder, folder.with_name("copy"), symlinks=True)
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


def flip(path: Path) -> None:
    """Change a pixel under the old modification time."""
    data, status = bytearray(path.read_bytes()), path.stat()
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def mine(workflow: Workflow) -> Workflow:
    """Three series of three files and a text, extracted."""
    for number in range(3):
        save_series(workflow.source / f"folder {number}", f"series-{number}", 3)
    (workflow.source / "readme.txt").write_text("no image")
    workflow.run()
    return workflow


def test_a_copy_that_is_put_back_costs_a_sample(mine: Workflow, launch: Launch) -> None:
    sealed, before = mine.sealed(), state_of(mine.results)
    copy_back(mine.source)
    dry_run = mine.run("-n")
    assert "Nothing to be done" in dry_run.output and NOTE in dry_run.output
    status = launch(mine, "status")
    assert (status.returncode, status.stdout) == (0, "Nothing to do\n") and NOTE in status.stderr
    assert state_of(mine.results) == before
    run = mine.run()
    assert run.nothing_to_do and NOTE in run.output and "the contents of 9, drawn at random, are as" in run.output
    after = state_of(mine.results)
    assert [name for name in after if after[name] != before.get(name) and after[name][2]] == ["private/restored.jsonl"]
    assert NOTE not in mine.run().output  # it is settled

    # Changes of the ordinary kind: the other files of their series are read, as the files that were verified.
    flip(next((mine.source / "folder 0").iterdir()))
    save(ct_slice("series-1", 3), mine.source / "folder 1" / "late.dcm")
    run = mine.run()
    assert run.extracted_series() == 2 and run.sealed["counts"]["arrays"] == 3
    assert mine.run().nothing_to_do and mine.sealed() != sealed


def test_one_other_content_under_the_old_time_and_all_are_read(mine: Workflow) -> None:
    digest = mine.sealed()["digest"]
    changed = next((mine.source / "folder 1").iterdir())
    flip(changed)
    copy_back(mine.source)
    for dry in (["-n"], []):
        run = mine.run(*dry)
        assert f"{NOTE} of the last run, but another inode; but the content of one is not as recorded" in run.output
        assert run.jobs("index_headers") == (not dry)
    assert run.extracted_series() == 1 and run.sealed["digest"] != digest
    flip(changed)
    assert mine.run().sealed["digest"] == digest
    assert not (mine.results / "private/restored.jsonl").exists()


def test_changed_and_new_files_of_a_restored_source_are_what_they_are(mine: Workflow) -> None:
    copy_back(mine.source)
    save_series(mine.source / "folder 3", "series-3", 2)
    longer = next((mine.source / "folder 2").iterdir())
    with open(longer, "ab") as stream:
        stream.write(b"\0\0")
    run = mine.run()
    assert run.extracted_series() == 2 and run.sealed["counts"]["arrays"] == 4
    assert len((mine.results / "private/restored.jsonl").read_text().splitlines()) == 9
    assert mine.run().nothing_to_do


@pytest.mark.parametrize("config", in_ci(2, [{"restored": "no"}, {"paranoid": True}, {"restored": False}]), ids=str)
def test_restored_files_are_read_on_request(mine: Workflow, config: dict[str, object]) -> None:
    digest = mine.sealed()["digest"]
    copy_back(mine.source)
    assert mine.run().nothing_to_do  # accepted; and taken back
    run = mine.run(**config)
    assert run.jobs("index_headers") == 1 and run.extracted_series() == 0 and run.sealed["digest"] == digest
    assert not (mine.results / "private/restored.jsonl").exists()
    assert mine.run().nothing_to_do


def test_of_archives_members_are_compared(workflow: Workflow) -> None:
    workflow.source.mkdir()
    for number in range(2):
        with zipfile.ZipFile(workflow.source / f"export {number}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in save_series(workflow.folder / f"packed {number}", f"series-{number}", 2):
                archive.write(path, path.name)
    workflow.run()
    copy_back(workflow.source)
    run = workflow.run()
    assert run.nothing_to_do and "the contents of 4, drawn at random, are as recorded" in run.output
    with zipfile.ZipFile(workflow.source / "export 1.zip") as archive:
        start = archive.infolist()[0].header_offset + 400
    data, status = bytearray((workflow.source / "export 1.zip").read_bytes()), (workflow.source / "export 1.zip").stat()
    data[start] ^= 255
    (workflow.source / "export 1.zip").write_bytes(data)
    os.utime(workflow.source / "export 1.zip", ns=(status.st_atime_ns, status.st_mtime_ns))
    copy_back(workflow.source)
    run = workflow.run()
    assert "the content of one is not as recorded" in run.output and run.jobs("index_headers") == 1
    save_series(workflow.source / "beside", "series-0", 3)  # another one of a series in a restored archive
    copy_back(workflow.source)
    assert workflow.run().extracted_series() == 1 and workflow.run().nothing_to_do


@pytest.mark.parametrize("copy", in_ci(1, [shutil.copy, shutil.copy2]), ids=in_ci(1, ["cp -r", "cp -a"]))
def test_results_that_were_copied_back_are_not_read_back(
    mine: Workflow, launch: Launch, copy: Callable[[str, str], object]
) -> None:
    digest = mine.sealed()["digest"]
    shutil.copytree(mine.results, mine.folder / "copy", copy_function=copy)
    shutil.rmtree(mine.results)
    (mine.folder / "copy").rename(mine.results)
    assert launch(mine, "").returncode == 0
    status = launch(mine, "status")
    assert (status.returncode, status.stdout) == (0, "Nothing to do\n") and mine.sealed()["digest"] == digest
    save_series(mine.source / "folder 4", "series-4", 2)
    run = mine.run()
    assert (run.extracted_series(), run.sealed["counts"]["arrays"]) == (1, 4)
    checked = (mine.results / "private/records/check_batch").glob("*.json")
    assert [json.loads(path.read_text())["counts"]["read"] for path in checked] == [1]


def test_a_person_at_a_terminal_is_asked(mine: Workflow, environment: Path) -> None:
    copy_back(mine.source)
    arguments = ("--configfile", "config.yaml", "--cores", "2")
    asked = "or read all again (n)? [y] "
    shown = run_on_terminal(mine, environment, *arguments, until=lambda text: asked in text, keys=b"\n")
    assert shown.status == 0 and "Nothing to be done" in shown.text
    copy_back(mine.source)
    shown = run_on_terminal(mine, environment, *arguments, until=lambda text: asked in text, keys=b"n\n")
    assert shown.status == 0 and "Nothing to be done" not in shown.text and mine.run().nothing_to_do
