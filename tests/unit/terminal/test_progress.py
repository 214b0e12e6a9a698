"""Progress: the counts that jobs write, and the line that the main process prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dicomzarr.system import heartbeat
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow import progress_line

BATCHES = {"0002-0000": {"series": 3, "bytes": 3_000_000}, "0002-0001": {"series": 1, "bytes": 1_000_000}}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folder = Results(tmp_path)
    folder.plans.mkdir(parents=True)
    (folder.plans / "contents.json").write_text(json.dumps({"batches": BATCHES}))
    return folder


def write_counts(results: Results, job: str, items: int, size: int) -> None:
    progress = heartbeat.Progress(results.private, job)
    progress.add(items, size)
    progress.note()


def test_there_is_no_line_before_a_job_has_written_counts(results: Results) -> None:
    assert progress_line.state(results, 10) is None
    write_counts(results, "index_headers", 4, 0)
    assert progress_line.state(results, 10) == progress_line.State("reading headers: files", 4, 10, 0, 0)


def test_the_total_is_extraction_and_check_of_all_due_batches(results: Results) -> None:
    write_counts(results, "extract_batch.0002-0000", 2, 2_000_000)
    assert progress_line.state(results, 10) == progress_line.State(
        "extracting and checking: series", 1, 4, 1_000_000, 4_000_000
    )
    for rule in ("extract_batch", "check_batch"):  # the other batch was done by an earlier run
        record = results.records / rule / "0002-0001.json"
        record.parent.mkdir(parents=True)
        record.touch()
    assert progress_line.state(results, 10) == progress_line.State(
        "extracting and checking: series", 1, 3, 1_000_000, 3_000_000
    )


def test_the_line_shows_the_rate_of_the_last_half_minute_and_the_time_left(results: Results) -> None:
    def clock():  # type: ignore[no-untyped-def]
        for moment, done in ((0.0, 0), (10.0, 1), (20.0, 2)):
            write_counts(results, "extract_batch.0002-0000", done, done * 1_000_000)
            yield moment

    first, _, last = progress_line.lines(results, 10, clock())
    assert first == "extracting and checking: series 0 of 4, 0 kB of 4.0 MB"
    assert last == "extracting and checking: series 1 of 4, 1.0 MB of 4.0 MB, 50 kB a second, about 1 min 00 s left"


def test_a_job_continues_if_its_counts_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("a file where the folder should be")
    progress = heartbeat.Progress(tmp_path / "private", "index_headers")
    progress.add(1, 1)
    progress.note()


def test_damaged_counts_are_ignored(results: Results) -> None:
    write_counts(results, "index_headers", 4, 0)
    (results.private / "progress" / "index_headers").write_text("half a no")
    assert progress_line.state(results, 10) is None
