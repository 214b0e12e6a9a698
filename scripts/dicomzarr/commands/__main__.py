"""Run a command of `./run`: `python -m dicomzarr.commands COMMAND ...`, started in the environment.

SIGINT is blocked until `main`, so that Ctrl-C prints no traceback while Python starts.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import suppress
from importlib import import_module

from dicomzarr.commands.launcher import json_output
from dicomzarr.commands.launcher.command_table import BY_NAME, RUN, TARGETS
from dicomzarr.commands.launcher.help_texts import status_of_failure
from dicomzarr.commands.launcher.processes import (
    Stopped,
    accept_any_text,
    is_lost,
    is_unread,
    messages,
    say,
    stopped_by_signals,
)
from dicomzarr.system import limits
from dicomzarr.system.stop_signals import STOPPING
from dicomzarr.vocabulary.errors import UserError


def main(arguments: list[str]) -> int:
    """Run the command that is named first, or else pass all arguments to Snakemake; return the exit status."""
    json_output.begin()
    messages.clear()
    status = _run(arguments)
    if status and status != 128 + signal.SIGPIPE:
        problems = [text for text in messages if not text.startswith(("note: ", "+ "))]
        if status > 128:
            problems = [f"ended by {signal.Signals(status - 128).name}"]
        with suppress(OSError):  # standard output is lost, and a message has told so
            json_output.show_failure(arguments, status, re.sub("^(run|Error): ", "", "".join(problems[-1:]).strip()))
    return status


def _run(arguments: list[str]) -> int:
    accept_any_text(sys.stdout)
    try:
        with stopped_by_signals():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            command = BY_NAME.get(arguments[0] if arguments else "", RUN)  # its module is imported when it runs
            if command.module != "development":  # its tests try out core dumps
                limits.dump_no_core()  # of this process, which may have the key and paths, and of what it starts
            run = getattr(import_module(f"dicomzarr.commands.{command.module}"), command.function)
            is_target = command is RUN or command.name in TARGETS  # of Snakemake, which needs its name
            status: int = run(arguments if is_target else arguments[1:])
            sys.stdout.flush()  # whatever is wrong with it is told here, not by Python when it ends
            return status
    except (UserError, OSError) as error:
        if isinstance(error, BrokenPipeError) and is_unread(sys.stdout):
            return 128 + signal.SIGPIPE
        say(f"run: {_in_words(error)}")
        return status_of_failure(arguments)
    except Stopped as stopped:
        return stopped.status


def _in_words(error: UserError | OSError) -> str:
    """Return what the user reads of an error."""
    if isinstance(error, UserError) or not error.strerror:
        return str(error)
    if not error.filename and is_lost(sys.stdout):
        return f"standard output cannot be written: {error.strerror}. Send it elsewhere: the command itself has ended"
    place = f": {os.fsdecode(error.filename)!r}" if isinstance(error.filename, str | bytes) else ""
    return f"{error.strerror}{place}; check its permissions and the free space on its disk"


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # if it was not started by `./run`
    status = main(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has ended
    sys.exit(status)
