"""What provenance says of the search for text in pixels: who looked, and not where text was."""

from __future__ import annotations

import dataclasses
import json

from made_up_records import RECORD

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.series_record import FileOutcome
from dicomzarr.stages.consolidate_dataset.partitions import _extraction_projection

LOOKED = {"detector": "1", "code": "c0de", "thresholds": {"score": 0.5}, "allow_short": 2, "frames": 3}
CONTENT = "5" * 64
PLACE = (0, 123, 457, 234, 568, "network")


def test_provenance_says_who_looked_and_no_place() -> None:
    aside = FileOutcome("a/c.dcm", (200, 1, 2, 3), CONTENT, "skipped", "text_in_pixels", "", None, None)
    rows = (*RECORD.file_rows, aside)
    record = dataclasses.replace(RECORD, file_rows=rows, looked=LOOKED, text={CONTENT: (PLACE,)})
    pseudonyms = Pseudonyms(b"k" * 32)
    projection = _extraction_projection(record, pseudonyms)
    assert projection["looked"] == LOOKED
    said = json.dumps(projection)
    assert "text_in_pixels" in said and "a/c.dcm" not in said and CONTENT not in said
    assert not any(str(number) in said.split('"looked"')[1] for number in PLACE[1:5])
    assert "looked" not in _extraction_projection(RECORD, pseudonyms)
