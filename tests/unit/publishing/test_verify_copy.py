"""A copy below a URL, or of links: what is damaged, and what only was not answered."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_volumes import MadeUp, write
from range_server import serve
from sealed_dataset import seal

from dicomzarr import remote
from dicomzarr.publishing import copies, verify_copy
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError


def test_a_server_that_fails_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.001)
    results = Results(tmp_path)
    results.private.mkdir()
    write(results.dataset, [MadeUp("zyx", np.arange(600, dtype="<i2").reshape(6, 10, 10))])
    seal(results)
    with serve(results.dataset) as served:
        place = copies.find(served.url)
        good = verify_copy.verify(place, 1)
        assert good.good and not good.is_listed
        assert good.files == sum(path.is_file() for path in results.dataset.rglob("*")) == 6
        paths = [path for _, path, _ in served.taken()]
        before = [0] * (len(paths) - 1 - paths[::-1].index("checksums"))  # requests before the files are read
        served.failures += [*before, "cut", "drop"]
        assert verify_copy.verify(place, 1).good
        served.failures += [*before, *[503] * 100]
        with pytest.raises(UserError, match="not verified: .*status 503"):
            verify_copy.verify(place, 1)
        served.failures.clear()
        (shard,) = results.dataset.glob("images.zarr/*/*/0/c/0/0/0")
        shutil.copy(shard, tmp_path / "shard")
        for data in (shard.read_bytes()[:-1], shard.read_bytes() + b"more", shard.read_bytes()[::-1]):
            shard.write_bytes(data)
            name = str(shard.relative_to(results.dataset))
            assert verify_copy.verify(place, 2).findings == [("damaged", name)]
        shard.unlink()
        assert verify_copy.verify(place, 2).findings == [("missing", name)]


def test_a_copy_whose_files_are_links_is_verified(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    results.private.mkdir(parents=True)
    write(results.dataset, [MadeUp("zyx", np.arange(600, dtype="<i2").reshape(6, 10, 10))])
    seal(results)
    blobs, copy = tmp_path / "blobs", tmp_path / "snapshot"  # as huggingface_hub stores a download
    blobs.mkdir()
    for number, path in enumerate(sorted(path for path in results.dataset.rglob("*") if path.is_file())):
        link = copy / path.relative_to(results.dataset)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, blobs / str(number))
        link.symlink_to(blobs / str(number))
    (copy / "images.zarr").rename(blobs / "images")
    (copy / "images.zarr").symlink_to(blobs / "images")
    assert verify_copy.verify(copies.find(str(copy)), 2).good
    (copy / "round").symlink_to(copy)
    for one, other in (("first", "second"), ("second", "first")):  # links of which each leads to the others
        (copy / "more" / one).mkdir(parents=True)
        for number in range(3):
            (copy / "more" / one / str(number)).symlink_to(copy / "more" / other)
    (copy / "reports").mkdir(exist_ok=True)
    (copy / "reports" / "elsewhere").symlink_to("/nowhere")
    found = verify_copy.verify(copies.find(str(copy)), 2).findings
    crossed = [("surplus", f"more/{one}/{number}") for one in ("first", "second") for number in range(3)]
    assert found == [*crossed, ("surplus", "reports/elsewhere"), ("surplus", "round")]
    (shard,) = copy.glob("images.zarr/*/*/0/c/0/0/0")
    shard.resolve().write_bytes(b"other")
    assert ("damaged", str(shard.relative_to(copy))) in verify_copy.verify(copies.find(str(copy)), 2).findings


@pytest.mark.parametrize(("name", "owner"), [("lost+found", 0), ("lost+found", 1000), ("closed", 0)])
def test_the_folder_of_a_disk_that_only_root_may_list_is_no_part_of_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, owner: int
) -> None:
    results = Results(tmp_path / "results")
    results.private.mkdir(parents=True)
    write(results.dataset, [MadeUp("zyx", np.arange(600, dtype="<i2").reshape(6, 10, 10))])
    seal(results)
    (results.dataset / name).mkdir()
    closed, scandir, lstat = results.dataset / name, os.scandir, os.lstat

    def refusing(path: Any) -> Any:
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    def stat_of(path: Any, **options: Any) -> Any:
        status = lstat(path, **options)
        return os.stat_result([*status[:4], owner, *status[5:]]) if Path(path) == closed else status

    monkeypatch.setattr(os, "scandir", refusing)
    monkeypatch.setattr(os, "lstat", stat_of)
    if (name, owner) == ("lost+found", 0):
        assert verify_copy.verify(copies.find(str(results.dataset)), 2).good
    else:
        with pytest.raises(PermissionError):
            verify_copy.verify(copies.find(str(results.dataset)), 2)
