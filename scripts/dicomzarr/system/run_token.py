"""The token of a run: jobs that start after their run has ended must not change the results of a newer run.

A queue may start a job long after the main process that submitted it was killed. So each run writes a random token to
`private/run.json`, and passes it to its jobs as an environment variable that the Snakefile declares with `envvars:`.
Snakemake passes these to every executor, and they are not params, so that they do not trigger reruns. A job refuses to
work if its token differs from the file. The locks (`dicomzarr.system.locks`) do the same on one host; the token also
works if jobs run on other hosts, or the file system has no locks.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import time
from pathlib import Path

from dicomzarr.system import files, json_files
from dicomzarr.vocabulary.errors import UserError

FILE = "run.json"
VARIABLE = "DICOMZARR_RUN"
LATENCY = 5.0  # seconds during which a network file system may still show an older token


class Superseded(UserError):
    """The run of this job is over."""


_begun: list[str] = []  # the token of this process, once it has begun a run; a workflow may have several datasets


def forget() -> None:
    """Clear an inherited token: this process may have been started by a job of another run."""
    if not _begun:
        os.environ[VARIABLE] = ""


def begin(private: Path) -> str:
    """Make this process the main process of the current run, until it ends; return the run's token."""
    if not _begun:
        _begun.append(secrets.token_hex(16))
    token = _begun[0]
    files.write_atomically(private / FILE, json_files.canonical_json({"token": token}), private=True)
    os.environ[VARIABLE] = token
    atexit.register(end, private, token)
    return token


def end(private: Path, token: str) -> None:
    """End the run: jobs of it that start from now on refuse to work."""
    with contextlib.suppress(OSError):
        if current(private) == token:
            (private / FILE).unlink()


def current(private: Path) -> str:
    """Return the token of the current run; empty if there is no run."""
    try:
        return str(json_files.read_json(private / FILE)["token"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return ""


def check(private: Path, latency: float = 0.0) -> None:
    """Raise if the run of this process is over.

    Parameters
    ----------
    private : Path
        The private folder of the results.
    latency : float
        Seconds to wait for the expected token to appear.

    Raises
    ------
    Superseded
        If another run is the current one, or none is. Not for a process that no run started, such as a test.
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
        os.listdir(private)  # makes a client of a network file system ask the server
        time.sleep(0.5)
