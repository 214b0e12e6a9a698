"""Equal pixels under several subjects: the flag in volumes.csv, and the gate on splits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from made_up_records import DEPTH, VOLUME

from dicomzarr.stages.check_gate import across_splits
from dicomzarr.stages.consolidate_dataset import ties
from dicomzarr.system import csv_tables

COLUMNS = (*csv_tables.VOLUMES, "label_finding")


def lines(subject: str, **digests: str) -> list[bytes]:
    """Return the lines of volumes of a subject, given by array and digest."""
    volumes = [dataclasses.replace(VOLUME, array=array, pixel_digest=digest) for array, digest in digests.items()]
    depth = [dataclasses.replace(DEPTH, array=array, observed_min=0, observed_max=9) for array in digests]
    return sorted(ties.digest_rows(volumes, depth, subject))


def test_arrays_of_several_subjects_are_tied_and_those_of_one_are_not() -> None:
    first = lines("s1", a="11", b="22", c="33", d="33")
    second = lines("s2", e="11", f="44")
    assert ties.tied_arrays([first, second]) == {b"a", b"e"}
    assert ties.tied_arrays([second, first]) == {b"a", b"e"}
    assert ties.tied_arrays([sorted([*first, *second])]) == {b"a", b"e"}
    assert ties.tied_arrays([first]) == ties.tied_arrays([]) == set()


def test_three_subjects_and_two_arrays_of_one_of_them_are_all_tied() -> None:
    parts = [lines("s1", a="11", b="11"), lines("s2", c="11"), lines("s3", d="11", e="12")]
    assert ties.tied_arrays(parts) == {b"a", b"b", b"c", b"d"}


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-1000.0, -1000.0), (None, None), ("inf", "inf")])
def test_an_array_whose_voxels_are_all_equal_or_not_a_number_ties_nobody(
    low: float | str | None, high: float | str | None
) -> None:
    depth = dataclasses.replace(DEPTH, observed_min=low, observed_max=high)
    assert list(ties.digest_rows([VOLUME], [depth], "s1")) == []


def row(array: str, flags: str, split: str = "", digest: str = "11") -> bytes:
    cells = dict.fromkeys(COLUMNS, "") | {"array": array, "flags": flags, "split": split, "pixel_digest": digest}
    return csv_tables.row(COLUMNS, cells | {"label_finding": 'a, "b"'}).encode()


def test_only_the_flags_of_tied_rows_change() -> None:
    rows = [row("a/1", ""), row("a/2", "gap zzz"), row("a/3", "gap")]
    flagged = list(ties.flagged(rows, COLUMNS, {b"a/1": {ties.FLAG}, b"a/2": {ties.FLAG}}))
    assert flagged == [row("a/1", "same_pixels_elsewhere"), row("a/2", "gap same_pixels_elsewhere zzz"), rows[2]]
    assert list(ties.flagged(rows, COLUMNS, {})) == rows


def test_the_gate_counts_digests_in_several_splits(tmp_path: Path) -> None:
    flag = "same_pixels_elsewhere"
    rows = [
        row("a", flag, "train", "11"),
        row("b", f"gap {flag}", "test", "11"),
        row("c", flag, "train", "22"),
        row("d", flag, "train", "22"),
        row("e", flag, "test", "33"),
        row("f", flag, "", "33"),  # no split is none of the splits
        row("g", "", "train", "44"),
        row("h", "", "test", "44"),  # constant, so without the flag
        row("i", flag, "val", "55"),
        row("j", flag, "test", "55"),
        row("k", flag, "train", "55"),
    ]
    path = tmp_path / "volumes.csv"
    path.write_bytes(csv_tables.line(COLUMNS).encode() + b"".join(rows))
    assert across_splits(path, flag, "pixel_digest") == 2
