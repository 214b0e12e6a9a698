"""Sealing with `burned_in: scan` needs a batch record of this detector for each batch."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomzarr.records.batch_record import BatchRecord
from dicomzarr.stages.seal_dataset import refuse_unlooked
from dicomzarr.vocabulary.errors import UserError


def batch(folder: Path, name: str, detector: str) -> Path:
    path = folder / f"{name}.json"
    path.write_bytes(BatchRecord(series={}, records_digest="", detector=detector).to_bytes().data)
    return path


def test_each_batch_was_looked_at_by_this_detector(tmp_path: Path) -> None:
    good, none, other = batch(tmp_path, "1", "d"), batch(tmp_path, "2", ""), batch(tmp_path, "3", "e")
    refuse_unlooked([good, good], "d")
    refuse_unlooked([good, none], "")  # without scan nobody is asked
    for found, number in ([good, none], 1), ([other], 1), ([none, other, good], 2):
        with pytest.raises(UserError, match=f"{number} batch.* not sealed"):
            refuse_unlooked(found, "d")
