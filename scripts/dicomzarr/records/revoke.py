"""Revoke records: the only way to schedule a step again.

A record exists if its step is complete. Without it, Snakemake sees a missing output and runs the step again. The reason
is logged in `private/revoked.jsonl`, for `./run status` and for debugging.
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

LOG_BYTES = 1 << 20  # a longer log is cut to its newer half


class Revocation(enum.Enum):
    """Why a record was revoked."""

    FILE_MISSING = "file_missing"  # a file that it claims is missing or has another size
    DAMAGED = "damaged"  # the record, or a file that it claims, has other bytes than were written
    PARAMS_CHANGED = "params_changed"  # configuration or code differ from those of the job
    INPUT_CHANGED = "input_changed"  # what its job reads is written again, or is not what the record was made from
    READABLE_AGAIN = "readable_again"  # a source file that could not be read can now be read
    SOURCE_CHANGED = "source_changed"  # a source file changed while it was read
    PARANOID = "paranoid"  # the user asked that all source files be read again
    RENUMBERED = "renumbered"  # the number of batches changed, and with it their names
    REMOVED = "removed"  # the series is no longer in the source
    SUPERSEDED = "superseded"  # its series is being extracted or exported again
    SEAL_BROKEN = "seal_broken"  # a job of a sealed rule starts
    NOT_CONFIGURED = "not_configured"  # the configuration no longer asks for it
    REPAIR = "repair"  # `./run verify --repair` found damage


def revoke(results: Results, record: Path, why: Revocation) -> bool:
    """Delete a record and log the reason.

    Parameters
    ----------
    results : Results
        The results folder of the record.
    record : Path
        A file below `private/records/`, or the seal `dataset/dataset.json`. A folder at this path is removed too.
    why : Revocation

    Returns
    -------
    bool
        Whether the record existed.

    Raises
    ------
    OSError
        If the record cannot be deleted. A log line that cannot be written is not an error.
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
    """Yield the logged revocations, oldest first: `record` (path below the results folder), `why`, `at` (UTC)."""
    try:
        lines = results.revoked.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError):  # an unfinished line of a killed process
            yield json_files.loads(line)


def shorten_log(results: Results) -> None:
    """Keep the newer half of the log if it is longer than `LOG_BYTES`."""
    with contextlib.suppress(OSError):
        if results.revoked.stat().st_size > LOG_BYTES:
            newer = results.revoked.read_bytes()[-LOG_BYTES // 2 :].partition(b"\n")[2]
            files.write_atomically(results.revoked, newer, private=True)
