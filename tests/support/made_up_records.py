"""Records with made-up fields: a test states those that it is about."""

from __future__ import annotations

import dataclasses
from typing import Any

from dicomzarr.records.check_record import CheckRecord, DepthRow, FileState, SizeRow
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import FileOutcome, FrameRow, SeriesRecord, VolumeRecord

SERIES = "0123456789abcdef"
ARRAY = f"{SERIES}/01234567"
STAT = (200, 1, 2, 3)

VOLUME = VolumeRecord(
    array=ARRAY,
    kind="volume",
    why="made up",
    axes="zyx",
    shape=(2, 4, 5),
    dtype="<i2",
    signed=True,
    spacing_mm={"z": 2.5},
    missing_slices=0,
    flags=("incomplete",),
    frames_expected=3,
    declared_min=None,
    declared_max=9,
    source_bytes=400,
    stored_bytes=300,
    pixel_digest="ab",
    modality="CT",
    photometric="MONOCHROME2",
    bits_allocated=16,
    bits_stored=16,
    padding_value=None,
    padding_range_limit=None,
    cross_checks={"agreed": 1},
    files={"zarr.json": FileClaim(100, "cd"), "0/c/0": FileClaim(200, "ef")},
    frame_rows=(FrameRow(0, 0, None, 0, "01"), FrameRow(1, 0, None, 1, "02")),
)
RECORD = SeriesRecord(
    series_id=SERIES,
    study_id="study",
    subject_id="subject",
    flags=(),
    options={"tolerance": 1e-3, "software": ["a 1"]},
    fingerprint="fingerprint",
    file_rows=(
        FileOutcome("a/é.dcm", STAT, "11", "extracted", "", "", None, None),
        FileOutcome("a/b.dcm", STAT, "12", "extracted", "", "", None, None),
        FileOutcome("c.dcm", STAT, "13", "quarantined", "truncated_pixel_data", "", 208, 210),
    ),
    volumes=(VOLUME,),
)
DEPTH = DepthRow(
    ARRAY, "int16", 16, 16, "true", "MONOCHROME2", None, 9, -5, 9, 5, None, -5, 9, "exact", "pass", ""
)  # fmt: skip
SIZE = SizeRow(ARRAY, 3, 2, 4, 5, 80, 400, 300, 0.2667, 2, 0, "warn", "incomplete")
CHECK = CheckRecord("code", "fingerprint", {ARRAY: {"zarr.json": FileState(100, 5, 6)}}, (DEPTH,), (SIZE,))


def volume(**fields: Any) -> VolumeRecord:
    """Return the record of a volume."""
    return dataclasses.replace(VOLUME, **fields)


def series(**fields: Any) -> SeriesRecord:
    """Return the record of a series."""
    return dataclasses.replace(RECORD, **fields)


def depth(**fields: Any) -> DepthRow:
    """Return a row of `depth.csv`."""
    return dataclasses.replace(DEPTH, **fields)
