"""`./run demo`: the workflow on the built-in data set, then a table of what came out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dicomzarr.commands import summary
from dicomzarr.commands.processes import Interrupt, call
from dicomzarr.commands.snakemake import run_snakemake
from dicomzarr.system.project import ROOT, SCRIPTS
from dicomzarr.vocabulary.errors import UserError

DEMO = Path("demo")
CONFIG = """\
source: demo/source
results: demo/results
burned_in: keep
burned_in_reason: The demo holds published test images and generated ones; no text in them names a real patient.
small_cells: 1
"""


def run_demo(arguments: Sequence[str]) -> int:
    """Run the workflow on the built-in data set and print what came out; return the exit status."""
    make_files()
    status = run_snakemake(["--configfile", str(DEMO / "config.yaml"), *arguments], ROOT)
    dataset = ROOT / DEMO / "results" / "dataset"
    if status == 0 and (dataset / "volumes.csv").exists():
        print("\n".join(summary.lines(dataset)))
    return status


def make_files() -> None:
    """Make the demo's files unless those that this version makes are there.

    Raises
    ------
    UserError
        If that fails.
    """
    folder = ROOT / DEMO
    recipe = Path(__file__).with_name("demo_files.py").read_bytes() + (ROOT / "requirements.lock").read_bytes()
    made, wanted = folder / "source.stamp", hashlib.sha256(recipe).hexdigest()
    with suppress(OSError):
        if made.read_text() == wanted and (folder / "source").is_dir() and (folder / "config.yaml").exists():
            return
    command = ["python", "-P", "-m", "dicomzarr.commands.demo_files", str(DEMO / "source")]
    if call(command, interrupt=Interrupt.ENDS, PYTHONPATH=str(SCRIPTS)) != 0:
        raise UserError("The demo's files could not be made (see above)")
    (folder / "config.yaml").write_text(CONFIG)
    made.write_text(wanted)
