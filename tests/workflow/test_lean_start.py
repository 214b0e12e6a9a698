"""A run of `./run` that has nothing to do imports no package for pixels, tables, headers or reports."""

from __future__ import annotations

import os
import subprocess
import sys

from conftest import ROOT, Workflow
from dicoms import save_series

NOT_NEEDED = {"numpy", "pandas", "pydicom", "zarr", "PIL", "docutils", "pygments", "yte", "boto3", "requests"}
NOT_NEEDED |= {"sqlmodel", "sqlalchemy", "pydantic"}


def test_nothing_to_do_needs_few_imports(workflow: Workflow) -> None:
    save_series(workflow.source, "alpha", 2)
    workflow.run()
    program = ROOT / "scripts" / "dicomzarr" / "commands" / "run" / "snakemake_process.py"
    command = [sys.executable, "-X", "importtime", "-P", str(program), "--snakefile", str(ROOT / "Snakefile")]
    done = subprocess.run(
        [*command, "--configfile", "config.yaml", "--cores", "2"],
        cwd=workflow.folder,
        env={**os.environ, **workflow.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Nothing to be done" in done.stderr
    lines = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert len(lines) > 300
    assert sorted({line.partition(".")[0] for line in lines} & NOT_NEEDED) == []
