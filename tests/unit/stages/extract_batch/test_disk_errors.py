"""A failure of the disk is no property of a file: the job ends with an error, and the next job reads the file again."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dicoms import ct_slice

from dicomzarr.headers.classify import read_header
from dicomzarr.source.open_file import stat_key
from dicomzarr.stages.extract_batch import series_files
from dicomzarr.system import sandbox


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_failure_of_the_disk_is_not_taken_for_a_missing_palette(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "file"
    image: Any = ct_slice("s", 0)
    image.save_as(path, enforce_file_format=True)
    with open(path, "rb") as stream:
        facts = read_header(partial(os.pread, stream.fileno()), path.stat().st_size, []).facts
    facts["has_palette"], facts["PhotometricInterpretation"] = (
        True,
        "PALETTE COLOR",
    )  # so that the header is read from the file
    row: Any = {
        "path": "file",
        "stat": list(stat_key(path.stat())),
        "outcome": "image",
        "reason": "",
        "flags": [],
        "facts": facts,
    }
    roots = series_files.Roots({"": os.fsencode(tmp_path)})
    file = series_files.SourceFile(row, "0" * 64)

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "dup", fail)
    sandbox.end()  # the child that reads is a fork of this process
    with pytest.raises(OSError) as caught:
        series_files.interpret(0, file, roots)
    assert caught.value.errno == number and not file.reason
    monkeypatch.undo()
    sandbox.end()
    series_files.interpret(0, file, roots)
    assert file.reason == "invalid_attribute"  # read now: it has no palette
