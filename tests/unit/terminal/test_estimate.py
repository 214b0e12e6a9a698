"""The time left, held against recorded runs: moments of real runs on made-up corpora, see decision 0077."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from dicomzarr.terminal import estimate
from dicomzarr.terminal.progress import Moment

TRACES = sorted((Path(__file__).parent / "traces").glob("*.jsonl.gz"))


def moments_of(trace: Path) -> list[Moment]:
    with gzip.open(trace, "rt") as lines:
        return [Moment.from_json(json.loads(line)) for line in lines]


@pytest.mark.parametrize("trace", TRACES, ids=lambda path: path.name.partition(".")[0])
def test_the_time_left_is_right_within_a_factor_of_two_or_not_shown(trace: Path) -> None:
    moments = moments_of(trace)
    end = moments[-1].seconds + 1  # Snakemake ends, and the launcher searches what it wrote last
    early = [moment for moment in moments if moment.seconds < 0.1 * end]
    assert [moment.seconds for moment in early if estimate.left(moment) is not None] == []
    shown = [(moment.seconds, estimate.left(moment), end - moment.seconds) for moment in moments[len(early) :]]
    wrong = [row for row in shown if row[1] is not None and not 0.5 <= row[1] / row[2] <= 2]
    assert wrong == []
    assert end < 20 or sum(left is not None for _, left, _ in shown) > 0.3 * len(shown)


def test_all_kinds_of_runs_are_recorded() -> None:
    assert len(TRACES) >= 8
    rules = {job.rule for trace in TRACES for moment in moments_of(trace) for job in moment.running}
    assert {"index_headers", "extract_batch", "check_batch", "render_report", "check_privacy"} <= rules
    assert {moment.cores for trace in TRACES for moment in moments_of(trace)[-1:]} == {1, 2}


def test_nothing_is_said_while_too_little_is_known() -> None:
    moments = moments_of(next(path for path in TRACES if path.name.startswith("single_files")))
    for moment in moments:
        rules = {job.rule for job in moment.running}
        if "index_headers" in rules:
            assert estimate.left(moment) is None
    known = next(moment for moment in moments if estimate.left(moment) is not None)
    assert estimate.left(replace(known, rules=(*known.rules, "export_png"))) is None  # nothing is known of the export
    busy = next(moment for moment in moments if sum(job.rule == "extract_batch" for job in moment.ended) == 4)
    assert estimate.left(busy) is not None
    slow = replace(busy.ended[-1], seconds=5 * busy.ended[-1].seconds)
    assert estimate.left(replace(busy, ended=(*busy.ended[:-1], slow))) is None  # jobs of a kind differ


def test_times_are_rounded_to_what_is_known() -> None:
    assert [estimate.rounded(seconds) for seconds in (4.2, 23, 77, 431, 4000)] == [5, 25, 80, 450, 4020]
