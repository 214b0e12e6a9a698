"""The workflow itself: Snakemake, then a search for identities in what it wrote after its last job."""

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

TARGETS = ("export_png", "export_npz", "export_nifti", "export_preview")
# Options of Snakemake that name the cores themselves, or need none.
OWN_CORES = {"-c", "-j", "-h", "-n", "-v", "--cores", "--jobs", "--profile", "--workflow-profile"}
OWN_CORES |= {"--lint", "--version", "--help", "--dry-run", "--dryrun", "--unlock"}


def names_of_options(arguments: Sequence[str]) -> set[str]:
    """Return the options among arguments of Snakemake, without values; of ``-np`` and ``-c2`` the first letter."""
    names = {argument.split("=")[0] for argument in arguments}
    return names | {argument[:2] for argument in arguments if not argument.startswith("--")}


def snakemake_command(arguments: Sequence[str], folder: Path) -> list[str]:
    """Return the plain Snakemake command for these arguments, as one would type it in this folder."""
    names = names_of_options(arguments)
    command = ["snakemake"]
    if folder.resolve() != ROOT and not names & {"--snakefile", "-s"}:
        command += ["--snakefile", str(ROOT / "Snakefile")]
    if not names & OWN_CORES:
        command += ["--cores", "all"]
    # --configfile takes every word behind it, so that a target must stand in front.
    targets = [argument for argument in arguments if argument in TARGETS]
    return command[:1] + targets + command[1:] + [argument for argument in arguments if argument not in TARGETS]


def run_snakemake(arguments: Sequence[str], folder: Path | None = None) -> int:
    """Run Snakemake in a folder, then search what it wrote for identities; return the exit status.

    Parameters
    ----------
    arguments : sequence of str
        Of Snakemake.
    folder : Path, optional
        Where it runs: by default, the current folder.

    Raises
    ------
    UserError
        If an option or a target is mistyped, or a configuration file is missing.
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
        if not answer.exists():  # no DAG over the data was wanted
            return status
        search = ["python", "-P", "-m", "dicomzarr.stages.check_privacy", answer.read_text(encoding="utf-8")]
        found = call(search, folder, interrupt=Interrupt.ENDS, PYTHONPATH=str(ROOT / "scripts"))
        return status if status > 128 else found or status


def call_snakemake(command: Sequence[str], folder: Path, *, output: IO[bytes] | None = None, **changes: str) -> int:
    """Run a Snakemake command as `processes.call` does; Ctrl-C ends it without a traceback."""
    program = str(Path(__file__).with_name("snakemake_process.py"))
    command = ["python", "-P", program, *command[1:]]
    return call(command, folder, output=output, interrupt=Interrupt.REACHES_ONCE_READY, **changes)


# ---- Mistyped words: Snakemake answers with a traceback, or with the usage of all its options


def refuse_mistyped(arguments: Sequence[str], folder: Path) -> None:
    """Refuse a configuration file that is not there, an unknown option and an unknown word.

    Raises
    ------
    UserError
        With what was meant, as far as that can be guessed.
    """
    for path in config_files(arguments):
        if not (folder / path).is_file():
            raise UserError(f"the configuration file {path!r} does not exist in {str(folder)!r}")
    if arguments and re.fullmatch("[a-z_]+", arguments[0]) and not names_of_options(arguments) & {"--snakefile", "-s"}:
        rules = names_of_rules()
        if arguments[0] not in rules and not (folder / arguments[0]).exists():
            words = ["demo", "status", "verify", "diff", "test", "check", "bench", "help", *rules]
            raise UserError(f"there is no word or rule {arguments[0]!r}{guess(arguments[0], words)}. See ./run help")
    options = [argument.split("=")[0] for argument in arguments if argument.startswith("--")]
    if not {*options} <= command_line.common_options():
        known = command_line.all_options()
        for option in options:
            if known and not any(each.startswith(option) for each in known):
                raise UserError(f"Snakemake has no option {option!r}{guess(option, known)}. See ./run --cores 1 --help")


def guess(name: str, known: Sequence[str]) -> str:
    """Return the known name that is nearest, in words, or nothing."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; the nearest is {near[0]!r}" if near else ""


def config_files(arguments: Sequence[str]) -> list[str]:
    """Return the configuration files that arguments of Snakemake name."""
    found, reads = [], False
    for argument in arguments:
        if argument.startswith("-"):
            name, has_value, value = argument.partition("=")
            reads = name in ("--configfile", "--configfiles") and not has_value
            found += [value] if name in ("--configfile", "--configfiles") and has_value else []
        elif reads:
            found.append(argument)
    return found


def names_of_rules() -> list[str]:
    """Return the names of the rules, each a target."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "Snakefile", *ROOT.glob("rules/*.smk")])
    return re.findall(r"^(?:rule|checkpoint) (\w+):", text, flags=re.MULTILINE)
