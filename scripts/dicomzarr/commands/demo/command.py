"""`./run demo`: run the workflow on the built-in data set, which ends with a table of the results."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dicomzarr.commands.demo.masks import CONFIG as OF_MASKS
from dicomzarr.commands.launcher.mistakes import refuse_mistakes
from dicomzarr.commands.launcher.processes import Interrupt, call
from dicomzarr.commands.run.command import run_snakemake
from dicomzarr.system.project import ROOT, SCRIPTS
from dicomzarr.vocabulary.errors import UserError

DEMO = Path("demo")
CONFIG = f"""\
source: demo/source
results: demo/results
burned_in: keep
burned_in_reason: The demo holds published test images and generated ones; no text in them names a real patient.
small_cells: 1
{OF_MASKS}"""


def run_demo(arguments: Sequence[str]) -> int:
    """Run the workflow on the built-in data set, which ends with a table; return the exit status."""
    refuse_mistakes([argument for argument in arguments if argument != "--json"], ROOT)
    make_files()
    return run_snakemake(["--configfile", str(DEMO / "config.yaml"), *arguments], ROOT)


def make_files() -> None:
    """Write the files of the demo unless they are up to date.

    Raises
    ------
    UserError
        If writing them fails.
    """
    folder = ROOT / DEMO
    parts = [Path(__file__).with_name(name) for name in ("files.py", "masks.py")]
    recipe = b"".join(path.read_bytes() for path in [*parts, ROOT / "requirements.lock"])
    stamp, digest = folder / "source.stamp", hashlib.sha256(recipe).hexdigest()
    with suppress(OSError):
        if stamp.read_text() == digest and (folder / "source").is_dir() and (folder / "config.yaml").exists():
            return
    command = ["python", "-P", "-m", "dicomzarr.commands.demo.files", str(DEMO / "source")]
    if call(command, interrupt=Interrupt.ENDS, PYTHONPATH=str(SCRIPTS)) != 0:
        raise UserError("The files of the demo could not be written (see above)")
    (folder / "config.yaml").write_text(CONFIG)
    stamp.write_text(digest)
