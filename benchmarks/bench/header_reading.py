"""Measure headers per CPU second: the reader of the index, with the texts for the privacy search, and pydicom."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pydicom

from dicomzarr.headers.classify import read_header

MOST_FILES = 400  # of a corpus


def by_index(path: Path) -> None:
    """Read a header as the index does."""
    handle = os.open(path, os.O_RDONLY)
    try:
        header = read_header(partial(os.pread, handle), os.fstat(handle).st_size, [])
    finally:
        os.close(handle)
    if header.outcome != "image":
        raise ValueError(f"a file of the corpus is no image: {header.reason}")


def by_pydicom(path: Path) -> None:
    """Parse a header: pydicom converts values on access."""
    pydicom.dcmread(path, stop_before_pixels=True)


def files_per_second(source: Path, rounds: int) -> dict[str, float]:
    """Return files per CPU second of `index` and `pydicom`: medians of rounds in turn, on files all over a corpus."""
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    paths = paths[:: max(1, len(paths) // MOST_FILES)]
    ways: dict[str, Callable[[Path], None]] = {"index": by_index, "pydicom": by_pydicom}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, rounds):
        for name, read in ways.items():
            used = _seconds(read, paths)
            if turn >= 0:
                seconds[name].append(used)
    return {name: len(paths) / statistics.median(used) for name, used in seconds.items()}


def _seconds(read: Callable[[Path], None], paths: Sequence[Path]) -> float:
    start = time.process_time()
    for path in paths:
        read(path)
    return time.process_time() - start
