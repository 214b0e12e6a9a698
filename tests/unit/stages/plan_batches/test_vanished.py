"""Which series count as gone from the source, and when a run refuses because of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.plan_batches.vanished import KEPT, refuse_vanished
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError


def name(number: int) -> str:
    return f"{number:016x}"


class Known:
    """What earlier runs extracted: series by number, each with two files."""

    def __init__(self, root: Path, labels: Sequence[str] = ("",), now: Sequence[str] | None = None) -> None:
        self.results, self.index = Results(root), root / "headers.jsonl"
        self.results.private.mkdir(parents=True)
        (self.results.private / KEPT).write_text(json.dumps({"batches": 1, "labels": list(labels)}))
        roots = dict.fromkeys(labels if now is None else now, "/x")
        self.results.inventory.write_text(json.dumps({"roots": roots}) + "\n")
        self.rows: list[dict[str, object]] = []

    def add(self, number: int, folder: str) -> list[str]:
        path = self.results.series_record("extract_batch", name(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        paths = [f"{folder}/{number}-{file}" for file in range(2)]
        rows = [[one, [1, 2, 3, number], "", "extracted", "", "", None, None] for one in paths]
        path.write_bytes(SeriesRecord(name(number), "", "", (), {}, "", rows, ()).to_bytes().data)
        return paths

    def now(self, path: str, stat: list[int], outcome: str = "image") -> None:
        self.rows.append({"path": path, "stat": stat, "outcome": outcome})

    def check(self, planned: Iterable[int], largest_drop: float = 0.5, firsts: Sequence[tuple[int, str]] = ()) -> None:
        self.index.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        pairs = [(name(number), path) for number, path in firsts]
        refuse_vanished(self.results, self.index, set(map(name, planned)), lambda: pairs, largest_drop)


@given(
    known=st.integers(1, 8), gone=st.integers(0, 8), new=st.integers(0, 5), share=st.sampled_from((0.0, 0.3, 0.5, 1.0))
)
def test_a_run_refuses_where_more_than_the_share_or_all_are_gone(
    tmp_path_factory: pytest.TempPathFactory, known: int, gone: int, new: int, share: float
) -> None:
    gone = min(gone, known)
    run = Known(tmp_path_factory.mktemp("known"))
    for number in range(known):
        for path in run.add(number, "a"):
            run.now(path, [1, 2, 3, number if number >= gone else 99])
    planned = [*range(gone, known), *range(100, 100 + new)]
    if gone and (gone > share * known or gone == known):
        with pytest.raises(UserError, match=f"of the {known} series that earlier runs extracted, {gone} are no longer"):
            run.check(planned, share)
    else:
        run.check(planned, share)


@pytest.mark.parametrize(
    ("stat", "outcome", "refused"),
    [
        ([1, 2, 3, 0], "image", False),  # the file is as it was: other code groups it otherwise
        ([1, 2, 3, 0], "skipped", False),
        ([1, 9, 9, 0], "quarantined", False),  # it has a row with a reason
        ([1, 9, 9, 0], "image", True),
        ([1, 9, 9, 0], "skipped", True),
        ([1, 2, 3, 0], "changed", True),  # the disk went away between scan and reading
    ],
)
def test_a_series_whose_files_are_as_they_were_or_quarantined_is_not_gone(
    tmp_path: Path, stat: list[int], outcome: str, refused: bool
) -> None:
    run = Known(tmp_path)
    for path in run.add(0, "a"):
        run.now(path, stat, outcome)
    if refused:
        with pytest.raises(UserError, match="confirm_drop=true"):
            run.check([7])
    else:
        run.check([7])


def test_series_count_by_their_folder_and_a_folder_that_was_taken_out_is_not_missed(tmp_path: Path) -> None:
    stay = [(number, f"b/x/{number}-0") for number in range(10, 30)]

    def filled(root: Path, labels: Sequence[str], now: Sequence[str] | None = None) -> Known:
        run = Known(root, labels, now)
        for number in range(4):
            run.add(number, "a/x")
        for number, _ in stay:
            run.add(number, "b/x")
        return run

    with pytest.raises(UserError, match=r"config key 'source\.a': of the 4 series"):
        filled(tmp_path / "1", ("a", "b")).check([number for number, _ in stay], 0.5, stay)
    filled(tmp_path / "2", ("a", "b"), ("b", "c")).check([number for number, _ in stay], 0.5, stay)
    filled(tmp_path / "3", ("a", "b"), ("",)).check([number for number, _ in stay[:2]], 0.5, stay[:2])
    filled(tmp_path / "4", ("",), ("a", "b")).check([], 0.5)


def test_a_series_that_moved_is_not_gone_and_one_with_a_damaged_record_is(tmp_path: Path) -> None:
    run = Known(tmp_path)
    run.add(1, "a")
    run.now("elsewhere/1", [5, 5, 5, 5])
    run.check([1, 2])
    run.results.series_record("extract_batch", name(1)).write_text("{")
    run.check([1, 2])
    with pytest.raises(UserError):
        run.check([2])
