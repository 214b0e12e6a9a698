"""Files that change, vanish or become links while they are read, and small files held in memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dicoms import ct_slice, save
from folders import stat_key

from dicomzarr.source.opener import Opener
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.extract_batch import series_files
from dicomzarr.stages.extract_batch.series_files import Contents, Roots, content_of, opened
from dicomzarr.vocabulary.errors import SourceChanged


def row_of(path: Path) -> HeaderRow:
    return HeaderRow(path=path.name, stat=stat_key(path), outcome="image", reason="", flags=[], facts={})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save(ct_slice("alpha", 0), tmp_path / "slice.dcm")


def test_a_file_that_changes_after_it_was_opened_raises_an_error(file: Path) -> None:
    opener = Opener({"": os.fsencode(file.parent)})
    row = row_of(file)
    with opener, pytest.raises(SourceChanged, match="changed_while_reading: 1 file of"), opened(row, opener):
        file.write_bytes(file.read_bytes()[:-2] + b"ab")


def test_the_change_of_a_file_replaces_errors_of_reading_it(file: Path) -> None:
    opener = Opener({"": os.fsencode(file.parent)})
    row = row_of(file)
    with opener, pytest.raises(SourceChanged), opened(row, opener):
        os.truncate(file, 40)
        raise ValueError("the bytes make no sense")


def test_a_file_that_vanished_or_became_a_link_raises_an_error(file: Path) -> None:
    roots = Roots({"": os.fsencode(file.parent)})
    row = row_of(file)
    assert len(content_of(row, roots)[0]) == 64
    file.rename(file.with_name("elsewhere"))
    with pytest.raises(SourceChanged):
        content_of(row, roots)
    file.symlink_to(file.with_name("elsewhere"))
    with pytest.raises(SourceChanged):
        content_of(row, roots)


def test_small_files_are_held_in_memory_up_to_a_limit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, contents = row_of(file), Contents(Roots({"": os.fsencode(file.parent)}))
    monkeypatch.setattr(series_files, "_SMALL", row["stat"][0] - 1)
    digest = contents.digest(row)
    assert contents.small_files == {} and digest == content_of(row, Roots({"": os.fsencode(file.parent)}))[0]
    monkeypatch.setattr(series_files, "_SMALL", row["stat"][0])
    contents._room = 2 * row["stat"][0] - 1
    second = row_of(save(ct_slice("alpha", 1), file.with_name("second.dcm")))
    assert second["stat"][0] == row["stat"][0]
    contents.digest(row)
    contents.digest(second)
    contents.close()
    assert contents.small_files == {row["path"]: file.read_bytes()}
