"""What `--json` prints: one object, also where a command fails before it has one of its own.

In the syntax of Python 3.6, without `from __future__ import annotations`: `run` prints such an object too.
"""

import json

from dicomzarr.commands.launcher.command_table import BY_NAME, JSON, RUN

_printed: "list[bool]" = []  # whether an object was printed by this process


def begin() -> None:
    """Note that no object was printed yet: a process may start several commands, as tests do."""
    del _printed[:]


def is_asked(arguments: "list[str]") -> bool:
    """Return whether the arguments of `./run` ask for an object, and their command has one."""
    command = BY_NAME.get(arguments[0] if arguments else "", RUN)
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return JSON.name in before and JSON.name in [option.name for option in command.options]


def show(content: "dict[str, object]") -> None:
    """Print the object of a command."""
    note_printed()
    print(json.dumps(content, sort_keys=True), flush=True)


def note_printed() -> None:
    """Note that an object is printed, by a command that writes it in parts."""
    _printed.append(True)


def show_failure(arguments: "list[str]", status: int, message: str) -> None:
    """Print an object about a command that has failed, if it is asked for and none was printed.

    Parameters
    ----------
    arguments : list of str
        Those of `./run`.
    status : int
        The exit status.
    message : str
        What is on standard error too; empty if only Snakemake, a process of its own, said something.
    """
    if is_asked(arguments) and not _printed:
        show({"status": status, "error": message or "see the messages on standard error"})
