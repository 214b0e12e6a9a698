"""`python -m dicomzarr.commands WORD ...`, as `./run` starts it in its environment: what the first word says.

SIGINT is blocked when this begins, so that none can end the start of Python in a traceback.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module

from dicomzarr.commands.processes import STOPPING, Stopped, say, stopped_by_signals
from dicomzarr.vocabulary.errors import UserError

# The module and the function of each word: a module is imported when its word is asked for.
WORDS = {
    "demo": ("demo", "run_demo"),
    "status": ("status", "run_status"),
    "verify": ("verify", "run_verify"),
    "diff": ("diff", "main"),
    "test": ("development", "run_tests"),
    "check": ("development", "run_check"),
    "bench": ("development", "run_bench"),
}
ONE_ON_FAILURE = ("status", "verify", "diff")  # their exit code 2 has a meaning of its own


def main(arguments: list[str]) -> int:
    """Do what the first word says, or pass everything on to Snakemake; return the exit status."""
    word = arguments[0] if arguments else ""
    try:
        with stopped_by_signals():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            module, function = WORDS.get(word, ("snakemake", "run_snakemake"))
            does = getattr(import_module(f"dicomzarr.commands.{module}"), function)
            status: int = does(arguments[1:] if word in WORDS else arguments)
            return status
    except (UserError, OSError) as error:
        say(f"run: {error}")
        return 1 if word in ONE_ON_FAILURE else 2
    except Stopped as stopped:
        return stopped.status


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # where it was started without `./run`
    status = main(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # too late to change anything
    sys.exit(status)
