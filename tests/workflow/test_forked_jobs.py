"""A run whose jobs are forks of one process makes what a run of separate processes makes."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Workflow
from dicoms import save_series
from waiting import wait_until

from dicomzarr.workflow.snakemake_quirks.forked_jobs import PLAIN

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux alone")

# Imported by each new Python: writes down which script it runs.
SITE = """
import os, sys
arguments = [argument.decode() for argument in open("/proc/self/cmdline", "rb").read().split(bytes(1))]
scripts = [a for a in arguments if ".snakemake/scripts/" in a or a.endswith("fork_server.py")]
if scripts:
    with open(os.environ["STARTED"], "a") as stream:
        stream.write(scripts[0].split("/")[-1] + chr(10))
"""


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_dataset_and_records_are_the_same_and_no_job_starts_a_python(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    save_series(tmp_path / "source", "alpha", 4)
    made, started = {}, {}
    for name, plain in (("forked", ""), ("plain", "1")):
        folder = tmp_path / name
        folder.mkdir()
        started[name] = folder / "started"
        environment = {
            "DICOMZARR_KEY": "k" * 32, PLAIN: plain, "STARTED": str(started[name]), "PYTHONPATH": str(tmp_path / "site")
        }  # fmt: skip
        workflow = Workflow(folder, {"source": str(tmp_path / "source")}, environment)
        workflow.run()
        names = [
            sorted(str(path.relative_to(folder)) for path in (workflow.results / within).rglob("*"))
            for within in ("private/records", "logs", "benchmarks")  # records hold sizes and times of files
        ]
        made[name] = contents(workflow.results / "dataset"), names
    assert made["forked"] == made["plain"]
    assert started["forked"].read_text() == "fork_server.py\n"
    assert len(started["plain"].read_text().splitlines()) == 13 and "fork_server" not in started["plain"].read_text()
    wait_until(lambda: not any(is_server_of(path, ROOT) for path in Path("/proc").glob("[0-9]*")))  # none outlives it


def is_server_of(process: Path, project: Path) -> bool:
    """Return whether a process is a server that a process which is gone has started."""
    try:
        command = (process / "cmdline").read_bytes()
        parent = (process / "stat").read_text().rsplit(")", 1)[1].split()[1]
    except OSError:
        return False
    return os.fsencode(f"{project}/scripts/dicomzarr/workflow/fork_server.py") in command and parent == "1"
