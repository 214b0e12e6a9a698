"""A file that changes while it is read is worth nothing, and costs its series alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dicoms import ct_slice, save

from dicomzarr.errors import SourceChanged
from dicomzarr.model import HeaderRow
from dicomzarr.source_files import Roots, content_of, opened


def row_of(path: Path) -> HeaderRow:
    status = path.stat()
    key = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return HeaderRow(path=path.name, stat=key, outcome="image", reason="", flags=[], facts={})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save(ct_slice("alpha", 0), tmp_path / "slice.dcm")


def test_a_file_that_changes_after_it_was_opened_is_told(file: Path) -> None:
    roots = Roots({"": os.fsencode(file.parent)})
    row = row_of(file)
    with pytest.raises(SourceChanged, match="changed_while_reading: 1 file of"), opened(row, roots):
        file.write_bytes(file.read_bytes()[:-2] + b"ab")


def test_an_error_in_a_file_that_changed_blames_the_change(file: Path) -> None:
    roots = Roots({"": os.fsencode(file.parent)})
    row = row_of(file)
    with pytest.raises(SourceChanged), opened(row, roots):
        os.truncate(file, 40)
        raise ValueError("the bytes make no sense")


def test_a_file_that_vanished_or_is_a_link_now_is_told(file: Path) -> None:
    roots = Roots({"": os.fsencode(file.parent)})
    row = row_of(file)
    assert len(content_of(row, roots)) == 64
    file.rename(file.with_name("elsewhere"))
    with pytest.raises(SourceChanged):
        content_of(row, roots)
    file.symlink_to(file.with_name("elsewhere"))
    with pytest.raises(SourceChanged):
        content_of(row, roots)
