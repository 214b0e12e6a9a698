"""Verdicts on an array: is the depth of its values, and its size, what the headers and the plan say."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dicomzarr.records.check_record import DepthRow, SizeRow
from dicomzarr.records.series_record import VolumeRecord
from dicomzarr.stages.check_batch.read_back import ReadBack


def bits_used(low: float, high: float, *, signed: bool) -> int:
    """Return how many bits the stored values need: sign included where they are signed.

    Parameters
    ----------
    low, high : float
        Smallest and largest stored value, whole numbers.
    signed : bool
    """
    if not signed:
        return max(int(high).bit_length(), 1)
    return max(int(high).bit_length(), (-int(low) - 1).bit_length() if low < 0 else 0) + 1


def _plain(value: float) -> float | str:
    """Return a number as JSON can hold it: infinity, which float pixels may have, as the word."""
    return str(value) if math.isinf(value) else value


def depth_row(volume: VolumeRecord, found: ReadBack) -> DepthRow:
    """Return the row of `depth.csv` of a volume."""
    whole = np.dtype(volume.dtype).kind in "iu"
    flags = []
    empty = math.isnan(found.low)
    bits = bits_used(found.low, found.high, signed=volume.signed) if whole and not empty else None
    if bits is not None and bits > volume.bits_stored:
        flags.append("outside_bits_stored")
    low, high = volume.declared_min, volume.declared_max
    if low is not None and high is not None and not empty and (found.low < low or found.high > high):
        flags.append("outside_declared_range")
    if not empty and found.low == found.high:
        flags.append("constant")
    failed = not found.exact or "outside_bits_stored" in flags
    return DepthRow(
        array=volume.array,
        dtype=np.dtype(volume.dtype).name,
        bits_allocated=volume.bits_allocated,
        bits_stored=volume.bits_stored,
        signed="true" if volume.signed else "false",
        photometric=volume.photometric,
        declared_min=low,
        declared_max=high,
        observed_min=None if empty else _plain(found.low),
        observed_max=None if empty else _plain(found.high),
        bits_used=bits,
        padding_value=volume.padding_value,
        unpadded_min=None if math.isnan(found.unpadded_low) else _plain(found.unpadded_low),
        unpadded_max=None if math.isnan(found.unpadded_high) else _plain(found.unpadded_high),
        read_back="exact" if found.exact else "mismatch",
        verdict="fail" if failed else "warn" if "outside_declared_range" in flags else "pass",
        flags=" ".join(flags),
    )


# Flags of a volume that ask a person to look: something of the series is missing or not placed with certainty.
SIZE_WARNINGS = frozenset({"incomplete", "gap", "uneven_spacing", "incomplete_grid", "ambiguous_stack"})


def size_row(volume: VolumeRecord, files_on_disk: Mapping[str, int]) -> SizeRow:
    """Return the row of `size.csv` of a volume.

    Parameters
    ----------
    volume : VolumeRecord
    files_on_disk : mapping of str to int
        Size of each file found below its folder.
    """
    shape = dict(zip(volume.axes, volume.shape, strict=True))
    expected = math.prod(volume.shape) * np.dtype(volume.dtype).itemsize
    stored = sum(files_on_disk.values())
    places = shape.get("t", 1) * shape.get("z", 1)
    flags = sorted(SIZE_WARNINGS & set(volume.flags))
    wrong = {path: claim.size for path, claim in volume.files.items()} != dict(files_on_disk)
    wrong = wrong or len(volume.frame_rows) != places
    return SizeRow(
        array=volume.array,
        frames_expected=volume.frames_expected,
        frames_written=len(volume.frame_rows),
        rows=shape["y"],
        columns=shape["x"],
        expected_bytes=expected,
        source_bytes=volume.source_bytes,
        stored_bytes=stored,
        ratio=round(expected / stored, 4) if stored else None,
        files=len(files_on_disk),
        missing_slices=volume.missing_slices,
        verdict="fail" if wrong else "warn" if flags else "pass",
        flags=" ".join([*flags, *(["files_differ"] if wrong else [])]),
    )
