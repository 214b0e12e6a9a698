"""Run a command of `./run`: `python -m dicomzarr.commands COMMAND ...`, started in the environment.

SIGINT is blocked until `main`, so that Ctrl-C prints no traceback while Python starts.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module

from dicomzarr.commands.processes import STOPPING, Stopped, say, stopped_by_signals
from dicomzarr.vocabulary.errors import UserError

# The module and function of each command; a module is imported when its command runs.
COMMANDS = {
    "demo": ("demo", "run_demo"),
    "status": ("status", "run_status"),
    "verify": ("verify", "run_verify"),
    "diff": ("diff", "main"),
    "view": ("view", "run_view"),
    "test": ("development", "run_tests"),
    "check": ("development", "run_check"),
    "bench": ("development", "run_bench"),
}
ONE_ON_FAILURE = ("status", "verify", "diff")  # exit code of an error, since 2 means something else


def main(arguments: list[str]) -> int:
    """Run the command that is named first, or else pass all arguments to Snakemake; return the exit status."""
    command = arguments[0] if arguments else ""
    try:
        with stopped_by_signals():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            module, function = COMMANDS.get(command, ("snakemake", "run_snakemake"))
            run = getattr(import_module(f"dicomzarr.commands.{module}"), function)
            status: int = run(arguments[1:] if command in COMMANDS else arguments)
            return status
    except (UserError, OSError) as error:
        say(f"run: {error}")
        return 1 if command in ONE_ON_FAILURE else 2
    except Stopped as stopped:
        return stopped.status


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # if it was not started by `./run`
    status = main(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has ended
    sys.exit(status)
