"""A private folder on a file system without permissions is used with a note; one of another user is named as such."""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from dicomzarr.system import files, private_folder
from dicomzarr.vocabulary.errors import UserError


@pytest.mark.parametrize("refused", [None, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_permissions_is_used_with_a_note(
    refused: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    private_folder.close_to_others(tmp_path, "private/")
    assert (tmp_path.stat().st_mode & 0o777, capsys.readouterr().err) == (0o700, "")

    def chmod(path: Path, mode: int) -> None:  # FAT refuses, NTFS and CIFS do nothing
        if refused:
            raise OSError(refused, os.strerror(refused))

    monkeypatch.setattr(Path, "chmod", chmod)
    os.chmod(files.make_private(tmp_path / "private"), 0o755)
    private_folder.close_to_others(tmp_path / "private", "private/")
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith("note: private/ identifies patients, and its file system keeps no permissions")


def test_an_error_of_the_disk_is_not_taken_for_missing_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chmod(path: Path, mode: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "chmod", chmod)
    with pytest.raises(OSError, match="Read-only"):
        files.make_private(tmp_path / "private")


def test_results_of_another_user_are_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.lock").touch()
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    assert private_folder.in_words(denied, tmp_path).startswith("Permission denied; check its permissions")
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert "belongs to another user" in private_folder.in_words(denied, tmp_path)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert private_folder.in_words(full, tmp_path).startswith("No space left on device; check")


@pytest.mark.parametrize("place", ["key", "headers.jsonl", "plans/0001-0000.json", "records/seal_dataset.json"])
@pytest.mark.parametrize("is_link", [False, True])
def test_a_pipe_in_the_place_of_a_private_file_is_refused_and_named(tmp_path: Path, place: str, is_link: bool) -> None:
    private = tmp_path / "private"
    private_folder.refuse_special_files(private)  # a first run
    (private / "records" / "check_batch" / "060").mkdir(parents=True)
    (private / place).parent.mkdir(exist_ok=True)
    (private / "batches.json").symlink_to(tmp_path)
    (private / "members.jsonl").symlink_to(tmp_path / "nowhere")
    private_folder.refuse_special_files(private)
    os.mkfifo(tmp_path / "pipe")
    (private / place).symlink_to(tmp_path / "pipe") if is_link else os.mkfifo(private / place)
    refused = pytest.raises(UserError, match=f"^private/{place} in the results is no file but a FIFO")
    with refused:
        private_folder.refuse_special_files(private)
    with refused if place == "key" else nullcontext():  # a run removes the others
        private_folder.refuse_special_files(private, only_kept=True)


def test_an_error_names_the_place_below_the_results_and_no_other(tmp_path: Path) -> None:
    private = tmp_path / "private"
    for place, says in (
        (private / "records" / "a.json", "private/records: Permission denied; check"),
        (private / "retrieval" / "1.2.826.7" / "1.2.826.8", "private/retrieval: Permission denied; check"),
        (os.fsencode(private / "key"), "private/key: Permission denied; check"),
        (tmp_path, "Permission denied; check"),  # the folder itself, which the sentence has
        (tmp_path.parent / "source" / "maria.dcm", "Permission denied; check"),
        (None, "Permission denied; check"),
    ):
        error = PermissionError(errno.EACCES, "", place)
        assert private_folder.in_words(error, private).startswith(says)
