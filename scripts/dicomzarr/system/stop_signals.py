"""The signals that stop a run: of Ctrl-C, of a service manager, of a terminal that is closed, of Ctrl and backslash."""

from __future__ import annotations

import signal

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def not_ignored() -> set[signal.Signals]:
    """Return those that this process does not ignore: nohup lets it ignore SIGHUP, and `&` in a script SIGINT."""
    return {number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN}
