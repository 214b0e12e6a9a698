"""Folders come complete to another mount, and a file system that loses files with a rename is refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from dicomzarr.system.folder_moves import move, refuse_loss
from dicomzarr.vocabulary.errors import UserError


def test_a_disk_is_accepted_and_nothing_is_left(tmp_path: Path) -> None:
    for _ in range(2):
        refuse_loss(tmp_path / "private" / "temporary")
    assert not any((tmp_path / "private" / "temporary").iterdir())


@pytest.mark.parametrize("turn", [0, 1])
def test_a_rename_that_empties_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: int) -> None:
    replace, turns = os.replace, iter(range(2))

    def losing(before: Any, after: Any) -> None:
        replace(before, after)
        if next(turns) == turn:
            os.truncate(f"{after}/file", 0)

    monkeypatch.setattr(os, "replace", losing)
    with pytest.raises(UserError, match=r"config key 'results': .* \(0 bytes are left of 32\)"):
        refuse_loss(tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EEXIST, errno.EIO])
def test_a_rename_that_is_not_possible_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refusing(before: Any, after: Any) -> None:
        raise OSError(number, os.strerror(number), str(before))

    monkeypatch.setattr(os, "replace", refusing)
    with pytest.raises(UserError) as refused:
        refuse_loss(tmp_path)
    assert os.strerror(number) in str(refused.value) and str(tmp_path) not in str(refused.value)


def test_a_full_disk_is_no_such_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        refuse_loss(tmp_path)


def tree(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("to_another_mount", [False, True])
def test_a_folder_a_file_and_a_link_are_moved_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, to_another_mount: bool
) -> None:
    replace = os.replace

    def between_mounts(before: Any, after: Any) -> None:
        if Path(before).parent != Path(after).parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(before))
        replace(before, after)

    (tmp_path / "here/array/c").mkdir(parents=True)
    (tmp_path / "here/array/zarr.json").write_bytes(b"{}")
    (tmp_path / "here/array/c/0").write_bytes(bytes(range(256)))
    (tmp_path / "here/array/link").symlink_to("/nowhere")
    (tmp_path / "here/file").write_bytes(b"surplus")
    (tmp_path / "here/link").symlink_to("array")
    (tmp_path / "there").mkdir()
    (tmp_path / f"there/.array.{os.getpid()}.partial").mkdir()  # of a job that was killed
    before = tree(tmp_path / "here")
    if to_another_mount:
        monkeypatch.setattr(os, "replace", between_mounts)
    for name in ("array", "file", "link"):
        move(tmp_path / "here" / name, tmp_path / "there" / name)
    assert not any((tmp_path / "here").iterdir())
    assert {name: content for name, content in tree(tmp_path / "there").items() if "partial" not in name} == before
