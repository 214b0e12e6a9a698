"""Folders of the results on other disks: mounts and links, as of a private folder on an encrypted disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SNAKEMAKE, Workflow, leftovers
from dicoms import save_series, uid

from dicomzarr.stages import verify_dataset
from dicomzarr.system.results_folder import Results


@pytest.fixture
def mounted(workflow: Workflow) -> Iterator[Workflow]:
    """A workflow with the private folder, the images and the pictures on file systems of their own."""
    folders = [workflow.results / name for name in ("private", "dataset/images.zarr", "dataset/reports/pictures")]
    mounts = []
    try:
        for folder in folders:
            folder.mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", folder], check=True)
            mounts.append(folder)
        yield workflow
    finally:
        for folder in reversed(mounts):
            subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_folders_on_other_disks_give_the_same_dataset(mounted: Workflow) -> None:
    for number in range(2):
        save_series(mounted.source / str(number), f"series-{number}", 3)
    digest = mounted.run(keep_removed=True).sealed["digest"]
    save_series(mounted.source / "2", "series-2", 3)
    mounted.run(keep_removed=True)
    shutil.rmtree(mounted.source / "2")
    run = mounted.run(keep_removed=True)
    assert run.sealed["digest"] == digest
    removed = [*(mounted.results / "private/removed").iterdir()]
    assert len(removed) == 1 and (removed[0] / "zarr.json").is_file()
    assert mounted.run(keep_removed=True).nothing_to_do
    assert verify_dataset.verify(Results(mounted.results)).good and not leftovers(mounted.results)


def test_a_linked_folder_is_searched_and_verified(workflow: Workflow, tmp_path: Path) -> None:
    save_series(workflow.source / "a", "series-1", 3)
    (tmp_path / "disk").mkdir()
    workflow.results.joinpath("dataset").mkdir(parents=True)
    workflow.results.joinpath("dataset/images.zarr").symlink_to(tmp_path / "disk")
    workflow.run()
    assert verify_dataset.verify(Results(workflow.results)).good
    series = next(path for path in (tmp_path / "disk").iterdir() if path.is_dir())
    (series / "note.txt").write_text(uid("study", "series-1"))
    save_series(workflow.source / "b", "series-2", 3)
    run = workflow.run(ok=False)
    assert run.process.returncode == 1 and "value_in_file in results/dataset/images.zarr/" in run.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_machine_without_proc_is_refused_before_anything_is_written(workflow: Workflow) -> None:
    save_series(workflow.source / "a", "series-1", 3)
    workflow.write_config()
    command = f"mount -t tmpfs none /proc && {sys.executable} -P {workflow.project / SNAKEMAKE}"
    options = f"--snakefile {workflow.project / 'Snakefile'} --configfile config.yaml --cores 1"
    run = ["unshare", "--mount", "sh", "-c", f"{command} {options}"]
    done = subprocess.run(run, cwd=workflow.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "/proc/self/statm is missing: mount /proc in this container" in done.stderr
    assert not workflow.results.exists()
