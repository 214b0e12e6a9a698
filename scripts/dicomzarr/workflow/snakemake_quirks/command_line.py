"""Parse the command line with Snakemake's own parser."""

from __future__ import annotations

import contextlib
import enum
import importlib.util
import io
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.system import files
from dicomzarr.system.project import ROOT
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow import config_file

# Options with which Snakemake builds no DAG, or one for which the source need not be listed.
_WITHOUT_SOURCE = (
    "lint", "list_rules", "list_target_rules", "print_compilation", "unlock", "report", "cleanup_metadata", "archive",
    "generate_unit_tests", "cleanup_shadow", "container_cleanup_images",
)  # fmt: skip
# Options with which Snakemake shows a DAG and runs no job.
_DRY = (
    "dryrun", "dag", "rulegraph", "filegraph", "d3dag", "summary", "detailed_summary", "list_changes",
    "list_input_changes", "list_params_changes", "list_untracked", "list_conda_envs", "conda_create_envs_only",
    "conda_cleanup_envs", "containerize",
)  # fmt: skip

_WOULD_COPY = (
    "Snakemake would copy files of private/, which identify patients, out of the results; nothing was done. What may "
    "be shared is dataset/ alone: copy it, or use ./run publish"
)
_WITHOUT_ARRAYS = (
    "not possible here, since a CWL runner gives each job its declared files alone, and arrays are not declared; "
    "nothing was done. To run the workflow elsewhere: docs/clusters.md"
)
# By the name of the parsed option: how it is written, and why it is refused.
_REFUSED = {
    "archive": ("--archive", _WOULD_COPY),
    "generate_unit_tests": ("--generate-unit-tests", _WOULD_COPY),
    "export_cwl": ("--export-cwl", _WITHOUT_ARRAYS),
}


class Purpose(enum.Enum):
    """The purpose of a Snakemake command."""

    BUILD = "build"  # jobs run: the source is listed, state is written, the lock is held
    DRY = "dry"  # a DAG is shown: the source is listed, and nothing in the results changes
    OTHER = "other"  # rules are listed, linted, reported …: neither source nor results are read


# What `parse_without_note` returned, by arguments: to parse them again takes a tenth of a second.
_parsed: dict[tuple[str, ...], Mapping[str, Any]] = {}


def options(arguments: Sequence[str]) -> Mapping[str, Any]:
    """Return the options of a command line as Snakemake's own parser returns them, with profiles and abbreviations.

    Uses `snakemake.cli.parse_args`, tested with 9.27.1. If it is missing or fails, as under another program that uses
    Snakemake's Python API, the mapping is empty, and `purpose` is `BUILD`.
    """
    if tuple(arguments) in _parsed:
        return _parsed[tuple(arguments)]
    try:
        from snakemake.cli import parse_args

        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            parsed: dict[str, Any] = vars(parse_args(list(arguments))[1])
            return parsed
    except (ImportError, AttributeError, TypeError, ValueError, IndexError, SystemExit, OSError):
        return {}


def purpose(parsed: Mapping[str, Any]) -> Purpose:
    """Return the purpose of parsed options: run jobs, show the DAG, or neither.

    Parameters
    ----------
    parsed : mapping
        What `options` returned.
    """
    given = {name for name, value in parsed.items() if value}
    if parsed.get("executor") == "dryrun":
        given.add("dryrun")
    if given.intersection(_WITHOUT_SOURCE) and "report_after_run" not in given:
        return Purpose.OTHER
    return Purpose.DRY if given.intersection(_DRY) else Purpose.BUILD


def refuse_unusable(parsed: Mapping[str, Any]) -> None:
    """Refuse options with which Snakemake would copy private files out of the results, or write what nobody can use.

    Parameters
    ----------
    parsed : mapping
        What `options` returned.

    Raises
    ------
    UserError
        If one of them is given.
    """
    for name, (option, why) in _REFUSED.items():
        if parsed.get(name):
            raise UserError(f"{option}: {why}")


def refuse_names(parsed: Mapping[str, Any], sources: Iterable[bytes]) -> None:
    """Refuse an option with which Snakemake would print the names of all files of a source.

    `--list-untracked` lists every file below the working folder that no job reads or writes. Files of the source are
    read by no job that Snakemake knows of.

    Parameters
    ----------
    parsed : mapping
        What `options` returned.
    sources : iterable of bytes
        Paths of folders; URLs are passed over.

    Raises
    ------
    UserError
        If it is given, and one of these folders is within the working folder, or the other way round.
    """
    work = Path.cwd().resolve()
    folders = [Path(os.fsdecode(source)).resolve() for source in sources if b"://" not in source]
    if parsed.get("list_untracked") and any(
        folder.is_relative_to(work) or work.is_relative_to(folder) for folder in folders
    ):
        raise UserError(
            "--list-untracked: Snakemake would print the name of every file of the source, which is within the "
            "folder of this command; names may identify patients. Nothing was done. ./run files counts them by reason"
        )


