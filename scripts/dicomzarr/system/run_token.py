"""The token of a run: jobs that outlive their run must not touch what a newer run made.

A queue may start a job long after the main process that submitted it was killed. So each run writes a random token to
`private/run.json`, and gives it to its jobs as an environment variable that the Snakefile declares with `envvars:`:
Snakemake hands those on to every executor, and they are no params, so that no job runs again for them. A job with
another token than that of the file refuses to work. The locks (`dicomzarr.system.locks`) do the same where they reach;
the token also does where jobs run on other hosts, or the file system has no locks.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import secrets
import time
from pathlib import Path

from dicomzarr.system import files, json_files
from dicomzarr.vocabulary.errors import UserError

FILE = "run.json"
VARIABLE = "DICOMZARR_RUN"
LATENCY = 5.0  # s that a network file system may show an older token


class Superseded(UserError):
    """The run that a job belongs to is over."""


@functools.cache
def declare() -> str:
    """Return the token of this main process, in the variable that its jobs receive; one for all its results folders."""
    token = os.environ[VARIABLE] = secrets.token_hex(16)
    return token


def begin(private: Path) -> str:
    """Make this process the main process of the current run, until it ends; return the run's token."""
    token = declare()
    files.write_atomically(private / FILE, json_files.canonical_json({"token": token}), private=True)
    atexit.register(end, private, token)
    return token


def end(private: Path, token: str) -> None:
    """End the run: whatever job of it starts now is late."""
    with contextlib.suppress(OSError):
        if current(private) == token:
            (private / FILE).unlink()


def current(private: Path) -> str:
    """Return the token of the current run; empty where there is no run."""
    try:
        return str(json_files.read_json(private / FILE)["token"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return ""


def check(private: Path, latency: float = 0.0) -> None:
    """Refuse to go on if the run of this process is over.

    Parameters
    ----------
    private : Path
        The private folder of the results.
    latency : float
        Seconds to wait for another token to appear, in s.

    Raises
    ------
    Superseded
        If another run is the current one, or none is. A process that no run started (a test) may go on.
    """
    token = os.environ.get(VARIABLE)
    if token is None:
        return
    deadline = time.monotonic() + latency
    while current(private) != token:
        if time.monotonic() >= deadline:
            raise Superseded(
                "the run that started this job is over, and another one may use the results folder; nothing was changed"
            )
        os.listdir(private)  # lets a client of a network file system ask the server
        time.sleep(0.5)
