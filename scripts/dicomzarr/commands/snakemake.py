"""Run Snakemake, then search the files that it wrote after its last job for identities."""

from __future__ import annotations

import difflib
import re
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from dicomzarr.commands.processes import Interrupt, Stopped, call, say
from dicomzarr.system.project import ROOT
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow.snakemake_quirks import command_line

TARGETS = ("export_png", "export_npz", "export_nifti", "export_preview", "export_nnunet", "export_monai")
# Options of Snakemake with which `--cores all` is not added.
NO_CORES_ADDED = {"-c", "-j", "-h", "-n", "-v", "--cores", "--jobs", "--profile", "--workflow-profile"}
NO_CORES_ADDED |= {"--lint", "--version", "--help", "--dry-run", "--dryrun", "--unlock"}


def names_of_options(arguments: Sequence[str]) -> set[str]:
    """Return the names of the options among arguments of Snakemake; ``-n`` for ``-np``, ``-c`` for ``-c2``."""
    names = {argument.split("=")[0] for argument in arguments}
    return names | {argument[:2] for argument in arguments if not argument.startswith("--")}


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
        If an option or a target is unknown, or a configuration file is missing.
    """
    folder = folder or Path.cwd()
    refuse_mistyped(arguments, folder)
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


# ---- Mistyped arguments: Snakemake prints a traceback, or the usage of all its options


def refuse_mistyped(arguments: Sequence[str], folder: Path) -> None:
    """Refuse a missing configuration file, an unknown option, and an unknown command or rule.

    Raises
    ------
    UserError
        Names the closest known word, if there is one.
    """
    for path in config_files(arguments):
        if not (folder / path).is_file():
            raise UserError(f"the configuration file {path!r} does not exist in {str(folder)!r}")
    if arguments and re.fullmatch("[a-z_]+", arguments[0]) and not names_of_options(arguments) & {"--snakefile", "-s"}:
        rules = names_of_rules()
        if arguments[0] not in rules and not (folder / arguments[0]).exists():
            commands = ["demo", "status", "verify", "diff", "test", "check", "bench", "help", *rules]
            suggestion = closest(arguments[0], commands)
            raise UserError(f"there is no command or rule {arguments[0]!r}{suggestion}. See ./run help")
    options = [argument.split("=")[0] for argument in arguments if argument.startswith("--")]
    if not {*options} <= command_line.common_options():
        known = command_line.all_options()
        for option in options:
            if known and not any(name.startswith(option) for name in known):
                raise UserError(
                    f"Snakemake has no option {option!r}{closest(option, known)}. See ./run --cores 1 --help"
                )


def closest(name: str, known: Sequence[str]) -> str:
    """Return the end of a message that names the closest known name; empty if none is close."""
    matches = difflib.get_close_matches(name, known, n=1)
    return f"; the closest is {matches[0]!r}" if matches else ""


def config_files(arguments: Sequence[str]) -> list[str]:
    """Return the configuration files among arguments of Snakemake."""
    paths, is_file_next = [], False
    for argument in arguments:
        if argument.startswith("-"):
            name, has_value, value = argument.partition("=")
            is_file_next = name in ("--configfile", "--configfiles") and not has_value
            paths += [value] if name in ("--configfile", "--configfiles") and has_value else []
        elif is_file_next:
            paths.append(argument)
    return paths


def names_of_rules() -> list[str]:
    """Return the names of all rules, which are possible targets."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "Snakefile", *ROOT.glob("rules/*.smk")])
    return re.findall(r"^(?:rule|checkpoint) (\w+):", text, flags=re.MULTILINE)
