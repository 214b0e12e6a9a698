"""What the scan says of every kind of directory entry, and that no link leads anywhere."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from ordinary import bound_by_permissions

from dicomzarr.source import listing, safe_open


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
    found = kinds(source)
    assert {path for path, kind in found.items() if kind == "file"} == {"file", "folder/file"}
    assert {path for path, kind in found.items() if kind == "special"} == {"fifo", "socket"}
    assert len([kind for kind in found.values() if kind == "link"]) == 10


def test_links_within_the_source_are_told_apart(source: Path) -> None:
    found = kinds(source, source)
    assert {path for path, kind in found.items() if kind == "linked"} == {
        *("to-file", "to-folder", "folder/to-parent", "to-link", "out-and-in")
    }
    assert {path for path, kind in found.items() if kind == "link"} == {
        *("round", "nowhere", "out", "out-file", "to-fifo")
    }
    both = kinds(source, source, source.parent / "source-beside")
    assert both["out"] == both["out-file"] == "linked"


def test_a_folder_deeper_than_a_path_may_be_is_accounted_for(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=handle)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    os.close(handle)
    assert list(kinds(tmp_path).values()) == ["unreadable_folder"]


def test_what_may_be_listed_and_not_entered_is_accounted_for(source: Path) -> None:
    (source / "folder" / "sub").mkdir()
    (source / "folder").chmod(0o444)
    try:
        with bound_by_permissions():
            found = kinds(source)
        assert found["folder/file"] == "unreadable_file" and found["folder/sub"] == "unreadable_folder"
    finally:
        (source / "folder").chmod(0o755)


def test_a_folder_that_becomes_a_link_is_no_way_out(source: Path) -> None:
    outside = source.parent / "source-beside"
    with safe_open.Opener({"": os.fsencode(source)}) as opener:
        os.close(opener.open("folder/file"))
        os.close(opener.open("file"))
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
    with safe_open.Opener({"label": os.fsencode(link)}) as opener:
        os.close(opener.open("label/folder/file"))
