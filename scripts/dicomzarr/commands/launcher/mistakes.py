"""Mistakes in arguments of Snakemake and in configuration files, each answered with one line before Snakemake starts.

Snakemake answers them with the usage of all its options, or with a traceback.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dicomzarr.commands.launcher.command_table import BY_NAME, COMMANDS, RUN, TARGETS
from dicomzarr.commands.launcher.help_texts import closest, mistyped, names_of_rules
from dicomzarr.system.project import ROOT
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow import config_file
from dicomzarr.workflow.config_file import config_files
from dicomzarr.workflow.snakemake_quirks import command_line

DEFAULTS = "config.yaml"
DASHES = "-\u2013\u2014\u2212"  # the hyphen, and what looks like it: en dash, em dash, minus sign
# Options of Snakemake that take NAME=VALUE, one or several.
_PAIRS = {
    "--config", "-C", "--set-threads", "--set-resources", "--set-resource-scopes", "--set-scatter", "--resources",
    "--res", "--groups", "--group-components",
}  # fmt: skip


def names_of_options(arguments: Sequence[str]) -> set[str]:
    """Return the names of the options among arguments of Snakemake; ``-n`` for ``-np``, ``-c`` for ``-c2``."""
    names = {argument.split("=")[0] for argument in arguments}
    return names | {argument[:2] for argument in arguments if not argument.startswith("--")}


def refuse_mistakes(arguments: Sequence[str], folder: Path) -> None:
    """Refuse unknown commands, rules and options, values that are none, and configuration files that cannot be read.

    Parameters
    ----------
    arguments : sequence of str
        Arguments of Snakemake.
    folder : Path
        The folder in which they were typed.

    Raises
    ------
    UserError
        Says what was found, what is needed and, of a name, which is the closest.
    """
    problem = mistyped(list(arguments), str(folder), str(ROOT))
    if problem:
        raise UserError(problem)
    _refuse_first(arguments, folder)
    for before, argument in itertools.pairwise(arguments):
        if argument in {*BY_NAME} - {*TARGETS} and not before.startswith("-") and not (folder / argument).exists():
            raise UserError(f"the command comes first: ./run {argument} ...")
    _refuse_unknown_options(arguments)
    _refuse_values(arguments)
    read_configuration(config_files(arguments), folder)
    config_file.refuse_repeated(arguments)


def read_configuration(paths: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return the keys of `config.yaml`, and those of these files in its place, without a check of their values.

    Raises
    ------
    UserError
        If a file is missing, or not what `config_file.read` needs.
    """
    for path in paths:
        if not (folder / path).exists():
            raise UserError(_missing(path, folder))
    config = config_file.read(ROOT / DEFAULTS, str(ROOT / DEFAULTS))
    for path in paths:
        config = config_file.merged(config, config_file.read(folder / path, path))
    return config


def _refuse_first(arguments: Sequence[str], folder: Path) -> None:
    """Refuse a file or folder without its option, and a dash that a text program made of a hyphen."""
    first = arguments[0] if arguments else "-"
    if not first.startswith("-") and first.endswith((".yaml", ".yml")):
        raise UserError(f"a configuration file needs its option: ./run --configfile {shlex.quote(first)}")
    if not first.startswith("-") and (folder / first).is_dir():
        raise UserError(f"a folder needs its option: ./run --config source={shlex.quote(first)}, or a --configfile")
    for argument in arguments:
        if argument.startswith(tuple(DASHES[1:])):
            raise UserError(f"{argument!r} begins with a long dash; type --{argument.lstrip(DASHES)}")
        name = argument.split("=")[0]
        # Snakemake reads -dry-run as --directory ry-run, and runs there.
        if re.fullmatch("-[a-z][a-z-]{2,}", name) and f"-{name}" in _long_options():
            raise UserError(f"{argument!r} begins with one dash; type -{argument}")


