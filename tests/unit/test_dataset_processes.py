"""The reader in several processes: the same samples, epochs that all workers draw, and files of their own."""

from __future__ import annotations

import copy
import errno
import multiprocessing
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from epochs import Workers, digest, epoch
from made_up_volumes import MadeUp, write
from read_datasets import ints

from dicomzarr import dataset as reading
from dicomzarr.dataset import DicomZarrDataset

# ---- Regions


@pytest.fixture
def patches(tmp_path: Path) -> DicomZarrDataset:
    rescale = np.array([[1.0, float(i)] for i in range(600)])
    many = MadeUp("zyx", ints(600, 9, 9), {"rescale": {"array": "rescale"}}, beside={"rescale": rescale})
    folder = write(tmp_path, [MadeUp("zyx", ints(20, 30, 30), layout="brick"), many, MadeUp("tzyx", ints(2, 6, 9, 9))])
    size = {"z": 5, "y": 8, "x": 8}
    return DicomZarrDataset(folder, sample="patch", patch=size, patches_per_volume=5, rescale=True)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_any_number_of_workers_gives_the_same_samples(patches: DicomZarrDataset, method: str) -> None:
    zarr.open_array(str(patches.folder / "images.zarr" / patches.rows[0]["array"] / "0"), mode="r")[...]
    alone = epoch(patches, 0, method)  # the parent has files open, and zarr's thread runs, before workers start
    assert len(set(alone)) == len(alone) == 15
    for workers in (2, 4):
        assert epoch(patches, workers, method) == alone


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_that_are_running_draw_the_patches_of_the_next_epoch(patches: DicomZarrDataset, method: str) -> None:
    """Else they would draw equal patches in each epoch, and nothing would say so."""
    patches.set_epoch(1)
    with Workers(patches, method) as workers:
        epochs = []
        for number in (1, 2, 0):
            patches.set_epoch(number)
            epochs.append(workers.epoch())
            assert epochs[-1] == epoch(patches, 0, method)
        assert len({tuple(each) for each in epochs}) == 3
        patches.set_epoch(2)
        own = workers.epoch_of_its_own(0)
        assert own == epochs[2] and patches.epoch == 2  # it has gone on alone


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda dataset: pickle.loads(pickle.dumps(dataset))])
def test_a_copy_has_an_epoch_of_its_own(
    patches: DicomZarrDataset, copied: Callable[[DicomZarrDataset], DicomZarrDataset]
) -> None:
    patches.set_epoch(2)
    other = copied(patches)
    patches.set_epoch(1)
    assert other.epoch == 2 and digest(other[0]) != digest(patches[0])
    other.set_epoch(1)
    assert digest(other[0]) == digest(patches[0])
    other.set_epoch(7)
    assert patches.epoch == 1


def test_an_epoch_without_memory_to_share(patches: DicomZarrDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container in which nothing may be written: one process can read all the same."""

    def refuse(*_: Any) -> None:
        raise OSError(errno.EROFS, "nothing may be written")

    monkeypatch.setattr(multiprocessing, "RawValue", refuse)
    dataset = DicomZarrDataset(patches.folder, patches.select, patches.sample)
    first = digest(dataset[0])
    dataset.set_epoch(1)
    assert dataset.epoch == pickle.loads(pickle.dumps(dataset)).epoch == 1 and digest(dataset[0]) != first


def test_equal_cells_are_one_text_in_memory_and_in_pickles(tmp_path: Path) -> None:
    """Of 100,000 rows that is 40 %, which each forked worker copies as it reads them, and each spawned one receives."""
    opened = DicomZarrDataset(write(tmp_path, [MadeUp("zyx", ints(3, 40, 50), {}, {"modality": "CT"})] * 2))
    for dataset in (opened, pickle.loads(pickle.dumps(opened))):
        first, second = dataset.rows
        assert first["array"] != second["array"]
        assert all(first[column] is second[column] for column in ("modality", "shape", "dtype", "flags"))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_no_file_opened_before_a_fork_is_read_after_it(patches: DicomZarrDataset) -> None:
    expected = [digest(patches[i]) for i in range(len(patches))]
    handles = [patches.volume(number)._file._handle for number in range(3)]
    child = os.fork()
    if child == 0:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for handle in handles:
            os.dup2(nothing, handle)  # reading through it returns nothing
        same = False
        try:
            same = [digest(patches[i]) for i in range(len(patches))] == expected
        finally:
            os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [digest(patches[i]) for i in range(len(patches))] == expected


def test_the_number_of_open_files_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "OPEN_VOLUMES", 2)
    dataset = DicomZarrDataset(write(tmp_path, [MadeUp("yx", ints(4, 4)) for _ in range(9)]))
    before = len(os.listdir("/proc/self/fd"))
    assert len(list(dataset)) == 9
    assert len(os.listdir("/proc/self/fd")) == before + 2
    assert len(pickle.loads(pickle.dumps(dataset))) == 9
    del dataset
    assert len(os.listdir("/proc/self/fd")) == before
