"""What leans on the inside of Snakemake."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

from dicomzarr.workflow import snakemake_quirks
from dicomzarr.workflow.snakemake_quirks import Purpose

# A timer of somebody's, which must go off, and one of the scheduler's, which would hold the process for ten minutes.
PROGRAM = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from dicomzarr.workflow.snakemake_quirks import cancel_timers_of_scheduler
def of_the_scheduler():
    print("late")
of_the_scheduler.__module__ = "snakemake.scheduling.job_scheduler"
threading.Timer(600, of_the_scheduler).start()
threading.Timer(0.5, print, ["the timer of a plugin"]).start()
cancel_timers_of_scheduler()
"""


def test_only_timers_of_the_scheduler_are_cancelled() -> None:
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "scripts")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "the timer of a plugin\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--cores 2", Purpose.BUILD),
        ("--cores 2 --config source=-n", Purpose.BUILD),
        ("--cores 2 --forcerun extract_batch", Purpose.BUILD),
        ("--cores 2 --touch", Purpose.BUILD),
        ("--cores 2 --report page.html --report-after-run", Purpose.BUILD),
        ("-n", Purpose.DRY),
        ("--dry-r", Purpose.DRY),
        ("--dryrun --quiet", Purpose.DRY),
        ("--dag", Purpose.DRY),
        ("--rulegraph", Purpose.DRY),
        ("--summary", Purpose.DRY),
        ("-D", Purpose.DRY),
        ("--list-params-changes", Purpose.DRY),
        ("--delete-all-output -n --cores 1", Purpose.DRY),
        ("--list", Purpose.OTHER),
        ("-l", Purpose.OTHER),
        ("--list-ru", Purpose.OTHER),
        ("--lt", Purpose.OTHER),
        ("--list-target-rules", Purpose.OTHER),
        ("--lint", Purpose.OTHER),
        ("--report page.html", Purpose.OTHER),
        ("--unlock", Purpose.OTHER),
    ],
)
def test_snakemakes_own_parser_says_what_is_asked(
    arguments: str, expected: Purpose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    parsed = snakemake_quirks.options(arguments.split())
    assert parsed and snakemake_quirks.purpose(parsed) is expected


def test_a_command_line_of_another_program_counts_as_a_run_that_builds() -> None:
    parsed = snakemake_quirks.options(["--no-such-option", "-x"])
    assert parsed == {} and snakemake_quirks.purpose(parsed) is Purpose.BUILD


def test_another_version_runs_plain_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(snakemake_quirks, "version", lambda: "10.0.0")
    assert not snakemake_quirks.assume_files(object(), [], {})
    snakemake_quirks.note_if_untried()
    assert "note: Snakemake 10.0.0 was not tried" in capsys.readouterr().err