def _long_options() -> set[str]:
    """Return the options that have long names: Snakemake's, and those of a run."""
    return command_line.common_options() | {option.name for option in RUN.options}


def _missing(path: str, folder: Path) -> str:
    """Return the message for a configuration file that is not there."""
    place = (folder / path).parent
    files = [each.name for each in place.iterdir()] if place.is_dir() else []
    files = [name for name in files if name.endswith((".yaml", ".yml", ".json")) and name != Path(path).name]
    near = closest(Path(path).name, files) or "; write one with `source:` and `results:`, as README.md shows"
    return _as_command(path) or f"the configuration file {path!r} does not exist in {str(folder)!r}{near}"


def _as_command(text: str) -> str:
    """Return a message if a text that was taken for something else is, or is like, a command; else nothing."""
    rules = names_of_rules(str(ROOT))
    if text in BY_NAME or text in rules:
        return f"the {'command' if text in BY_NAME else 'rule'} comes first: ./run {text} ..."
    near = closest(text, [*(command.name for command in COMMANDS), *rules]) if re.fullmatch("[a-z_-]+", text) else ""
    return near and f"there is no command or rule {text!r}{near}. See ./run help"


def _refuse_unknown_options(arguments: Sequence[str]) -> None:
    options = [argument.split("=")[0] for argument in arguments if argument.startswith("--")]
    if {*options} <= command_line.common_options():
        return
    known = command_line.all_options()
    for option in options:
        if known and not any(name.startswith(option) for name in known):
            key, defaults = option[2:].replace("-", "_"), config_file.read(ROOT / DEFAULTS, DEFAULTS)
            if key in defaults:
                is_one_value = not isinstance(defaults[key], dict | list)
                how = f"--config {key}=VALUE" if is_one_value else "write it into a file, for --configfile"
                raise UserError(f"{option!r} is a key of the configuration, no option: {how}")
            commands = [command.name for command in COMMANDS if any(option == own.name for own in command.options)]
            near = (
                f"; it belongs to ./run {commands[0]}"
                if commands
                else closest(option, [*known, *(own.name for own in RUN.options)])
            )
            raise UserError(f"Snakemake has no option {option!r}{near}. See ./run help run")


def _refuse_values(arguments: Sequence[str]) -> None:
    """Refuse a number of cores that is none, and options of pairs without ``=``."""
    option = ""
    for argument, after in itertools.zip_longest(arguments, arguments[1:]):
        if argument.startswith("-"):
            option, has_value, value = argument.partition("=")
            if re.fullmatch(r"-c\S+", option) and not has_value:
                option, has_value, value = "-c", "=", argument[2:]
            given = value if has_value else after
            if option in ("--cores", "-c") and not (given and re.fullmatch(r"0*[1-9]\d*|all", given)):
                found = f"found {given!r}" if given and not re.match("-\\D", given) else "found nothing"
                raise UserError(f"--cores: {found}, needed is a whole number from 1, or all, as in --cores 4")
            if option in ("--configfile", "--configfiles") and (not given or given.startswith("-")):
                raise UserError(f"{option}: found nothing, needed is a file, as in --configfile my.yaml")
            if option in _PAIRS and has_value and "=" not in value:
                raise _no_pair(option, value)
        elif option in ("--config", "-C") and re.match(r"[a-z_]+\.[\w.]+=", argument):
            above, _, below = argument.partition("=")[0].partition(".")
            raise UserError(
                f"--config: found {argument!r}; a key below another one needs a configuration file: {above}: "
                f"{{{below}: ...}}, and --configfile"
            )
        elif option in _PAIRS and "=" not in argument and argument not in TARGETS:
            raise _no_pair(option, argument)


def _no_pair(option: str, found: str) -> UserError:
    example = "--config source=/data/dicom" if option in ("--config", "-C") else f"{option} NAME=VALUE"
    text = f"{option}: found {found!r}, needed is a name, = and a value, as in {example}"
    return UserError(_as_command(found) or text)
