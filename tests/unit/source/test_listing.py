"""The listing of every kind of directory entry, under errors of the disk too; links are never followed."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ordinary import bound_by_permissions

from dicomzarr.source import listing
from dicomzarr.source.opener import Opener
from dicomzarr.vocabulary.errors import UserError


def kinds(root: Path, *within: Path) -> dict[str, str]:
    return {row[0]: row[1] for row in listing.entries(os.fsencode(root), within=[os.fsencode(path) for path in within])}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source, outside = tmp_path / "source", tmp_path / "source-beside"
    (source / "folder").mkdir(parents=True)
    outside.mkdir()
    for path in (source / "file", source / "folder" / "file", outside / "file"):
        path.write_bytes(b"x")
    for name, target in {
        "to-file": "folder/file",
        "to-folder": "folder",
        "folder/to-parent": "..",
        "round": "round",
        "to-link": "to-file",
        "nowhere": "missing",
        "out": "../source-beside",
        "out-file": outside / "file",
        "out-and-in": "../source-beside/../source/file",
        "to-fifo": "fifo",
    }.items():
        (source / name).symlink_to(target)
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(source / "socket"))
    return source


def test_links_are_not_followed(source: Path) -> None:
    listed = kinds(source)
    assert {path for path, kind in listed.items() if kind == "file"} == {"file", "folder/file"}
    assert {path for path, kind in listed.items() if kind == "special"} == {"fifo", "socket"}
    assert len([kind for kind in listed.values() if kind == "link"]) == 10


def test_links_within_the_source_have_a_kind_of_their_own(source: Path) -> None:
    listed = kinds(source, source)
    assert {path for path, kind in listed.items() if kind == "linked"} == {
        *("to-file", "to-folder", "folder/to-parent", "to-link", "out-and-in")
    }
    assert {path for path, kind in listed.items() if kind == "link"} == {
        *("round", "nowhere", "out", "out-file", "to-fifo")
    }
    both = kinds(source, source, source.parent / "source-beside")
    assert both["out"] == both["out-file"] == "linked"


def test_a_folder_deeper_than_the_longest_path_has_a_row(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=handle)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    os.close(handle)
    assert list(kinds(tmp_path).values()) == ["unreadable_folder"]


def test_entries_of_a_folder_without_search_permission_have_rows(source: Path) -> None:
    (source / "folder" / "sub").mkdir()
    (source / "folder").chmod(0o444)
    try:
        with bound_by_permissions():
            listed = kinds(source)
        assert listed["folder/file"] == "unreadable_file" and listed["folder/sub"] == "unreadable_folder"
    finally:
        (source / "folder").chmod(0o755)


def test_a_folder_that_becomes_a_link_is_no_way_out(source: Path) -> None:
    outside = source.parent / "source-beside"
    with Opener({"": os.fsencode(source)}) as opener:
        opener.open("folder/file").close()
        opener.open("file").close()
        (source / "folder").rename(source / "was")
        (source / "folder").symlink_to(outside)
        (outside / "file").write_bytes(b"secret")
        with pytest.raises(NotADirectoryError):
            opener.open("folder/file")
        with pytest.raises(OSError):
            opener.open("to-file")


def test_the_source_itself_may_be_a_link(source: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(source)
    assert kinds(link) == kinds(source)
    with Opener({"label": os.fsencode(link)}) as opener:
        opener.open("label/folder/file").close()


class Disk:
    """Context in which one call at one path fails: `stat`, `type` (and stat), `open`, `read` or `follow`."""

    def __init__(self, call: str, path: Path, error: int) -> None:
        self._call, self._path, self._error = call, os.fsencode(path), error
        self._real = {name: getattr(os, name) for name in ("scandir", "open", "lstat", "readlink")}

    def fail(self, calls: str, path: Any) -> None:
        if self._call in calls.split() and os.fsencode(path) == self._path:
            raise OSError(self._error, os.strerror(self._error))

    def __enter__(self) -> Disk:
        def scandir(handle: int) -> Any:
            return Listing(self, os.fsencode(self._real["readlink"](f"/proc/self/fd/{handle}")), self._real["scandir"])(
                handle
            )

        def opened(path: Any, *rest: Any, **more: Any) -> int:
            self.fail("open", path)
            return int(self._real["open"](path, *rest, **more))

        def followed(name: str) -> Any:
            def follow(path: Any, *rest: Any, **more: Any) -> Any:
                self.fail("follow", path)
                return self._real[name](path, *rest, **more)

            return follow

        for name, fake in {
            "scandir": scandir,
            "open": opened,
            "lstat": followed("lstat"),
            "readlink": followed("readlink"),
        }.items():
            setattr(os, name, fake)
        return self

    def __exit__(self, *_: object) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)


class Listing:
    """A listing of a folder in which a call may fail."""

    def __init__(self, disk: Disk, folder: bytes, real: Any) -> None:
        self._disk, self._folder, self._real = disk, folder, real

    def __call__(self, handle: int) -> Listing:
        self._entries = self._real(handle)
        return self

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *_: object) -> None:
        self._entries.close()

    def __iter__(self) -> Iterator[Any]:
        for number, entry in enumerate(self._entries):
            if number == 1:
                self._disk.fail("read", self._folder)
            yield Entry(self._disk, self._folder + b"/" + os.fsencode(entry.name), entry)


class Entry:
    """An entry of a folder whose stat may fail, and its type where the file system does not list types."""

    def __init__(self, disk: Disk, path: bytes, real: Any) -> None:
        self.name, self._disk, self._path, self._real = real.name, disk, path, real

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        self._disk.fail("stat type", self._path)
        return self._real.stat(follow_symlinks=follow_symlinks)  # type: ignore[no-any-return]

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        self._disk.fail("type", self._path)
        return bool(self._real.is_dir(follow_symlinks=follow_symlinks))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    (root / "folder" / "sub").mkdir(parents=True)
    for name in ("file", "folder/one", "folder/two", "folder/sub/three"):
        (root / name).write_bytes(b"x")
    (root / "folder" / "link").symlink_to("one")
    return root


ENTRIES = ("file", "folder", "folder/one", "folder/two", "folder/sub", "folder/sub/three", "folder/link")


@example(call="open", name="folder", error=errno.ENOTDIR, linked=False)  # and lstat says that it is a folder
@example(call="open", name="folder", error=errno.ELOOP, linked=False)
@settings(max_examples=400)
@given(
    call=st.sampled_from(("stat", "type", "open", "read", "follow")),
    name=st.sampled_from((".", *ENTRIES)),
    error=st.sampled_from(sorted(errno.errorcode)),
    linked=st.booleans(),
)
def test_no_error_of_the_disk_drops_an_entry_silently(
    tree: Path, call: str, name: str, error: int, linked: bool
) -> None:
    with Disk(call, tree / name, error):
        try:
            rows = list(listing.entries(os.fsencode(tree), within=[os.fsencode(tree)] if linked else []))
        except UserError as refusal:
            assert "config key 'source'" in str(refusal) and "\n" not in str(refusal)
            assert os.strerror(error) in str(refusal)
            return
    listed = {row[0]: row[1] for row in rows}
    closed = [path for path, kind in listed.items() if kind == "unreadable_folder"]
    for entry in set(ENTRIES) - {"folder", "folder/sub"}:
        is_deleted = error == errno.ENOENT and (entry == name or entry.startswith(f"{name}/"))
        is_in_closed = any(path == "." or entry.startswith(f"{path}/") for path in closed)
        assert entry in listed or is_in_closed or is_deleted, (call, name, errno.errorcode[error])
    assert len(listed) == len(rows)
    for path, kind in listed.items():
        if kind == "unreadable_file":
            assert path == name or (call, path) == ("follow", "folder/link")


def test_a_few_errors_of_the_disk_are_listed_and_many_are_refused(tree: Path) -> None:
    with Disk("stat", tree / "folder/one", errno.EIO):
        rows = listing.list_sources({"": os.fsencode(tree)}, largest_loss=0.5)
    assert {row[0]: row[1:] for row in rows}["folder/one"] == ["unreadable_file", "EIO"] and len(rows) == 5
    with Disk("stat", tree / "folder/one", errno.EIO), pytest.raises(UserError, match="1 of 5 entries"):
        listing.list_sources({"": os.fsencode(tree)}, largest_loss=0.1)


def test_a_folder_whose_stat_fails_is_not_taken_for_a_file(tree: Path) -> None:
    for call in ("stat", "type"):
        with Disk(call, tree / "folder", errno.EIO), pytest.raises(UserError, match="cannot be listed"):
            list(listing.entries(os.fsencode(tree)))
