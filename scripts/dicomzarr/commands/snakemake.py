"""Run Snakemake, then search the files that it wrote after its last job for identities."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from dicomzarr.commands.mistakes import names_of_options, refuse_mistakes
from dicomzarr.commands.processes import Interrupt, Stopped, call, say
from dicomzarr.commands.words import EXPORTS
from dicomzarr.system.project import ROOT

TARGETS = tuple(name for name, _, _ in EXPORTS)
# Options of Snakemake with which `--cores all` is not added.
NO_CORES_ADDED = {"-c", "-j", "-h", "-n", "-v", "--cores", "--jobs", "--profile", "--workflow-profile"}
NO_CORES_ADDED |= {"--lint", "--version", "--help", "--dry-run", "--dryrun", "--unlock"}


def snakemake_command(arguments: Sequence[str], folder: Path) -> list[str]:
    """Return the Snakemake command for these arguments, as a user would type it in this folder."""
    names = names_of_options(arguments)
    command = ["snakemake"]
    if folder.resolve() != ROOT and not names & {"--snakefile", "-s"}:
        command += ["--snakefile", str(ROOT / "Snakefile")]
    if not names & NO_CORES_ADDED:
        command += ["--cores", "all"]
    # --configfile takes all words after it as files, so targets come first.
    targets = [argument for argument in arguments if argument in TARGETS]
    return command[:1] + targets + command[1:] + [argument for argument in arguments if argument not in TARGETS]


def run_snakemake(arguments: Sequence[str], folder: Path | None = None) -> int:
    """Run Snakemake in a folder, then search the files that it wrote for identities; return the exit status.

    Parameters
    ----------
    arguments : sequence of str
        Arguments of Snakemake.
    folder : Path, optional
        Working directory; by default, the current folder.

    Raises
    ------
    UserError
        If an argument or a configuration file cannot be what was meant: see `mistakes.py`.
    """
    folder = folder or Path.cwd()
    refuse_mistakes(arguments, folder)
    command = snakemake_command(arguments, folder)
    say("+ " + shlex.join(command))
    with tempfile.TemporaryDirectory() as answers:
        answer = Path(answers) / "results"
        try:
            status = call_snakemake(command, folder, DICOMZARR_RESULTS=str(answer))
        except Stopped as stopped:
            status = stopped.status
        if not answer.exists():  # Snakemake built no DAG
            return status
        search = ["python", "-P", "-m", "dicomzarr.stages.check_privacy", answer.read_text(encoding="utf-8")]
        search_status = call(search, folder, interrupt=Interrupt.ENDS, PYTHONPATH=str(ROOT / "scripts"))
        return status if status > 128 else search_status or status


def call_snakemake(command: Sequence[str], folder: Path, *, output: IO[bytes] | None = None, **changes: str) -> int:
    """Run a Snakemake command with `processes.call`; Ctrl-C ends it without a traceback.

    Parameters
    ----------
    command : sequence of str
        `snakemake` and its arguments.
    folder : Path
        Working directory.
    output : binary file, optional
        Receives its standard output and standard error.
    **changes : str
        Additional environment variables.
    """
    program = str(Path(__file__).with_name("snakemake_process.py"))
    command = ["python", "-P", program, *command[1:]]
    return call(command, folder, output=output, interrupt=Interrupt.REACHES_ONCE_READY, **changes)
