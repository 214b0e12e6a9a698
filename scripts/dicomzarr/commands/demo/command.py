"""`./run demo`: run the workflow on the built-in data set, which ends with a table of the results."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dicomzarr.commands.demo.masks import CONFIG as OF_MASKS
from dicomzarr.commands.launcher.command_table import RESULTS
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
    start = start_folder()
    if any(argument.partition("=")[0] == RESULTS.name for argument in arguments):
        raise UserError(f"the demo has its own results, {DEMO / 'results'}; leave out {RESULTS.name}")
    refuse_mistakes([argument for argument in arguments if argument != "--json"], start)
    make_files(start)
    return run_snakemake(["--configfile", str(DEMO / "config.yaml"), *arguments], start)


def start_folder() -> Path:
    """Return the folder that gets the demo: that of `run`, or the current one if this user cannot write there.

    Raises
    ------
    UserError
        If the demo cannot be there.
    """
    if os.access(ROOT, os.W_OK | os.X_OK):
        return ROOT
    start = Path.cwd()
    if not os.access(start, os.W_OK | os.X_OK):
        raise UserError(
            f"the demo needs a folder that this user can write to, and neither {ROOT} nor the current one is: "
            "start from another folder"
        )
    if not _is_free(start / DEMO):
        raise UserError(f"{start / DEMO} was not made by this demo: move it away, or start from another folder")
    return start


def _is_free(folder: Path) -> bool:
    """Return whether a folder is missing or empty, or was made by the demo."""
    with suppress(OSError):
        return not os.listdir(folder) or (folder / "config.yaml").read_bytes() == CONFIG.encode()
    return not os.path.lexists(folder)


def make_files(start: Path) -> None:
    """Write the files of the demo unless they are up to date.

    Parameters
    ----------
    start : Path
        The folder in which the demo starts.

    Raises
    ------
    UserError
        If writing them fails.
    """
    folder = start / DEMO
    parts = [Path(__file__).with_name(name) for name in ("files.py", "masks.py")]
    recipe = b"".join(path.read_bytes() for path in [*parts, ROOT / "requirements.lock"])
    stamp, digest = folder / "source.stamp", hashlib.sha256(recipe).hexdigest()
    with suppress(OSError):
        if stamp.read_text() == digest and (folder / "source").is_dir() and (folder / "config.yaml").exists():
            return
    try:
        folder.mkdir(exist_ok=True)
        (folder / "config.yaml").write_text(CONFIG)
    except OSError as error:
        raise UserError(f"the demo cannot be written to {folder}: {error.strerror}") from None
    command = ["python", "-P", "-m", "dicomzarr.commands.demo.files", str(folder / "source")]
    if call(command, interrupt=Interrupt.ENDS, PYTHONPATH=str(SCRIPTS)) != 0:
        raise UserError("The files of the demo could not be written (see above)")
    stamp.write_text(digest)
