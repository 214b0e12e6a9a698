"""Run Snakemake, then search the files that it wrote after its last job for identities."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dicomzarr.commands.launcher import home, json_output
from dicomzarr.commands.launcher.command_table import TARGETS
from dicomzarr.commands.launcher.environment import PLUGINS
from dicomzarr.commands.launcher.mistakes import names_of_options, refuse_mistakes
from dicomzarr.commands.launcher.options import results_as_config
from dicomzarr.commands.launcher.processes import Interrupt, Stopped, call, say
from dicomzarr.commands.run.early_program import EarlyProgram
from dicomzarr.system import files
from dicomzarr.system.project import ROOT
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow.config_file import config_files, set_value

if TYPE_CHECKING:  # imported while the privacy search runs
    from dicomzarr.commands.run.conclusion import Conclusion

_SIGNALS = 128  # exit statuses above: ended by a signal
_SEARCH = ("python", "-P", "-m", "dicomzarr.stages.check_privacy")  # reads the results folder from its standard input
# Options of Snakemake with which `--cores all` is not added.
NO_CORES_ADDED = {"-c", "-j", "-h", "-n", "-v", "--cores", "--jobs", "--profile", "--workflow-profile"}
NO_CORES_ADDED |= {"--lint", "--version", "--help", "--dry-run", "--dryrun", "--unlock"}
# Options with which Snakemake looks or tidies up, and runs no job; their letters; letters that take a value.
_LOOKING = (
    "--dry-run", "--dryrun", "--help", "--version", "--lint", "--list-rules", "--list", "--list-target-rules", "--lt",
    "--dag", "--rulegraph", "--filegraph", "--d3dag", "--summary", "--detailed-summary", "--report", "--unlock",
    "--list-changes", "--lc", "--list-input-changes", "--li", "--list-params-changes", "--lp", "--list-untracked",
    "--lu", "--list-conda-envs", "--conda-create-envs-only", "--conda-cleanup-envs", "--conda-cleanup-pkgs",
    "--containerize", "--container-cleanup-images", "--print-compilation", "--cleanup-metadata", "--cm",
    "--cleanup-shadow", "--archive", "--generate-unit-tests", "--export-cwl", "--touch", "--delete-all-output",
    "--delete-temp-output", "--draft-notebook", "--edit-notebook",
)  # fmt: skip
_LOOKING_LETTERS = "nlSDhvt"
_LETTERS_WITH_VALUE = "scjCdeRPUOwT"
# Options of a run that ask for what Snakemake itself prints.
_WORDS_OF_SNAKEMAKE = ("--verbose", "--logger", "--debug", "--debug-dag")


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


def is_a_run(arguments: Sequence[str]) -> bool:
    """Return whether arguments of Snakemake start a run: no dry run, list, report, help and the like."""
    return not _has_option(arguments, _LOOKING, _LOOKING_LETTERS)


def shows_stages(arguments: Sequence[str]) -> bool:
    """Return whether a run shows lines of stages: not if its arguments ask for what Snakemake prints."""
    return is_a_run(arguments) and not _has_option(arguments, _WORDS_OF_SNAKEMAKE, "")


def _has_option(arguments: Sequence[str], names: Sequence[str], letters: str) -> bool:
    """Return whether one of these options is given, perhaps abbreviated (``--dry``) or among others (``-Fn``)."""
    for argument in arguments:
        if argument == "--":
            return False
        given = argument.split("=")[0]
        if given.startswith("--") and any(name.startswith(given) for name in names):
            return True
        if argument[:1] == "-" and argument[1:2] not in ("-", ""):
            flags = re.match(f"[^{_LETTERS_WITH_VALUE}]*", argument[1:])
            if flags and {*flags[0]} & {*letters}:
                return True
    return False


def run_snakemake(
    arguments: Sequence[str],
    folder: Path | None = None,
    *,
    show: Callable[[dict[str, Any]], None] = json_output.show,
) -> int:
    """Run Snakemake in a folder, search the files that it wrote for identities, and print what there is then.

    Parameters
    ----------
    arguments : sequence of str
        Arguments of Snakemake, and ``--json``: then the facts of the run are printed as one JSON object.
    folder : Path, optional
        Working directory; by default, the current folder.
    show : callable, optional
        Prints the facts of the run, with ``--json``.

    Returns
    -------
    int
        The exit status.

    Raises
    ------
    UserError
        If an argument or a configuration file cannot be what was meant: see `mistakes.py`.
    """
    folder, as_json = folder or Path.cwd(), "--json" in arguments
    arguments = results_as_config([argument for argument in arguments if argument != "--json"])
    if as_json and not is_a_run(arguments):
        raise UserError("--json describes a run, and this is none; ./run status --json says what a run would do")
    refuse_mistakes(arguments, folder)
    command = snakemake_command(arguments, folder)
    say("+ " + shlex.join(command))
    output = sys.stderr.buffer if as_json else None  # standard output belongs to a JSON object
    search = EarlyProgram(_SEARCH, folder, output=output, PYTHONPATH=str(ROOT / "scripts"))
    with search, tempfile.TemporaryDirectory() as answers:
        answer, facts = Path(answers) / "results", Path(answers) / "facts"
        variables = {"DICOMZARR_RESULTS": str(answer), "DICOMZARR_FACTS": str(facts)}
        variables |= {"DICOMZARR_TERMINAL": "stages"} if shows_stages(arguments) else {}
        if is_a_run(arguments):
            search.start()
        try:
            status = call_snakemake(command, folder, output=output, **variables)
        except Stopped as stopped:
            status = stopped.status
        results = Path(os.fsdecode(answer.read_bytes())) if files.exists(answer) else None
        run = json.loads(facts.read_bytes()) if files.exists(facts) else {}
        return _conclude(results, run, status, search, arguments, folder, show if as_json else None)


def _conclude(
    results: Path | None,
    run: Mapping[str, Any],
    status: int,
    search: EarlyProgram,
    arguments: Sequence[str],
    folder: Path,
    show: Callable[[dict[str, Any]], None] | None,
) -> int:
    """Search the files that a run wrote last for identities, then show its facts; return the exit status."""
    if results is None and not show:  # Snakemake built no DAG
        return status
    ends: list[Conclusion] = []

    def gather() -> None:
        from dicomzarr.commands.run.conclusion import Conclusion

        ends.append(Conclusion(Results(results) if results else None, run, folder))
        ends[0].gather()

    search_status = 0
    if results is None:
        gather()
    else:
        search_status = search.finish(os.fsencode(results), meanwhile=gather)
    (end,) = ends
    if search_status:
        end.note_failure("check_privacy")
    status = status if status > _SIGNALS else search_status or status
    if status == 0:
        end.keep()
    end.show(status, results_options(arguments), show)
    return status


def results_options(arguments: Sequence[str]) -> list[str]:
    """Return the options with which a command such as `report` finds the results of a run with these arguments."""
    files = config_files(arguments)
    options = ["--configfile", *files] if files else []
    folder = set_value(arguments, "results")
    if written := re.fullmatch('!!str (".*") ', folder):  # as `results_as_config` writes it
        folder = json.loads(written[1])
    return options + (["--results", folder] if folder else [])


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

    Raises
    ------
    UserError
        If Snakemake has no place for its cache.
    """
    program = str(Path(__file__).with_name("snakemake_process.py"))
    command = ["python", "-P", program, *command[1:]]
    changes["DICOMZARR_LAUNCHER"] = str(os.getpid())
    if plugins := os.environ.get(PLUGINS):
        changes["PYTHONPATH"] = plugins  # jobs on other nodes get it too
    with home.writable_cache(os.environ) as cache:
        changes |= cache
        return call(command, folder, output=output, interrupt=Interrupt.REACHES_ONCE_READY, **changes)
