"""The privacy search over folders that are links, are closed, or cannot be listed."""

from __future__ import annotations

import errno
import functools
import os
from pathlib import Path
from typing import Any

import pytest
from results_to_search import results_to_search, search

from dicomzarr.records import export_record
from dicomzarr.stages import check_privacy
from dicomzarr.system.results_folder import EXPORT_FOLDERS, Results
from dicomzarr.vocabulary.errors import UserError


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return results_to_search(tmp_path)


@pytest.mark.parametrize("linked", ["dataset", "dataset/images.zarr", "logs", "exports", "exports/nifti"])
def test_a_folder_of_the_workflow_that_is_a_link_is_searched(results: Results, tmp_path: Path, linked: str) -> None:
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    folder = results.root / linked
    if folder.is_dir():
        folder.rename(elsewhere / "files")
    else:
        (elsewhere / "files").mkdir()
        folder.parent.mkdir(exist_ok=True)
    folder.symlink_to(elsewhere / "files")
    search(results)
    series = folder / "0123456789abcdef"
    series.mkdir()
    (series / "notes.txt").write_text("of zyxwolf canaria")
    with pytest.raises(check_privacy.PrivacyProblem, match=r"value_in_file in results/.*notes\.txt"):
        search(results)


def test_another_link_to_a_folder_is_not_followed(results: Results, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "scan.txt").write_text("of zyxwolf canaria")
    (results.dataset / "link").symlink_to(tmp_path / "source")
    (results.dataset / "round").symlink_to(results.dataset)
    assert search(results) == 1


def refuse(monkeypatch: pytest.MonkeyPatch, closed: Path, owner: int) -> None:
    """Let the system refuse to list a folder or to read a file, which belongs to a user."""
    scandir, opened, lstat = os.scandir, os.open, os.lstat

    def refusing(call: Any, path: Any, *more: Any, **options: Any) -> Any:
        if str(path) == str(closed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return call(path, *more, **options)

    def stat_of(path: Any, **options: Any) -> Any:
        stat = lstat(path, **options)
        if str(path) != str(closed) or not closed.is_dir():
            return stat
        return os.stat_result([*stat[:4], owner, *stat[5:]])

    monkeypatch.setattr(os, "scandir", functools.partial(refusing, scandir))
    monkeypatch.setattr(os, "open", functools.partial(refusing, opened))
    monkeypatch.setattr(os, "lstat", stat_of)


@pytest.mark.parametrize(
    ("closed", "shown"),
    [
        ("dataset/closed", "results/dataset/closed cannot be listed"),
        ("dataset/images.zarr/0123456789abcdef/closed", "results/dataset/images.zarr/0123456789abcdef/closed cannot"),
        ("dataset/note.txt", "results/dataset/note.txt cannot be read"),
        ("lost+found", "results/lost\\+found cannot be listed"),
    ],
)
def test_what_may_not_be_read_ends_the_search_and_is_named(
    results: Results, monkeypatch: pytest.MonkeyPatch, closed: str, shown: str
) -> None:
    path = results.root / closed
    path.mkdir(parents=True) if path.suffix == "" else path.write_text("text")
    refuse(monkeypatch, path, owner=1000)
    with pytest.raises(UserError, match=rf"^{shown}.* \(Permission denied\), so it cannot be searched for identities"):
        search(results)


@pytest.mark.parametrize("top", ["", "dataset/", "exports/"])
def test_the_folder_of_a_file_system_itself_is_passed_over(
    results: Results, monkeypatch: pytest.MonkeyPatch, top: str
) -> None:
    path = results.root / f"{top}lost+found"
    path.mkdir(parents=True)
    refuse(monkeypatch, path, owner=0)
    assert search(results) == 1
    monkeypatch.undo()
    (path / "#12345").write_text("zyxwolf canaria")  # a run of root can read it, and does
    with pytest.raises(check_privacy.PrivacyProblem, match="value_in_file in results/"):
        search(results)


def test_the_name_of_a_closed_folder_is_not_shown_if_it_is_a_value_of_the_source(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = results.dataset / "zyxwolf" / "closed"
    path.mkdir(parents=True)
    refuse(monkeypatch, path, owner=0)
    with pytest.raises(UserError, match=r"^results/dataset/ \(below a name that is a finding\) cannot be listed"):
        search(results)


def test_a_folder_that_the_disk_cannot_list_ends_the_search(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def failing(path: str) -> Any:
        if str(path).endswith("/reports"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return scandir(path)

    (results.dataset / "reports").mkdir()
    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(UserError, match=r"cannot be listed \(Input/output error\)"):
        search(results)


def test_every_folder_of_exports_may_be_a_link() -> None:
    assert {f"exports/{kind.folder}" for kind in export_record.KINDS} == {*EXPORT_FOLDERS}


def test_a_linked_folder_of_a_series_is_searched(results: Results, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    results.images.mkdir()
    (results.images / "0123456789abcdef").symlink_to(tmp_path / "disk")
    (results.images / "round").symlink_to(results.images)
    search(results)
    (tmp_path / "disk" / "notes.txt").write_text("of zyxwolf canaria")
    with pytest.raises(check_privacy.PrivacyProblem, match=r"images\.zarr/0123456789abcdef/notes\.txt"):
        search(results)
