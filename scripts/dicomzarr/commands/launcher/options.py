"""Options of commands that start no Snakemake, and the results folder that they mean."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.commands.launcher.command_table import (
    CONFIG,
    CONFIGFILE,
    CORES,
    DECIDE,
    DRY_RUN,
    RESULTS,
    Command,
    Option,
)
from dicomzarr.commands.launcher.help_texts import closest, usage_of
from dicomzarr.commands.launcher.mistakes import read_configuration
from dicomzarr.commands.launcher.processes import say
from dicomzarr.system import locks, private_folder
from dicomzarr.system.project import ROOT
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow import config_file

# Also understood where a command has --results: somebody puts its name in front of the arguments of a run.
OF_A_RUN = (
    CONFIGFILE,
    CONFIG,
    CORES,
    DRY_RUN,
    Option("--directory", "FOLDER", "", "-d"),
    Option("--jobs", "N", "", "-j"),
)
_SEVERAL = (
    CONFIGFILE.name,
    CONFIG.name,
    *(option.name for option in DECIDE),
)  # they take every command up to the next option


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of a command.

    Attributes
    ----------
    values : dict of str to list of str
        By the long name of each option that was given, its values; an empty list for a switch.
    positional : list of str
        Arguments that are no options.
    """

    values: dict[str, list[str]] = field(default_factory=dict)
    positional: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Return whether an option was given."""
        return name in self.values

    def last(self, name: str) -> str:
        """Return the last value of an option; empty if it was not given."""
        return self.values.get(name, [""])[-1]


def parse(command: Command, arguments: Sequence[str]) -> Options:
    """Return the options of a command that passes nothing on.

    Raises
    ------
    UserError
        If an option is unknown, lacks its value, or has one that it does not take, or an argument is too many.
    """
    see = f"See ./run {command.name} --help"
    known = (*command.options, *(OF_A_RUN if RESULTS in command.options else ()))
    options, rest = Options(), list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            options.positional.extend(rest)
            break
        if not argument.startswith("-") or argument == "-":
            options.positional.append(argument)
            continue
        name, has_value, value = argument.partition("=")
        option = next((each for each in known if name in (each.name, each.short)), None)
        if option is None and not name.startswith("--") and not has_value:  # -c4
            name, has_value, value = argument[:2], "=", argument[2:]
            option = next((each for each in known if each.value and name == each.short), None)
        if option is None:
            raise UserError(
                f"unknown option {argument!r}{closest(name, [each.name for each in command.options])}. {see}"
            )
        values = options.values.setdefault(option.name, [])
        if not option.value:
            if has_value:
                raise UserError(f"{option.name} takes no value. {see}")
            continue
        if not has_value and rest and not re.match(r"-\D", rest[0]):  # -1 is a value
            has_value, value = "=", rest.pop(0)
        if not has_value or not value:
            raise UserError(f"{option.name}: found nothing, needed is {option.value.rstrip('.')}. {see}")
        values.append(value)
        while option.name in _SEVERAL and not command.most_positional and rest and not rest[0].startswith("-"):
            values.append(rest.pop(0))
    if len(options.positional) > command.most_positional:
        raise UserError(
            f"unexpected argument {options.positional[command.most_positional]!r}; usage: {usage_of(command)}"
        )
    return options


def results_as_config(arguments: Sequence[str]) -> list[str]:
    """Return arguments of a run in which ``--results FOLDER``, which Snakemake does not know, is a value of --config.

    Raises
    ------
    UserError
        If it lacks its value, is there twice, or --config sets the results too.
    """
    rest: list[str] = []
    folder, words = "", iter(arguments)
    for argument in words:
        if argument == "--":
            rest += [argument, *words]
        elif argument.partition("=")[0] != RESULTS.name:
            rest.append(argument)
        elif folder:
            raise UserError(f"{RESULTS.name} is there twice, and a run has one results folder; leave one out")
        else:
            folder = argument.partition("=")[2] if "=" in argument else next(words, "")
            if not folder or folder.startswith("-"):
                raise UserError(f"{RESULTS.name}: found nothing, needed is a FOLDER, as in --results /data/prepared")
    if not folder:
        return rest
    if config_file.set_value(rest, "results"):
        raise UserError(f"{RESULTS.name} and --config results=... exclude each other; leave one out")
    is_plain = re.fullmatch(r"[A-Za-z_./][\w./-]*", folder) and folder.lower() not in _OTHER_VALUES
    # Snakemake takes quotes from both ends of a value, and then reads it as YAML: hence the tag, and the last space.
    pair = f"results={folder if is_plain else f'!!str {json.dumps(folder, ensure_ascii=False)} '}"
    option = next((at for at, word in enumerate(rest, 1) if word in (CONFIG.name, "-C")), 0)
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:option], pair, *rest[option:]] if option else [*rest[:end], CONFIG.name, pair, *rest[end:]]


_OTHER_VALUES = ("true", "false", "inf", "infinity", "nan")  # what --config takes for no text


def configuration_of(options: Options) -> dict[str, Any]:
    """Return the keys of the configuration as a run would have them, without a check of their values.

    Raises
    ------
    UserError
        If a configuration file cannot be read.
    """
    config = read_configuration(options.values.get(CONFIGFILE.name, []), Path.cwd())
    pairs = [pair.split("=", 1) for pair in options.values.get(CONFIG.name, []) if "=" in pair]
    return config_file.merged(config, {key: _value_of(text) for key, text in pairs})


def _value_of(text: str) -> Any:
    """Return a value of `--config` as Snakemake reads it: a number, or YAML whose values are texts."""
    import yaml

    for read in (int, float, functools.partial(yaml.load, Loader=yaml.BaseLoader)):
        try:
            return read(text)
        except (ValueError, yaml.YAMLError):
            continue
    return text


def results_of(options: Options) -> Results:
    """Return the results folder: of `--results`, or of the configuration, as a run would take it.

    Raises
    ------
    UserError
        If a configuration file cannot be read, or names no folder; or if there is a FIFO in the private folder.
    """
    folder = Path(options.last("--directory"))
    if options.has(RESULTS.name):
        results = Results(folder / options.last(RESULTS.name))
    else:
        config = configuration_of(options)
        if not isinstance(config["results"], str) or not config["results"]:
            raise UserError("config key 'results': needed is a folder, such as results: /data/prepared")
        results = Results(folder / config["results"])
    private_folder.refuse_special_files(results.private)
    return results


def folder_of_copy(place: str, name: str) -> Path:
    """Return a folder that a user names; if ./run publish wrote to it, its latest version.

    Parameters
    ----------
    place : str
    name : str
        The option or argument, for a message.

    Raises
    ------
    UserError
        If it is a URL, or has a pointer to no version.
    """
    from dicomzarr import remote

    if remote.is_url(place):
        raise UserError(f"{name}: found a URL, needed is a folder; copy the dataset to one first")
    folder = Path(place)
    try:
        return remote.pointed_to(folder) or folder
    except OSError as error:
        raise UserError(f"{name}: {place!r} cannot be read: {os.strerror(error.errno or 0)}") from None
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None


def no_dataset(results: Results, options: Options, what: str) -> UserError:
    """Return the error for a results folder without a dataset: what is missing, and what to do."""
    text = f"there is no {what} in {str(results.root)!r} yet"
    if active := locks.holder(results.private):
        return UserError(
            f"{text}: a run is going ({active}) and writes it towards its end; its terminal, or the files in "
            f"{str(results.root / 'logs')!r}, show how far it is"
        )
    if (results.root / "volumes.csv").is_file():  # it may have a report
        return UserError(
            f"{str(results.root)!r} is a dataset folder; needed is the results folder around it, which has private/ too"
        )
    if results.root.is_file():
        return UserError(f"{str(results.root)!r} is a file; needed is a results folder")
    if not results.root.is_dir():
        text = f"there is no folder {str(results.root)!r} yet, and so no {what}"
    if options.has(RESULTS.name) or options.has(CONFIGFILE.name):
        return UserError(f"{text}; run the workflow first, with the same configuration: ./run --configfile my.yaml")
    demo = ROOT / "demo" / "results"
    example = str(demo) if demo.is_dir() else "FOLDER"
    return UserError(f"{text}; name its configuration, --configfile my.yaml, or the folder, --results {example}")


def note_unless_sealed(results: Results, what: str) -> None:
    """Say that what is shown may be of the run before, if the dataset is not sealed: a run is going, or did not finish.

    Parameters
    ----------
    results : Results
    what : str
        What may be so, such as ``this report may be``.
    """
    if results.sealed.is_file():
        return
    active = locks.holder(results.private)
    state = f"a run is going ({active})" if active else "the last run did not finish"
    say(f"note: {state}, so {what} of the one before it")
