"""Decide whether a source that was copied back, or mounted again, counts as unchanged: the config key `restored`."""

from __future__ import annotations

import os
import sys
from typing import Any

from dicomzarr.source import restored
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.notes import RESTORED
from dicomzarr.workflow.settings import Settings


def accept_restored(
    settings: Settings, results: Results, rows: list[list[Any]], *, asks: bool
) -> tuple[list[list[Any]], bytes]:
    """Return the rows of a listing with the keys under which restored files were verified; read-only.

    Parameters
    ----------
    settings : Settings
    results : Results
    rows : list
        As `listing.list_sources` returns them.
    asks : bool
        Whether the user may be asked, if there is a terminal: not in a dry run.

    Returns
    -------
    rows : list
    restored : bytes
        The content of `Results.restored`; empty if no file is restored.
    """
    if settings.restored == "no" or settings.paranoid:
        return rows, b""
    labels = restored.roots_to_compare(settings.sources)
    comparison = restored.compare(rows, results.inventory, results.restored, settings.sources)
    for label in labels:
        moved = comparison.moved.get(label)
        if moved and moved.looks_restored and _is_accepted(settings, results, rows, label, moved, asks=asks):
            comparison.accept(label)
    return comparison.rows, comparison.lines()


def _is_accepted(
    settings: Settings, results: Results, rows: list[list[Any]], label: str, moved: restored.Moved, *, asks: bool
) -> bool:
    key = f"source.{label}" if label else "source"
    counts = f"{len(moved.keys)} of {moved.compared} files" if len(moved.keys) < moved.compared else "all files"
    words = f"{RESTORED}: config key {key!r}: {counts} have the size and time of the last run, but another inode"
    first = next(iter(moved.keys.values()))[0]
    try:
        from dicomzarr.records import samples

        keys = {path: samples.Keys(verified, restored.key_of(rows[at])) for path, (at, verified) in moved.keys.items()}
        sample = samples.compare_source(results, settings.sources, keys, repr(rows[first]))
    except ImportError:  # an environment with Snakemake alone cannot compare contents
        sample = None
    if sample is None or not sample.files:
        print(f"{words}; no content could be compared, so that they are read again", file=sys.stderr)
        return False
    if not sample.is_equal:
        print(f"{words}; but the content of one is not as recorded, so that they are read again", file=sys.stderr)
        return False
    words += f"; the contents of {sample.files}, drawn at random, are as recorded"
    if asks and settings.restored == "ask" and _has_terminal():
        print(f"{words}\nTake all as unchanged (y), or read all again (n)? [y] ", end="", file=sys.stderr, flush=True)
        return not sys.stdin.readline().strip().lower().startswith("n")
    print(f"{words}, so that they count as unchanged (--config restored=no reads all again)", file=sys.stderr)
    return True


def _has_terminal() -> bool:
    """Return whether a person can answer: a process in the background would be stopped when it reads."""
    try:
        return sys.stderr.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):  # no terminal, or none of this session; no standard input
        return False
