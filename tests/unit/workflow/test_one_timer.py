"""While jobs wait for a core, Snakemake's scheduler has one timer, and starts all jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

JOBS = 7
SNAKEFILE = f"""
rule all:
    input: expand("{{name}}.out", name=[f"{{number:02d}}" for number in range({JOBS})])
rule wait:
    output: "{{name}}.out"
    shell: "echo {{wildcards.name}} >> jobs; sleep 0.2; touch {{output}}"
"""
PROGRAM = """
import json, sys, threading
sys.path.insert(0, sys.argv[1])
from dicomzarr.workflow.snakemake_quirks import one_timer
if sys.argv[2] == "one":
    one_timer.keep_one_timer()
from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler

rounds, most, finish = 0, 0, JobScheduler._finish_jobs

def count(self):
    global rounds, most
    rounds += 1
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    most = max(most, sum(timer.interval == 1 for timer in timers))
    finish(self)

JobScheduler._finish_jobs = count
try:
    main(["--cores", "1", "--quiet", "all", "--scheduler", "greedy"] + sys.argv[3:])
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps([rounds, most]))
"""


def run(folder: Path, how: str, *options: str) -> tuple[int, int, list[str]]:
    """Return how many rounds there were, the most timers at a time, and the jobs that ran."""
    folder.mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "scripts"), how, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rounds, most = json.loads(done.stdout.splitlines()[-1])
    return rounds, most, sorted((folder / "jobs").read_text().split())


@pytest.mark.snakemake
def test_there_is_one_timer(tmp_path: Path) -> None:
    rounds, most, jobs = run(tmp_path / "one", "one")
    _, many, same_jobs = run(tmp_path / "many", "many")
    assert most <= 2 < many  # one may end while the next begins; where Snakemake has one, the module can go
    assert jobs == same_jobs == [f"{number:02d}" for number in range(JOBS)]
    assert rounds > JOBS


@pytest.mark.snakemake
def test_jobs_beyond_the_limit_of_a_second_still_start(tmp_path: Path) -> None:
    *_, jobs = run(tmp_path / "limited", "one", "--max-jobs-per-timespan", "3/1s", "--cores", "4")
    assert jobs == [f"{number:02d}" for number in range(JOBS)]
