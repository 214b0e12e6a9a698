"""What the command line asks of Snakemake, as its own parser reads it."""

from __future__ import annotations

import contextlib
import enum
import importlib.util
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# What Snakemake does without building a DAG, or with one that need not know the source, by the name of its option.
_WITHOUT_SOURCE = (
    "lint", "list_rules", "list_target_rules", "print_compilation", "unlock", "report", "list_conda_envs",
    "conda_create_envs_only", "conda_cleanup_envs", "cleanup_metadata", "containerize", "archive",
    "generate_unit_tests", "cleanup_shadow", "container_cleanup_images",
)  # fmt: skip


# What Snakemake prints of a DAG without running a job.
_DRY = (
    "dryrun", "dag", "rulegraph", "filegraph", "d3dag", "summary", "detailed_summary", "list_changes",
    "list_input_changes", "list_params_changes", "list_untracked",
)  # fmt: skip


class Purpose(enum.Enum):
    """What the command line asks of Snakemake."""

    BUILD = "build"  # jobs run: the source is listed, state is written, the lock is held
    DRY = "dry"  # a DAG is shown: the source is listed and nothing below the results changes
    OTHER = "other"  # rules are listed, linted, reported …: neither source nor results are looked at


def options(arguments: Sequence[str]) -> Mapping[str, Any]:
    """Return what Snakemake's own parser makes of a command line, profiles and abbreviations included.

    Tried with 9.27.1: `snakemake.cli.parse_args`. Where it is missing or refuses, as under another program that uses
    Snakemake's Python API, the mapping is empty and the run counts as one that builds.
    """
    try:
        from snakemake.cli import parse_args

        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            parsed: dict[str, Any] = vars(parse_args(list(arguments))[1])
            return parsed
    except (ImportError, AttributeError, TypeError, ValueError, IndexError, SystemExit, OSError):
        return {}


def purpose(parsed: Mapping[str, Any]) -> Purpose:
    """Return what parsed options ask for: jobs, a look at the DAG, or neither.

    Parameters
    ----------
    parsed : mapping
        What `options` returned.
    """
    asked = {name for name, value in parsed.items() if value}
    if asked.intersection(_WITHOUT_SOURCE) and "report_after_run" not in asked:
        return Purpose.OTHER
    return Purpose.DRY if asked.intersection(_DRY) else Purpose.BUILD


def common_options() -> set[str]:
    """Return the options that stand in the source of Snakemake's command line, without importing it (half a second).

    What it is for: to answer a mistyped option in one line; see `all_options`.

    Tried with: Snakemake 9.27.1. With another version: what is not found here is looked up in `all_options`.
    """
    spec = importlib.util.find_spec("snakemake")
    options = {"--"}
    for place in (spec.submodule_search_locations or ()) if spec else ():
        with contextlib.suppress(OSError):
            options |= {*re.findall(r'"(--[a-z][a-z-]*)"', (Path(place) / "cli.py").read_text(encoding="utf-8"))}
    return options


def all_options() -> list[str]:
    """Return every option of Snakemake, those of its plugins included, as its own parser has them.

    What it is for: Snakemake answers an unknown option by the usage of all options.

    Tried with: Snakemake 9.27.1. With another version: none where its parser is elsewhere; Snakemake answers itself.
    """
    try:
        from snakemake.cli import get_argument_parser

        return [option for action in get_argument_parser()._actions for option in action.option_strings]
    except (ImportError, AttributeError):
        return []
