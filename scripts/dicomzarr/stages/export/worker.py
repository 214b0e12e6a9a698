"""A process that exports series, one after the other, as it is asked to, and ends with whoever asks."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.stages.export.refusals import Refused
from dicomzarr.stages.export.tables import array_row
from dicomzarr.stages.export.verified_arrays import Array, Damaged, of_series
from dicomzarr.system import safe_messages
from dicomzarr.system.results_folder import Results

_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(slots=True)
class Made:
    """What a series became: rows of `report.csv`, and rows of `files.csv` sorted by file."""

    arrays: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)


# Writes a series below a folder: its arrays, the folder, the effort of compression from 0 to 9.
Work = Callable[[list[Array], Path, int], Made]
Written = tuple[dict[str, Any], list[dict[str, Any]]]


def each_array(arrays: list[Array], write: Callable[[Array], Written]) -> Made:
    """Export arrays one by one; what the format cannot hold is listed with its reason."""
    made = Made()
    for array in arrays:
        try:
            row, files = write(array)
        except Refused as refused:
            row, files = array_row(array, reason=refused.code), []
        made.arrays.append(row)
        made.files += files
    made.files.sort(key=lambda row: str(row["file"]))
    return made


def serve(work: Work) -> None:
    """Answer series ids from standard input on standard output, a line of JSON each way, until the input ends.

    The first line holds the results folder, the folder to write to, the level of compression, and the process that
    asks. An answer has `arrays` and `files`, or an `error`: a word of our own, and never the text of an exception.
    """
    safe_messages.quiet()
    root, store, level, parent = json.loads(sys.stdin.readline())
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it too, and decides
    if os.getppid() != parent:
        os._exit(1)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(work, Results(Path(root)), json.loads(line), Path(store), level)) + "\n")
        sys.stdout.flush()


def _answer(work: Work, results: Results, series_id: str, store: Path, level: int) -> dict[str, Any]:
    try:
        made = work(of_series(results, series_id), store, level)
    except Damaged as damaged:
        return {"error": "damaged", "said": str(damaged)}
    except OSError as error:
        return {"error": "system", "said": safe_messages.disk_trouble(error)}
    except Exception as error:
        return {"error": "internal", "said": safe_messages.where(error)}
    return {"arrays": made.arrays, "files": made.files}
