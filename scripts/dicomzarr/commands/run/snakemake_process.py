"""Run Snakemake so that a mistake has one line and Ctrl-C no traceback: `python -P snakemake_process.py …`.

SIGINT is blocked at the start, so that it prints no traceback while Python starts. While Snakemake is being imported,
SIGINT ends the process at once. After that it raises KeyboardInterrupt, as usual, until the Snakefile installs its own
handler (`workflow/snakemake_quirks/ending.py`).

If the launcher wants lines of stages (`dicomzarr.terminal`), Snakemake gets our logger plugin.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
import threading
from typing import NoReturn


def refuse_in_one_line(_: argparse.ArgumentParser, message: str) -> NoReturn:
    """Answer a wrong argument with one line, in place of the usage of all options of Snakemake."""
    print(f"run: Snakemake: {message}. See ./run help run, or ./run snakemake --help", file=sys.stderr, flush=True)
    sys.exit(2)


def end_thread_in_one_line(ended: threading.ExceptHookArgs) -> None:
    """Say that a thread of Snakemake ended, such as the clock of a benchmark where no more threads can be started."""
    kind = ended.exc_type.__name__  # its text may quote a path
    print(
        f"note: a thread of Snakemake ended: {kind}; are ulimit -u and ulimit -v large enough?",
        file=sys.stderr,
        flush=True,
    )


def end_with_launcher() -> None:
    """Be killed when the launcher is: else the run would go on without it, and hold a lock that the next run meets."""
    launcher = os.environ.pop("DICOMZARR_LAUNCHER", "")
    if launcher:
        from dicomzarr.system.parent_process import end_with_parent

        end_with_parent()
        try:
            os.kill(int(launcher), 0)
        except ProcessLookupError:  # it was killed before
            os._exit(128 + signal.SIGKILL)


SCRIPTS = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
PLUGIN = "--logger=dicomzarr"  # with `=`, since the option takes all words after it


def main() -> int:
    """Run Snakemake with the arguments of this process and return its exit status."""
    sys.path.insert(0, SCRIPTS)
    end_with_launcher()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    argparse.ArgumentParser.error = refuse_in_one_line  # type: ignore[assignment, method-assign]
    threading.excepthook = end_thread_in_one_line
    logging.raiseExceptions = False  # Snakemake's log cannot hold the name of every folder: no traceback
    gc.disable()  # what is imported stays: looking for garbage in it takes a tenth of the time
    from dicomzarr.workflow.snakemake_quirks.plain_metadata import use_plain_metadata

    use_plain_metadata()
    from snakemake import cli

    from dicomzarr.workflow.snakemake_quirks.lean_imports import import_less

    gc.enable()
    import_less()
    from dicomzarr.workflow.snakemake_quirks.command_line import parse_with_checks, parse_without_note

    if os.environ.get("DICOMZARR_TERMINAL") or os.environ.get("DICOMZARR_VERDICT"):
        cli.parse_args = parse_without_note(cli.parse_args)
    cli.parse_args = parse_with_checks(cli.parse_args)
    if os.environ.get("DICOMZARR_TERMINAL"):
        sys.argv.insert(1, PLUGIN)
    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main()  # raises SystemExit
    except KeyboardInterrupt:
        print("Cancelled on user request", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.argv[0] = "snakemake"
    sys.exit(main())