def common_options() -> set[str]:
    """Return the options in the source text of Snakemake's `cli.py`, without importing it (half a second).

    Purpose: to answer a mistyped option with one line; see `all_options`.

    Tested with Snakemake 9.27.1. With another version, options that are missing here are looked up in `all_options`.
    """
    spec = importlib.util.find_spec("snakemake")
    options = {"--"}
    for place in (spec.submodule_search_locations or ()) if spec else ():
        with contextlib.suppress(OSError):
            options |= {*re.findall(r'"(--[a-z][a-z-]*)"', (Path(place) / "cli.py").read_text(encoding="utf-8"))}
    return options


def all_options() -> list[str]:
    """Return every option of Snakemake's parser, those of its plugins included.

    Purpose: Snakemake answers an unknown option with the usage of all options.

    Tested with Snakemake 9.27.1. If another version has its parser elsewhere, the list is empty, and Snakemake answers.
    """
    try:
        from snakemake.cli import get_argument_parser

        return [option for action in get_argument_parser()._actions for option in action.option_strings]
    except (ImportError, AttributeError):
        return []


def parse_with_checks(parse_args: Callable[..., Any]) -> Callable[..., Any]:
    """Return Snakemake's parser with a check of profiles and of the configuration files that they name.

    Purpose: Snakemake answers a configuration file that is missing, or no YAML, with words of Python, a profile that is
    missing with exit code 1, and goes on without a workflow profile that is missing. Configuration files of the command
    line are checked by the launcher. With another version, in which `main` calls another function, Snakemake answers.
    """

    def parse(*arguments: Any, **options: Any) -> Any:
        if missing := _missing_profile(sys.argv[1:]):
            print(f"run: {missing}", file=sys.stderr, flush=True)
            sys.exit(2)
        parsed = parse_args(*arguments, **options)
        try:
            named = [str(path) for path in parsed[1].configfile or ()]
        except (AttributeError, TypeError, IndexError):
            return parsed
        for path in named if not config_file.config_files(sys.argv) else ():
            try:
                if not os.path.lexists(path):
                    raise UserError(f"the configuration file {path!r} does not exist in {os.getcwd()!r}")
                config_file.read(Path(path), path)
            except UserError as error:
                print(f"run: {error}; a profile names it as configfile:", file=sys.stderr, flush=True)
                sys.exit(2)
        return parsed

    return parse


def _missing_profile(arguments: Sequence[str]) -> str:
    """Return the message for the first profile that Snakemake would not find; empty if it finds all.

    Uses `snakemake.cli.get_profile_dir`, tested with 9.27.1. If it is missing, nothing is checked.
    """
    from snakemake import cli

    given: list[tuple[str, str]] = []
    for argument, after in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        option, has_value, value = argument.partition("=")
        if option in ("--profile", "--workflow-profile"):
            given.append((option, value if has_value else after))
    if not any(option == "--profile" for option, _ in given):
        given.append(("SNAKEMAKE_PROFILE", os.environ.get("SNAKEMAKE_PROFILE", "")))
    places = [Path(), Path("profiles"), ROOT / "profiles"]  # of a workflow profile
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        for option, name in given:
            if name == "none" or name.startswith("-") or not name:
                continue
            is_workflow = option == "--workflow-profile"
            try:
                found = [place / name for place in places if files.exists(place / name)] if is_workflow else []
                if found or (not is_workflow and cli.get_profile_dir(name)):
                    continue
            except OSError as error:
                return f"{option}: {name!r} cannot be read: {error.strerror}"
            ours = ", ".join(str(ROOT / "profiles" / own) for own in ("kubernetes", "slurm"))
            return (
                f"{option}: found no profile {name!r}; needed is a folder with config.yaml in it, by its path from "
                f"{os.getcwd()!r}, or by its name in ~/.config/snakemake; those of this project are {ours}"
            )
    return ""


def parse_without_note(parse_args: Callable[..., Any]) -> Callable[..., Any]:
    """Return Snakemake's parser without its note on the profile that it uses.

    Purpose: the note is printed at each start, past Snakemake's logger.

    Tested with 9.27.1. With another version, in which `main` calls another function, the note is printed.
    """

    def parse(*arguments: Any, **options: Any) -> Any:
        noted = io.StringIO()
        try:
            with contextlib.redirect_stderr(noted):
                parsed = parse_args(*arguments, **options)
        except BaseException:
            sys.stderr.write(noted.getvalue())
            raise
        sys.stderr.write("".join(line for line in noted.getvalue().splitlines(True) if " profile " not in line))
        with contextlib.suppress(AttributeError, TypeError, IndexError):
            _parsed[tuple(sys.argv[1:])] = dict(vars(parsed[1]))
        return parsed

    return parse
