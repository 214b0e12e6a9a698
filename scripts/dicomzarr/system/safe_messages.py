"""Errors told without text and path, and libraries kept quiet: both may quote a header."""

from __future__ import annotations

import logging
import os
import traceback
import warnings
from pathlib import Path

from dicomzarr.system import limits


def quiet() -> None:
    """Silence what libraries say, since it may quote a header, and write no core dumps."""
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").disabled = True
    logging.raiseExceptions = False
    limits.dump_no_core()


def where(error: BaseException) -> str:
    """Return the type of an error and the lines of this project it passed, never its text."""
    places = [
        f"{Path(frame.filename).stem}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "dicomzarr" in frame.filename
    ]
    return f"{type(error).__name__} at {' < '.join(reversed(places[-6:])) or 'an unknown place'}"


def disk_trouble(error: OSError) -> str:
    """Return a sentence for an operating-system error that names neither file nor patient."""
    return f"the operating system says: {os.strerror(error.errno) if error.errno else type(error).__name__}"
