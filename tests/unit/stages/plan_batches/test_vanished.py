"""Which series count as missing from the source, and when a run refuses to go on because of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.plan_batches.vanished import STATE, refuse_vanished
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError


def name(number: int) -> str:
    return f"{number:016x}"


class EarlierRun:
    """A results folder with extracted series, by number, each with two files."""

    def __init__(self, root: Path, labels: Sequence[str] = ("",), now: Sequence[str] | None = None) -> None:
        self.results, self.index = Results(root), root / "headers.jsonl"
        self.results.private.mkdir(parents=True)
        (self.results.private / STATE).write_text(json.dumps({"batches": 1, "labels": list(labels)}))
        roots = dict.fromkeys(labels if now is None else now, "/x")
        self.results.inventory.write_text(json.dumps({"roots": roots}) + "\n")
        self.rows: list[dict[str, object]] = []

    def add(self, number: int, folder: str) -> list[str]:
        record = self.results.series_record("extract_batch", name(number))
        record.parent.mkdir(parents=True, exist_ok=True)
        paths = [f"{folder}/{number}-{file}" for file in range(2)]
        rows = [[path, [1, 2, 3, number], "", "extracted", "", "", None, None] for path in paths]
        record.write_bytes(SeriesRecord(name(number), "", "", (), {}, "", rows, ()).to_bytes().data)
        return paths

    def add_row(self, path: str, stat: list[int], outcome: str = "image") -> None:
        self.rows.append({"path": path, "stat": stat, "outcome": outcome})

    def check(self, planned: Iterable[int], largest_drop: float = 0.5, firsts: Sequence[tuple[int, str]] = ()) -> None:
        self.index.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        pairs = [(name(number), path) for number, path in firsts]
        refuse_vanished(self.results, self.index, set(map(name, planned)), lambda: pairs, largest_drop)


@given(
    extracted=st.integers(1, 8),
    missing=st.integers(0, 8),
    new=st.integers(0, 5),
    share=st.sampled_from((0.0, 0.3, 0.5, 1.0)),
)
def test_a_run_is_refused_if_more_than_the_share_or_all_series_are_missing(
    tmp_path_factory: pytest.TempPathFactory, extracted: int, missing: int, new: int, share: float
) -> None:
    missing = min(missing, extracted)
    run = EarlierRun(tmp_path_factory.mktemp("results"))
    for number in range(extracted):
        for path in run.add(number, "a"):
            run.add_row(path, [1, 2, 3, number if number >= missing else 99])
    planned = [*range(missing, extracted), *range(100, 100 + new)]
    if missing and (missing > share * extracted or missing == extracted):
        message = f"series that earlier runs extracted are missing from the source, {missing} of {extracted},"
        with pytest.raises(UserError, match=message):
            run.check(planned, share)
    else:
        run.check(planned, share)


@pytest.mark.parametrize(
    ("stat", "outcome", "refused"),
    [
        ([1, 2, 3, 0], "image", False),  # the file did not change: newer code groups it differently
        ([1, 2, 3, 0], "skipped", False),
        ([1, 9, 9, 0], "quarantined", False),  # reported with its reason
        ([1, 9, 9, 0], "image", True),
        ([1, 9, 9, 0], "skipped", True),
        ([1, 2, 3, 0], "changed", True),  # the disk was removed between scan and reading
    ],
)
def test_a_series_with_an_unchanged_or_quarantined_file_is_not_missing(
    tmp_path: Path, stat: list[int], outcome: str, refused: bool
) -> None:
    run = EarlierRun(tmp_path)
    for path in run.add(0, "a"):
        run.add_row(path, stat, outcome)
    if refused:
        with pytest.raises(UserError, match="confirm_drop=true"):
            run.check([7])
    else:
        run.check([7])


def test_series_are_counted_by_source_folder_and_a_folder_removed_from_the_configuration_is_ignored(
    tmp_path: Path,
) -> None:
    present = [(number, f"b/x/{number}-0") for number in range(10, 30)]

    def run_with(root: Path, labels: Sequence[str], now: Sequence[str] | None = None) -> EarlierRun:
        run = EarlierRun(root, labels, now)
        for number in range(4):
            run.add(number, "a/x")
        for number, _ in present:
            run.add(number, "b/x")
        return run

    with pytest.raises(UserError, match=r"config key 'source\.a': .* missing from the source, 4 of 4,"):
        run_with(tmp_path / "1", ("a", "b")).check([number for number, _ in present], 0.5, present)
    run_with(tmp_path / "2", ("a", "b"), ("b", "c")).check([number for number, _ in present], 0.5, present)
    run_with(tmp_path / "3", ("a", "b"), ("",)).check([number for number, _ in present[:2]], 0.5, present[:2])
    run_with(tmp_path / "4", ("",), ("a", "b")).check([], 0.5)


def test_a_series_that_moved_is_not_missing_and_an_absent_one_with_a_damaged_record_is(tmp_path: Path) -> None:
    run = EarlierRun(tmp_path)
    run.add(1, "a")
    run.add_row("elsewhere/1", [5, 5, 5, 5])
    run.check([1, 2])
    run.results.series_record("extract_batch", name(1)).write_text("{")
    run.check([1, 2])
    with pytest.raises(UserError):
        run.check([2])
