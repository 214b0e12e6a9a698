"""Revoking records: the one way in which work is scheduled again.

A record that exists means that its step is whole. Without it, Snakemake sees a missing output and runs the step again.
Why a record was revoked is noted in `private/revoked.jsonl`, for `./run status` and for whoever looks for a cause.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import os
from collections.abc import Iterator
from pathlib import Path

from dicomzarr.system import files, json_files
from dicomzarr.system.results_folder import Results

LOG_BYTES = 1 << 20  # the log is cut to its newer half when it is longer


class Revocation(enum.Enum):
    """Why a record was revoked."""

    FILE_MISSING = "file_missing"  # a file that it claims is missing or has another size
    DAMAGED = "damaged"  # the record, or a file that it claims, has other bytes than were written
    PARAMS_CHANGED = "params_changed"  # it was made with other configuration or code
    READABLE_AGAIN = "readable_again"  # a source file that could not be read can be read now
    PARANOID = "paranoid"  # the user asked that everything be read again
    RENUMBERED = "renumbered"  # batches have other names now
    REMOVED = "removed"  # the series is no longer in the source
    SUPERSEDED = "superseded"  # its series is being extracted or exported again
    SEAL_BROKEN = "seal_broken"  # a job starts whose work the seal states
    NOT_CONFIGURED = "not_configured"  # the configuration no longer asks for it
    REPAIR = "repair"  # `./run verify --repair` found damage


def revoke(results: Results, record: Path, why: Revocation) -> bool:
    """Delete a record and note why; return whether there was one.

    Parameters
    ----------
    results : Results
        The results folder that holds the record.
    record : Path
        A file below `private/records/`, or the seal `dataset/dataset.json`. A folder in its place is removed too.
    why : Revocation

    Raises
    ------
    OSError
        If the record cannot be deleted. That the note cannot be written is no error: the record is what counts.
    """
    if not os.path.lexists(record):
        return False
    files.remove_tree(record)
    line = {
        "record": os.path.relpath(record, results.root),
        "why": why.value,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    with contextlib.suppress(OSError):
        files.append_private(results.revoked, json_files.compact_line(line))
    return True


def revocations(results: Results) -> Iterator[dict[str, str]]:
    """Yield the noted revocations, oldest first: `record` (path below the results folder), `why`, `at` (UTC)."""
    try:
        lines = results.revoked.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError):  # a line that a killed process left unfinished
            yield json_files.loads(line)


def shorten_log(results: Results) -> None:
    """Keep the newer half of the log if it is longer than `LOG_BYTES`."""
    with contextlib.suppress(OSError):
        if results.revoked.stat().st_size > LOG_BYTES:
            newer = results.revoked.read_bytes()[-LOG_BYTES // 2 :].partition(b"\n")[2]
            files.write_atomically(results.revoked, newer, private=True)
