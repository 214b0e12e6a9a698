"""Priority, threads, memory and time of a job, from the plan of its batch and the size of the inventory.

A queue ends a job that takes more than it asked for. So memory and time are bounds, not expectations: several times
what was measured (docs/scaling.md), and that times the attempt. They decide nothing on one machine, unless a run is
limited by `--resources mem_mb=…`. None of them is a param: other values rerun nothing.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dicomzarr.source.archives import names

MEGABYTE = 1_000_000
OF_PROCESSES = 700  # MB of Snakemake, which starts itself twice for a job on another node, and of Python with libraries
OF_OBJECTS = 400  # MB of the process that requests objects: copies of 256 MiB, and what is on its way
OF_A_THREAD = 64  # MB beside its frames
FRAMES_OF_A_THREAD = 6  # encoded, decoded, converted, checked by a second decoder, compressed, waiting
OF_A_DETECTOR = 250  # MB of the child of a thread that looks for text in pixels, which has loaded the networks
# A frame of 8 bits in single precision, and what is made of it: 345 MB were measured for 4096 x 4096.
FRAMES_OF_A_DETECTOR = 8
LARGEST_MASK = 2 << 30  # bytes; a mask is in memory as a whole (0070)
# Bytes of source whose arrays fit into the page cache until they are read back.
BYTES_IN_MEMORY = 8_000_000_000
BEFORE_CHECKS = 1_000_000  # added to a priority: more than the megabytes of any batch
# Bytes of native pixels (or of other encodings with the same decoding time) in a series for each further thread. With
# fewer than two such portions, one thread per series is enough.
BYTES_PER_THREAD = 256 << 20
MOST_THREADS = 8
BYTES_OF_A_ROW = 150  # of the inventory: bytes per file, roughly
# Bytes of native pixels per second that a slow disk or network still reads or writes; a core alone does twenty times as
# much. `small` compresses at 12 MB/s.
SLOW = 10 * MEGABYTE
TIMES_FOR_SMALL = 4
SLOW_INFLATING = 50 * MEGABYTE  # bytes of an archive per second; of a zip file only the directory is read
FILES_PER_SECOND = 100  # opened on a slow network share, by each thread
OTHER_FILES_PER_SECOND = 5_000  # planned, or written into tables
SERIES_PER_SECOND = 10


def check_priority(batches: Mapping[str, Mapping[str, Any]], name: str) -> int:
    """Return the priority of the check of a batch, its megabytes: the largest first, so that the last jobs are short.

    Parameters
    ----------
    batches : mapping of str to mapping
        All batches in `contents.json`: `work` is the bytes of a batch as bytes of native pixels.
    name : str
        That of the batch.
    """
    return int(batches[name]["work"]) // MEGABYTE


def extraction_priority(batches: Mapping[str, Mapping[str, Any]], name: str) -> int:
    """Return the priority of the extraction of a batch: the largest first; for small datasets, before all checks.

    Checks are short and independent, so they fill the cores at the end. Arrays of a large dataset are checked while
    they are in the page cache. Parameters as for `check_priority`.
    """
    extracts_first = sum(int(batch["bytes"]) for batch in batches.values()) < BYTES_IN_MEMORY
    return check_priority(batches, name) + extracts_first * BEFORE_CHECKS


def batch_threads(batches: Mapping[str, Mapping[str, Any]], name: str, cores: int) -> int:
    """Return the number of threads that share the frames of a series, 1 to `MOST_THREADS`.

    It depends on the largest series of the batch. If there are fewer batches than cores, smaller series get more too.

    Parameters
    ----------
    batches : mapping of str to mapping
        All batches in `contents.json`: `largest` is the bytes of the largest series as bytes of native pixels.
    name : str
        That of the batch.
    cores : int
        Cores for all jobs together.
    """
    largest = int(batches[name]["largest"])
    spare = min(cores // len(batches), MOST_THREADS * largest // BYTES_PER_THREAD)
    return min(max(largest // BYTES_PER_THREAD, spare, 1), MOST_THREADS)


def batch_megabytes(
    batch: Mapping[str, Any], threads: int, limit: int, attempt: int, *, objects: bool = False, looks: bool = False
) -> int:
    """Return the memory of the extraction or the check of a batch, in MB.

    Parameters
    ----------
    batch : mapping
        The batch in `contents.json`: its bytes, largest frame, mask files and largest series.
    threads : int
        Threads of the job.
    limit : int
        The config key `limits.megabytes`: a decoded frame takes a third of it at most.
    attempt : int
        1 for the first.
    objects : bool
        A source is object storage: a process beside the job retains copies of the objects of a series.
    looks : bool
        Frames are looked at for text.
    """
    frame = min(batch["frame"] / MEGABYTE, limit / 3)
    tables = batch["bytes"] / MEGABYTE / 50 + batch["files"] / 250  # 4 kB a file
    mask = min(batch["largest"], LARGEST_MASK) / MEGABYTE if batch["masks"] else 0
    thread = OF_A_THREAD + FRAMES_OF_A_THREAD * frame + looks * (OF_A_DETECTOR + FRAMES_OF_A_DETECTOR * frame)
    needed = OF_PROCESSES + objects * OF_OBJECTS + threads * thread + tables + mask
    return attempt * math.ceil(float(needed))


def batch_minutes(
    batch: Mapping[str, Any], compression: str, cross_check: float, attempt: int, *, looks: bool = False
) -> int:
    """Return the time of the extraction or the check of a batch, in minutes.

    Parameters
    ----------
    batch : mapping
        The batch in `contents.json`: its work, files and series.
    compression : str
        The config key `compression`.
    cross_check : float
        The share of compressed frames that are decoded twice.
    attempt : int
        1 for the first.
    looks : bool
        Frames are looked at for text, which takes 10 to 40 ms of a core for 512 x 512: as long as decoding, at most.
    """
    seconds = batch["work"] * (1 + cross_check + looks) / SLOW + batch["files"] / FILES_PER_SECOND
    seconds += batch["series"] / SERIES_PER_SECOND
    return attempt * (10 + math.ceil(float(seconds) * (TIMES_FOR_SMALL if compression == "small" else 1) / 60))


def archive_minutes(inventory: Path, attempt: int) -> int:
    """Return the time of listing all archives, in minutes.

    Parameters
    ----------
    inventory : Path
        The inventory of the source; it may not exist yet.
    attempt : int
        1 for the first.
    """
    return attempt * (30 + math.ceil(_bytes_of_archives(inventory) / SLOW_INFLATING / 60))


@functools.cache
def _bytes_of_archives(inventory: Path) -> int:
    """Return the bytes of the files of a source that are archives by their names."""
    total = 0
    try:
        with open(inventory, "rb", buffering=1 << 20) as stream:
            next(stream, None)  # the folders of the source
            for line in stream:
                path = line[2 : line.find(b'"', 2)].lower()
                if path.endswith(_SUFFIXES):
                    total += int(json.loads(line)[2])
    except FileNotFoundError:
        pass
    return total


_SUFFIXES = tuple(suffix.encode() for suffix in names.SUFFIXES)


def index_megabytes(inventory: int, threads: int, attempt: int) -> int:
    """Return the memory of reading the headers and of planning, in MB; `inventory` is its size in bytes."""
    return attempt * math.ceil(OF_PROCESSES + threads * 150 + 3 * inventory / MEGABYTE)


def index_minutes(inventory: int, threads: int, attempt: int) -> int:
    """Return the time of reading all headers, in minutes; `inventory` is its size in bytes."""
    return attempt * (30 + math.ceil(inventory / BYTES_OF_A_ROW / FILES_PER_SECOND / threads / 60))


def tables_megabytes(inventory: int, threads: int, attempt: int) -> int:
    """Return the memory of writing the tables, of joining labels and of the privacy search, in MB."""
    return attempt * math.ceil(2 * OF_PROCESSES + threads * 150 + 2 * inventory / MEGABYTE)


def tables_minutes(inventory: int, attempt: int) -> int:
    """Return the time of planning, of writing the tables, of joining labels and of the privacy search, in minutes."""
    return attempt * (30 + math.ceil(inventory / BYTES_OF_A_ROW / OTHER_FILES_PER_SECOND / 60))
