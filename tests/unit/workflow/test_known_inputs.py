"""Snakemake asks for the size of each input once, reads it once, and starts the same jobs in the same order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import ROOT

JOBS = 12
SNAKEFILE = f"""
NAMES = [f"{{number:02d}}" for number in range({JOBS})]
rule all:
    input: "first", "second", "third"
rule sums:
    input: expand("{{name}}.out", name=NAMES)
    output: "first", "second", "third"
    shell: "touch {{output}}"
rule copy:
    input: "{{name}}.in"
    output: "{{name}}.out"
    shell: "cp {{input}} {{output}}; echo {{wildcards.name}} >> order"
"""
PROGRAM = """
import hashlib, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from dicomzarr.workflow.snakemake_quirks import known_inputs
if sys.argv[2] == "once":
    known_inputs.ask_once()
from snakemake import api, io
from snakemake.scheduling.job_scheduler import JobScheduler
asked, rounds, read = [], [], []
size, update = io._IOFile.size, JobScheduler.update_input_sizes

def file_digest(stream, kind):
    read.append(stream.name)
    return hashlib.new("sha256", stream.read())

async def counted(self):
    asked.append(str(self))
    return await size(self)

async def update_input_sizes(self, jobs):
    jobs, before = list(jobs), len(asked)
    await update(self, jobs)
    rounds.append([len(asked) - before, all(path in self._input_sizes for job in jobs for path in job.input)])

hashlib.file_digest = file_digest
io._IOFile.size, JobScheduler.update_input_sizes = counted, update_input_sizes
from snakemake.cli import main
try:
    main(["--cores", "1", "--quiet", "all", "--scheduler", "greedy"])
except SystemExit as end:
    assert not end.code, end.code
records = sorted(Path(".snakemake/metadata").rglob("*"))
sums = [json.loads(path.read_text())["input_checksums"] for path in records if path.is_file()]
print(json.dumps([rounds, read, sorted(sums, key=str)]))
"""


def run(folder: Path, how: str) -> tuple[Any, list[str]]:
    """Return sizes asked for by round, files read for checksums, the checksums, and the order of jobs."""
    folder.mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE)
    for number in range(JOBS):
        (folder / f"{number:02d}.in").write_bytes(b"x" * (7 * number % JOBS + 1))
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "scripts"), how]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), (folder / "order").read_text().split()


def test_sizes_are_asked_for_and_inputs_read_once(tmp_path: Path) -> None:
    (once, read_once, sums), order = run(tmp_path / "once", "once")
    (always, read_always, expected), same_order = run(tmp_path / "always", "always")
    assert all(are_known for _, are_known in [*once, *always])
    assert sum(count for count, _ in once) == 2 * JOBS + 3  # inputs of the copies, of `sums` and of `all`
    assert len(read_once) == len(set(read_once)) == 2 * JOBS
    assert (order, sums) == (same_order, expected) and len(order) == JOBS
    # If these fail, Snakemake does it itself, and `known_inputs.py` can go.
    assert sum(count for count, _ in always) > JOBS * JOBS / 3
    assert len(read_always) == JOBS + 3 * JOBS


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    program = """
import asyncio, os, sys
sys.path.insert(0, sys.argv[1])
from dicomzarr.workflow.snakemake_quirks import known_inputs
known_inputs.ask_once()
from snakemake import io

class Rule:
    class workflow:
        iocache = io.IOCache(0)

async def checksum(path):
    file = io._IOFile(path, rule=None)
    file.rule = Rule
    return await file.checksum(1000)

Rule.workflow.iocache.active = False
found = []
for content in ("one", "two", "two"):
    with open("file", "w") as stream:
        stream.write(content)
    os.utime("file", (1, 1))
    found.append(asyncio.run(checksum("file")))
os.unlink("file")
found.append(asyncio.run(checksum("file")))
assert len(set(found[:2])) == 2 and found[1] == found[2] and found[3] is None, found
"""
    command = [sys.executable, "-c", program, str(ROOT / "scripts")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
