"""The names of masks in their private file: a job never takes a lost or damaged one for no names."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomzarr.records import mask_vocabulary
from dicomzarr.vocabulary.errors import Damaged

CONTENT = mask_vocabulary.content_of({"names": {"liver": ["(?i)^liver$"], "heart": []}})


def test_names_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_bytes(CONTENT)
    names = mask_vocabulary.read(tmp_path / "names.json", must_exist=True)
    assert names == (("liver", ("(?i)^liver$",)), ("heart", ()))
    assert mask_vocabulary.read(tmp_path / "nothing.json", must_exist=False) == ()


@pytest.mark.parametrize("content", [None, b"", CONTENT[:-5], CONTENT.replace(b"liver", b"river")])
def test_a_lost_or_damaged_file_is_an_error_and_not_no_names(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "names.json").write_bytes(content)
    with pytest.raises(Damaged):
        mask_vocabulary.read(tmp_path / "names.json", must_exist=True)
