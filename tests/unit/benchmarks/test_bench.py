"""The parts of `./run bench`: corpora, traces of runs, targets, and the page with the figures of several machines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT))

from benchmarks.bench import corpora, header_reading, measure, pages, peers, targets, trace
from benchmarks.bench.measure import Figures
from benchmarks.bench.trace import Job, Trace
from waiting import HANG


def test_the_command_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench", "--help"],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--preset" in done.stdout


@pytest.mark.parametrize(("series", "files"), [(1, 10), (8, 480), (20, 4000), (500, 50_000), (7, 9)])
def test_series_are_unequal_and_their_files_add_up(series: int, files: int) -> None:
    sizes = corpora.sizes(series, files)
    assert (len(sizes), sum(sizes)) == (series, files)
    assert min(sizes) >= 1
    if files > 4 * series:
        assert series == 1 or (min(sizes) == corpora.LOCALISER and max(sizes) > 2 * files / series)


@pytest.mark.parametrize("files", [3, 7, 10, 11, 77, 143])
def test_each_image_of_a_series_has_a_name_of_its_own(files: int) -> None:
    named = list(corpora.places(1, files))
    assert len({name for name, _ in named}) == files
    assert sorted(place.index for _, place in named) == list(range(files))


def test_a_corpus_has_the_stated_files_and_its_parts_have_a_share_of_them(tmp_path: Path) -> None:
    whole = corpora.mr(tmp_path / "mr", 8, 12)
    paths = list(whole.source.rglob("*.dcm"))
    assert (len(paths), whole.frames) == (96, 96)
    assert whole.bytes == sum(path.stat().st_size for path in paths)
    headers = [pydicom.dcmread(path) for path in paths]
    assert len({header.SOPInstanceUID for header in headers}) == 96
    assert len({header.SeriesInstanceUID for header in headers}) == 8
    assert all(header.LargestImagePixelValue == header.pixel_array.max() for header in headers)
    half = corpora.part_of(whole, "half", 2)
    assert half.frames == sum(path.is_file() for path in half.source.rglob("*.dcm"))
    assert 0.8 * whole.frames / 2 <= half.frames <= whole.frames / 2


def test_a_multi_frame_corpus_counts_frames(tmp_path: Path) -> None:
    corpus = corpora.enhanced(tmp_path / "enhanced", 2, 100)
    assert (corpus.frames, len(list(corpus.source.iterdir()))) == (200, 2)


def test_headers_are_read_in_both_ways(tmp_path: Path) -> None:
    corpus = corpora.mr(tmp_path / "mr", 1, 8)
    found = header_reading.files_per_second(corpus.source, 1)
    assert found["index"] > 0 < found["pydicom"]
    (corpus.source / "0000" / "text.txt").write_text("not DICOM")
    with pytest.raises(ValueError, match="not_dicom"):
        header_reading.files_per_second(corpus.source, 1)


# A run of 20 s on two cores: 1 s until Snakemake is ready, one job on both cores, one on one, two batches at the same
# time of which one takes longer, their checks, two tables at the same time, 1 s for the end.
RUN = Trace(
    20.0,
    2,
    (
        Job("index_headers", "", 2, 1, 6),
        Job("plan_batches", "", 1, 6, 7),
        Job("extract_batch", "1", 1, 7, 10),
        Job("extract_batch", "2", 1, 7, 13),
        Job("check_batch", "1", 1, 10, 11),
        Job("check_batch", "2", 1, 13, 15),
        Job("report_depth", "", 1, 16, 18),
        Job("report_size", "", 1, 16, 19),
    ),
)


def test_serial_seconds_are_those_without_a_job_and_those_with_one_job_of_one_thread() -> None:
    without = 1 + 1 + 1  # start, between check and tables, end
    alone = 1 + 2 + 2 + 1  # plan, extraction of 2 from 11 on, its check, the second table
    assert RUN.serial() == pytest.approx(without + alone)


def test_a_run_on_more_cores_keeps_what_one_core_does() -> None:
    # The shortest job takes 1 s, which no core shortens: 1 + 4 * 2 / 8 for the headers.
    expected = 3 + (1 + 1) + 1 + (6 + 2) + 3
    assert RUN.seconds_on(8) == pytest.approx(expected)
    assert RUN.seconds_on(2) == pytest.approx(20)


def test_batches_are_spread_over_the_cores() -> None:
    extractions = tuple(Job("extract_batch", str(n), 1, 4 * (n // 2), 4 * (n // 2) + 4) for n in range(8))
    run = Trace(16.0, 2, extractions)
    assert [run.seconds_on(cores) for cores in (2, 4, 8)] == [16, 8, 4]
    shared = Trace(16.0, 2, tuple(Job("extract_batch", str(n), 2, 4 * n, 4 * n + 4) for n in range(4)))
    assert shared.seconds_on(8) == 16  # nothing is shorter than the shortest job


def test_a_trace_is_read_from_events(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = [
        {"time": 100.0},
        {"time": 101.0, "id": 3, "rule": "plan_batches", "batch": "", "threads": 1},
        {"time": 102.5, "id": 3},
        {"time": 103.0, "id": 0, "rule": "all", "batch": "", "threads": 1},
        {"time": 103.0, "id": 0},
    ]
    path = tmp_path / "trace.jsonl"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    assert trace.read(path, 4.0, 2) == Trace(4.0, 2, (Job("plan_batches", "", 1, 1.0, 2.5),))


def test_a_goal_may_be_a_floor() -> None:
    faster = targets.Target("headers", lambda _: 0.0, 15, 25, at_least=True)
    assert [faster.verdict(value) for value in (26, 15, 14.9, None)] == ["goal", "must", "missed", "not measured"]
    shorter = targets.Target("seconds", lambda _: 0.0, 4, 2.5)
    assert [shorter.verdict(value) for value in (2.5, 4, 4.1)] == ["goal", "must", "missed"]


def test_targets_without_figures_are_not_measured() -> None:
    figures = Figures(wall=[2.0], cpu=[3.0], peak=[100.0])
    table = {("one", "balanced"): figures, ("ct", "balanced"): figures}
    rows = targets.verdicts(targets.Measured(table, {"ct": 1}, {}, {"mr": {"index": 40.0, "pydicom": 2.0}}))
    found = {row["name"]: (row["found"], row["verdict"]) for row in rows if row["found"] is not None}
    assert found == {
        "a whole run on one series of 10 slices, s": (2.0, "goal"),
        "peak memory of a process, any corpus, MiB": (100.0, "goal"),
        "headers of 17 kB ÷ pydicom, files a CPU second": (20.0, "must"),
    }


def test_a_machine_is_named_with_its_vector_extensions() -> None:
    facts = {"model name": "AMD EPYC", "cpu family": "25", "model": "1", "flags": "fpu avx avx2 sha_ni"}
    assert measure.processor(facts) == "AMD EPYC (family 25, model 1)"
    assert measure.extensions(facts) == ["AVX2", "SHA"]
    assert measure.extensions({"flags": "avx2 avx512f amx_tile avx512_vnni"}) == ["AVX2", "AVX-512", "VNNI", "AMX"]
    assert measure.extensions({"Features": "fp asimd"}) == ["NEON"]
    here = measure.machine()
    assert here["kernel"].startswith("Linux") and here["python"].startswith("3.")


BURN = "import os, time\nif os.fork() == 0:\n    while time.process_time() < 0.4: pass\n"


def test_time_of_processes_that_outlive_their_parent_counts(tmp_path: Path) -> None:
    measured, _ = measure.timed([sys.executable, "-c", BURN], tmp_path, {}, patience=HANG)
    assert measured["cpu"] > 0.4


def test_a_failed_command_is_told_by_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(measure.Failed, match="exit code 3: last"):
        measure.timed(["sh", "-c", "echo first; echo last; exit 3"], tmp_path, {})


def test_the_naive_script_counts_frames(tmp_path: Path) -> None:
    for corpus in (corpora.mr(tmp_path / "mr", 1, 4), corpora.enhanced(tmp_path / "enhanced", 1, 50)):
        command = [sys.executable, "-c", peers.NAIVE, str(corpus.source), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert peers.printed_frames(tmp_path, done.stdout) == corpus.frames


def figures_of(machine: str, wall: float) -> dict[str, Any]:
    facts = {"processor": machine, "extensions": ["AVX2"], "cores": 2, "memory_gib": 24, "load_at_start": "0.1"}
    row = {
        "name": "balanced",
        "failed": "",
        "wall": wall,
        "cpu": 3.0,
        "peak": 90.0,
        "bytes": 1,
        "files": 2,
        "frames": 9,
    }
    traced = {**row, "name": "fast", "serial": 1.5, "on_8_cores": 2.25, "frames": 10}
    return {
        "date": "2026-01-01", "machine": facts | {"kernel": "Linux 6", "python": "3.11.9"}, "cores": 2, "rounds": 3,
        "preset": "small", "headers": {"mr": {"index": 3000.0, "pydicom": 500.0}},
        "targets": [{"name": "T", "found": 16.0, "must": 15, "goal": 25, "at_least": True, "verdict": "must"}],
        "corpora": [{"title": "One", "bytes": 10**6, "frames": 10, "competitors": [row, traced]}],
    }  # fmt: skip


def test_tables_name_the_machine_and_what_is_lost() -> None:
    text = pages.markdown(figures_of("Made up CPU", 2.0))
    assert "### Made up CPU, AVX2, 2 cores, 24 GiB" in text
    assert "Linux 6, Python 3.11.9" in text
    assert "| T | 16 | ≥ 15 | ≥ 25 | must |" in text
    assert "| balanced | 2.00 | 3.00 | – | – | 90 | 0 | 2 | **9 of 10: LOST 1** |" in text
    assert "| fast | 2.00 | 3.00 | 1.50 | 2.25 | 90 | 0 | 2 | 10 |" in text
    assert "| mr | 3,000 | 500 | 6.0 |" in text


def test_a_page_keeps_the_figures_of_other_machines(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n\n{pages.START}\n\n{pages.END}\n\nafter\n")
    for machine, wall in (("One", 1.0), ("Two", 2.0), ("One", 3.0)):
        figures = figures_of(machine, wall)
        pages.write_into(page, pages.markdown(figures), pages.machine_of(figures))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert text.index("### One") < text.index("### Two")
    assert ("| 3.00 |" in text, "| 2.00 |" in text, "| 1.00 |" in text) == (True, True, False)
    assert text.count("<!-- machine: ") == 2


def test_the_page_of_this_project_takes_figures_of_another_machine(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    before = (ROOT / "docs" / "performance.md").read_text()
    page.write_text(before)
    figures = figures_of("Another", 1.0)
    pages.write_into(page, pages.markdown(figures), pages.machine_of(figures))
    inside = before.split(pages.START)[1].split(pages.END)[0].strip()
    assert inside in page.read_text()
    assert "### Another" in page.read_text()


def test_figures_without_the_name_of_their_machine_are_not_overwritten(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"{pages.START}\n\nfigures\n\n{pages.END}\n")
    with pytest.raises(ValueError, match="machine"):
        pages.write_into(page, "new", "One")
    assert "figures" in page.read_text()
